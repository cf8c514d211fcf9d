"""Netlink messages: bytes to messages and attributes, and requests to bytes. No socket here.

Numbers in netlink are in the byte order of the host, addresses and ports in that of the network.
Ref: include/uapi/linux/netlink.h, Documentation/userspace-api/netlink/intro.rst.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from enum import IntFlag
from struct import Struct
from typing import Final, NamedTuple

_ORDER: Final = sys.byteorder
_HEADER: Final = Struct("=IHHII")
_ATTRIBUTE: Final = Struct("=HH")
_TYPE_MASK: Final = 0x3FFF
"""Ref: NLA_TYPE_MASK: without the flags for nested and for network byte order."""
_ERRNO: Final = Struct("=i")

NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3


class Flag(IntFlag):
    """Flags of a message. Ref: NLM_F_*."""

    REQUEST = 0x1
    ACK = 0x4
    DUMP_INTR = 0x10
    """The objects changed during the dump."""
    DUMP = 0x300
    REPLACE = 0x100
    EXCL = 0x200
    CREATE = 0x400
    APPEND = 0x800


class NetlinkError(OSError):
    """What the kernel answered to a request: an errno, and its own words where it has any."""


class Message(NamedTuple):
    """A message.

    Attributes:
        type: its type, of the protocol's own numbers.
        flags: bits of ``Flag``.
        sequence: number of the request that it answers, 0 for a notification.
        body: what follows the header.
    """

    type: int
    flags: int
    sequence: int
    body: bytes


def messages(data: bytes) -> Iterator[Message]:
    """The messages of one datagram; one that is cut short ends it."""
    offset, end = 0, len(data)
    while offset + _HEADER.size <= end:
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > end:
            return
        yield Message(kind, flags, sequence, data[offset + _HEADER.size : offset + length])
        offset += length + 3 & ~3


def each_attribute(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Types and values of the attributes from an offset on, for lists, whose types repeat."""
    end = len(data)
    unpack = _ATTRIBUTE.unpack_from
    while offset + 4 <= end:
        length, kind = unpack(data, offset)
        if length < 4 or offset + length > end:
            return
        yield kind & _TYPE_MASK, data[offset + 4 : offset + length]
        offset += length + 3 & ~3


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes from an offset on by their types."""
    return dict(each_attribute(data, offset))


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute as bytes; a nested one has others as its value."""
    return _ATTRIBUTE.pack(len(value) + 4, kind) + value + bytes(-len(value) % 4)


def request(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """A request as bytes."""
    return _HEADER.pack(_HEADER.size + len(body), kind, flags | Flag.REQUEST, sequence, 0) + body


def error(message: Message) -> NetlinkError | None:
    """The error that ends a request, in an ``NLMSG_ERROR`` or ``NLMSG_DONE`` message; None for success."""
    if len(message.body) < _ERRNO.size:
        return None
    (code,) = _ERRNO.unpack_from(message.body)
    return NetlinkError(-code, os.strerror(-code)) if code < 0 else None


def u8(value: bytes) -> int:
    """A number of one byte. Of nothing it is 0, as with the others."""
    return value[0] if value else 0


def s32(value: bytes) -> int:
    """A signed number in the host's byte order."""
    return int.from_bytes(value[:4], _ORDER, signed=True)


def u16(value: bytes) -> int:
    """A number in the host's byte order."""
    return int.from_bytes(value[:2], _ORDER)


def u32(value: bytes) -> int:
    """A number in the host's byte order."""
    return int.from_bytes(value[:4], _ORDER)


def packed(number: int) -> bytes:
    """A number of 32 bits in the host's byte order."""
    return number.to_bytes(4, _ORDER)


def text(value: bytes) -> str:
    """A string that ends with its first zero byte."""
    return value.partition(b"\0")[0].decode("utf-8", "surrogateescape")
