"""Attributes: a length, a type and a value, padded to four bytes.

Ref: include/net/netlink.h; include/uapi/linux/netlink.h:nlattr.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from struct import Struct
from typing import Final

HEADER: Final = Struct("=HH")
"""Length and type. Ref: nlattr."""
TYPE_MASK: Final = 0x3FFF
"""The type without the bits for nested values and for byte order. Ref: NLA_TYPE_MASK."""
NESTED: Final = 0x8000
"""Ref: NLA_F_NESTED."""

_ORDER: Final = sys.byteorder
_pack: Final = HEADER.pack
_PADDING: Final = tuple(bytes(-size & 3) for size in range(4))


def each_attribute(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Types and values of the attributes from an offset on, for lists, whose types repeat.

    One that is cut short ends them.
    """
    end = len(data)
    unpack = HEADER.unpack_from
    while offset + 4 <= end:
        length, kind = unpack(data, offset)
        if length < 4 or offset + length > end:
            return
        yield kind & TYPE_MASK, data[offset + 4 : offset + length]
        offset += length + 3 & ~3


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes from an offset on by their types."""
    return dict(each_attribute(data, offset))


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute as bytes, with its padding."""
    size = len(value)
    return _pack(size + 4, kind) + value + _PADDING[size & 3]


def nested(kind: int, *parts: bytes) -> bytes:
    """An attribute whose value is attributes."""
    return attribute(kind | NESTED, b"".join(parts))


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
