"""From bytes to the table's keys. Ref: net/netfilter/nf_conntrack_core.c:nf_ct_get_tuple."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.conntrack import gre
from flowtable.conntrack.tuple import Tuple, from_key
from flowtable.packet.extension import EXTENSION_HEADERS, NO_NEXT_HEADER, NO_TRANSPORT, find_transport
from flowtable.packet.packet import GRE, ICMP, ICMPV6, IPV4, SCTP, TCP, UDP, UDPLITE

if TYPE_CHECKING:
    from flowtable.conntrack.tuple import Key

_addresses4 = Struct(">12xQ").unpack_from
_addresses6 = Struct(">8xQQQQ").unpack_from
_ports = Struct(">I").unpack_from
_icmp = Struct(">BBHH").unpack_from
_fragment = Struct(">6xH").unpack_from

PORTS: Final = frozenset({TCP, UDP, SCTP, UDPLITE})
"""Protocols whose headers begin with the ports."""
QUERIES: Final = frozenset({ICMP, ICMPV6})
"""Protocols whose connections are queries and their answers."""
_NOWHERE6: Final = frozenset({NO_NEXT_HEADER, NO_TRANSPORT})


def key_at(data: bytes | bytearray, offset: int, family: int, l4proto: int, thoff: int) -> Key | None:
    """The key of a packet in zone 0, None where it cannot be tracked.

    Args:
        data: what holds the packet.
        offset: where its IP header begins, complete as far as the addresses.
        family: ``IPV4`` or ``IPV6``.
        l4proto: its transport protocol.
        thoff: where the transport header begins in ``data``.
    """
    ports: int | None
    if l4proto in PORTS:
        if len(data) < thoff + 4:
            return None
        ports = _ports(data, thoff)[0]
    elif l4proto in QUERIES:
        if len(data) < thoff + 8:
            return None
        kind, code, _, identifier = _icmp(data, thoff)
        ports = identifier << 16 | kind << 8 | code
    elif l4proto == GRE:
        ports = gre.ports(data, thoff)
        if ports is None:
            return None
    else:
        ports = 0
    if family == IPV4:
        return (l4proto, *_addresses4(data, offset), ports)
    if l4proto in _NOWHERE6:
        return None
    return (l4proto, *_addresses6(data, offset), ports)


def transport_of(data: bytes | bytearray, offset: int, family: int) -> tuple[int, int] | None:
    """Protocol and offset of the transport header of an IP packet inside another.

    Returns:
        None in fragments other than the first, and where the packet breaks off before.

    Ref: net/netfilter/nf_conntrack_core.c:get_l4proto.
    """
    size = len(data)
    if family == IPV4:
        if size < offset + 20 or _fragment(data, offset)[0] & 0x1FFF:
            return None
        thoff = offset + (data[offset] & 15) * 4
        return None if thoff > size else (data[offset + 9], thoff)
    if size < offset + 40:
        return None
    l4proto, thoff = data[offset + 6], offset + 40
    if l4proto in EXTENSION_HEADERS:
        l4proto, thoff, fragoff = find_transport(data, l4proto, thoff)
        if fragoff:
            return None
    if l4proto in _NOWHERE6:
        return None
    return l4proto, thoff


def quoted_tuple(data: bytes | bytearray, offset: int, family: int) -> Tuple | None:
    """The tuple of a packet that an ICMP error quotes, None where it cannot be tracked.

    Ref: net/netfilter/nf_conntrack_core.c:nf_ct_get_tuplepr.
    """
    transport = transport_of(data, offset, family)
    if transport is None:
        return None
    key = key_at(data, offset, family, *transport)
    return None if key is None else from_key(key)
