"""Ports of a switch chip as devices. Ref: net/dsa/user.c."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from flowtable.topology.device import Device, DeviceKind
from flowtable.topology.error import TopologyError


class TagProtocol(Enum):
    """How frames on the conduit name their port. Ref: net/dsa/tag_*.c, /sys/class/net/X/dsa/tagging."""

    DSA = "dsa"
    EDSA = "edsa"
    MTK = "mtk"
    BRCM = "brcm"


LAST_PORT: Final = {TagProtocol.DSA: 31, TagProtocol.EDSA: 31, TagProtocol.MTK: 5, TagProtocol.BRCM: 8}
"""The largest port number that a tag can name in both directions.

Ref: net/dsa/tag_dsa.c:dsa_xmit_ll, tag_mtk.c:MTK_HDR_XMIT_DP_BIT_MASK, tag_brcm.c:brcm_tag_xmit_ll.
"""


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class DsaPort(Device):
    """A user port; its ``lower`` is the conduit, which carries the frames of all ports tagged.

    Attributes:
        port: number of the port on the switch.
        tag: how the conduit's frames name it.
    """

    kind: DeviceKind = DeviceKind.DSA
    port: int
    tag: TagProtocol = TagProtocol.DSA


def check_dsa(user: DsaPort) -> None:
    """Check that a user port fits the conduit and the switch's other ports.

    Raises:
        TopologyError: the conduit is no plain Ethernet device, the number is not one the tag
            can name or is taken, or the switch has another tag.
    """
    conduit = user.lower
    if conduit is None:
        raise TopologyError("a user port stands on its conduit", "parent")
    if conduit.kind is not DeviceKind.ETHERNET:
        kind = conduit.kind.value
        raise TopologyError(f"a conduit is an ethernet device, {conduit.name} is {kind}", "parent")
    if not 0 <= user.port <= LAST_PORT[user.tag]:
        raise TopologyError(f"a {user.tag.value} tag names ports 0..{LAST_PORT[user.tag]}", "port")
    for other in conduit.uppers:
        if isinstance(other, DsaPort):
            if other.port == user.port:
                raise TopologyError(f"{other.name} is port {user.port} already", "port")
            if other.tag is not user.tag:
                raise TopologyError(f"{other.name} has tag {other.tag.value} on this conduit", "tag")
