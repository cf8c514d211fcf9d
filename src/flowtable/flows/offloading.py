"""What a flowtable with ``flags offload`` does about its flows in hardware, and when.

Ref: net/netfilter/nf_flow_table_core.c:flow_offload_add, flow_offload_refresh,
nf_flow_offload_gc_step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.flows.entry import FlowFlag
from flowtable.flows.hardware import Command

if TYPE_CHECKING:
    from flowtable.flows.entry import FlowEntry
    from flowtable.flows.hardware import Hardware
    from flowtable.flows.workqueue import WorkQueues
    from flowtable.ruleset import model


class Offloading:
    """The hardware of one flowtable, told of its flows through the work queues.

    Attributes:
        sound: whether it does what Linux leaves out, see ``Profile.sound_offload``.
    """

    __slots__ = ("_hardware", "_work", "sound")

    def __init__(self, hardware: Hardware, work: WorkQueues, *, sound: bool) -> None:
        self._hardware = hardware
        self._work = work
        self.sound = sound

    def begin(self, entry: FlowEntry, now: int) -> None:
        """A flow was added."""
        self._work.adopt(entry, now)
        self._work.request(Command.REPLACE, entry, self._hardware, now)

    def change(self, entry: FlowEntry, now: int) -> None:
        """Something about a flow changed, of which Linux tells hardware nothing."""
        if self.sound:
            self._work.request(Command.REPLACE, entry, self._hardware, now)

    def end(self, entry: FlowEntry, now: int) -> None:
        """A flow is about to be freed: hardware has to forget it, if it was not told already."""
        if not entry.flags & FlowFlag.HW_DYING:
            self._work.request(Command.DESTROY, entry, self._hardware, now)

    def read(self, entry: FlowEntry, now: int) -> None:
        """Have the counters of a live flow up to date; Linux has what its workers have read."""
        if self.sound and not entry.torn_down:
            self._work.read(entry, self._hardware, now)

    def collect(self, entry: FlowEntry, idle: int, now: int) -> bool:
        """Garbage collection comes by a flow.

        Packets that passed in software ask for the flow to be in hardware again, once a second at
        most. Counters are read while it is quiet in software.

        Args:
            entry: the flow.
            idle: its idle timeout, nanoseconds.
            now: the time.

        Returns:
            Whether it can be freed: it is torn down, and hardware has forgotten it.

        Ref: net/netfilter/nf_flow_table_offload.c:nf_flow_offload_stats.
        """
        flags, state = entry.flags, entry.hardware
        assert state is not None
        if flags & (FlowFlag.TEARDOWN | FlowFlag.CLOSING):
            self.end(entry, now)
            return bool(flags & FlowFlag.TEARDOWN and flags & FlowFlag.HW_DEAD)
        passed = sum(direction.packets for direction in entry.directions)
        if passed != state.passed:
            state.passed = passed
            self._work.request(Command.REPLACE, entry, self._hardware, now)
        if entry.expires - now < idle * 9 // 10:
            self._work.request(Command.STATS, entry, self._hardware, now)
        return False

    def flush(self, now: int) -> None:
        """Do all that waits at once."""
        self._work.flush(self._hardware, now)

    def rebind(self, declaration: model.Flowtable) -> None:
        """The flowtable is on other devices now."""
        self._hardware.rebind(declaration)

    def lose(self, driver: str) -> frozenset[int]:
        """A driver went away with its rules; the indexes of the devices that it had."""
        return self._hardware.drop(driver)
