"""From a connection that the rules marked to a flow on the fast path, and back.

The engine reads no socket and no clock. It is told of marked connections and of time, offers the
connections to the flowtables, tries again those that were refused for a reason that may pass, and
says what happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, Protocol

from flowtable.clock import MILLISECOND, SECOND
from flowtable.conntrack.tuple import ORIGINAL, REPLY
from flowtable.flows.flowtables import Flowtables
from flowtable.flows.offer import Offer
from flowtable.flows.refusal import Refusal
from flowtable.topology.route import RouteType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.removal import Removal
    from flowtable.flows.datapath import Veto
    from flowtable.flows.entry import FlowEntry
    from flowtable.flows.flowtable import DatapathFactory, Flowtable
    from flowtable.flows.teardown import Teardown
    from flowtable.flows.tracking import Tracking
    from flowtable.profile import Profile
    from flowtable.ruleset import model
    from flowtable.topology.topology import Topology

FIRST_RETRY: Final = 20 * MILLISECOND
LAST_RETRY: Final = 30 * SECOND
"""What was refused is tried again after twice the time each time, up to this."""

FOR_GOOD: Final = frozenset(
    {
        Refusal.PROTOCOL,
        Refusal.HELPER,
        Refusal.SEQ_ADJUST,
        Refusal.NAT_CLASH,
        Refusal.GRE_NAT,
        Refusal.GRE_KEY,
        Refusal.DYING,
    }
)
"""Refusals that a connection keeps for its life."""


@dataclass(slots=True)
class Refused:
    """A connection that the rules want offloaded and that is not.

    Attributes:
        connection: the connection.
        flowtable: where the rules want it.
        reason: why it is not.
        since: the time of the first refusal, nanoseconds.
        tries: how often it was offered.
        due: when it will be offered again, None for never.
    """

    connection: Connection
    flowtable: Flowtable
    reason: Refusal
    since: int
    tries: int
    due: int | None


class Listener(Protocol):
    """Who is told what happened."""

    def added(self, entry: FlowEntry, now: int) -> None:
        """A connection is on the fast path."""

    def refused(self, refused: Refused, now: int) -> None:
        """A connection is not taken, or not for the reason of the last time."""

    def ended(self, entry: FlowEntry, reason: Teardown, now: int) -> None:
        """A flow ended: packets of the connection take the classic path."""


class Engine:
    """The flows of a host.

    Attributes:
        flowtables: its flowtables.
        added: how many flows were added so far.
    """

    def __init__(
        self,
        topology: Topology,
        tracking: Tracking,
        profile: Profile,
        datapath: DatapathFactory,
        listener: Listener,
        now: int,
        veto: Veto | None = None,
    ) -> None:
        """Begin without flowtables.

        Args:
            topology: the host.
            tracking: its connections.
            profile: how its flowtables behave.
            datapath: makes what forwards the packets of a flowtable.
            listener: told what happens.
            now: the time, nanoseconds.
            veto: may refuse flows that could be added otherwise.
        """
        self.added = 0
        self._topology = topology
        self._listener = listener
        self._refused: dict[tuple[Connection, Flowtable], Refused] = {}
        self._due: list[tuple[int, int, Refused]] = []
        self._number = 0
        self.flowtables = Flowtables(
            topology, tracking, profile, datapath, on_teardown=listener.ended, now=now, veto=veto
        )
        tracking.subscribe(self._destroyed)

    def declare(self, old: model.Ruleset, new: model.Ruleset, now: int) -> None:
        """Have the flowtables of a ruleset; those that it shares with the old one keep their flows."""
        self.flowtables.follow(old, new, now)
        kept = set(self.flowtables)
        for key in [key for key in self._refused if key[1] not in kept]:
            del self._refused[key]

    def marked(self, connection: Connection, flowtable: Flowtable, now: int) -> Refusal | None:
        """The rules want a connection in a flowtable; harmless to be told again.

        Returns:
            Why it is not there now; None if it is.
        """
        if self.flowtables.entry(connection) is not None:
            return None
        if connection.tcp is not None and connection.tcp.closing:
            # Its last packets are as much marked as the others.
            self._refused.pop((connection, flowtable), None)
            return Refusal.TCP_CLOSING
        refusal = self._offer(connection, flowtable, now)
        key = (connection, flowtable)
        if refusal is None:
            self._refused.pop(key, None)
            self.added += 1
            entry = self.flowtables.entry(connection)
            assert entry is not None
            self._listener.added(entry, now)
            return None
        known = self._refused.get(key)
        if known is None:
            known = self._refused[key] = Refused(connection, flowtable, refusal, now, 0, None)
        news = known.tries == 0 or known.reason is not refusal
        known.reason = refusal
        known.tries += 1
        if refusal not in FOR_GOOD:
            known.due = now + min(FIRST_RETRY << min(known.tries - 1, 16), LAST_RETRY)
            self._number += 1
            heappush(self._due, (known.due, self._number, known))
        if news:
            self._listener.refused(known, now)
        return refusal

    def _offer(self, connection: Connection, flowtable: Flowtable, now: int) -> Refusal | None:
        offer = make_offer(connection, self._topology)
        return Refusal.NO_ROUTE if offer is None else flowtable.add_connection(offer, now)

    def _destroyed(self, connection: Connection, now: int, reason: Removal) -> None:
        for flowtable in self.flowtables:
            self._refused.pop((connection, flowtable), None)

    @property
    def refused(self) -> Iterator[Refused]:
        """The connections that are refused at the moment."""
        return iter(list(self._refused.values()))

    @property
    def refusals(self) -> int:
        """How many those are."""
        return len(self._refused)

    @property
    def next_due(self) -> int | None:
        """When to ``advance`` next, nanoseconds; None while nothing waits for a time."""
        due = self.flowtables.next_due
        while self._due and not self._waits(self._due[0]):
            heappop(self._due)
        if self._due and (due is None or self._due[0][0] < due):
            return self._due[0][0]
        return due

    def _waits(self, item: tuple[int, int, Refused]) -> bool:
        """Whether a time that was written down still holds."""
        due, _, refused = item
        return refused.due == due and self._refused.get((refused.connection, refused.flowtable)) is refused

    def advance(self, now: int) -> None:
        """Collect garbage, and offer again what is due."""
        self.flowtables.advance(now)
        while self._due and self._due[0][0] <= now:
            item = heappop(self._due)
            if self._waits(item):
                refused = item[2]
                self.marked(refused.connection, refused.flowtable, now)

    def forget(self) -> None:
        """Forget what was refused."""
        self._refused.clear()
        self._due.clear()

    def flush(self, now: int) -> None:
        """End all flows, and forget what was refused."""
        self.forget()
        for flowtable in self.flowtables:
            flowtable.flush(now)


def make_offer(connection: Connection, topology: Topology) -> Offer | None:
    """How packets of the original direction of a connection are routed; None if they are not.

    Nobody saw them: they come from where answers to them would go, as reverse path filters assume.
    Marks that rules give to packets are not known; that of the connection, which rules often copy
    there, is.
    """
    fib = topology.fib(connection.l3proto)
    sender, receiver = connection.tuple(ORIGINAL).src, connection.tuple(REPLY).src
    mark = connection.mark
    back = fib.lookup(sender, source=receiver, mark=mark)
    if back is None or back.type is not RouteType.UNICAST or back.device is None:
        return None
    route = fib.lookup(receiver, iif=back.device, source=sender, mark=mark)
    if route is None or route.type is not RouteType.UNICAST or route.device is None:
        return None
    return Offer(connection, reply=False, iif=back.device, route=route, mark=mark, station=None)
