"""The work queues between flowtables and hardware: add, delete, stats.

What is asked for is not done at once but by a worker, so that a few packets of every flow still
pass in software. All flowtables of a box share the queues; a flow has one item in them at most.

Ref: net/netfilter/nf_flow_table_offload.c:flow_offload_queue_work, flow_offload_work_handler,
nf_flow_offload_work_alloc (the pending rule).
"""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.conntrack.connection import Status
from flowtable.flows.entry import FlowFlag
from flowtable.flows.hardware import Command, Failure, HardwareState, Placed, Reading

if TYPE_CHECKING:
    from flowtable.clock import Alarm
    from flowtable.flows.entry import FlowEntry
    from flowtable.flows.hardware import Hardware, OffloadFailure, Placing
    from flowtable.profile import Profile


_ENDING: Final = FlowFlag.TEARDOWN | FlowFlag.HW_DYING


class _Work(NamedTuple):
    """Something to do, or the answer to something that was done.

    Attributes:
        due: when, nanoseconds.
        number: keeps items of the same time in order.
        command: what.
        entry: the flow.
        hardware: that of its flowtable.
        placings: what the hardware answered; None while it was not asked.
    """

    due: int
    number: int
    command: Command
    entry: FlowEntry
    hardware: Hardware
    placings: tuple[Placing, Placing] | None = None


class WorkQueues:
    """The three queues, in the time of the box: it has to be told when what is due.

    Attributes:
        done: how often what was done.
        failures: how often which direction was not taken or not forgotten, and why.
        dropped: requests that were dropped since another was pending for the flow.
        waiting: items in the queues now, by what they are.
        deepest: the most items that were in the queues at a time.
    """

    def __init__(self, profile: Profile, alarm: Alarm) -> None:
        """Begin empty.

        Args:
            profile: what becomes of a request while another is pending, and what is read at the end.
            alarm: told when there will be something to do.
        """
        self._sound = profile.sound_offload
        self._alarm = alarm
        self._items: list[_Work] = []
        self._number = 0
        self._cookies = 0
        self.done: Counter[Command] = Counter()
        self.failures: Counter[OffloadFailure] = Counter()
        self.dropped = 0
        self.waiting: Counter[Command] = Counter()
        self.deepest = 0

    @property
    def next_due(self) -> int | None:
        """When to ``advance`` next, nanoseconds; None while the queues are empty."""
        return self._items[0].due if self._items else None

    def adopt(self, entry: FlowEntry, now: int) -> None:
        """A new flow is to be in hardware, too."""
        self._cookies += 1
        entry.hardware = HardwareState(self._cookies, now)
        entry.flags |= FlowFlag.HW | FlowFlag.HW_BIDIRECTIONAL

    def request(self, command: Command, entry: FlowEntry, hardware: Hardware, now: int) -> None:
        """Ask for something to be done for a flow.

        While something else is pending for it, Linux drops the request. Sound profiles keep it for
        later: a change must not get lost.
        """
        state = entry.hardware
        assert state is not None
        if entry.flags & FlowFlag.HW_PENDING:
            if not self._sound:
                self.dropped += 1
            elif state.wanted is None or state.wanted < command:
                state.wanted = command
            return
        entry.flags |= FlowFlag.HW_PENDING
        if command is Command.DESTROY:
            entry.flags |= FlowFlag.HW_DYING
        self.waiting[command] += 1
        self._push(now + hardware.queue_latency, command, entry, hardware)

    def _push(
        self,
        due: int,
        command: Command,
        entry: FlowEntry,
        hardware: Hardware,
        placings: tuple[Placing, Placing] | None = None,
    ) -> None:
        self._number += 1
        heappush(self._items, _Work(due, self._number, command, entry, hardware, placings))
        self.deepest = max(self.deepest, len(self._items))
        self._alarm.set(due)

    def advance(self, now: int) -> None:
        """Do what is due by ``now``, in order."""
        while self._items and self._items[0].due <= now:
            work = heappop(self._items)
            self._run(work, work.due)

    def flush(self, hardware: Hardware, now: int) -> None:
        """Do all that waits for some hardware at once, the answers included.

        Ref: net/netfilter/nf_flow_table_offload.c:nf_flow_table_offload_flush.
        """
        while mine := sorted(work for work in self._items if work.hardware is hardware):
            self._items = sorted(work for work in self._items if work.hardware is not hardware)
            for work in mine:
                self._run(work, now)

    def _run(self, work: _Work, now: int) -> None:
        command, entry, hardware = work.command, work.entry, work.hardware
        placings = work.placings
        if placings is None:
            match command:
                case Command.STATS:
                    self.read(entry, hardware, now)
                    self._finish(work, now)
                    return
                case Command.REPLACE if self._sound and entry.flags & _ENDING:
                    self._finish(work, now)
                    return
                case Command.REPLACE:
                    placings = hardware.replace(entry, now)
                case Command.DESTROY:
                    if self._sound:
                        # What was forwarded since the last reading.
                        self.read(entry, hardware, now)
                        if entry.flags & FlowFlag.TEARDOWN:
                            entry.flowtable.settle(entry)
                    else:
                        entry.connection.status &= ~Status.HW_OFFLOAD
                    placings = hardware.destroy(entry, now)
            self._note(placings)
            ready = max((each.ready for each in placings if isinstance(each, Placed)), default=now)
            if ready > now:
                self._push(ready, command, entry, hardware, placings)
                return
        self._answered(work, placings, now)
        self._finish(work, now)

    def _answered(self, work: _Work, placings: tuple[Placing, Placing], now: int) -> None:
        entry = work.entry
        state = entry.hardware
        assert state is not None
        if work.command is Command.DESTROY:
            for side, placing in zip(state.sides, placings, strict=True):
                side.place(Placed("", now), now)
                side.failure = placing if isinstance(placing, Failure) else None
            entry.flags |= FlowFlag.HW_DEAD
            self.status(entry)
            return
        for side, placing in zip(state.sides, placings, strict=True):
            side.place(placing, now)
        self.status(entry)

    def status(self, entry: FlowEntry) -> None:
        """Have the connection say whether its flow is in hardware.

        Linux sets the status with the first direction that is taken, and clears it with the deletion.
        Ref: net/netfilter/nf_flow_table_offload.c:flow_offload_work_add, flow_offload_work_del.
        """
        state, connection = entry.hardware, entry.connection
        assert state is not None
        if self._sound and entry.flags & FlowFlag.TEARDOWN:
            return  # another flow may have the connection by now
        if state.placed:
            connection.status |= Status.HW_OFFLOAD
        elif self._sound:
            connection.status &= ~Status.HW_OFFLOAD

    def _finish(self, work: _Work, now: int) -> None:
        command, entry = work.command, work.entry
        state = entry.hardware
        assert state is not None
        self.done[command] += 1
        self.waiting[command] -= 1
        entry.flags &= ~FlowFlag.HW_PENDING
        wanted, state.wanted = state.wanted, None
        if wanted is not None and not entry.flags & FlowFlag.HW_DEAD:
            self.request(wanted, entry, work.hardware, now)

    def _note(self, placings: tuple[Placing, Placing]) -> None:
        for placing in placings:
            if isinstance(placing, Failure):
                self.failures[placing.reason] += 1

    def read(self, entry: FlowEntry, hardware: Hardware, now: int) -> None:
        """Read the counters of a flow that is in hardware.

        Ref: net/netfilter/nf_flow_table_offload.c:flow_offload_work_stats.
        """
        state = entry.hardware
        assert state is not None
        for side, reading in zip(state.sides, hardware.stats(entry, now), strict=True):
            match reading:
                case Reading(lost=lost):
                    side.count(reading)
                    if lost is not None:
                        self.failures[lost.reason] += 1
                        side.place(lost, now)
                    elif side.driver:
                        side.failure = reading.held
                case Failure():
                    if side.driver:
                        side.failure = reading
        if not self._sound:
            return
        self.status(entry)
