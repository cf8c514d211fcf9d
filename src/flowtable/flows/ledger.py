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
        devices: by the index of each device on their ways, those included that the fast path
            skips.
        neighbours: by device index and address of each next hop.
        routes: by each route they take, tunnels' included.
        stations: by VLAN and MAC address of each station behind a bridge, whichever bridge it is.
    """

    __slots__ = ("connections", "devices", "neighbours", "routes", "stations")

    def __init__(self) -> None:
        self.connections: dict[Connection, FlowEntry] = {}
        self.devices: Index[int] = Index()
        self.neighbours: Index[tuple[int, bytes]] = Index()
        self.routes: Index[Route] = Index()
        self.stations: Index[tuple[int, bytes]] = Index()

    def add(self, entry: FlowEntry) -> None:
        """File a flow."""
        self.connections[entry.connection] = entry
        for direction in entry.directions:
            self.routes.add(direction.route, entry)
            for side in (direction.entrance, direction.exit):
                for device in side.devices:
                    self.devices.add(device.index, entry)
                self.neighbours.add((side.link.index, side.next_hop), entry)
                if side.tunnel is not None:
                    self.routes.add(side.tunnel.route, entry)
                for hop in side.bridges:
                    self.stations.add((hop.vid, hop.mac), entry)

    def discard(self, entry: FlowEntry) -> None:
        """Forget a flow."""
        if self.connections.get(entry.connection) is entry:
            del self.connections[entry.connection]
        for direction in entry.directions:
            self.routes.discard(direction.route, entry)
            for side in (direction.entrance, direction.exit):
                for device in side.devices:
                    self.devices.discard(device.index, entry)
                self.neighbours.discard((side.link.index, side.next_hop), entry)
                if side.tunnel is not None:
                    self.routes.discard(side.tunnel.route, entry)
                for hop in side.bridges:
                    self.stations.discard((hop.vid, hop.mac), entry)
