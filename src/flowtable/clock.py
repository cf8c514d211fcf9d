"""Time in the core: whole nanoseconds, handed in with each frame; nothing here reads a clock."""

from __future__ import annotations

from typing import Final

MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000

NEVER: Final = 1 << 80
"""Later than any time."""


class Alarm:
    """The earliest time at which something may be due.

    Shared by everything that waits for a time, so that a packet costs one comparison to know that
    nothing is due.

    Attributes:
        due: nanoseconds, ``NEVER`` while nobody waits.
    """

    __slots__ = ("due",)

    def __init__(self) -> None:
        self.due = NEVER

    def set(self, due: int) -> None:
        """Something is due at a time."""
        if due < self.due:
            self.due = due
