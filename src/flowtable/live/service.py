"""The service of a network namespace: its parts put together, and what is done with all of them.

The kernel forwards; the service decides. Whatever happens to it, packets that no flow matches take
the classic path, and when the process ends the kernel takes the fast path off the devices.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.datapath.xdp_datapath import XdpDatapath
from flowtable.flows.teardown import Teardown
from flowtable.live.checksum import Checksums
from flowtable.live.connections import Connections
from flowtable.live.declared import NOTHING, declared
from flowtable.live.devices import Choice, Devices
from flowtable.live.doctor.ethtool import Ethtool
from flowtable.live.engine import Engine
from flowtable.live.generation import Generations
from flowtable.live.ipsec import Ipsec
from flowtable.live.journal import Journal
from flowtable.live.keeper import NeighbourKeeper
from flowtable.live.load import LoadError, Rules
from flowtable.live.mark import Carrier, Mark
from flowtable.live.mirror.mirror import Mirror
from flowtable.live.next_hops import NextHops
from flowtable.live.place import Hold, state_path
from flowtable.live.rates import Rates
from flowtable.live.rejoin import rejoin_text
from flowtable.live.review import Review
from flowtable.live.ruleset_file import RulesetFile, read_ruleset
from flowtable.live.veto import Veto
from flowtable.profile import DEFAULT
from flowtable.topology.event import SysctlChanged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.conntrack.connection import Connection
    from flowtable.flows.entry import FlowEntry
    from flowtable.flows.flowtable import Flowtable
    from flowtable.topology.event import Event

Ended = list[tuple["FlowEntry", Teardown]]

SETTLE: Final = SECOND // 10
"""After others changed rules, they are looked at so much later: often more than one change comes."""
REVIEWED: Final = 20_000
"""More flows than this are rather learnt anew than held against changed rules one by one."""
SYSCTLS: Final = 10 * SECOND
"""Between two looks at the sysctls, which change without a word."""


@dataclass(frozen=True, slots=True)
class Options:
    """What an operator wants.

    Attributes:
        ruleset: the file to load; None to take the rules that are in the kernel.
        xdp: where the fast path is to run.
        capacity: for how many flows there is to be room.
        carrier: where new flowtables get the bit that marks their connections.
    """

    ruleset: Path | None
    xdp: Choice
    capacity: int
    carrier: Carrier = Carrier.LABEL


class Service:
    """A service, from when it holds its network namespace until it lets go of it.

    Attributes:
        options: what the operator wants.
        pid: the process.
        started: when it began, monotonic nanoseconds.
        mirror: the host.
        connections: its connections that rules marked.
        generations: what others do to the rules.
        ipsec: which packets IPsec takes.
        datapath: the fast path.
        devices: where it runs.
        engine: the flows.
        journal: what happened to them.
        rates: how fast they are.
        rules: the ruleset that was loaded, None where it was not from a file.
    """

    def __init__(self, options: Options) -> None:
        """Load the rules and put the fast path on the devices.

        Raises:
            HeldError: another service holds the namespace.
            LoadError: the rules cannot be loaded.
            BpfError: the kernel does not take the fast path.
            OSError: something else is refused.
        """
        self.options = options
        self.pid = os.getpid()
        self.started = time.monotonic_ns()
        self.rules: RulesetFile | None = None
        self.rates = Rates()
        self._declared = NOTHING
        self._flowtables: dict[Mark, Flowtable] = {}
        self._look_at_rules: int | None = None
        self._chores = self._sysctls = self.started
        self._keep_rules = False
        with ExitStack() as stack:
            stack.callback(Hold().release)
            self._loaded = Rules(state_path())
            self.journal = Journal(self._unmark, time.time)
            self.generations = stack.enter_context(closing(Generations()))
            self.mirror = stack.enter_context(Mirror())
            self.connections = stack.enter_context(
                closing(Connections(self.mirror.topology.sysctls, self._marked))
            )
            self.datapath = stack.enter_context(
                closing(XdpDatapath(self.mirror.topology, DEFAULT, _end, capacity=options.capacity))
            )
            keeper = stack.enter_context(closing(NeighbourKeeper()))
            self._next_hops = NextHops(self.mirror.topology.neighbours, keeper)
            ethtool = stack.enter_context(closing(Ethtool()))
            self.ipsec = stack.enter_context(closing(Ipsec()))
            checksums = stack.enter_context(closing(Checksums(ethtool, time.monotonic_ns)))
            self.devices = Devices(
                self.mirror.topology, self.datapath, checksums, ethtool, options.xdp, self.journal.trouble
            )
            self._veto = Veto(
                self.devices,
                self.ipsec.takes,
                options.capacity,
                lambda: sum(map(len, self.engine.flowtables)),
            )
            self.engine = Engine(
                self.mirror.topology,
                self.connections,
                DEFAULT,
                lambda family, profile, on_end: self.datapath,
                self.journal,
                self.started,
                self._veto,
            )
            self.mirror.topology.subscribe(self._topology_changed)
            stack.callback(self._undo)
            if options.ruleset is not None:
                self._load(options.ruleset)
            self._declare()
            self.connections.unmark_all()
            self._stack = stack.pop_all()

    def close(self, *, keep_rules: bool = False) -> None:
        """Take the fast path off, and put back the rules that were there before.

        Args:
            keep_rules: leave the rules as they are instead.
        """
        self._keep_rules = keep_rules
        now = time.monotonic_ns()
        self.engine.flush(now)
        self.connections.write()
        self._stack.close()

    def _undo(self) -> None:
        if self._keep_rules:
            self._loaded.forget()
            return
        try:
            self._loaded.undo()
        except LoadError as error:
            self.journal.trouble(f"the rules stay: {error}")

    def _load(self, path: Path) -> None:
        marks = {kept.key: kept.mark for kept in declared().flowtables}
        rules = read_ruleset(path, marks, self.options.carrier)
        self._loaded.load(rules.text, rules.tables)
        self.rules = rules

    def _declare(self) -> None:
        """Have the flowtables that the kernel remembers."""
        # What is announced until now is what is read now.
        self.generations.read()
        now = time.monotonic_ns()
        before, self._declared = self._declared, declared(self._declared)
        self._veto.declared = self._declared
        self.engine.declare(before.ruleset, self._declared.ruleset, now)
        self._flowtables = {
            kept.mark: self.engine.flowtables.get(*kept.key) for kept in self._declared.flowtables
        }
        self.connections.marks = tuple(self._flowtables)
        self.devices.want(
            sorted({name for kept in self._declared.flowtables for name in kept.flowtable.devices})
        )

    def _topology_changed(self, event: Event) -> None:
        if isinstance(event, SysctlChanged):
            self.connections.configure(self.mirror.topology.sysctls)

    def _marked(self, connection: Connection, mark: Mark) -> None:
        """Rules marked a connection."""
        flowtable = self._flowtables.get(mark)
        if flowtable is not None:
            self.engine.marked(connection, flowtable, time.monotonic_ns())

    def _unmark(self, connection: Connection, flowtable: Flowtable) -> None:
        for mark, known in self._flowtables.items():
            if known is flowtable:
                self.connections.unmark(connection, mark)

    def advance(self, now: int) -> None:
        """Do what is due, and have the kernel know of it."""
        if self._chores <= now:
            self._chores = now + SECOND
            self.journal.advance(now)
            self._next_hops.keep(self.engine.flowtables.next_hops, now)
            self.devices.look()
        if self._sysctls <= now:
            self._sysctls = now + SYSCTLS
            self.mirror.reread_sysctls()
        if self._look_at_rules is not None and self._look_at_rules <= now:
            self.look_at_rules()
        self.engine.advance(now)
        self.connections.write()

    @property
    def next_due(self) -> int | None:
        """When to ``advance`` next, monotonic nanoseconds."""
        times = (self.engine.next_due, self._look_at_rules, self._chores)
        return min((each for each in times if each is not None), default=None)

    def policies_changed(self) -> None:
        """IPsec has other policies: what it has to encrypt now leaves the fast path at once."""
        if self.ipsec.read():
            for entry in list(self.engine.flowtables.entries()):
                if self.ipsec.takes(entry):
                    entry.flowtable.teardown(entry, Teardown.IPSEC, time.monotonic_ns())

    def rules_changed(self) -> None:
        """Others changed rules: soon look what has become of ours."""
        if self.generations.read() and self._look_at_rules is None:
            self._look_at_rules = time.monotonic_ns() + SETTLE

    def look_at_rules(self) -> None:
        """Take over the flowtables that there are now, and let the rules decide of every flow anew."""
        self._look_at_rules = None
        try:
            self._declare()
        except LoadError as error:
            self.journal.trouble(str(error))
        self._decide_anew()

    def flush(self) -> Ended:
        """End all flows; packets bring back those that the rules want."""
        with self._ending() as ended:
            self.connections.read()
            self.engine.flush(time.monotonic_ns())
            self.connections.unmark_all()
        return ended

    def reload(self, path: str | None) -> Ended:
        """Load a ruleset in place of the one that is loaded.

        Args:
            path: the file; None for the same as before.

        Returns:
            The flows that ended by it.

        Raises:
            LoadError: it cannot be loaded; everything is as it was.
        """
        chosen = self.options.ruleset if path is None else Path(path)
        if chosen is None:
            raise LoadError("the service was started without a ruleset file: name one")
        self._load(chosen)
        with self._ending() as ended:
            self._declare()
            self._decide_anew()
        return ended

    def _decide_anew(self) -> None:
        """Let the rules of now decide of what those of before have marked."""
        # What is known of marks until now is of before.
        self.connections.read()
        now = time.monotonic_ns()
        review = self._review()
        if review is None:
            self.engine.flush(now)
        else:
            self.engine.forget()
            for entry in list(self.engine.flowtables.entries()):
                if not review.allows(entry):
                    entry.flowtable.teardown(entry, Teardown.RULES, now)
        self.connections.unmark_all()

    def _review(self) -> Review | None:
        """The rules, to ask about flows; None where it is better to begin anew with all of them."""
        if sum(map(len, self.engine.flowtables)) > REVIEWED:
            return None
        try:
            listing = rejoin_text(self._declared.listing, self._declared.flowtables)
            return Review(listing, self.mirror.topology, time.time_ns())
        except LoadError as error:
            self.journal.trouble(f"all flows begin anew, as the rules are not understood: {error}")
            return None

    @contextmanager
    def _ending(self) -> Iterator[Ended]:
        """Note the flows that end meanwhile."""
        ended: Ended = []
        self.journal.ending = ended
        try:
            yield ended
        finally:
            self.journal.ending = None

    @property
    def troubles(self) -> list[str]:
        """What the operator should know."""
        return [*self.mirror.notes(), *self.replaced()]

    def replaced(self) -> list[str]:
        """Our tables that somebody else has deleted or replaced, in words."""
        try:
            return [
                f"table {each} is not ours any more: somebody replaced it" for each in self._loaded.replaced()
            ]
        except LoadError as error:
            return [str(error)]

    @property
    def overruns(self) -> int:
        """How often the kernel had more to say than was read."""
        return self.mirror.overruns + self.connections.overruns


def _end(entry: FlowEntry, reason: Teardown, now: int) -> None:
    entry.flowtable.teardown(entry, reason, now)
