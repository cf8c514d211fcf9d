"""Which flows a change concerns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from flowtable.conntrack.connection import Connection
    from flowtable.flows.entry import FlowEntry
    from flowtable.topology.route import Route

K = TypeVar("K", bound="Hashable")


class Index(Generic[K]):
    """Flows by something that each of them may share with others, in the order of their addition."""

    __slots__ = ("_flows",)

    def __init__(self) -> None:
        self._flows: dict[K, dict[FlowEntry, None]] = {}

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._flows))

    def add(self, key: K, entry: FlowEntry) -> None:
        """File a flow under a key; once is enough."""
        self._flows.setdefault(key, {})[entry] = None

    def discard(self, key: K, entry: FlowEntry) -> None:
        """Take a flow out from under a key, if it is there."""
        flows = self._flows.get(key)
        if flows is not None:
            flows.pop(entry, None)
            if not flows:
                del self._flows[key]

    def get(self, key: K) -> list[FlowEntry]:
        """The flows under a key."""
        return list(self._flows.get(key, ()))


class Ledger:
    """The flows of all flowtables of a box, by what they depend on.

    Attributes:
        connections: the newest flow of each connection.
        devices: by the index of each device they come in or go out on.
        neighbours: by device index and address of each next hop.
        routes: by each route they take.
    """

    __slots__ = ("connections", "devices", "neighbours", "routes")

    def __init__(self) -> None:
        self.connections: dict[Connection, FlowEntry] = {}
        self.devices: Index[int] = Index()
        self.neighbours: Index[tuple[int, bytes]] = Index()
        self.routes: Index[Route] = Index()

    def add(self, entry: FlowEntry) -> None:
        """File a flow."""
        self.connections[entry.connection] = entry
        for direction in entry.directions:
            self.devices.add(direction.key.iif, entry)
            self.devices.add(direction.device.index, entry)
            self.neighbours.add((direction.device.index, direction.next_hop), entry)
            self.routes.add(direction.route, entry)

    def discard(self, entry: FlowEntry) -> None:
        """Forget a flow."""
        if self.connections.get(entry.connection) is entry:
            del self.connections[entry.connection]
        for direction in entry.directions:
            self.devices.discard(direction.key.iif, entry)
            self.devices.discard(direction.device.index, entry)
            self.neighbours.discard((direction.device.index, direction.next_hop), entry)
            self.routes.discard(direction.route, entry)
