"""More MAC addresses on one device. Ref: drivers/net/macvlan.c."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from flowtable.topology.device import Device


class MacvlanMode(Enum):
    """What macvlans of one lower device say to each other. Ref: enum macvlan_mode."""

    PRIVATE = "private"
    VEPA = "vepa"
    BRIDGE = "bridge"
    PASSTHRU = "passthru"


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Macvlan(Device):
    """A device of its own for the frames to its MAC address on the lower device."""

    mode: MacvlanMode = MacvlanMode.VEPA
