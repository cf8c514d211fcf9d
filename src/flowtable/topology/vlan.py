"""VLAN devices: one tagged network on a lower device. Ref: net/8021q/vlan_dev.c."""

from __future__ import annotations

from dataclasses import dataclass

from flowtable.packet.packet import ETHERTYPE_VLAN
from flowtable.topology.device import Device, DeviceKind
from flowtable.topology.error import TopologyError


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Vlan(Device):
    """What ``ip link add ... type vlan`` makes; its tag is the outermost that its lower device sees.

    Attributes:
        vid: VLAN id, 0..4094.
        protocol: ethertype of the tag: 0x8100 (802.1Q) or 0x88a8 (802.1ad).
    """

    kind: DeviceKind = DeviceKind.VLAN
    vid: int
    protocol: int = ETHERTYPE_VLAN


def check_vlan(vlan: Vlan) -> None:
    """Check that a VLAN device may stand on its lower device. Ref: vlan_check_real_dev, vlan_validate.

    Raises:
        TopologyError: it carries no VLANs, or that VLAN is there already.
    """
    lower = vlan.lower
    if lower is None:
        raise TopologyError("a VLAN device stands on another device", "parent")
    if not lower.ethernet:
        raise TopologyError(f"VLANs not supported on device {lower.name}", "parent")
    if not 0 <= vlan.vid <= 4094:
        raise TopologyError("Invalid VLAN id", "id")
    for other in lower.uppers:
        if isinstance(other, Vlan) and (other.vid, other.protocol) == (vlan.vid, vlan.protocol):
            raise TopologyError(f"VLAN device already exists: {other.name}", "id")
