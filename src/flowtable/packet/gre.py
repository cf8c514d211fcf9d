"""GRE headers: version 0 (RFC 2784, RFC 2890) and version 1, PPTP's (RFC 2637 section 4.1)."""

from __future__ import annotations

import struct
from typing import ClassVar, Final, Self

from flowtable.packet.checksum import checksum
from flowtable.packet.malformed import Malformed
from flowtable.packet.view import View

CHECKSUM: Final = 0x8000
ROUTING: Final = 0x4000
"""Of RFC 1701; RFC 2784 section 2.3 says to discard packets that have it."""
KEY: Final = 0x2000
SEQUENCE: Final = 0x1000
ACKNOWLEDGEMENT: Final = 0x0080
"""Version 1 only."""
VERSION: Final = 0x0007
PROTOCOL_PPP: Final = 0x880B
"""Ethertype of what version 1 carries."""

_U32 = struct.Struct("!L")


class Gre(View):
    """A GRE header of either version."""

    __slots__ = ()

    NAME: ClassVar[str] = "GRE header"
    SIZE: ClassVar[int] = 4

    def check(self) -> Self:
        """See ``View.check``: version 0 or 1, and all fields that the flags announce."""
        super().check()
        if self.version > 1:
            raise Malformed(f"GRE version {self.version}", self.offset)
        if self.version == 0 and self.flags & ROUTING:
            raise Malformed("GRE source routing", self.offset)
        if self.version == 1 and self.flags & KEY == 0:
            raise Malformed("GRE version 1 without a key", self.offset)
        self._require(self.size)
        return self

    @property
    def flags(self) -> int:
        """The first 16 bits: flags and version."""
        return self._u16(0)

    @property
    def version(self) -> int:
        """0 or 1."""
        return self._u16(0) & VERSION

    @property
    def protocol(self) -> int:
        """Ethertype of the payload."""
        return self._u16(2)

    @property
    def size(self) -> int:
        """Bytes of header, as the flags say."""
        flags = self.flags
        size = 4
        if self.version == 0 and flags & CHECKSUM:
            size += 4
        if flags & KEY:
            size += 4
        if flags & SEQUENCE:
            size += 4
        if self.version == 1 and flags & ACKNOWLEDGEMENT:
            size += 4
        return size

    @property
    def checksum(self) -> int | None:
        """Checksum over header and payload, None without one (version 0)."""
        return self._u16(4) if self.version == 0 and self.flags & CHECKSUM else None

    @property
    def key(self) -> int | None:
        """The key, None without one; in version 1 payload length and call id together."""
        return self._u32(8 if self.checksum is not None else 4) if self.flags & KEY else None

    @property
    def call_id(self) -> int:
        """The peer's call id (version 1)."""
        return self._u16(6)

    @property
    def sequence(self) -> int | None:
        """Sequence number, None without one."""
        flags = self.flags
        if not flags & SEQUENCE:
            return None
        at = 4
        if self.checksum is not None:
            at += 4
        if flags & KEY:
            at += 4
        return self._u32(at)

    @property
    def acknowledgement(self) -> int | None:
        """Acknowledgement number (version 1), None without one."""
        if self.version == 0 or not self.flags & ACKNOWLEDGEMENT:
            return None
        return self._u32(self.size - 4)

    @property
    def payload(self) -> bytes:
        """What follows the header."""
        return bytes(self.buffer[self.offset + self.size : self.end])


def build(
    protocol: int,
    payload: bytes = b"",
    *,
    key: int | None = None,
    sequence: int | None = None,
    with_checksum: bool = False,
) -> bytes:
    """A GRE packet of version 0."""
    flags = 0
    fields = b""
    if with_checksum:
        flags |= CHECKSUM
        fields += bytes(4)
    if key is not None:
        flags |= KEY
        fields += _U32.pack(key)
    if sequence is not None:
        flags |= SEQUENCE
        fields += _U32.pack(sequence)
    packet = bytearray(b"".join((flags.to_bytes(2, "big"), protocol.to_bytes(2, "big"), fields, payload)))
    if with_checksum:
        packet[4:6] = checksum(packet).to_bytes(2, "big")
    return bytes(packet)


def build_pptp(
    call_id: int, payload: bytes = b"", *, sequence: int | None = None, acknowledgement: int | None = None
) -> bytes:
    """A GRE packet of version 1 around a PPP packet."""
    flags = KEY | 1
    fields = b""
    if sequence is not None:
        flags |= SEQUENCE
        fields += _U32.pack(sequence)
    if acknowledgement is not None:
        flags |= ACKNOWLEDGEMENT
        fields += _U32.pack(acknowledgement)
    return b"".join(
        (
            flags.to_bytes(2, "big"),
            PROTOCOL_PPP.to_bytes(2, "big"),
            len(payload).to_bytes(2, "big"),
            call_id.to_bytes(2, "big"),
            fields,
            payload,
        )
    )
