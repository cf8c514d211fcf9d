"""ICMPv6 messages (RFC 4443). Those of neighbour discovery are in ``nd``."""

from __future__ import annotations

import struct
from typing import ClassVar, Final

from flowtable.packet.checksum import transport_checksum
from flowtable.packet.ipv6 import Ipv6
from flowtable.packet.packet import ICMPV6
from flowtable.packet.view import View

HEADER: Final = 8
"""Bytes of header that every message here has."""

DESTINATION_UNREACHABLE: Final = 1
PACKET_TOO_BIG: Final = 2
TIME_EXCEEDED: Final = 3
PARAMETER_PROBLEM: Final = 4
ECHO_REQUEST: Final = 128
ECHO_REPLY: Final = 129
MLD_QUERY: Final = 130
"""RFC 2710 section 3."""
MLD_REPORT: Final = 131
"""RFC 2710 section 3."""
MLD_DONE: Final = 132
"""RFC 2710 section 3."""
ROUTER_SOLICITATION: Final = 133
"""RFC 4861 section 4.1."""
ROUTER_ADVERTISEMENT: Final = 134
"""RFC 4861 section 4.2."""
NEIGHBOUR_SOLICITATION: Final = 135
"""RFC 4861 section 4.3."""
NEIGHBOUR_ADVERTISEMENT: Final = 136
"""RFC 4861 section 4.4."""
REDIRECT: Final = 137
"""RFC 4861 section 4.5."""
MLD2_REPORT: Final = 143
"""RFC 3810 section 5.2."""

INFORMATIONAL: Final = 0x80
"""Types with this bit are not errors (RFC 4443 section 2.1)."""

# Codes of DESTINATION_UNREACHABLE (RFC 4443 section 3.1).
NO_ROUTE: Final = 0
ADMIN_PROHIBITED: Final = 1
BEYOND_SCOPE: Final = 2
ADDRESS_UNREACHABLE: Final = 3
PORT_UNREACHABLE: Final = 4
POLICY_FAIL: Final = 5
REJECT_ROUTE: Final = 6

# Codes of TIME_EXCEEDED (RFC 4443 section 3.3).
HOP_LIMIT_EXCEEDED: Final = 0
REASSEMBLY_EXCEEDED: Final = 1

# Codes of PARAMETER_PROBLEM (RFC 4443 section 3.4).
HEADER_FIELD: Final = 0
UNKNOWN_NEXT_HEADER: Final = 1
UNKNOWN_OPTION: Final = 2

MAX_ERROR: Final = 1280
"""Bytes of the largest error, IP header included (RFC 4443 section 2.4 c)."""

_HEADER = struct.Struct("!BBHL")


class Icmpv6(View):
    """An ICMPv6 message."""

    __slots__ = ()

    NAME: ClassVar[str] = "ICMPv6 message"
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
        """Checksum over pseudo header and message."""
        return self._u16(2)

    @property
    def rest(self) -> int:
        """The second 32 bits, whose meaning the type gives."""
        return self._u32(4)

    @property
    def ident(self) -> int:
        """Identifier of an echo message."""
        return self._u16(4)

    @property
    def sequence(self) -> int:
        """Sequence number of an echo message."""
        return self._u16(6)

    @property
    def mtu(self) -> int:
        """MTU of the next hop, in ``PACKET_TOO_BIG``."""
        return self._u32(4)

    @property
    def pointer(self) -> int:
        """The byte of the quoted packet that a ``PARAMETER_PROBLEM`` is about."""
        return self._u32(4)

    @property
    def is_error(self) -> bool:
        """Whether it quotes the packet it is about."""
        return not self._u8(0) & INFORMATIONAL

    @property
    def payload(self) -> bytes:
        """What follows the header; the quoted packet of an error."""
        return bytes(self.buffer[self.offset + HEADER : self.end])

    @property
    def quoted(self) -> Ipv6:
        """The header of the packet an error is about, not checked (``check(quoted=True)``)."""
        return Ipv6(self.buffer, self.offset + HEADER, self.end)

    def checksum_valid(self, addresses: bytes) -> bool:
        """Whether the checksum is right under these source and destination addresses."""
        return transport_checksum(addresses, ICMPV6, self.buffer[self.offset : self.end]) == 0


def build(kind: int, code: int = 0, rest: int = 0, payload: bytes = b"", *, addresses: bytes) -> bytes:
    """An ICMPv6 message.

    Args:
        kind: its type.
        code: its code.
        rest: its second 32 bits.
        payload: what follows.
        addresses: source and destination address behind each other, for the checksum.
    """
    message = _HEADER.pack(kind, code, 0, rest) + payload
    check = transport_checksum(addresses, ICMPV6, message)
    return b"".join((message[:2], check.to_bytes(2, "big"), message[4:]))


def build_echo(kind: int, ident: int, sequence: int, payload: bytes = b"", *, addresses: bytes) -> bytes:
    """An ``ECHO_REQUEST`` or ``ECHO_REPLY``."""
    return build(kind, 0, ident << 16 | sequence, payload, addresses=addresses)


def build_error(
    kind: int, code: int, original: bytes | bytearray, rest: int = 0, *, addresses: bytes
) -> bytes:
    """An error about a packet, which it quotes as far as ``MAX_ERROR`` allows.

    Args:
        kind: a type without the ``INFORMATIONAL`` bit.
        code: its code.
        original: the packet from its IPv6 header on.
        rest: the second 32 bits: the MTU or the pointer.
        addresses: source and destination address behind each other, for the checksum.

    Ref: net/ipv6/icmp.c:icmp6_send.
    """
    return build(kind, code, rest, bytes(original[: MAX_ERROR - 40 - HEADER]), addresses=addresses)
