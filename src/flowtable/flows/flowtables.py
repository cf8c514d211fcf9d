"""All flowtables of a box, and what happens around them that concerns their flows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.clock import Alarm
from flowtable.flows.flowtable import Flowtable
from flowtable.flows.ledger import Ledger
from flowtable.flows.offloading import Offloading
from flowtable.flows.watch import Watch
from flowtable.flows.workqueue import WorkQueues

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.removal import Removal
    from flowtable.flows.capacity import Capacity
    from flowtable.flows.datapath import OnEnd, Veto
    from flowtable.flows.entry import FlowEntry
    from flowtable.flows.flowtable import DatapathFactory
    from flowtable.flows.hardware import Hardware
    from flowtable.flows.teardown import Teardown
    from flowtable.flows.tracking import Tracking
    from flowtable.profile import Profile
    from flowtable.ruleset import model
    from flowtable.ruleset.family import Family
    from flowtable.topology.topology import Topology

    HardwareFactory = Callable[[model.Flowtable], Hardware | None]


def _without(declaration: model.Flowtable) -> Hardware | None:
    return None


def _ignore(entry: FlowEntry, reason: Teardown, now: int) -> None:
    pass


class Flowtables:
    """The flowtables of a box, in the order of their creation.

    It listens to the topology and to conntrack. The events of the topology carry no time: they
    happen at the latest time that it or conntrack was told of, ``now``.

    Attributes:
        work: the queues to the hardware.
    """

    def __init__(
        self,
        topology: Topology,
        conntrack: Tracking,
        profile: Profile,
        datapath: DatapathFactory,
        *,
        on_teardown: OnEnd = _ignore,
        alarm: Alarm | None = None,
        hardware: HardwareFactory = _without,
        now: int = 0,
        veto: Veto | None = None,
        capacity: Capacity | None = None,
    ) -> None:
        """Begin without any.

        Args:
            topology: the box.
            conntrack: its connections.
            profile: how its flowtables behave.
            datapath: makes what forwards the packets of a flowtable.
            on_teardown: told of every flow that ended, once, with the reason.
            alarm: told when ``advance`` will have something to do.
            hardware: finds what forwards the flows of a flowtable besides software, None for nothing.
            now: the time.
            veto: may refuse flows that could be added otherwise.
            capacity: for how many flows each has room, None for any number.
        """
        self._now = now
        self._veto = veto
        self._capacity = capacity
        self._topology = topology
        self._conntrack = conntrack
        self._profile = profile
        self._datapath = datapath
        self._on_teardown = on_teardown
        self._alarm = Alarm() if alarm is None else alarm
        self._ledger = Ledger()
        self._hardware = hardware
        self.work = WorkQueues(profile, self._alarm)
        self._flowtables: dict[tuple[Family, str, str], Flowtable] = {}
        self._watch = Watch(topology, self._ledger, profile, lambda: self.now, self._set_idle_timeouts)
        conntrack.subscribe(self._destroyed)
        conntrack.on_offloaded = self.synchronise

    def __iter__(self) -> Iterator[Flowtable]:
        return iter(list(self._flowtables.values()))

    def __len__(self) -> int:
        return len(self._flowtables)

    @property
    def now(self) -> int:
        """The latest time it was told of, nanoseconds."""
        return max(self._now, self._conntrack.now)

    def create(self, declaration: model.Flowtable) -> Flowtable:
        """Make a flowtable that a ruleset declares."""
        hardware = self._hardware(declaration)
        flowtable = Flowtable(
            declaration,
            self._profile,
            self._topology,
            self._conntrack,
            self._ledger,
            self._datapath,
            self._on_teardown,
            self._alarm,
            self.now,
            self._veto,
            None if hardware is None else Offloading(hardware, self.work, sound=self._profile.sound_offload),
            self._capacity,
        )
        self._flowtables[declaration.family, declaration.table, declaration.name] = flowtable
        return flowtable

    def follow(self, old: model.Ruleset, new: model.Ruleset, now: int) -> None:
        """Have the flowtables that a ruleset declares: those that it has of the old one keep their flows.

        One that was deleted, or whose table was, is another one, even by the same name.
        """
        known, declared = _by_handles(old), _by_handles(new)
        for handles, declaration in known.items():
            flowtable = self.get(declaration.family, declaration.table, declaration.name)
            if handles in declared:
                flowtable.declare(declared.pop(handles))
            else:
                self.delete(flowtable, now)
        for declaration in declared.values():
            self.create(declaration)

    def _set_idle_timeouts(self) -> None:
        for flowtable in self:
            flowtable.set_idle_timeouts()

    def get(self, family: Family, table: str, name: str) -> Flowtable:
        """The flowtable of that name in that table.

        Raises:
            KeyError: there is none.
        """
        return self._flowtables[family, table, name]

    def delete(self, flowtable: Flowtable, now: int) -> None:
        """Flush a flowtable and forget it."""
        declaration = flowtable.declaration
        flowtable.flush(now)
        del self._flowtables[declaration.family, declaration.table, declaration.name]

    def lose(self, driver: str, now: int) -> None:
        """A driver of hardware went away."""
        for flowtable in self:
            flowtable.lose(driver, now)

    @property
    def next_due(self) -> int | None:
        """When to ``advance`` next, nanoseconds; None while all flowtables are empty."""
        # Asked for with every packet on the classic path.
        first = self.work.next_due
        for flowtable in self._flowtables.values():
            due = flowtable.next_due
            if due is not None and (first is None or due < first):
                first = due
        return first

    def advance(self, now: int) -> None:
        """Collect the garbage that fell due until ``now``, in the order of its times.

        Call it before conntrack looks for what timed out, which depends on what is done here.
        """
        while (due := self.next_due) is not None and due <= now:
            self._now = due
            self.work.advance(due)
            for flowtable in self:
                if flowtable.next_due == due:
                    flowtable.collect(due)
        self._now = max(self._now, now)

    @property
    def examined(self) -> int:
        """How often a change around the flows made one of them be looked at."""
        return self._watch.examined

    @property
    def next_hops(self) -> Iterable[tuple[int, bytes]]:
        """The neighbours that flows come from and go to, by device index and address."""
        return self._ledger.neighbours

    def entry(self, connection: Connection) -> FlowEntry | None:
        """The newest flow of a connection, torn down or not; None without."""
        return self._ledger.connections.get(connection)

    def entries(self) -> Iterator[FlowEntry]:
        """The flows of all flowtables, those included that are torn down and not freed yet."""
        for flowtable in self:
            yield from flowtable

    def synchronise(self, connection: Connection) -> None:
        """Let a connection know of the packets that took the fast path until now.

        Garbage collection and teardown do it anyway; whoever looks at the counters of an
        offloaded connection in between asks for it.
        """
        entry = self._ledger.connections.get(connection)
        if entry is not None:
            entry.flowtable.look(entry)

    def synchronise_all(self) -> None:
        """``synchronise`` all connections, as before a listing."""
        for entry in self.entries():
            entry.flowtable.synchronise(entry, self.now)

    def _destroyed(self, connection: Connection, now: int, reason: Removal) -> None:
        """Ref: net/netfilter/nf_flow_table_core.c:flow_offload_lookup, nf_flow_offload_gc_step."""
        entry = self._ledger.connections.get(connection)
        if entry is not None:
            entry.flowtable.disconnect(entry, now)


def _by_handles(ruleset: model.Ruleset) -> dict[tuple[int, int], model.Flowtable]:
    """The flowtables of a ruleset by the handles of their table and of themselves."""
    return {
        (table.handle, flowtable.handle): flowtable
        for table in ruleset.tables.values()
        for flowtable in table.flowtables.values()
    }
