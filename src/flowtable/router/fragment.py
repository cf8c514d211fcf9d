"""Fragmentation: a packet that is larger than its way out leaves in pieces.

What was reassembled on the way in leaves in the pieces it came in, as long as those fit; then
Linux has them still, as a list behind the first one. Everything else is cut anew.

Ref: net/ipv4/ip_output.c:ip_do_fragment; net/ipv6/ip6_output.c:ip6_fragment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.checksum import fill_ipv4
from flowtable.packet.extension import DESTINATION, FRAGMENT, HOP_BY_HOP, ROUTING
from flowtable.packet.packet import Packet
from flowtable.topology.device import IPV6_MIN_MTU

if TYPE_CHECKING:
    from flowtable.router.ident import Identifiers

_MORE4: Final = 0x2000
_DONT: Final = 0x4000
_END_OF_OPTIONS: Final = 0
_NO_OPERATION: Final = 1
_COPIED: Final = 0x80


def ipv4(packet: Packet, mtu: int) -> list[Packet] | None:
    """Cut an IPv4 packet that is too large, or that was reassembled, for a way of ``mtu`` bytes.

    Returns:
        The fragments in their order, of which there may be only one; None where the packet must
        not be fragmented: its sender is to be told of ``mtu`` (fragmentation needed).

    Ref: net/ipv4/ip_output.c:ip_fragment, ip_do_fragment.
    """
    data = packet.data
    own = packet.iif is None or packet.frag_max_size > 0
    if data[6] & 0x40 and (not own or packet.frag_max_size > mtu):
        return None
    if 0 < packet.frag_max_size < mtu:
        mtu = packet.frag_max_size
    header = (data[0] & 15) * 4
    space = mtu - header
    if space < 8:
        return None
    field = data[6] << 8 | data[7]
    offset = (field & 0x1FFF) * 8
    sizes = packet.frag_sizes
    if field & 0x3FFF == 0 and _as_they_came(sizes, len(data) - header, space):
        dont = 0
    else:
        sizes = _cut(len(data) - header, space)
        dont = _DONT if packet.frag_df else 0
    following = field & _MORE4

    head = data[:header]
    pieces: list[Packet] = []
    at = header
    for size in sizes:
        more = following if at + size == len(data) else _MORE4
        piece = head + data[at : at + size]
        piece[2:4] = len(piece).to_bytes(2)
        piece[6:8] = (offset >> 3 | dont | more).to_bytes(2)
        fill_ipv4(piece)
        pieces.append(_piece(packet, piece, header, offset))
        if offset == 0 and header > 20:
            _keep_copied_options(head)
        at += size
        offset += size
    return pieces


def ipv6(packet: Packet, mtu: int, identifiers: Identifiers) -> list[Packet] | None:
    """Cut an IPv6 packet of the box's own, or one that was reassembled, for ``mtu`` bytes.

    Returns:
        The fragments in their order, of which there may be only one; None where the packet must
        not be fragmented: its sender is to be told of ``mtu`` (packet too big).

    Ref: net/ipv6/ip6_output.c:ip6_fragment.
    """
    data = packet.data
    if len(data) > mtu and packet.iif is not None and not packet.frag_max_size:
        return None
    if packet.frag_max_size:
        if packet.frag_max_size > mtu:
            return None
        mtu = max(packet.frag_max_size, IPV6_MIN_MTU)
    place = _first_fragmentable(data)
    if place is None:
        return None
    at, named_at = place
    space = mtu - at - 8
    if space < 8:
        return None
    sizes = packet.frag_sizes
    if not _as_they_came(sizes, len(data) - at, space):
        sizes = _cut(len(data) - at, space)
    head = data[:at]
    nexthdr = head[named_at]
    head[named_at] = FRAGMENT
    identification = identifiers.ipv6().to_bytes(4)

    pieces: list[Packet] = []
    offset = 0
    for size in sizes:
        start = at + offset
        more = start + size < len(data)
        piece = head + bytes((nexthdr, 0)) + (offset | more).to_bytes(2) + identification
        piece += data[start : start + size]
        piece[4:6] = (len(piece) - 40).to_bytes(2)
        pieces.append(_piece(packet, piece, at + 8, offset))
        offset += size
    return pieces


def _as_they_came(sizes: tuple[int, ...], length: int, space: int) -> bool:
    """Whether a packet can leave in the fragments that it came in."""
    return (
        len(sizes) > 1
        and sum(sizes) == length
        and max(sizes) <= space
        and not any(size & 7 for size in sizes[:-1])
    )


def _cut(length: int, space: int) -> tuple[int, ...]:
    """Payload sizes of the fragments of ``length`` bytes, ``space`` at most in one.

    Ref: net/ipv4/ip_output.c:ip_frag_next.
    """
    sizes = []
    while length > space:
        sizes.append(space & ~7)
        length -= space & ~7
    sizes.append(length)
    return tuple(sizes)


def _piece(packet: Packet, data: bytearray, thoff: int, fragoff: int) -> Packet:
    """A fragment with the notes of its packet. Ref: net/ipv4/ip_output.c:ip_copy_metadata."""
    piece = Packet(
        data,
        packet.family,
        link=packet.link,
        iif=packet.iif,
        time=packet.time,
        pkttype=packet.pkttype,
        thoff=thoff,
        l4proto=packet.l4proto,
        fragoff=fragoff,
    )
    piece.oif = packet.oif
    piece.dst = packet.dst
    piece.ct = packet.ct
    piece.ctinfo = packet.ctinfo
    piece.mark = packet.mark
    piece.priority = packet.priority
    piece.hook = packet.hook
    return piece


def _keep_copied_options(head: bytearray) -> None:
    """Blank the options that only the first fragment carries.

    Ref: net/ipv4/ip_options.c:ip_options_fragment.
    """
    at = 20
    while at < len(head):
        kind = head[at]
        if kind == _END_OF_OPTIONS:
            return
        if kind == _NO_OPERATION:
            at += 1
            continue
        length = head[at + 1] if at + 1 < len(head) else 0
        if length < 2 or at + length > len(head):
            return
        if not kind & _COPIED:
            head[at : at + length] = bytes((_NO_OPERATION,)) * length
        at += length


def _first_fragmentable(data: bytearray) -> tuple[int, int] | None:
    """Where a fragment header goes, and where the header before it names the next one.

    Ref: net/ipv6/output_core.c:ip6_find_1stfragopt.
    """
    at = 40
    named_at = 6
    routed = False
    while at <= len(data):
        kind = data[named_at]
        if kind not in (HOP_BY_HOP, ROUTING, DESTINATION) or (kind == DESTINATION and routed):
            return at, named_at
        routed = routed or kind == ROUTING
        if at + 2 > len(data):
            return None
        named_at = at
        at += (data[at + 1] + 1) * 8
    return None
