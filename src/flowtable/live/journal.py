"""What happened to flows: counted, and told to whoever monitors."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.conntrack.connection import TcpState
from flowtable.flows.teardown import Teardown
from flowtable.live.control import CountRow, Event
from flowtable.live.rows import connection_tuples, title

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.conntrack.connection import Connection
    from flowtable.flows.entry import FlowEntry
    from flowtable.flows.flowtable import Flowtable
    from flowtable.live.engine import Refused
    from flowtable.packet.reason import Reason


_CLOSING: Final = (Teardown.FIN, Teardown.RST)
_CLOSED: Final = 2 * SECOND
"""By then a connection whose FIN or RST connection tracking believes is not established any more."""


class Journal:
    """Hears of an engine what happens.

    Attributes:
        tell: told every event; None while nobody wants them.
        unmark: called with the connection of each flow that ended, so that rules can want it again.
        ending: flows that end are noted here while it is a list.
    """

    def __init__(self, unmark: Callable[[Connection, Flowtable], None], clock: Callable[[], float]) -> None:
        """Begin.

        Args:
            unmark: see the attribute.
            clock: seconds since 1970.
        """
        self.tell: Callable[[Event], None] | None = None
        self.unmark = unmark
        self.ending: list[tuple[FlowEntry, Teardown]] | None = None
        self._clock = clock
        self._ended: Counter[Teardown] = Counter()
        self._closing: deque[tuple[int, Connection, Flowtable]] = deque()

    @property
    def ended_rows(self) -> tuple[CountRow, ...]:
        """How many flows ended, by reason."""
        return tuple(CountRow(reason.name, count, reason.text) for reason, count in self._ended.most_common())

    def added(self, entry: FlowEntry, now: int) -> None:
        """A connection is on the fast path."""
        self._tell("added", entry.connection, entry.flowtable)

    def refused(self, refused: Refused, now: int) -> None:
        """A connection is not taken."""
        self._tell("refused", refused.connection, refused.flowtable, refused.reason)

    def ended(self, entry: FlowEntry, reason: Teardown, now: int) -> None:
        """A flow ended."""
        self._ended[reason] += 1
        if self.ending is not None:
            self.ending.append((entry, reason))
        if reason in _CLOSING:
            # Its last packets are not to be added again: the kernel would not do that either.
            self._closing.append((now + _CLOSED, entry.connection, entry.flowtable))
        else:
            self.unmark(entry.connection, entry.flowtable)
        self._tell("ended", entry.connection, entry.flowtable, reason)

    def advance(self, now: int) -> None:
        """Let rules want connections again that a FIN or RST of somebody else was to close."""
        while self._closing and self._closing[0][0] <= now:
            _, connection, flowtable = self._closing.popleft()
            if connection.tcp is not None and connection.tcp.state == TcpState.ESTABLISHED:
                self.unmark(connection, flowtable)

    def trouble(self, text: str) -> None:
        """Something is not as the operator wants it."""
        if self.tell is not None:
            self.tell(Event(self._clock(), "trouble", text=text))

    def _tell(
        self, what: str, connection: Connection, flowtable: Flowtable, reason: Reason | None = None
    ) -> None:
        if self.tell is None:
            return
        original, reply = connection_tuples(connection)
        self.tell(
            Event(
                self._clock(),
                what,
                title(flowtable),
                connection.l4proto,
                original,
                reply,
                "" if reason is None else reason.name,
                "" if reason is None else reason.text,
            )
        )
