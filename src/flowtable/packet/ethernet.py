"""Ethernet II headers (IEEE 802.3 clause 3), and who a frame is for."""

from __future__ import annotations

from typing import ClassVar, Final

from flowtable.packet.packet import PacketType
from flowtable.packet.view import View

BROADCAST: Final = b"\xff" * 6
HEADER: Final = 14
"""Bytes of an Ethernet header."""
MINIMUM_ETHERTYPE: Final = 0x0600
"""Below it, the field is the length of an LLC frame (IEEE 802.3 clause 3.2.6)."""

_HOST: Final = int(PacketType.HOST)
_BROADCAST_TYPE: Final = int(PacketType.BROADCAST)
_MULTICAST: Final = int(PacketType.MULTICAST)
_OTHERHOST: Final = int(PacketType.OTHERHOST)


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


def packet_type(frame: bytes, mac: bytes) -> int:
    """To whom a frame is addressed, seen from a device with address ``mac``.

    Returns:
        A value of ``PacketType``.

    Ref: net/ethernet/eth.c:eth_type_trans.
    """
    if frame[:6] == mac:
        return _HOST
    if frame[0] & 1:
        return _BROADCAST_TYPE if frame[:6] == BROADCAST else _MULTICAST
    return _OTHERHOST


def multicast_mac(group: bytes) -> bytes:
    """The MAC address of an IPv4 (RFC 1112 section 6.4) or IPv6 (RFC 2464 section 7) group."""
    if len(group) == 4:
        return bytes((0x01, 0x00, 0x5E, group[1] & 0x7F, group[2], group[3]))
    return b"\x33\x33" + group[12:]
