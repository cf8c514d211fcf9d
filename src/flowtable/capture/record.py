"""One frame of a capture."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

LAST_TIME: Final = (1 << 64) - 1
"""The latest time of a frame, nanoseconds since 1970: in July 2554."""


class Direction(Enum):
    """Which way a frame passed the interface; the value is that of the pcapng packet flags.

    Ref: draft-ietf-opsawg-pcapng section 4.3.1, bits 0-1 of epb_flags.
    """

    UNKNOWN = 0
    IN = 1
    OUT = 2


class Record(NamedTuple):
    """A frame as it was captured.

    Attributes:
        number: its place among the packets of its file, from 1, as Wireshark counts them.
        interface: name of the interface it was captured on, empty where the file has none.
        time: when, nanoseconds since 1970, 0 to ``LAST_TIME``.
        data: the whole frame from its Ethernet header on.
        original_length: its length on the wire in bytes.
        direction: which way it passed the interface.
    """

    number: int
    interface: str
    time: int
    data: bytes
    original_length: int
    direction: Direction
