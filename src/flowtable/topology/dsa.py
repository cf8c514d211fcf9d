"""Ports of a switch chip as devices. Ref: net/dsa/user.c."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from flowtable.topology.device import Device


class TagProtocol(Enum):
    """How frames on the conduit name their port. Ref: net/dsa/tag_*.c, /sys/class/net/X/dsa/tagging."""

    DSA = "dsa"
    EDSA = "edsa"
    MTK = "mtk"
    BRCM = "brcm"


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class DsaPort(Device):
    """A user port; its ``lower`` is the conduit, which carries the frames of all ports tagged.

    Attributes:
        port: number of the port on the switch.
        tag: how the conduit's frames name it.
    """

    port: int
    tag: TagProtocol = TagProtocol.DSA
