"""SCTP: its common header and chunks (RFC 9260 section 3)."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.packet.crc32c import crc32c

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER_SIZE: Final = 12
"""Ports, verification tag, checksum."""
_CHECKSUM: Final = 8
_chunk = Struct(">BBH").unpack_from


class ChunkType(IntEnum):
    """Types of chunks (RFC 9260 section 3.2) that say something of the state of an association."""

    DATA = 0
    INIT = 1
    INIT_ACK = 2
    HEARTBEAT = 4
    HEARTBEAT_ACK = 5
    ABORT = 6
    SHUTDOWN = 7
    SHUTDOWN_ACK = 8
    ERROR = 9
    COOKIE_ECHO = 10
    COOKIE_ACK = 11
    SHUTDOWN_COMPLETE = 14


class Chunk(NamedTuple):
    """A chunk of a packet.

    Attributes:
        kind: its type, a ``ChunkType`` or another number.
        flags: its flags.
        length: what it says of its length, with its header of four bytes and without padding.
        at: where it begins in the packet.
    """

    kind: int
    flags: int
    length: int
    at: int


def chunks(data: bytes | bytearray, thoff: int) -> Iterator[Chunk]:
    """The chunks of a packet, in their order.

    One that says that its length is 0 is the last, as nothing can be found behind it. Fewer bytes
    than the header of a chunk at the end are no chunk; chunks may go beyond the end.

    Args:
        data: the packet.
        thoff: where its SCTP header begins.

    Ref: net/netfilter/nf_conntrack_proto_sctp.c:for_each_sctp_chunk.
    """
    at = thoff + HEADER_SIZE
    while at + 4 <= len(data):
        kind, flags, length = _chunk(data, at)
        yield Chunk(kind, flags, length, at)
        if not length:
            return
        at += length + 3 & ~3


def checksum(data: bytes | bytearray, thoff: int) -> bytes:
    """The checksum that a packet ought to carry, as it stands in the header.

    Args:
        data: the packet.
        thoff: where its SCTP header begins, of which 12 bytes are there.

    Ref: include/net/sctp/checksum.h:sctp_compute_cksum.
    """
    blank = data[thoff : thoff + _CHECKSUM] + bytes(4) + data[thoff + HEADER_SIZE :]
    return crc32c(blank).to_bytes(4, "little")


def checksum_valid(data: bytes | bytearray, thoff: int) -> bool:
    """Whether the checksum of a packet is right; arguments as of ``checksum``."""
    return data[thoff + _CHECKSUM : thoff + HEADER_SIZE] == checksum(data, thoff)


def fill_checksum(data: bytearray, thoff: int) -> None:
    """Compute and store the checksum of a packet, if all of its header is there."""
    if len(data) >= thoff + HEADER_SIZE:
        data[thoff + _CHECKSUM : thoff + HEADER_SIZE] = checksum(data, thoff)
