"""PPPoE sessions as devices. Ref: drivers/net/ppp/pppoe.c, RFC 2516."""

from __future__ import annotations

from dataclasses import dataclass

from flowtable.topology.device import Device


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Pppoe(Device):
    """A PPP device over a PPPoE session, already negotiated. It has no MAC address.

    Attributes:
        session: session id, 1..65534.
        peer: MAC address of the access concentrator, 6 bytes.
    """

    session: int
    peer: bytes
