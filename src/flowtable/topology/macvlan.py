"""More MAC addresses on one device. Ref: drivers/net/macvlan.c."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from flowtable.topology.bond import Bond
from flowtable.topology.bridge import Bridge
from flowtable.topology.device import Device, DeviceKind
from flowtable.topology.error import TopologyError


class MacvlanMode(Enum):
    """What macvlans of one lower device say to each other. Ref: enum macvlan_mode."""

    PRIVATE = "private"
    VEPA = "vepa"
    BRIDGE = "bridge"
    PASSTHRU = "passthru"


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Macvlan(Device):
    """A device of its own for the frames to its MAC address on the lower device."""

    kind: DeviceKind = DeviceKind.MACVLAN
    mode: MacvlanMode = MacvlanMode.VEPA


def check_macvlan(macvlan: Macvlan) -> None:
    """Check that a macvlan may stand on its lower device.

    Ref: macvlan_common_newlink, macvlan_port_create, macvlan_addr_busy.

    Raises:
        TopologyError: it is not Ethernet, has a rx handler of another kind, has a macvlan that
            wants all frames, or has the MAC address already.
    """
    lower = macvlan.lower
    if lower is None:
        raise TopologyError("a macvlan stands on another device", "parent")
    if not lower.ethernet:
        raise TopologyError(f"{lower.name} is not Ethernet", "parent")
    if isinstance(lower.master, (Bridge, Bond)):
        raise TopologyError(f"Device or resource busy: {lower.name} is in {lower.master.name}", "parent")
    others = [other for other in lower.uppers if isinstance(other, Macvlan)]
    passthru = macvlan.mode is MacvlanMode.PASSTHRU
    for other in others:
        if passthru or other.mode is MacvlanMode.PASSTHRU:
            raise TopologyError(f"a passthru macvlan is the only one, {lower.name} has {other.name}", "mode")
    if not passthru and macvlan.mac in (lower.mac, *(other.mac for other in others)):
        raise TopologyError(f"{lower.name} or another of its macvlans has this MAC address", "mac")
