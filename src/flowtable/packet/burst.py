"""Frames by the hundred: one piece of memory, and arrays that say what lies where in it."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable


class Burst:
    """Frames in one piece of memory, in the order of their times.

    What code in C reads and writes without an object for each frame.

    Attributes:
        frames: the memory.
        offsets: where each frame begins in it, bytes; 32 bits each, as all but the times.
        lengths: how long it is.
        devices: the index of the device that it arrived on, or leaves by.
        times: when, nanoseconds; 64 bits each. None is earlier than the one before it.
        count: how many frames there are; the arrays may have room for more.
    """

    __slots__ = ("count", "devices", "frames", "lengths", "offsets", "times")

    def __init__(self, frames: bytes | bytearray, room: int) -> None:
        """Begin without frames.

        Args:
            frames: memory for them.
            room: how many there may be.
        """
        self.frames = frames
        self.offsets = array("I", bytes(4 * room))
        self.lengths = array("I", bytes(4 * room))
        self.devices = array("I", bytes(4 * room))
        self.times = array("Q", bytes(8 * room))
        self.count = 0

    @classmethod
    def of(cls, frames: Iterable[tuple[int, bytes, int]]) -> Self:
        """Put frames into a burst.

        Args:
            frames: device index, frame, and time in nanoseconds of each.

        Raises:
            OverflowError: there are more than 4 GB of them.
        """
        burst = cls(b"", 0)
        pieces = []
        at = 0
        for device, frame, time in frames:
            pieces.append(frame)
            burst.offsets.append(at)
            burst.lengths.append(len(frame))
            burst.devices.append(device)
            burst.times.append(time)
            at += len(frame)
        burst.frames = b"".join(pieces)
        burst.count = len(pieces)
        return burst

    @property
    def room(self) -> int:
        """How many frames there may be."""
        return len(self.offsets)

    def frame(self, place: int) -> bytes:
        """One of the frames."""
        offset = self.offsets[place]
        return memoryview(self.frames)[offset : offset + self.lengths[place]].tobytes()
