"""What the views of all headers share."""

from __future__ import annotations

import struct
from typing import ClassVar, Self, TypeAlias

from flowtable.packet.malformed import Malformed

Buffer: TypeAlias = bytes | bytearray | memoryview
"""What a view reads."""

_U16 = struct.Struct("!H")
_U32 = struct.Struct("!L")


class View:
    """A header in a buffer, read in place.

    Attributes:
        buffer: the bytes; not copied, so the view shows later changes to them.
        offset: where the header begins.
        end: where what belongs to the header and its payload ends at the latest.
    """

    __slots__ = ("buffer", "end", "offset")

    NAME: ClassVar[str]
    SIZE: ClassVar[int]

    def __init__(self, buffer: Buffer, offset: int = 0, end: int | None = None) -> None:
        self.buffer = buffer
        self.offset = offset
        self.end = len(buffer) if end is None else end

    def check(self) -> Self:
        """Check that the header is all there and that its length fields agree with the buffer.

        Raises:
            Malformed: it is not, or they do not.
        """
        self._require(self.SIZE)
        return self

    def _require(self, size: int) -> None:
        room = min(self.end, len(self.buffer)) - self.offset
        if room < size:
            raise Malformed(f"{self.NAME} needs {size} bytes, {max(room, 0)} are there", self.offset)

    def _u8(self, at: int) -> int:
        return self.buffer[self.offset + at]

    def _u16(self, at: int) -> int:
        value: int = _U16.unpack_from(self.buffer, self.offset + at)[0]
        return value

    def _u32(self, at: int) -> int:
        value: int = _U32.unpack_from(self.buffer, self.offset + at)[0]
        return value

    def _bytes(self, start: int, stop: int) -> bytes:
        return bytes(self.buffer[self.offset + start : self.offset + stop])
