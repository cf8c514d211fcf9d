"""Why a packet of a capture is passed over."""

from __future__ import annotations

from enum import Enum


class Skip(Enum):
    """A reason to pass over one packet of a capture; the value is its one-line text."""

    TRUNCATED = "captured shorter than it was on the wire"
    EMPTY = "no bytes"
    LINK_TYPE = "not an Ethernet frame"
    INTERFACE = "its interface is not described in its section"
    MALFORMED = "longer than the block that carries it"
    TIME = "its time is before 1970 or after 2554"
