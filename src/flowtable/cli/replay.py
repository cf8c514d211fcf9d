"""Feeding a box what was captured on its devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowtable.capture import Direction, Sieve
from flowtable.cli.own import Own

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from flowtable.capture import Record, Stretch
    from flowtable.cli.agenda import Agenda
    from flowtable.cli.comparison import Comparison
    from flowtable.explain.timeline import Timeline
    from flowtable.router import Box
    from flowtable.topology.device import Device


@dataclass(slots=True)
class Tally:
    """What became of the records of a run before they reached the box.

    Attributes:
        taken: given to the box.
        own: sent by the box itself when they were captured, so no input.
        late: given to the box at the time of a record before them, which had a later time.
        first: time of the first record, nanoseconds; None before it.
        last: the latest time so far, nanoseconds.
    """

    taken: int = 0
    own: int = 0
    late: int = 0
    first: int | None = None
    last: int = 0

    @property
    def duration(self) -> int:
        """From the first record to the last, nanoseconds."""
        return self.last - self.first if self.first is not None else 0


def sampled(records: Iterable[Record], timeline: Timeline) -> Generator[Record, None, None]:
    """The records, with samples of what the box counts taken in between.

    Only the time of the records counts, which never goes back.
    """
    for record in records:
        if record.time >= timeline.due:
            timeline.advance(record.time)
        yield record


def replay(
    box: Box,
    records: Iterable[Record],
    tally: Tally,
    agenda: Agenda,
    *,
    settle: int = 0,
    comparison: Comparison | None = None,
) -> None:
    """Give a box the records that are input to it, and count all of them.

    A record is the box's own, and no input, if the capture says that it went out, or ``Own`` knows
    it. The box's time never goes back: a record that is
    older than the one before it arrives together with that one.

    Args:
        box: the box.
        records: captured on devices of the box.
        tally: where they are counted.
        agenda: what happens to the box in between, and after the last record.
        settle: how much time passes at the end, nanoseconds.
        comparison: told of the records that are input, and of those that the box sent.

    Raises:
        EventError: the box refuses an event.
    """
    own = Own(box)
    devices = box.topology.devices
    receive, out = box.receive, Direction.OUT
    now = 0
    for number, interface, time, data, _, direction in records:
        if time < now:
            tally.late += 1
        else:
            tally.last = now = time
        if tally.first is None:
            tally.first = time
            agenda.begin(time)
        if now >= agenda.due:
            agenda.advance(box, now)
            own.follow()
        if direction is out or own(interface, data, now):
            tally.own += 1
            if comparison is not None:
                comparison.captured(interface, data, time, number)
            continue
        tally.taken += 1
        if comparison is not None:
            comparison.received(data)
        receive(devices[interface], data, now)
    end = max(now, agenda.last) + settle
    agenda.advance(box, end)
    box.advance(end)


def replay_stretches(
    box: Box, stretches: Iterable[Stretch], tally: Tally, agenda: Agenda, *, settle: int = 0
) -> None:
    """The same as ``replay``, with records by the hundred and a box that takes them in bursts.

    Raises:
        EventError: the box refuses an event.
        OSError: the library for captures is not there.
    """
    own = Own(box)
    sieve = Sieve()
    own.tell(sieve)

    def receive(device: Device, frame: bytes, now: int) -> None:
        """What is not for the fast path may be what a bridge of the box has sent on."""
        if own.bridged(device.name, frame, now):
            tally.taken -= 1
            tally.own += 1
        else:
            box.receive(device, frame, now)

    for stretch in stretches:
        times, at = stretch.burst.times, 0
        if tally.first is None:
            tally.first = times[0]
            agenda.begin(times[0])
        while at < stretch.burst.count:
            now = max(sieve.now, times[at])
            if now >= agenda.due:
                agenda.advance(box, now)
                own.follow()
                own.tell(sieve)
            burst, at = sieve.pick(stretch, at, agenda.due)
            box.receive_many(burst, receive)
    tally.taken += sieve.picked
    tally.own += sieve.own
    tally.late += sieve.late
    tally.last = sieve.now
    end = max(sieve.now, agenda.last) + settle
    agenda.advance(box, end)
    box.advance(end)
