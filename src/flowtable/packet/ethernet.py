"""Ethernet II headers (IEEE 802.3 clause 3)."""

from __future__ import annotations

from typing import ClassVar, Final

from flowtable.packet.view import View

BROADCAST: Final = b"\xff" * 6
HEADER: Final = 14
"""Bytes of an Ethernet header."""
MINIMUM_ETHERTYPE: Final = 0x0600
"""Below it, the field is the length of an LLC frame (IEEE 802.3 clause 3.2.6)."""


class Ethernet(View):
    """An Ethernet header."""

    __slots__ = ()

    NAME: ClassVar[str] = "Ethernet header"
    SIZE: ClassVar[int] = HEADER

    @property
    def destination(self) -> bytes:
        """Destination MAC address."""
        return self._bytes(0, 6)

    @property
    def source(self) -> bytes:
        """Source MAC address."""
        return self._bytes(6, 12)

    @property
    def ethertype(self) -> int:
        """What follows, or the length of an LLC frame if below ``MINIMUM_ETHERTYPE``."""
        return self._u16(12)

    @property
    def payload_offset(self) -> int:
        """Where the payload begins in the buffer."""
        return self.offset + HEADER

    @property
    def payload(self) -> bytes:
        """What follows the header, padding included."""
        return bytes(self.buffer[self.offset + HEADER : self.end])


def build(destination: bytes, source: bytes, ethertype: int, payload: bytes = b"") -> bytes:
    """An Ethernet frame, not padded."""
    return b"".join((destination, source, ethertype.to_bytes(2, "big"), payload))
