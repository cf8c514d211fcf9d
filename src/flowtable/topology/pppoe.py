"""PPPoE sessions as devices. Ref: drivers/net/ppp/pppoe.c, RFC 2516."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flowtable.topology.device import Device, DeviceKind
from flowtable.topology.error import TopologyError

PPPOE_OVERHEAD: Final = 8
"""Bytes of the PPPoE and PPP headers."""


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Pppoe(Device):
    """A PPP device over a PPPoE session, already negotiated. It has no MAC address.

    Attributes:
        session: session id, 1..65534.
        peer: MAC address of the access concentrator, 6 bytes.
    """

    kind: DeviceKind = DeviceKind.PPPOE
    session: int
    peer: bytes


def check_pppoe(ppp: Pppoe) -> None:
    """Check that a session may run over its lower device. Ref: pppoe_connect, __set_item.

    Raises:
        TopologyError: it is not Ethernet, or has that session already.
    """
    lower = ppp.lower
    if lower is None:
        raise TopologyError("a PPPoE session runs over another device", "parent")
    if not lower.ethernet:
        raise TopologyError(f"{lower.name} is not Ethernet", "parent")
    if not 1 <= ppp.session <= 65534:
        raise TopologyError("a session id is one of 1..65534", "session")
    for other in lower.uppers:
        if isinstance(other, Pppoe) and (other.session, other.peer) == (ppp.session, ppp.peer):
            raise TopologyError(f"{other.name} has this session already", "session")
