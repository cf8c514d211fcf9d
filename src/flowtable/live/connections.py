"""The connections of the host that matter to its flowtables: ``flows.tracking.Tracking`` of a live box.

Linux tells of its connections and takes orders about them; those that rules marked are kept here
as the flowtables know connections. What changes is written back in batches.
"""

from __future__ import annotations

import time
from errno import ENOENT
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final, Protocol

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Status
from flowtable.conntrack.removal import Removal
from flowtable.conntrack.settings import Settings
from flowtable.live.ctnetlink.attribute import MalformedError
from flowtable.live.ctnetlink.constants import Cta
from flowtable.live.ctnetlink.report import Event
from flowtable.live.ctnetlink.request import Change, Masked
from flowtable.live.ctnetlink.table import KernelTable
from flowtable.live.mark import Carrier
from flowtable.live.tracked import OURS, Tracked
from flowtable.packet.packet import TCP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.table import OnDestroy
    from flowtable.live.ctnetlink.message import Request
    from flowtable.live.ctnetlink.report import Identity, Report
    from flowtable.live.mark import Mark
    from flowtable.topology.sysctl import Sysctls

    OnMarked = Callable[[Connection, Mark], None]

_SPARE: Final = 1000
"""So many plans for what is gone are no matter."""
_LAST_LOOK: Final = 2 * SECOND
"""So long before a connection would time out in Linux it is looked whether it should, for the last time."""
_FIRST_POLL: Final = 2 * SECOND
_LAST_POLL: Final = 64 * SECOND


class Kernel(Protocol):
    """The connection table of Linux."""

    def fileno(self) -> int:
        """What to wait on for ``read``."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...

    def read(self) -> list[Report]:
        """What it tells, except of what was written."""
        ...

    def overrun(self) -> bool:
        """Whether something it told was lost since the last call."""
        ...

    def dump(self) -> Iterator[Report]:
        """All of it."""
        ...

    def look(self, identities: Sequence[Identity]) -> list[Report | None]:
        """Some of it; None for what is not in it."""
        ...

    def write(self, requests: Sequence[Request]) -> list[tuple[int, int]]:
        """Change it; of what failed the place and the error number."""
        ...


class Connections:
    """Connections that rules marked.

    Attributes:
        on_offloaded: as in ``Tracking``.
        overruns: how often Linux told more than was read.
    """

    def __init__(
        self,
        sysctls: Sysctls,
        on_marked: OnMarked,
        kernel: Kernel | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Begin to listen.

        Args:
            sysctls: of the host.
            on_marked: called with each connection that carries one of the ``marks``, whenever Linux
                says something of it.
            kernel: its connection table.
            clock: the time, nanoseconds.

        Raises:
            PermissionError: this takes CAP_NET_ADMIN in the namespace.
            OSError: the kernel does not track connections, or does not tell of them.
        """
        self.on_offloaded: Callable[[Connection], None] | None = None
        self.overruns = 0
        self._settings = Settings.of(sysctls)
        self._on_marked = on_marked
        self._kernel: Kernel = KernelTable() if kernel is None else kernel
        self._clock = clock
        self._listeners: list[OnDestroy] = []
        self._marks: tuple[Mark, ...] = ()
        self._labels = self._mark = 0
        self._by_identity: dict[Identity, Tracked] = {}
        self._by_connection: dict[Connection, Tracked] = {}
        self._changed: dict[Tracked, None] = {}
        self._due: list[tuple[int, int, Tracked]] = []
        self._number = 0
        # Those that began before somebody listened, by their numbers: Linux tells nothing of them.
        self._silent = {report.ident for report in self._kernel.dump()}
        self._pause = _FIRST_POLL
        self._poll = clock() + _FIRST_POLL

    def fileno(self) -> int:
        """What to wait on for ``read``."""
        return self._kernel.fileno()

    def close(self) -> None:
        """Stop listening."""
        self._kernel.close()

    def __len__(self) -> int:
        return len(self._by_identity)

    @property
    def marks(self) -> tuple[Mark, ...]:
        """What to look for."""
        return self._marks

    @marks.setter
    def marks(self, marks: tuple[Mark, ...]) -> None:
        self._marks = marks
        self._labels = _bits(marks, Carrier.LABEL)
        self._mark = _bits(marks, Carrier.MARK)

    @property
    def settings(self) -> Settings:
        """What the sysctls said."""
        return self._settings

    def configure(self, sysctls: Sysctls) -> None:
        """Go by what the sysctls say now."""
        self._settings = Settings.of(sysctls)

    @property
    def now(self) -> int:
        """The time, monotonic nanoseconds."""
        return self._clock()

    def subscribe(self, on_destroy: OnDestroy) -> None:
        """Call ``on_destroy(connection, now, reason)`` after each removal from now on."""
        self._listeners.append(on_destroy)

    @property
    def known(self) -> list[Connection]:
        """All that are known here."""
        return list(self._by_connection)

    def find(self, identity: Identity) -> Connection | None:
        """The connection that Linux knows by this, None if it is not known here."""
        tracked = self._by_identity.get(identity)
        return None if tracked is None else tracked.connection

    def set_timeout(self, connection: Connection, expires: int) -> None:
        """Let a connection time out at ``expires``; Linux hears of it before it matters."""
        connection.expires = expires
        tracked = self._by_connection.get(connection)
        if tracked is None:
            return
        if expires < tracked.expires:
            tracked.settle = True
            self._changed[tracked] = None
        elif not tracked.due:
            self._plan(tracked, self._clock())

    def offload(self, connection: Connection) -> None:
        """The fast path has a connection, from when this returns.

        Linux has to be liberal with it before: the first packet that comes back to the classic path
        may be outside of the windows already, and what is invalid is not translated.
        """
        tracked = self._by_connection[connection]
        tracked.offload()
        order = tracked.request()
        if order is not None:
            self._kernel.write([order])
        self._plan(tracked, self._clock())

    def take_back(self, connection: Connection) -> None:
        """The classic path has a connection again."""
        tracked = self._by_connection.get(connection)
        if tracked is None:
            connection.status &= ~OURS
            return
        tracked.take_back()
        self._changed[tracked] = None

    def unmark(self, connection: Connection, mark: Mark) -> None:
        """Take a mark from a connection; the next packet that rules want offloaded brings it back."""
        tracked = self._by_connection.get(connection)
        if tracked is not None:
            tracked.unmark(_bits((mark,), Carrier.LABEL), _bits((mark,), Carrier.MARK))
            self._changed[tracked] = None

    def unmark_all(self) -> None:
        """Take the ``marks`` from all connections, those included that are not known here."""
        change = Change(labels=Masked(0, self._labels), mark=Masked(0, self._mark))
        self._kernel.write(
            [change.request(report.identity) for report in self._kernel.dump() if self._marked(report)]
        )
        for tracked in self._by_identity.values():
            tracked.connection.labels &= ~self._labels
            tracked.connection.mark &= ~self._mark

    def read(self) -> None:
        """Take in what Linux tells."""
        reports = self._kernel.read()
        now = self._clock()
        lost = False
        for report in reports:
            try:
                self._report(report, now)
            except MalformedError:
                lost = True
        if self._kernel.overrun() or lost:
            self.overruns += 1
            # Linux says once that something is lost, and again only after all else has been read, so
            # the table has to be looked through behind that. Ref: net/netlink/af_netlink.c:
            # netlink_overrun, netlink_rcv_wake.
            while self._kernel.read():
                pass
            self._kernel.overrun()
            self.resynchronise()

    def resynchronise(self) -> None:
        """Look through the whole table, as after an overrun: for what is new, changed and gone."""
        news = []
        seen = set()
        silent = set()
        for report in self._kernel.dump():
            if report.ident in self._silent:
                silent.add(report.ident)
            identity = report.identity
            if identity in self._by_identity:
                seen.add(identity)
                news.append(report)
            elif self._marked(report):
                news.append(report)
        now = self._clock()
        self._silent = silent
        for identity, tracked in list(self._by_identity.items()):
            if identity not in seen:
                self._gone(tracked, now, Removal.TIMEOUT)
        for report in news:
            self._report(report, now)

    def _marked(self, report: Report) -> bool:
        """Whether a report says that rules marked its connection."""
        fields = report.fields
        return bool(
            (Cta.LABELS in fields and (report.labels or 0) & self._labels)
            or (Cta.MARK in fields and (report.mark or 0) & self._mark)
        )

    def _report(self, report: Report, now: int) -> None:
        identity = report.identity
        tracked = self._by_identity.get(identity)
        if report.event is Event.DESTROY:
            if tracked is not None and tracked.ident == report.ident:
                # Of those that timed out there is no time left to tell. Ref: ctnetlink_dump_timeout.
                reason = Removal.TIMEOUT if report.timeout is None else Removal.REQUEST
                self._gone(tracked, now, reason)
            return
        if tracked is not None and tracked.ident != report.ident:
            # The same tuples again; or an event from before the table was looked through.
            (there,) = self._kernel.look([identity])
            if there is not None and there.ident == tracked.ident:
                return
            self._gone(tracked, now, Removal.REOPENED)
            if there is None:
                return
            tracked, report = None, there
        if tracked is None:
            if not self._marked(report):
                return
            tracked = self._begin(report, identity, now)
            if tracked is None:
                return
        else:
            self._learn(tracked, report, now)
        connection = tracked.connection
        if connection.labels & self._labels or connection.mark & self._mark:
            for mark in self._marks:
                bits = connection.labels if mark.carrier is Carrier.LABEL else connection.mark
                if bits >> mark.bit & 1:
                    self._on_marked(connection, mark)

    def _begin(self, report: Report, identity: Identity, now: int) -> Tracked | None:
        """Know a connection from now on; None if it is gone already."""
        if report.original.l4proto == TCP and Cta.PROTOINFO not in report.fields:
            # An event tells of the state only if it changed.
            (full,) = self._kernel.look([identity])
            if full is None:
                return None
            report = full
        tracked = Tracked(report, identity, now, accounting=self._settings.accounting)
        self._by_identity[identity] = tracked
        self._by_connection[tracked.connection] = tracked
        return tracked

    def _learn(self, tracked: Tracked, report: Report, now: int) -> None:
        connection = tracked.connection
        if connection.status & Status.OFFLOAD and self.on_offloaded is not None:
            self.on_offloaded(connection)
        tracked.learn(report, now)
        if tracked.wrote and connection.tcp is not None and connection.tcp.closing:
            # It may have begun to close before its timeout was written, with which it would stay for days.
            tracked.wrote = False
            tracked.retime(now)
            self._changed[tracked] = None

    def _gone(self, tracked: Tracked, now: int, reason: Removal) -> None:
        connection = tracked.connection
        connection.status |= Status.DYING
        del self._by_identity[tracked.identity]
        del self._by_connection[connection]
        self._changed.pop(tracked, None)
        tracked.due = 0
        for listener in self._listeners:
            listener(connection, now, reason)

    def _plan(self, tracked: Tracked, now: int) -> None:
        """Plan to look when half the time is over that a connection has left in Linux."""
        left = tracked.expires - now
        if left <= _LAST_LOOK:
            tracked.due = 0
            return
        tracked.due = now + min(left // 2, left - _LAST_LOOK)
        self._number += 1
        heappush(self._due, (tracked.due, self._number, tracked))
        if len(self._due) > 2 * len(self._by_identity) + _SPARE:
            # Connections that are gone would stay for as long as they had time left, which is days.
            self._due[:] = [each for each in self._due if each[0] == each[2].due]
            heapify(self._due)

    def _prolong(self, now: int) -> None:
        """Have Linux keep those that would time out there too early."""
        due = self._due
        while due and due[0][0] <= now:
            when, _, tracked = heappop(due)
            if when != tracked.due:
                continue
            tracked.due = 0
            connection = tracked.connection
            if connection.status & Status.OFFLOAD:
                if connection.expires > tracked.expires + SECOND:
                    tracked.retime(now)
                    self._changed[tracked] = None
                self._plan(tracked, now)

    def _settle(self, now: int) -> None:
        """Give those that the classic path has again exactly the time that they have left."""
        waiting = [tracked for tracked in self._changed if tracked.settle]
        if not waiting:
            return
        reports = self._kernel.look([tracked.identity for tracked in waiting])
        for tracked, report in zip(waiting, reports, strict=True):
            if report is None or report.ident != tracked.ident:
                self._gone(tracked, now, Removal.TIMEOUT)
            else:
                tracked.settled(report, now)

    def write(self) -> None:
        """Have Linux know of what changed here."""
        now = self._clock()
        if self._silent and now >= self._poll:
            self.resynchronise()
            self._pause = min(self._pause * 2, _LAST_POLL)
            self._poll = now + self._pause
        self._prolong(now)
        if not self._changed:
            return
        self._settle(now)
        changed = [(tracked, each) for tracked in self._changed if (each := tracked.request()) is not None]
        self._changed = {}
        for place, errno in self._kernel.write([each for _, each in changed]):
            tracked = changed[place][0]
            if errno == ENOENT and tracked.identity in self._by_identity:
                self._gone(tracked, now, Removal.TIMEOUT)


def _bits(marks: Iterable[Mark], carrier: Carrier) -> int:
    return sum(1 << mark.bit for mark in marks if mark.carrier is carrier)
