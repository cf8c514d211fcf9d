"""ARP for IPv4 over Ethernet (RFC 826)."""

from __future__ import annotations

from typing import ClassVar, Final, Self

from flowtable.packet.malformed import Malformed
from flowtable.packet.view import View

REQUEST: Final = 1
REPLY: Final = 2

_FIXED: Final = bytes.fromhex("0001 0800 06 04")
"""Hardware type Ethernet, protocol type IPv4, and the lengths of their addresses."""


class Arp(View):
    """An ARP message."""

    __slots__ = ()

    NAME: ClassVar[str] = "ARP message"
    SIZE: ClassVar[int] = 28

    def check(self) -> Self:
        """See ``View.check``: 6-byte Ethernet and 4-byte IPv4 addresses."""
        super().check()
        if self._bytes(0, 6) != _FIXED:
            raise Malformed("ARP message is not for IPv4 over Ethernet", self.offset)
        return self

    @property
    def operation(self) -> int:
        """``REQUEST``, ``REPLY``, or another number."""
        return self._u16(6)

    @property
    def sender_mac(self) -> bytes:
        """MAC address of the sender."""
        return self._bytes(8, 14)

    @property
    def sender(self) -> bytes:
        """IPv4 address of the sender; all zero in a probe (RFC 5227 section 2.1.1)."""
        return self._bytes(14, 18)

    @property
    def target_mac(self) -> bytes:
        """MAC address of the target; meaningless in a request."""
        return self._bytes(18, 24)

    @property
    def target(self) -> bytes:
        """IPv4 address of the target."""
        return self._bytes(24, 28)


def build(operation: int, sender_mac: bytes, sender: bytes, target_mac: bytes, target: bytes) -> bytes:
    """An ARP message, without Ethernet header."""
    return b"".join((_FIXED, operation.to_bytes(2, "big"), sender_mac, sender, target_mac, target))
