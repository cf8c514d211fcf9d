"""Netlink attributes: a length, a type and a value, padded to four bytes.

Ref: include/net/netlink.h; Documentation/userspace-api/netlink/intro.rst.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

_HEADER: Final = Struct("=HH")
_unpack: Final = _HEADER.unpack_from
_pack: Final = _HEADER.pack
_TYPE: Final = 0x3FFF
"""Without the bits for nested values and for byte order. Ref: NLA_TYPE_MASK."""
NESTED: Final = 0x8000
"""Ref: NLA_F_NESTED."""

_PADDING: Final = tuple(bytes(-size & 3) for size in range(4))


class MalformedError(ValueError):
    """Bytes that are no message of ctnetlink."""


def attributes(data: bytes, start: int = 0) -> dict[int, bytes]:
    """The values by type of the attributes that fill ``data`` from ``start`` on.

    Raises:
        MalformedError: an attribute is shorter than its header or longer than what holds it.
    """
    found = {}
    end = len(data)
    last = end - 4
    while start <= last:
        size, kind = _unpack(data, start)
        stop = start + size
        if size < 4 or stop > end:
            raise MalformedError(f"attribute of {size} bytes where there are {end - start}")
        found[kind & _TYPE] = data[start + 4 : stop]
        start = stop + 3 & ~3
    return found


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute with its padding."""
    size = len(value)
    return _pack(size + 4, kind) + value + _PADDING[size & 3]


def nested(kind: int, *parts: bytes) -> bytes:
    """An attribute whose value is attributes."""
    return attribute(kind | NESTED, b"".join(parts))
