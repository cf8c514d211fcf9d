"""UDP headers (RFC 768)."""

from __future__ import annotations

import struct
from typing import ClassVar, Final, Self

from flowtable.packet.checksum import MANGLED_ZERO, transport_checksum
from flowtable.packet.malformed import Malformed
from flowtable.packet.packet import UDP
from flowtable.packet.view import View

HEADER: Final = 8
"""Bytes of a UDP header."""

_HEADER = struct.Struct("!HHHH")


class Udp(View):
    """A UDP header."""

    __slots__ = ()

    NAME: ClassVar[str] = "UDP header"
    SIZE: ClassVar[int] = HEADER

    def check(self) -> Self:
        """See ``View.check``: a length of at least the header, which the buffer holds."""
        super().check()
        if self.length < HEADER:
            raise Malformed(f"UDP length {self.length} is less than a header", self.offset + 4)
        self._require(self.length)
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
    def length(self) -> int:
        """Bytes of header and payload."""
        return self._u16(4)

    @property
    def checksum(self) -> int:
        """Checksum, 0 for none."""
        return self._u16(6)

    @property
    def payload(self) -> bytes:
        """The payload."""
        return self._bytes(HEADER, self.length)


def build(sport: int, dport: int, payload: bytes = b"", *, addresses: bytes | None) -> bytes:
    """A UDP datagram.

    Args:
        sport: source port.
        dport: destination port.
        payload: the payload.
        addresses: source and destination address behind each other, for the checksum; None
            to send none.
    """
    length = HEADER + len(payload)
    check = 0
    if addresses is not None:
        datagram = _HEADER.pack(sport, dport, length, 0) + payload
        check = transport_checksum(addresses, UDP, datagram) or MANGLED_ZERO
    return _HEADER.pack(sport, dport, length, check) + payload
