"""IPv4 headers (RFC 791 section 3.1) and their options."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Self

from flowtable.packet.checksum import checksum, fill_ipv4
from flowtable.packet.malformed import Malformed
from flowtable.packet.view import Buffer, View

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER: Final = 20
"""Bytes of a header without options."""

DONT_FRAGMENT: Final = 0x4000
MORE_FRAGMENTS: Final = 0x2000
FRAGMENT_OFFSET: Final = 0x1FFF
"""In units of 8 bytes."""

# Option types, copied flag and class included (RFC 791 section 3.1, RFC 2113).
END: Final = 0
NOP: Final = 1
RECORD_ROUTE: Final = 7
TIMESTAMP: Final = 68
LOOSE_SOURCE_ROUTE: Final = 131
STRICT_SOURCE_ROUTE: Final = 137
ROUTER_ALERT: Final = 148

_TS_ONLY: Final = 0
_TS_AND_ADDRESS: Final = 1
_TS_PRESPECIFIED: Final = 3

_HEADER = struct.Struct("!BBHHHBBH4s4s")


class Ipv4(View):
    """An IPv4 header."""

    __slots__ = ()

    NAME: ClassVar[str] = "IPv4 header"
    SIZE: ClassVar[int] = HEADER

    def check(self, *, quoted: bool = False) -> Self:
        """See ``View.check``: version 4, and lengths that hold each other.

        Args:
            quoted: the header is one that an ICMP error quotes, where the packet may end
                before its total length.
        """
        super().check()
        if self._u8(0) >> 4 != 4:
            raise Malformed(f"IP version {self._u8(0) >> 4} in an IPv4 header", self.offset)
        if self.header_length < HEADER:
            raise Malformed(f"IPv4 header length {self.header_length}", self.offset)
        self._require(self.header_length)
        if self.total_length < self.header_length:
            raise Malformed(f"IPv4 total length {self.total_length}", self.offset + 2)
        if not quoted:
            self._require(self.total_length)
        return self

    @property
    def header_length(self) -> int:
        """Bytes of header, options included."""
        return (self._u8(0) & 15) * 4

    @property
    def tos(self) -> int:
        """The whole type of service byte: DSCP and ECN."""
        return self._u8(1)

    @property
    def dscp(self) -> int:
        """Differentiated services code point (RFC 2474 section 3)."""
        return self._u8(1) >> 2

    @property
    def ecn(self) -> int:
        """Explicit congestion notification (RFC 3168 section 5)."""
        return self._u8(1) & 3

    @property
    def total_length(self) -> int:
        """Bytes of header and payload."""
        return self._u16(2)

    @property
    def ident(self) -> int:
        """Identification, which fragments of a packet share."""
        return self._u16(4)

    @property
    def dont_fragment(self) -> bool:
        """Whether routers must not fragment it."""
        return bool(self._u16(6) & DONT_FRAGMENT)

    @property
    def more_fragments(self) -> bool:
        """Whether it is a fragment other than the last."""
        return bool(self._u16(6) & MORE_FRAGMENTS)

    @property
    def fragment_offset(self) -> int:
        """Where its payload lies in that of the whole packet, in bytes."""
        return (self._u16(6) & FRAGMENT_OFFSET) * 8

    @property
    def ttl(self) -> int:
        """Time to live, in hops."""
        return self._u8(8)

    @property
    def protocol(self) -> int:
        """Protocol of the payload."""
        return self._u8(9)

    @property
    def checksum(self) -> int:
        """Header checksum."""
        return self._u16(10)

    @property
    def checksum_valid(self) -> bool:
        """Whether the header checksum is right."""
        return checksum(self._bytes(0, self.header_length)) == 0

    @property
    def source(self) -> bytes:
        """Source address."""
        return self._bytes(12, 16)

    @property
    def destination(self) -> bytes:
        """Destination address."""
        return self._bytes(16, 20)

    @property
    def addresses(self) -> bytes:
        """Both addresses, for a pseudo header."""
        return self._bytes(12, 20)

    @property
    def options(self) -> bytes:
        """The options, empty without."""
        return self._bytes(HEADER, self.header_length)

    @property
    def payload_offset(self) -> int:
        """Where the payload begins in the buffer."""
        return self.offset + self.header_length

    @property
    def payload_end(self) -> int:
        """Where the payload ends in the buffer; what follows is padding."""
        return min(self.offset + self.total_length, self.end)

    @property
    def payload(self) -> bytes:
        """The payload, padding cut off."""
        return bytes(self.buffer[self.payload_offset : self.payload_end])


class Options(NamedTuple):
    """Where the options that concern a router lie, as offsets into the packet; 0 for none.

    Attributes:
        source_route: a loose or strict source route.
        strict: whether it is a strict one.
        record_route: a record route option.
        timestamp: an Internet timestamp option.
        router_alert: a router alert that routers shall look at (RFC 2113).
        trailer: an end of options with bytes other than 0 behind it.
    """

    source_route: int = 0
    strict: bool = False
    record_route: int = 0
    timestamp: int = 0
    router_alert: int = 0
    trailer: int = 0


NO_OPTIONS: Final = Options()


def read_options(data: Buffer) -> Options:
    """Validate the options of a received packet.

    Args:
        data: the packet from its IPv4 header on, the header checked.

    Raises:
        Malformed: an option is wrong. ``offset`` is the pointer of the parameter problem
            (code 0) that answers it.

    Ref: net/ipv4/ip_options.c:__ip_options_compile.
    """
    end = (data[0] & 15) * 4
    source_route = record_route = timestamp = router_alert = trailer = 0
    at = HEADER
    while at < end:
        kind = data[at]
        if kind == END:
            if any(data[at + 1 : end]):
                trailer = at
            break
        if kind == NOP:
            at += 1
            continue
        if end < at + 2 or not 2 <= data[at + 1] <= end - at:
            raise Malformed("IPv4 option runs over the end of the header", at)
        length = data[at + 1]
        if kind in (LOOSE_SOURCE_ROUTE, STRICT_SOURCE_ROUTE):
            _check_pointer(data, at, 3, 4)
            if source_route:
                raise Malformed("second IPv4 source route", at)
            source_route = at
        elif kind == RECORD_ROUTE:
            if record_route:
                raise Malformed("second IPv4 record route", at)
            _check_pointer(data, at, 3, 4)
            if length - 3 < data[at + 2] <= length:
                raise Malformed("no room for an address in an IPv4 record route", at + 2)
            record_route = at
        elif kind == TIMESTAMP:
            if timestamp:
                raise Malformed("second IPv4 timestamp option", at)
            _check_timestamp(data, at)
            timestamp = at
        elif kind == ROUTER_ALERT:
            if length < 4:
                raise Malformed("IPv4 router alert too short", at + 1)
            if not data[at + 2] and not data[at + 3]:
                router_alert = at
        at += length
    strict = bool(source_route) and data[source_route] == STRICT_SOURCE_ROUTE
    return Options(source_route, strict, record_route, timestamp, router_alert, trailer)


def _check_pointer(data: Buffer, at: int, minimum: int, first: int) -> None:
    """Check the length of a route or timestamp option and where its pointer starts."""
    if data[at + 1] < minimum:
        raise Malformed("IPv4 option too short", at + 1)
    if data[at + 2] < first:
        raise Malformed("IPv4 option points into its own header", at + 2)


def _check_timestamp(data: Buffer, at: int) -> None:
    _check_pointer(data, at, 4, 5)
    length, pointer, mode = data[at + 1], data[at + 2], data[at + 3] & 15
    if pointer <= length:
        room = 7 if mode in (_TS_AND_ADDRESS, _TS_PRESPECIFIED) else 3
        if pointer + room > length:
            raise Malformed("no room for a timestamp in an IPv4 timestamp option", at + 2)
    elif mode != _TS_PRESPECIFIED and data[at + 3] >> 4 == 15:
        raise Malformed("IPv4 timestamp option has overflown for the last time", at + 3)


def record(
    data: bytearray,
    options: Options,
    address: bytes,
    timestamp: int,
    is_local: Callable[[bytes], bool],
) -> None:
    """Write the box into the record route and timestamp options of a packet it handles.

    Args:
        data: the packet from its IPv4 header on; its header checksum is kept right.
        options: what ``read_options`` found in it.
        address: the box's address on the way out (of a packet to the box itself, its
            destination).
        timestamp: milliseconds since midnight UT.
        is_local: whether an address is one of the box's own.

    Ref: net/ipv4/ip_options.c:__ip_options_compile, ip_forward_options.
    """
    if options.record_route:
        at = options.record_route
        if data[at + 2] <= data[at + 1]:
            slot = at + data[at + 2] - 1
            data[slot : slot + 4] = address
            data[at + 2] += 4
    if options.timestamp:
        _record_timestamp(data, options.timestamp, address, timestamp, is_local)
    if options.trailer:
        end = (data[0] & 15) * 4
        data[options.trailer : end] = bytes(end - options.trailer)
    if options.record_route or options.timestamp or options.trailer:
        fill_ipv4(data)


def _record_timestamp(
    data: bytearray, at: int, address: bytes, timestamp: int, is_local: Callable[[bytes], bool]
) -> None:
    length, pointer, mode = data[at + 1], data[at + 2], data[at + 3] & 15
    slot = at + pointer - 1
    if pointer > length:
        if mode != _TS_PRESPECIFIED:
            data[at + 3] += 0x10
        return
    if mode == _TS_AND_ADDRESS:
        data[slot : slot + 4] = address
        slot += 4
    elif mode == _TS_PRESPECIFIED:
        if not is_local(bytes(data[slot : slot + 4])):
            return
        slot += 4
    elif mode != _TS_ONLY:
        return
    data[slot : slot + 4] = timestamp.to_bytes(4, "big")
    data[at + 2] = slot + 5 - at


def build(
    source: bytes,
    destination: bytes,
    protocol: int,
    payload: bytes = b"",
    *,
    ttl: int = 64,
    tos: int = 0,
    ident: int = 0,
    dont_fragment: bool = False,
    more_fragments: bool = False,
    fragment_offset: int = 0,
    options: bytes = b"",
) -> bytes:
    """An IPv4 packet.

    Args:
        source: source address.
        destination: destination address.
        protocol: protocol of the payload.
        payload: the payload.
        ttl: time to live.
        tos: type of service byte.
        ident: identification.
        dont_fragment: the DF bit.
        more_fragments: the MF bit.
        fragment_offset: in bytes, a multiple of 8.
        options: options, filled up here to a multiple of 4 bytes.
    """
    options += bytes(-len(options) % 4)
    size = HEADER + len(options)
    fragment = dont_fragment << 14 | more_fragments << 13 | fragment_offset // 8
    header = bytearray(
        _HEADER.pack(
            0x40 | size // 4,
            tos,
            size + len(payload),
            ident,
            fragment,
            ttl,
            protocol,
            0,
            source,
            destination,
        )
    )
    header += options
    header[10:12] = checksum(header).to_bytes(2, "big")
    return bytes(header + payload)
