"""How a chip reads a frame: tags, a PPPoE session, and the packet, if it is one that it may forward.

What a router may not just forward is none: TTL 1, fragments, IP options and extension headers, and
packets whose headers do not agree about their length.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from flowtable.packet.packet import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_PPPOE_SESSION,
    ETHERTYPE_QINQ,
    ETHERTYPE_VLAN,
    GRE,
    TCP,
    UDP,
)

_MACS: Final = 12
_TAGS: Final = (ETHERTYPE_VLAN, ETHERTYPE_QINQ)
_PPP: Final = {0x0021: ETHERTYPE_IPV4, 0x0057: ETHERTYPE_IPV6}
_MINIMUM: Final = {TCP: 20, UDP: 8, GRE: 4}
"""Bytes of transport header that have to be there."""

_two = Struct("!HH").unpack_from
_pppoe = Struct("!BBHHH").unpack_from
_ipv4 = Struct("!BxHxxHBB").unpack_from
_ipv6 = Struct("!IHBB").unpack_from


class Read(NamedTuple):
    """A frame as a chip has read it.

    Attributes:
        macs: destination and source MAC address.
        tags: VLAN tags as (control information, ethertype), outermost first.
        session: PPPoE session, 0 without.
        ethertype: of the packet.
        protocol: its transport protocol.
        wire: its addresses and ports in network order, ports 0 for GRE.
        tcp_flags: its TCP flags, 0 for other protocols.
        packet: the packet, without what follows it in the frame.
    """

    macs: bytes
    tags: tuple[tuple[int, int], ...]
    session: int
    ethertype: int
    protocol: int
    wire: bytes
    tcp_flags: int
    packet: bytes


def read(frame: bytes) -> Read | None:
    """Read a frame; None if it is for the box to look at."""
    size = len(frame)
    if size < 14 or frame[0] & 1:
        return None
    (ethertype,) = _two(frame, _MACS - 2)[1:]
    at = _MACS + 2
    tags: tuple[tuple[int, int], ...] = ()
    while ethertype in _TAGS:
        if size < at + 4:
            return None
        control, inner = _two(frame, at)
        tags = (*tags, (control, ethertype))
        ethertype = inner
        at += 4
    session = 0
    if ethertype == ETHERTYPE_PPPOE_SESSION:
        if size < at + 8:
            return None
        version, code, session, length, protocol = _pppoe(frame, at)
        if version != 0x11 or code or at + 6 + length > size or protocol not in _PPP:
            return None
        ethertype = _PPP[protocol]
        size = at + 6 + length
        at += 8
    if ethertype == ETHERTYPE_IPV4:
        return _read_ipv4(frame, at, size, tags, session)
    if ethertype == ETHERTYPE_IPV6:
        return _read_ipv6(frame, at, size, tags, session)
    return None


def _read_ipv4(
    frame: bytes, at: int, size: int, tags: tuple[tuple[int, int], ...], session: int
) -> Read | None:
    if size < at + 20:
        return None
    first, length, fragment, ttl, protocol = _ipv4(frame, at)
    if first != 0x45 or fragment & 0x3FFF or ttl < 2 or length > size - at:
        return None
    l4 = 20
    if protocol not in _MINIMUM or length < l4 + _MINIMUM[protocol]:
        return None
    return _whole(frame, at, length, tags, session, ETHERTYPE_IPV4, protocol, 12, l4)


def _read_ipv6(
    frame: bytes, at: int, size: int, tags: tuple[tuple[int, int], ...], session: int
) -> Read | None:
    if size < at + 40:
        return None
    first, payload, protocol, hops = _ipv6(frame, at)
    length = payload + 40
    if first >> 28 != 6 or hops < 2 or length > size - at:
        return None
    l4 = 40
    if protocol not in _MINIMUM or length < l4 + _MINIMUM[protocol]:
        return None
    return _whole(frame, at, length, tags, session, ETHERTYPE_IPV6, protocol, 8, l4)


def _whole(
    frame: bytes,
    at: int,
    length: int,
    tags: tuple[tuple[int, int], ...],
    session: int,
    ethertype: int,
    protocol: int,
    addresses: int,
    l4: int,
) -> Read | None:
    packet = frame[at : at + length]
    if protocol == GRE:
        if packet[l4 + 1] & 7:
            return None  # PPTP's
        wire = packet[addresses:l4] + bytes(4)
    else:
        wire = packet[addresses : l4 + 4]
    flags = packet[l4 + 13] if protocol == TCP else 0
    return Read(frame[:_MACS], tags, session, ethertype, protocol, wire, flags, packet)
