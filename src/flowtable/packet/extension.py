"""IPv6 extension headers: the walk to the transport header, and the options inside them."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import ClassVar, Final, NamedTuple

from flowtable.packet.malformed import Malformed
from flowtable.packet.view import View

HOP_BY_HOP: Final = 0
"""RFC 8200 section 4.3."""
ROUTING: Final = 43
"""RFC 8200 section 4.4."""
FRAGMENT: Final = 44
"""RFC 8200 section 4.5."""
AUTHENTICATION: Final = 51
"""RFC 4302 section 2."""
NO_NEXT_HEADER: Final = 59
"""RFC 8200 section 4.7."""
DESTINATION: Final = 60
"""RFC 8200 section 4.6."""

EXTENSION_HEADERS: Final = frozenset({HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION})
"""Headers that name the header behind them. Ref: net/ipv6/exthdrs_core.c:ipv6_ext_hdr."""

NO_TRANSPORT: Final = 255
"""The transport protocol of a packet whose extension headers break off (255 is reserved, IANA)."""

_fragment_at = struct.Struct("!BxH").unpack_from
_u16_at = struct.Struct("!H").unpack_from
_FRAGMENT = struct.Struct("!BBHL")


def find_transport(data: bytes | bytearray, nexthdr: int, offset: int) -> tuple[int, int, int]:
    """Walk a chain of extension headers to the transport header.

    AH is walked through, as connection tracking and NAT do; the payload of ESP is not.

    Args:
        data: the packet.
        nexthdr: what the header before ``offset`` says comes next.
        offset: where the chain begins.

    Returns:
        Transport protocol, offset of the transport header, fragment offset in bytes. In a
        fragment other than the first the offset is that of the fragment's part of the payload.
        The protocol is ``NO_TRANSPORT`` where the packet ends inside the chain, and in later
        fragments whose payload begins with further extension headers.

    Ref: net/ipv6/exthdrs_core.c:ipv6_find_hdr, ipv6_skip_exthdr.
    """
    size = len(data)
    while nexthdr in EXTENSION_HEADERS:
        if size < offset + 2:
            return NO_TRANSPORT, offset, 0
        if nexthdr == FRAGMENT:
            if size < offset + 4:
                return NO_TRANSPORT, offset, 0
            nexthdr, fragment = _fragment_at(data, offset)
            offset += 8
            if fragment & 0xFFF8:
                protocol = NO_TRANSPORT if nexthdr in EXTENSION_HEADERS else nexthdr
                return protocol, offset, fragment & 0xFFF8
        else:
            unit, extra = (4, 2) if nexthdr == AUTHENTICATION else (8, 1)
            nexthdr, length = data[offset], data[offset + 1]
            offset += (length + extra) * unit
    return nexthdr, offset, 0


class Option(IntEnum):
    """Types of options that the box understands. Ref: include/uapi/linux/in6.h:IPV6_TLV_*."""

    PAD1 = 0
    PADN = 1
    ROUTER_ALERT = 5
    JUMBO = 0xC2


class UnknownOption(Malformed):
    """An option that the box does not know and must not skip (RFC 8200 section 4.2).

    Attributes:
        answer: whether a parameter problem (code 2) is due. Where the option's type says
            "unless the destination is multicast", that is already taken into account.
    """

    def __init__(self, kind: int, offset: int, *, answer: bool) -> None:
        super().__init__(f"unknown IPv6 option {kind}", offset)
        self.answer = answer


class Options(NamedTuple):
    """What a hop-by-hop or destination options header says.

    Attributes:
        end: offset of the first byte behind the header.
        router_alert: the value of the router alert (RFC 2711), None without one.
    """

    end: int
    router_alert: int | None


MAX_OPTIONS: Final = 8
"""Most options in one header. Ref: include/net/ipv6.h:IP6_DEFAULT_MAX_HBH_OPTS_CNT."""


def read_options(data: bytes | bytearray, offset: int, *, hop_by_hop: bool) -> Options:
    """Check the options of a hop-by-hop or destination options header.

    Args:
        data: the packet, from its IPv6 header on.
        offset: where the options header begins.
        hop_by_hop: whether it is a hop-by-hop header, which may carry a router alert.

    Raises:
        UnknownOption: an unknown option whose type demands to discard the packet.
        Malformed: the header or an option in it is wrong; discarded without answer. A jumbo
            payload is refused likewise: no frame holds one.

    Ref: net/ipv6/exthdrs.c:ip6_parse_tlv, ip6_tlvopt_unknown, ipv6_hop_ra.
    """
    size = len(data)
    if size < offset + 8:
        raise Malformed("packet ends inside an IPv6 options header", offset)
    end = offset + (data[offset + 1] + 1) * 8
    if size < end:
        raise Malformed("packet ends inside an IPv6 options header", offset)
    router_alert: int | None = None
    at = offset + 2
    padding = 0
    count = 0
    while at < end:
        kind = data[at]
        if kind == Option.PAD1:
            padding += 1
            if padding > 7:
                raise Malformed("more than 7 bytes of padding between IPv6 options", at)
            at += 1
            continue
        if end < at + 2:
            raise Malformed("IPv6 option runs over the end of its header", at)
        length = data[at + 1] + 2
        if end < at + length:
            raise Malformed("IPv6 option runs over the end of its header", at)
        if kind == Option.PADN:
            padding += length
            if padding > 7:
                raise Malformed("more than 7 bytes of padding between IPv6 options", at)
            if any(data[at + 2 : at + length]):
                raise Malformed("IPv6 padding that is not zero", at)
            at += length
            continue
        padding = 0
        count += 1
        if count > MAX_OPTIONS:
            raise Malformed(f"more than {MAX_OPTIONS} IPv6 options", at)
        if hop_by_hop and kind == Option.ROUTER_ALERT:
            if length != 4:
                raise Malformed("IPv6 router alert of a wrong length", at)
            (router_alert,) = _u16_at(data, at + 2)
        elif hop_by_hop and kind == Option.JUMBO:
            raise Malformed("IPv6 jumbo payload", at)
        elif kind & 0xC0:
            multicast = data[24] == 0xFF
            raise UnknownOption(
                kind, at, answer=kind & 0xC0 == 0x80 or (kind & 0xC0 == 0xC0 and not multicast)
            )
        at += length
    return Options(end, router_alert)


class Fragment(View):
    """A fragment header (RFC 8200 section 4.5)."""

    __slots__ = ()

    NAME: ClassVar[str] = "IPv6 fragment header"
    SIZE: ClassVar[int] = 8

    @property
    def next_header(self) -> int:
        """What the payload of the whole packet begins with."""
        return self._u8(0)

    @property
    def fragment_offset(self) -> int:
        """Where this payload lies in that of the whole packet, in bytes."""
        return self._u16(2) & 0xFFF8

    @property
    def more_fragments(self) -> bool:
        """Whether it is a fragment other than the last."""
        return bool(self._u16(2) & 1)

    @property
    def ident(self) -> int:
        """Identification, which fragments of a packet share."""
        return self._u32(4)


def build_fragment(next_header: int, ident: int, fragment_offset: int, *, more_fragments: bool) -> bytes:
    """A fragment header; ``fragment_offset`` is in bytes, a multiple of 8."""
    return _FRAGMENT.pack(next_header, 0, fragment_offset | more_fragments, ident)


def build_options(next_header: int, *options: tuple[int, bytes]) -> bytes:
    """A hop-by-hop or destination options header with (type, data) options, padded with PadN."""
    body = b"".join(bytes((kind, len(value))) + value for kind, value in options)
    missing = -(len(body) + 2) % 8
    if missing == 1:
        body += b"\0"
    elif missing:
        body += bytes((Option.PADN, missing - 2)) + bytes(missing - 2)
    return bytes((next_header, (len(body) + 2) // 8 - 1)) + body
