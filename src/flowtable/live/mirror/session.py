"""PPPoE sessions, which the kernel tells only in /proc/net/pppoe.

Ref: drivers/net/ppp/pppoe.c:pppoe_seq_show.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc/net/pppoe")


@dataclass(frozen=True, slots=True)
class Session:
    """A session.

    Attributes:
        number: its id, 1..65534.
        peer: MAC address of the access concentrator.
        device: name of the device that it runs over.
    """

    number: int
    peer: bytes
    device: str


def parse(table: str) -> list[Session]:
    """The sessions that a listing has: of the id the bytes as they are in memory, MAC address, device."""
    sessions = []
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) != 3:
            continue
        number = int(words[0], 16)
        if sys.byteorder == "little":
            number = (number & 0xFF) << 8 | number >> 8
        sessions.append(Session(number, bytes.fromhex(words[1].replace(":", "")), words[2]))
    return sessions


def read() -> list[Session]:
    """The sessions of this network namespace; none where the kernel has no PPPoE."""
    try:
        return parse(PROC.read_text())
    except FileNotFoundError:
        return []
