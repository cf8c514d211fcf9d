"""ICMP messages (RFC 792)."""

from __future__ import annotations

import struct
from typing import ClassVar, Final

from flowtable.packet.checksum import checksum
from flowtable.packet.ipv4 import Ipv4
from flowtable.packet.view import View

HEADER: Final = 8
"""Bytes of the header of every message that the box speaks."""

ECHO_REPLY: Final = 0
DESTINATION_UNREACHABLE: Final = 3
SOURCE_QUENCH: Final = 4
"""Deprecated (RFC 6633)."""
REDIRECT: Final = 5
ECHO_REQUEST: Final = 8
ROUTER_ADVERTISEMENT: Final = 9
"""RFC 1256 section 3."""
ROUTER_SOLICITATION: Final = 10
"""RFC 1256 section 3."""
TIME_EXCEEDED: Final = 11
PARAMETER_PROBLEM: Final = 12
TIMESTAMP_REQUEST: Final = 13
TIMESTAMP_REPLY: Final = 14
INFORMATION_REQUEST: Final = 15
INFORMATION_REPLY: Final = 16
ADDRESS_MASK_REQUEST: Final = 17
"""RFC 950 appendix I."""
ADDRESS_MASK_REPLY: Final = 18
"""RFC 950 appendix I."""

ERRORS: Final = frozenset(
    {DESTINATION_UNREACHABLE, SOURCE_QUENCH, REDIRECT, TIME_EXCEEDED, PARAMETER_PROBLEM}
)
"""Messages that quote the packet they are about. Ref: net/ipv4/icmp.c:icmp_pointers."""

# Codes of DESTINATION_UNREACHABLE (RFC 792; RFC 1122 section 3.2.2.1; RFC 1812 section 5.2.7.1).
NET_UNREACHABLE: Final = 0
HOST_UNREACHABLE: Final = 1
PROTOCOL_UNREACHABLE: Final = 2
PORT_UNREACHABLE: Final = 3
FRAGMENTATION_NEEDED: Final = 4
SOURCE_ROUTE_FAILED: Final = 5
NET_UNKNOWN: Final = 6
HOST_UNKNOWN: Final = 7
HOST_ISOLATED: Final = 8
NET_PROHIBITED: Final = 9
HOST_PROHIBITED: Final = 10
NET_UNREACHABLE_TOS: Final = 11
HOST_UNREACHABLE_TOS: Final = 12
ADMIN_PROHIBITED: Final = 13
PRECEDENCE_VIOLATION: Final = 14
PRECEDENCE_CUTOFF: Final = 15

# Codes of REDIRECT.
REDIRECT_NET: Final = 0
REDIRECT_HOST: Final = 1

# Codes of TIME_EXCEEDED.
TTL_EXCEEDED: Final = 0
REASSEMBLY_EXCEEDED: Final = 1

# Codes of PARAMETER_PROBLEM.
POINTER: Final = 0
OPTION_MISSING: Final = 1
BAD_LENGTH: Final = 2

MAX_ERROR: Final = 576
"""Bytes of the largest error, IP header included (RFC 1812 section 4.3.2.3)."""

_HEADER = struct.Struct("!BBHL")


class Icmp(View):
    """An ICMP message."""

    __slots__ = ()

    NAME: ClassVar[str] = "ICMP message"
    SIZE: ClassVar[int] = HEADER

    @property
    def kind(self) -> int:
        """The type."""
        return self._u8(0)

    @property
    def code(self) -> int:
        """The code, whose meaning the type gives."""
        return self._u8(1)

    @property
    def checksum(self) -> int:
        """Checksum over the whole message."""
        return self._u16(2)

    @property
    def checksum_valid(self) -> bool:
        """Whether the checksum is right."""
        return checksum(self.buffer[self.offset : self.end]) == 0

    @property
    def rest(self) -> int:
        """The second 32 bits, whose meaning the type gives."""
        return self._u32(4)

    @property
    def ident(self) -> int:
        """Identifier of an echo or timestamp message."""
        return self._u16(4)

    @property
    def sequence(self) -> int:
        """Sequence number of an echo or timestamp message."""
        return self._u16(6)

    @property
    def mtu(self) -> int:
        """MTU of the next hop in ``FRAGMENTATION_NEEDED`` (RFC 1191 section 4), 0 if not told."""
        return self._u16(6)

    @property
    def gateway(self) -> bytes:
        """The better router, in a ``REDIRECT``."""
        return self._bytes(4, 8)

    @property
    def pointer(self) -> int:
        """The byte of the quoted packet that a ``PARAMETER_PROBLEM`` is about."""
        return self._u8(4)

    @property
    def is_error(self) -> bool:
        """Whether it quotes the packet it is about."""
        return self._u8(0) in ERRORS

    @property
    def payload(self) -> bytes:
        """What follows the header; the quoted packet of an error."""
        return bytes(self.buffer[self.offset + HEADER : self.end])

    @property
    def quoted(self) -> Ipv4:
        """The header of the packet an error is about, not checked (``check(quoted=True)``)."""
        return Ipv4(self.buffer, self.offset + HEADER, self.end)


def build(kind: int, code: int = 0, rest: int = 0, payload: bytes = b"") -> bytes:
    """An ICMP message; ``rest`` is its second 32 bits."""
    message = _HEADER.pack(kind, code, 0, rest) + payload
    return b"".join((message[:2], checksum(message).to_bytes(2, "big"), message[4:]))


def build_echo(kind: int, ident: int, sequence: int, payload: bytes = b"") -> bytes:
    """An ``ECHO_REQUEST`` or ``ECHO_REPLY``."""
    return build(kind, 0, ident << 16 | sequence, payload)


def build_error(
    kind: int, code: int, original: bytes | bytearray, rest: int = 0, *, header: int = 20
) -> bytes:
    """An error about a packet, which it quotes as far as ``MAX_ERROR`` allows.

    Args:
        kind: one of ``ERRORS``.
        code: its code.
        original: the packet from its IP header on.
        rest: the second 32 bits: the MTU, the gateway, or the pointer in the first byte.
        header: bytes of the IPv4 header that goes in front.

    Ref: net/ipv4/icmp.c:__icmp_send.
    """
    return build(kind, code, rest, bytes(original[: MAX_ERROR - header - HEADER]))
