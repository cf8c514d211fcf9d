"""The captures of a run, in one order of time."""

from __future__ import annotations

import os
import stat
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Self

from flowtable.capture import Capture, CaptureError, merge, open_capture
from flowtable.cli.error import InputError
from flowtable.cli.load import STANDARD

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from contextlib import ExitStack

    from flowtable.capture import Record, Skip


class Input(NamedTuple):
    """A capture to read.

    Attributes:
        path: the file, ``-`` for standard input.
        device: the device on which it was captured, None where the file says so itself.
    """

    path: str
    device: str | None = None


class Inputs:
    """Open captures.

    Attributes:
        captures: in the order in which they were given.
        size: of all of them in bytes, None where one is no regular file.
        errors: how the reading of some of them ended before their end, known after the last record.
    """

    def __init__(self, captures: list[Capture], size: int | None) -> None:
        self.captures = captures
        self.size = size
        self.errors: list[CaptureError] = []

    @classmethod
    def open(cls, inputs: Sequence[Input], stack: ExitStack) -> Self:
        """Open captures, which ``stack`` closes.

        Raises:
            InputError: one cannot be opened, or is no capture.
        """
        captures: list[Capture] = []
        sizes: list[int | None] = []
        for path, device in inputs:
            try:
                stream = _open(path, stack)
                captures.append(open_capture(stream, path, device))
            except CaptureError as error:
                raise InputError(str(error)) from None
            except OSError as error:
                raise InputError(f"{path}: {error.strerror}") from None
            sizes.append(_size(stream))
        known = [size for size in sizes if size is not None]
        return cls(captures, sum(known) if len(known) == len(sizes) else None)

    @property
    def position(self) -> int:
        """How many of their bytes were read so far."""
        return sum(capture.position for capture in self.captures)

    @property
    def skipped(self) -> Counter[Skip]:
        """Packets passed over so far, by reason."""
        return sum((capture.skipped for capture in self.captures), Counter())

    def records(self) -> Generator[Record, None, None]:
        """All records by time; damage ends the capture it is in, and is found in ``errors``."""
        try:
            yield from merge(self.captures)
        except* CaptureError as group:
            self.errors.extend(error for error in group.exceptions if isinstance(error, CaptureError))

    def sources(self, interface: str) -> list[str]:
        """The names of the captures that have an interface of that name."""
        return [capture.name for capture in self.captures if interface in capture.interfaces]


def _open(path: str, stack: ExitStack) -> BinaryIO:
    if path == STANDARD:
        return sys.stdin.buffer
    return stack.enter_context(closing(Path(path).open("rb")))


def _size(stream: BinaryIO) -> int | None:
    try:
        status = os.fstat(stream.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
