"""TCP headers (RFC 9293 section 3.1) and their options."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, ClassVar, Final, Self

from flowtable.packet.checksum import transport_checksum
from flowtable.packet.malformed import Malformed
from flowtable.packet.packet import TCP
from flowtable.packet.view import Buffer, View

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER: Final = 20
"""Bytes of a header without options."""

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
URG: Final = 0x20
ECE: Final = 0x40
"""RFC 3168 section 6.1."""
CWR: Final = 0x80
"""RFC 3168 section 6.1."""

# Option kinds (RFC 9293 section 3.2, RFC 7323 sections 2.2 and 3.2, RFC 2018 sections 2 and 3).
END: Final = 0
NOP: Final = 1
MSS: Final = 2
WINDOW_SCALE: Final = 3
SACK_PERMITTED: Final = 4
SACK: Final = 5
TIMESTAMPS: Final = 8

_HEADER = struct.Struct("!HHLLBBHHH")
_BLOCK = struct.Struct("!LL")


def options(data: Buffer, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Walk the options between two offsets.

    The walk ends at the end of options, and silently at an option whose length is wrong.

    Yields:
        Kind, offset of the option's data, and number of bytes there. Padding is skipped.

    Ref: net/netfilter/nf_conntrack_proto_tcp.c:tcp_options.
    """
    at = start
    while at < end:
        kind = data[at]
        if kind == END:
            return
        if kind == NOP:
            at += 1
            continue
        if end < at + 2:
            return
        length = data[at + 1]
        if length < 2 or end < at + length:
            return
        yield kind, at + 2, length - 2
        at += length


class Tcp(View):
    """A TCP header."""

    __slots__ = ()

    NAME: ClassVar[str] = "TCP header"
    SIZE: ClassVar[int] = HEADER

    def check(self) -> Self:
        """See ``View.check``: a data offset of at least the header, which the buffer holds."""
        super().check()
        if self.header_length < HEADER:
            raise Malformed(f"TCP header length {self.header_length}", self.offset + 12)
        self._require(self.header_length)
        return self

    @property
    def sport(self) -> int:
        """Source port."""
        return self._u16(0)

    @property
    def dport(self) -> int:
        """Destination port."""
        return self._u16(2)

    @property
    def sequence(self) -> int:
        """Sequence number of the first byte, or of the SYN."""
        return self._u32(4)

    @property
    def acknowledgement(self) -> int:
        """The sequence number expected next, if the ACK flag is set."""
        return self._u32(8)

    @property
    def header_length(self) -> int:
        """Bytes of header, options included."""
        return (self._u8(12) >> 4) * 4

    @property
    def flags(self) -> int:
        """The eight flags from ``FIN`` to ``CWR``."""
        return self._u8(13)

    @property
    def window(self) -> int:
        """Window as announced, not scaled."""
        return self._u16(14)

    @property
    def checksum(self) -> int:
        """Checksum."""
        return self._u16(16)

    @property
    def urgent(self) -> int:
        """Urgent pointer."""
        return self._u16(18)

    @property
    def options(self) -> list[tuple[int, bytes]]:
        """Kind and data of each option, padding left out."""
        return [
            (kind, bytes(self.buffer[at : at + length]))
            for kind, at, length in options(
                self.buffer, self.offset + HEADER, self.offset + self.header_length
            )
        ]

    @property
    def mss(self) -> int | None:
        """Maximum segment size, None without the option."""
        value = self._option(MSS, 2)
        return None if value is None else int.from_bytes(value, "big")

    @property
    def window_scale(self) -> int | None:
        """Window scale as announced, None without the option."""
        value = self._option(WINDOW_SCALE, 1)
        return None if value is None else value[0]

    @property
    def sack_permitted(self) -> bool:
        """Whether the option is there."""
        return self._option(SACK_PERMITTED, 0) is not None

    @property
    def sack_blocks(self) -> list[tuple[int, int]]:
        """Left and right edges of the selectively acknowledged blocks."""
        for kind, value in self.options:
            if kind == SACK and len(value) % 8 == 0:
                return list(_BLOCK.iter_unpack(value))
        return []

    @property
    def timestamps(self) -> tuple[int, int] | None:
        """Timestamp value and echo reply, None without the option."""
        value = self._option(TIMESTAMPS, 8)
        if value is None:
            return None
        return int.from_bytes(value[:4], "big"), int.from_bytes(value[4:], "big")

    @property
    def payload_offset(self) -> int:
        """Where the payload begins in the buffer."""
        return self.offset + self.header_length

    @property
    def payload(self) -> bytes:
        """The payload."""
        return bytes(self.buffer[self.payload_offset : self.end])

    def _option(self, kind: int, length: int) -> bytes | None:
        for found, value in self.options:
            if found == kind and len(value) == length:
                return value
        return None


def build(
    sport: int,
    dport: int,
    payload: bytes = b"",
    *,
    addresses: bytes,
    sequence: int = 0,
    acknowledgement: int = 0,
    flags: int = 0,
    window: int = 0,
    urgent: int = 0,
    options: bytes = b"",
) -> bytes:
    """A TCP segment.

    Args:
        sport: source port.
        dport: destination port.
        payload: the payload.
        addresses: source and destination address behind each other, for the checksum.
        sequence: sequence number.
        acknowledgement: acknowledgement number.
        flags: flags from ``FIN`` to ``CWR``.
        window: window, not scaled.
        urgent: urgent pointer.
        options: options, filled up here to a multiple of 4 bytes.
    """
    options += bytes(-len(options) % 4)
    offset = (HEADER + len(options)) // 4 << 4
    segment = bytearray(
        _HEADER.pack(sport, dport, sequence, acknowledgement, offset, flags, window, 0, urgent)
    )
    segment += options
    segment += payload
    segment[16:18] = transport_checksum(addresses, TCP, segment).to_bytes(2, "big")
    return bytes(segment)


def build_option(kind: int, value: bytes = b"") -> bytes:
    """One option with its kind and length."""
    return bytes((kind, len(value) + 2)) + value
