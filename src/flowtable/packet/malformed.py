"""The one way in which reading a header fails."""

from __future__ import annotations


class Malformed(ValueError):  # noqa: N818 - it says what the bytes are, as "Malformed(...)"
    """A header whose bytes contradict each other or the length of the buffer.

    Attributes:
        reason: what is wrong, one line without the place.
        offset: where, in bytes from the start of the buffer that the view was given.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.reason} (at byte {self.offset})"
