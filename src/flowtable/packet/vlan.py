"""802.1Q and 802.1ad tags (IEEE 802.1Q clause 9.6).

A view begins behind the ethertype that announces the tag: tag control information, then the
ethertype of what the tag encloses.
"""

from __future__ import annotations

from typing import ClassVar, Final

from flowtable.packet.view import View

HEADER: Final = 4
"""Bytes of a tag."""


class Vlan(View):
    """A tag."""

    __slots__ = ()

    NAME: ClassVar[str] = "VLAN tag"
    SIZE: ClassVar[int] = HEADER

    @property
    def tci(self) -> int:
        """The whole tag control information."""
        return self._u16(0)

    @property
    def pcp(self) -> int:
        """Priority code point, 0 to 7."""
        return self._u8(0) >> 5

    @property
    def dei(self) -> bool:
        """Drop eligible indicator."""
        return bool(self._u8(0) & 0x10)

    @property
    def vid(self) -> int:
        """VLAN id, 0 to 4095; 0 is a tag that carries a priority only."""
        return self._u16(0) & 0x0FFF

    @property
    def ethertype(self) -> int:
        """What the tag encloses."""
        return self._u16(2)

    @property
    def payload_offset(self) -> int:
        """Where the enclosed payload begins in the buffer."""
        return self.offset + HEADER


def build(vid: int, ethertype: int, *, pcp: int = 0, dei: bool = False) -> bytes:
    """The 4 bytes of a tag around a payload of type ``ethertype``."""
    return (pcp << 13 | dei << 12 | vid).to_bytes(2, "big") + ethertype.to_bytes(2, "big")
