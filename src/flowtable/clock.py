"""Time in the core: whole nanoseconds, handed in with each frame; nothing here reads a clock."""

from __future__ import annotations

from typing import Final

MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000
