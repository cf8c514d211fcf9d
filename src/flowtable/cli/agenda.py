"""What happens to the box in the course of a run."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from flowtable.cli.error import InputError
from flowtable.cli.load import STANDARD, read
from flowtable.cli.output import forget
from flowtable.clock import NEVER
from flowtable.events import EventError, load
from flowtable.offload.bindings import OffloadPolicy
from flowtable.router import Box
from flowtable.ruleset import RulesetError
from flowtable.topology import boxfile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowtable.events import Event
    from flowtable.ruleset import Ruleset
    from flowtable.topology.topology import Topology


def load_events(path: str, topology: Topology, rules: Ruleset) -> list[Event]:
    """The events of a file, or of standard input, tried on a copy of the box.

    Raises:
        InputError: it cannot be read, is not valid, or the box would refuse an event.
    """
    try:
        events = load(read(path), "/dev/stdin" if path == STANDARD else path)
        trial = Box(
            boxfile.load(boxfile.dump(topology)), rules, transmit=forget, offload=OffloadPolicy.PREFER
        )
        for event in events:
            event.happen(trial)
    except (EventError, RulesetError) as error:
        raise InputError(str(error)) from None
    return events


class Agenda:
    """The events of a run that are still to come.

    Attributes:
        due: when the next happens, nanoseconds; never while the run has not begun.
        last: when the last happens, nanoseconds; 0 while the run has not begun, or without events.
    """

    __slots__ = ("_events", "_start", "due", "last")

    def __init__(self, events: Sequence[Event]) -> None:
        """Events in the order in which they happen."""
        self._events = deque(events)
        self._start: int | None = None
        self.due = NEVER
        self.last = 0

    def begin(self, start: int) -> None:
        """The first packet of the input arrives."""
        self._start = start
        self._next()
        if self._events:
            self.last = start + self._events[-1].at

    def advance(self, box: Box, now: int) -> None:
        """Let happen what is due by ``now``, each event at its own time.

        Raises:
            EventError: the box refuses an event.
        """
        while self.due <= now:
            box.advance(self.due)
            self._events.popleft().happen(box)
            self._next()

    def _next(self) -> None:
        assert self._start is not None
        self.due = self._start + self._events[0].at if self._events else NEVER
