"""The part of a stream that is in memory."""

from __future__ import annotations

from typing import BinaryIO, Final

CHUNK: Final = 1 << 18


class Window:
    """A stretch of a stream that moves forward over it.

    Attributes:
        data: the bytes in memory.
        start: offset in the stream of the first of them.
    """

    __slots__ = ("_stream", "data", "start")

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.data = b""
        self.start = 0

    @property
    def end(self) -> int:
        """Offset in the stream up to which it has been read."""
        return self.start + len(self.data)

    def advance(self, to: int, need: int) -> bool:
        """Drop the bytes before index ``to`` and read until at least ``need`` bytes are there.

        Returns:
            Whether they are; false at the end of the stream, with what is left in ``data``.
        """
        pieces = [self.data[to:]]
        self.start += to
        have = len(pieces[0])
        while have < need:
            piece = self._stream.read(max(CHUNK, need - have))
            if not piece:
                break
            pieces.append(piece)
            have += len(piece)
        self.data = b"".join(pieces)
        return have >= need
