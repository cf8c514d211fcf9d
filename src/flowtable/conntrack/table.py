"""The connection table: both directions of every connection, and when each one times out."""

from __future__ import annotations

from collections import OrderedDict
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Status
from flowtable.conntrack.removal import Removal
from flowtable.conntrack.tuple import ORIGINAL, REPLY
from flowtable.packet.packet import UDP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.tuple import Key, Tuple

    OnDestroy = Callable[[Connection, int, Removal], None]
    Source = tuple[int, bytes, int, int]

_HORIZON: Final = 120 * SECOND
"""How far ahead a look at a connection is planned at most, so that no plan outlives its
connection by days."""
_SWEEP_INTERVAL: Final = SECOND
"""Ref: net/netfilter/nf_conntrack_core.c:GC_SCAN_INTERVAL_MIN."""


class Table:
    """Connections by the tuples of both directions, in the order in which they were confirmed.

    The kernel drops what timed out when it comes across it, and otherwise when its collector
    gets there; here, at the time itself if ``expire`` is called often enough.

    Attributes:
        now: the latest time it was told of, nanoseconds.
    """

    def __init__(self) -> None:
        self.now = 0
        self._entries: dict[Key, tuple[Connection, int]] = {}
        self._connections: dict[Connection, None] = {}
        self._droppable: OrderedDict[Connection, None] = OrderedDict()
        self._sources: dict[Source, dict[Connection, None]] = {}
        self._plans: list[tuple[int, int, Connection]] = []
        self._planned = 0
        self._listeners: list[OnDestroy] = []
        self._room = 0
        self._next_sweep = 0

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[Connection]:
        """All connections, those included that timed out and were not collected yet."""
        return iter(self._connections)

    def subscribe(self, on_destroy: OnDestroy) -> None:
        """Call ``on_destroy(connection, now, reason)`` after each removal from now on."""
        self._listeners.append(on_destroy)

    def lookup(self, key: Key, now: int) -> tuple[Connection, int] | None:
        """The connection and direction of a key; one that has timed out is removed instead.

        Ref: net/netfilter/nf_conntrack_core.c:____nf_conntrack_find.
        """
        entry = self._entries.get(key)
        if entry is not None and entry[0].expires <= now:
            self.delete(entry[0], now, Removal.TIMEOUT)
            return None
        return entry

    def find(self, tuple_: Tuple, zone: int = 0, directions: int = 3) -> tuple[Connection, int] | None:
        """The live connection that a tuple belongs to, and the direction it is.

        Args:
            tuple_: either tuple of the connection.
            zone: the zone to look in.
            directions: for which direction the zone holds (``Connection.zone_directions``).

        Ref: net/netfilter/nf_conntrack_core.c:nf_conntrack_find_get.
        """
        return self.find_key(tuple_.key, zone, directions, self.now)

    def find_key(self, key: Key, zone: int, directions: int, now: int) -> tuple[Connection, int] | None:
        """``find``, by the tuple's key."""
        if not zone:
            return self.lookup(key, now)
        zones = (zone if directions & 1 else 0, zone if directions & 2 else 0)
        for here in dict.fromkeys(zones):
            entry = self.lookup(in_zone(key, here), now)
            if entry is not None and zones[entry[1]] == here:
                return entry
        return None

    def sharing_source(self, source: Source) -> Iterable[Connection]:
        """Connections that went through NAT from one source, latest first.

        Ref: net/netfilter/nf_nat_core.c:nf_nat_bysource.
        """
        return reversed(self._sources.get(source, {}))

    def insert(self, connection: Connection, now: int) -> None:
        """Enter a connection in both directions; its timeout begins to run."""
        self._entries[connection.keys[ORIGINAL]] = (connection, ORIGINAL)
        self.insert_reply(connection, now)

    def insert_reply(self, connection: Connection, now: int) -> None:
        """Enter a connection in the reply direction only. Ref: nf_ct_resolve_clash_harder."""
        self._entries[connection.keys[REPLY]] = (connection, REPLY)
        self._connections[connection] = None
        self._droppable[connection] = None
        if connection.status & Status.SRC_NAT_DONE:
            self._sources.setdefault(source_of(connection), {})[connection] = None
        connection.expires += now
        self.plan(connection, now)

    def plan(self, connection: Connection, now: int) -> None:
        """Plan to look whether a connection timed out; needed when it will sooner than planned."""
        connection.due = due = min(connection.expires, now + _HORIZON)
        self._planned += 1
        heappush(self._plans, (due, self._planned, connection))

    def set_timeout(self, connection: Connection, expires: int) -> None:
        """Let a confirmed connection time out at ``expires``, nanoseconds."""
        connection.expires = expires
        if expires < connection.due:
            self.plan(connection, expires)

    def offload(self, connection: Connection) -> None:
        """The fast path has a connection. Ref: net/netfilter/nf_flow_table_core.c:flow_offload_add."""
        connection.status |= Status.OFFLOAD
        if connection.tcp is not None:
            connection.tcp.make_liberal()

    def take_back(self, connection: Connection) -> None:
        """The classic path has a connection again; it stays liberal, as in the kernel."""
        connection.status &= ~Status.OFFLOAD

    def delete(self, connection: Connection, now: int, reason: Removal = Removal.REQUEST) -> bool:
        """Take a connection out of the table.

        Returns:
            False if it was out already.

        Ref: net/netfilter/nf_conntrack_core.c:nf_ct_delete.
        """
        if connection.status & Status.DYING:
            return False
        connection.status |= Status.DYING
        if now > self.now:
            self.now = now
        if connection in self._connections:
            del self._connections[connection]
            self._droppable.pop(connection, None)
            for key in connection.keys:
                entry = self._entries.get(key)
                if entry is not None and entry[0] is connection:
                    del self._entries[key]
            if connection.status & Status.SRC_NAT_DONE:
                source = source_of(connection)
                siblings = self._sources[source]
                del siblings[connection]
                if not siblings:
                    del self._sources[source]
            for listener in self._listeners:
                listener(connection, now, reason)
        return True

    def flush(self, now: int) -> None:
        """Delete every connection."""
        for connection in list(self._connections):
            self.delete(connection, now)

    def expire(self, now: int) -> None:
        """Remove what timed out until ``now``. Ref: net/netfilter/nf_conntrack_core.c:gc_worker."""
        self.now = now
        plans = self._plans
        while plans and plans[0][0] <= now:
            due, _, connection = heappop(plans)
            if due != connection.due or connection.status & Status.DYING:
                continue
            if connection.expires <= now:
                self.delete(connection, now, Removal.TIMEOUT)
            else:
                self.plan(connection, now)
        if self._room and now >= self._next_sweep:
            self._next_sweep = now + _SWEEP_INTERVAL
            self._sweep(now)

    def make_room(self, count: int) -> None:
        """Let the next ``expire`` also remove closing and unassured ones until ``count`` are left."""
        self._room = count

    def _sweep(self, now: int) -> None:
        """Ref: net/netfilter/nf_conntrack_core.c:gc_worker_can_early_drop."""
        for connection in list(self._connections):
            if len(self._connections) < self._room:
                break
            status = connection.status
            if status & Status.OFFLOAD and connection.l4proto != UDP:
                continue
            if not status & Status.ASSURED or connection.closing:
                self.delete(connection, now, Removal.EARLY_DROP)
        self._room = 0

    def early_drop(self, now: int) -> bool:
        """Remove a connection to make room: the oldest that is not assured.

        The kernel looks through eight buckets of its hash table, wherever the new connection
        happens to fall. An offloaded connection is spared unless it is UDP.

        Returns:
            Whether there was one.

        Ref: net/netfilter/nf_conntrack_core.c:early_drop.
        """
        spared = []
        victim = None
        while self._droppable:
            connection, _ = self._droppable.popitem(last=False)
            if connection.status & Status.ASSURED:
                continue
            if connection.status & Status.OFFLOAD and connection.l4proto != UDP:
                spared.append(connection)
                continue
            victim = connection
            break
        for connection in reversed(spared):
            self._droppable[connection] = None
            self._droppable.move_to_end(connection, last=False)
        if victim is None:
            return False
        reason = Removal.TIMEOUT if victim.expires <= now else Removal.EARLY_DROP
        return self.delete(victim, now, reason)


def in_zone(key: Key, zone: int) -> Key:
    """A key that holds in a zone."""
    return (*key, zone) if zone else key


def source_of(connection: Connection) -> Source:
    """What connections of one source have in common: protocol, address, port and zone."""
    original = connection.original
    return original.l4proto, original.src, original.sport, connection.zone_of(ORIGINAL)
