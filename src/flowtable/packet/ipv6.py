"""IPv6 headers (RFC 8200 section 3). Extension headers are in ``extension``."""

from __future__ import annotations

import struct
from typing import ClassVar, Final, Self

from flowtable.packet.extension import find_transport
from flowtable.packet.malformed import Malformed
from flowtable.packet.view import View

HEADER: Final = 40
"""Bytes of an IPv6 header."""

_HEADER = struct.Struct("!LHBB16s16s")


class Ipv6(View):
    """An IPv6 header."""

    __slots__ = ()

    NAME: ClassVar[str] = "IPv6 header"
    SIZE: ClassVar[int] = HEADER

    def check(self, *, quoted: bool = False) -> Self:
        """See ``View.check``: version 6, and a payload length that the buffer holds.

        Args:
            quoted: the header is one that an ICMPv6 error quotes, where the packet may end
                before its payload length.
        """
        super().check()
        if self._u8(0) >> 4 != 6:
            raise Malformed(f"IP version {self._u8(0) >> 4} in an IPv6 header", self.offset)
        if not quoted:
            self._require(HEADER + self.payload_length)
        return self

    @property
    def traffic_class(self) -> int:
        """The whole traffic class byte: DSCP and ECN."""
        return self._u16(0) >> 4 & 0xFF

    @property
    def dscp(self) -> int:
        """Differentiated services code point (RFC 2474 section 3)."""
        return self.traffic_class >> 2

    @property
    def ecn(self) -> int:
        """Explicit congestion notification (RFC 3168 section 5)."""
        return self.traffic_class & 3

    @property
    def flow_label(self) -> int:
        """Flow label, 20 bits."""
        return self._u32(0) & 0xFFFFF

    @property
    def payload_length(self) -> int:
        """Bytes behind this header, extension headers included."""
        return self._u16(4)

    @property
    def next_header(self) -> int:
        """What follows this header."""
        return self._u8(6)

    @property
    def hop_limit(self) -> int:
        """Hop limit."""
        return self._u8(7)

    @property
    def source(self) -> bytes:
        """Source address."""
        return self._bytes(8, 24)

    @property
    def destination(self) -> bytes:
        """Destination address."""
        return self._bytes(24, 40)

    @property
    def addresses(self) -> bytes:
        """Both addresses, for a pseudo header."""
        return self._bytes(8, 40)

    @property
    def payload_offset(self) -> int:
        """Where the payload, extension headers included, begins in the buffer."""
        return self.offset + HEADER

    @property
    def payload_end(self) -> int:
        """Where the payload ends in the buffer; what follows is padding."""
        return min(self.offset + HEADER + self.payload_length, self.end)

    @property
    def payload(self) -> bytes:
        """The payload, extension headers included, padding cut off."""
        return bytes(self.buffer[self.payload_offset : self.payload_end])

    @property
    def transport(self) -> tuple[int, int, int]:
        """Transport protocol, its header's offset in the buffer, and the fragment offset.

        See ``extension.find_transport``.
        """
        protocol, offset, fragment = find_transport(self.payload, self.next_header, 0)
        return protocol, self.payload_offset + offset, fragment


def build(
    source: bytes,
    destination: bytes,
    next_header: int,
    payload: bytes = b"",
    *,
    hop_limit: int = 64,
    traffic_class: int = 0,
    flow_label: int = 0,
) -> bytes:
    """An IPv6 packet; ``payload`` begins with the extension headers, if there are any."""
    return (
        _HEADER.pack(
            6 << 28 | traffic_class << 20 | flow_label,
            len(payload),
            next_header,
            hop_limit,
            source,
            destination,
        )
        + payload
    )
