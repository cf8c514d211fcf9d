"""VLAN devices: one tagged network on a lower device. Ref: net/8021q/vlan_dev.c."""

from __future__ import annotations

from dataclasses import dataclass

from flowtable.packet.packet import ETHERTYPE_VLAN
from flowtable.topology.device import Device


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Vlan(Device):
    """What ``ip link add ... type vlan`` makes; its tag is the outermost that its lower device sees.

    Attributes:
        vid: VLAN id, 0..4094.
        protocol: ethertype of the tag: 0x8100 (802.1Q) or 0x88a8 (802.1ad).
    """

    vid: int
    protocol: int = ETHERTYPE_VLAN
