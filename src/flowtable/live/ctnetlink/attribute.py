"""The attributes of a report.

Ref: include/net/netlink.h.
"""

from __future__ import annotations

from typing import Final

from flowtable.netlink.attribute import HEADER, TYPE_MASK

_unpack: Final = HEADER.unpack_from


class MalformedError(ValueError):
    """Bytes that are no message of ctnetlink."""


def attributes(data: bytes, start: int = 0) -> dict[int, bytes]:
    """The values by type of the attributes that fill ``data`` from ``start`` on.

    Raises:
        MalformedError: an attribute is shorter than its header or longer than what holds it.
    """
    # netlink.attribute.attributes stops at such a one in silence. This one is also written out for
    # speed, without a generator: each event comes through here.
    found = {}
    end = len(data)
    last = end - 4
    while start <= last:
        size, kind = _unpack(data, start)
        stop = start + size
        if size < 4 or stop > end:
            raise MalformedError(f"attribute of {size} bytes where there are {end - start}")
        found[kind & TYPE_MASK] = data[start + 4 : stop]
        start = stop + 3 & ~3
    return found
