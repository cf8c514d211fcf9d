"""Where the packets of a run were forwarded, in the course of time.

Samples are taken at even intervals of the run's own time. How long a run is nobody knows beforehand:
when there are too many samples, every other one is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.clock import MILLISECOND

if TYPE_CHECKING:
    from flowtable.router import Box

MOST: Final = 480
"""How many samples there are at most."""
_FIRST_INTERVAL: Final = 10 * MILLISECOND


class Sample(NamedTuple):
    """What was counted since the beginning, at a time.

    Attributes:
        time: nanoseconds since the first packet.
        classic: forwarded packets that took the classic path, of protocols that a flowtable takes.
        software: packets that took the fast path in software.
        hardware: packets that hardware forwarded.
        flows: flow entries, those included that are torn down and not freed yet.
        rules: rules in the chips.
        waiting: items in the work queues.
    """

    time: int
    classic: int
    software: int
    hardware: int
    flows: int
    rules: int
    waiting: int


class Timeline:
    """The samples of a run.

    Attributes:
        samples: in order of time; the first is that of the beginning.
        due: when the next is to be taken, nanoseconds; 0 before the first packet.
    """

    def __init__(self, box: Box) -> None:
        self._box = box
        self._start = 0
        self._interval = _FIRST_INTERVAL
        self.samples: list[Sample] = []
        self.due = 0

    def advance(self, now: int) -> None:
        """Take the samples that are due; what happened until ``now`` has been counted."""
        if not self.samples:
            self._start = now
            self._sample(now)
            self.due = now + self._interval
            return
        if now - self.due > MOST * self._interval:
            # Nothing happened for long: one sample at either end is enough.
            self._sample(self.due)
            self.due = now - (now - self._start) % self._interval
        while self.due <= now:
            self._sample(self.due)
            self.due += self._interval
        if len(self.samples) > MOST:
            del self.samples[1::2]
            self._interval *= 2
            self.due = self.samples[-1].time + self._start + self._interval

    def finish(self, now: int) -> None:
        """Take the last sample."""
        if self.samples and now - self._start > self.samples[-1].time:
            self._sample(now)

    def _sample(self, at: int) -> None:
        box = self._box
        statistics = box.statistics
        self.samples.append(
            Sample(
                at - self._start,
                statistics.offloadable,
                statistics.bypass,
                statistics.hardware,
                sum(len(flowtable) for flowtable in box.flowtables),
                0 if box.chips is None else sum(len(switch) for switch in box.chips.switches),
                box.flowtables.work.waiting.total(),
            )
        )
