"""Several captures in one order of time."""

from __future__ import annotations

from heapq import merge as merge_sorted
from operator import itemgetter
from typing import TYPE_CHECKING

from flowtable.capture.error import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flowtable.capture.record import Record


def merge(captures: Iterable[Iterable[Record]]) -> Iterator[Record]:
    """Merge captures by time; of equal times, in the order of the captures.

    The order within a capture stays as it is.

    Raises:
        CaptureError: a capture is damaged; its good frames, and all of the others, were given.
        ExceptionGroup: of CaptureError, where several are.
    """
    errors: list[CaptureError] = []
    sources = [_guard(capture, errors) for capture in captures]
    yield from sources[0] if len(sources) == 1 else merge_sorted(*sources, key=itemgetter(2))
    if len(errors) > 1:
        raise ExceptionGroup("damaged captures", errors)
    if errors:
        raise errors[0]


def _guard(capture: Iterable[Record], errors: list[CaptureError]) -> Iterator[Record]:
    """The records of a capture, whose damage ends it and is kept for later."""
    try:
        yield from capture
    except CaptureError as error:
        errors.append(error)
