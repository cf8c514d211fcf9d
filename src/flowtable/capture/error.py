"""What ends the reading of a capture."""

from __future__ import annotations


class CaptureError(Exception):
    """A capture that cannot be read, or not any further.

    Attributes:
        name: the capture's name as the caller gave it.
        offset: where in the file the trouble begins, in bytes.
        packet: number of the packet that would have come next, None before the first block.
        reason: what is wrong, one line.
    """

    def __init__(self, name: str, offset: int, reason: str, *, packet: int | None = None) -> None:
        self.name = name
        self.offset = offset
        self.packet = packet
        self.reason = reason
        place = f"byte {offset}" if packet is None else f"packet {packet} at byte {offset}"
        super().__init__(f"{name}: {place}: {reason}")
