"""All flowtables of a box, and what happens around them that concerns their flows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.flows.flowtable import Flowtable
from flowtable.flows.ledger import Ledger
from flowtable.flows.teardown import Teardown
from flowtable.flows.way import follow_device, follow_neighbour
from flowtable.packet.packet import IPV4
from flowtable.profile import RouteChange
from flowtable.topology.event import AddressChanged, LinkChanged, NeighbourChanged, RouteChanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.core import Conntrack
    from flowtable.conntrack.removal import Removal
    from flowtable.flows.datapath import OnEnd
    from flowtable.flows.entry import FlowEntry
    from flowtable.flows.flowtable import DatapathFactory
    from flowtable.profile import Profile
    from flowtable.ruleset import model
    from flowtable.ruleset.family import Family
    from flowtable.topology.device import Device
    from flowtable.topology.event import Event
    from flowtable.topology.neighbour import Neighbour
    from flowtable.topology.route import Route
    from flowtable.topology.topology import Topology


def _ignore(entry: FlowEntry, reason: Teardown, now: int) -> None:
    pass


class Flowtables:
    """The flowtables of a box, in the order of their creation.

    It listens to the topology and to conntrack. The events of the topology carry no time: they
    happen at the latest time that it or conntrack was told of, ``now``.
    """

    def __init__(
        self,
        topology: Topology,
        conntrack: Conntrack,
        profile: Profile,
        datapath: DatapathFactory,
        *,
        on_teardown: OnEnd = _ignore,
        now: int = 0,
    ) -> None:
        """Begin without any.

        Args:
            topology: the box.
            conntrack: its connections.
            profile: how its flowtables behave.
            datapath: makes what forwards the packets of a flowtable.
            on_teardown: told of every flow that ended, once, with the reason.
            now: the time.
        """
        self._now = now
        self._topology = topology
        self._conntrack = conntrack
        self._profile = profile
        self._datapath = datapath
        self._on_teardown = on_teardown
        self._ledger = Ledger()
        self._flowtables: dict[tuple[Family, str, str], Flowtable] = {}
        self._up = {device.index for device in topology.devices.values() if device.up}
        topology.subscribe(self._changed)
        conntrack.subscribe(self._destroyed)

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
        flowtable = Flowtable(
            declaration,
            self._profile,
            self._topology,
            self._conntrack,
            self._ledger,
            self._datapath,
            self._on_teardown,
            self.now,
        )
        self._flowtables[declaration.family, declaration.table, declaration.name] = flowtable
        return flowtable

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

    @property
    def next_due(self) -> int | None:
        """When to ``advance`` next, nanoseconds; None while all flowtables are empty."""
        # Asked for with every packet on the classic path.
        first = None
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
            for flowtable in self:
                if flowtable.next_due == due:
                    flowtable.collect(due)
        self._now = max(self._now, now)

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
            entry.flowtable.look(entry)

    def _destroyed(self, connection: Connection, now: int, reason: Removal) -> None:
        """Ref: net/netfilter/nf_flow_table_core.c:flow_offload_lookup, nf_flow_offload_gc_step."""
        entry = self._ledger.connections.get(connection)
        if entry is not None:
            entry.flowtable.disconnect(entry, now)

    def _changed(self, event: Event) -> None:
        match event:
            case LinkChanged(device, removed):
                self._link_changed(device, removed=removed)
            case RouteChanged(route, removed):
                self._route_changed(route, removed=removed)
            case NeighbourChanged(neighbour):
                self._neighbour_changed(neighbour)
            case AddressChanged():
                # Its routes change with it.
                pass

    def _link_changed(self, device: Device, *, removed: bool) -> None:
        """Ref: net/netfilter/nft_flow_offload.c:flow_offload_netdev_event."""
        entries = self._ledger.devices.get(device.index)
        came_up = False
        if removed or not device.up:
            self._up.discard(device.index)
            for entry in entries:
                entry.flowtable.teardown(entry, Teardown.DEVICE, self.now)
        else:
            came_up = device.index not in self._up
            self._up.add(device.index)
            for entry in entries:
                for direction in entry.directions:
                    if direction.device is device:
                        follow_device(direction, self._profile)
                entry.flowtable.datapath.install(entry)
        match self._profile.route_change:
            case RouteChange.AT_ONCE:
                if came_up:
                    self._reroute(self.entries())
            case RouteChange.NEXT_PACKET:
                # Ref: net/ipv4/fib_frontend.c:fib_netdev_event; net/ipv6/addrconf.c:addrconf_notify.
                self._outdate(lambda known: known.family == IPV4)
                if came_up:
                    back = [route for route in self._topology.fib6 if route.device is device]
                    self._outdate(lambda known: any(_leads_to(known, route) for route in back))

    def _route_changed(self, route: Route, *, removed: bool) -> None:
        """Ref: net/netfilter/nf_flow_table_ip.c:nf_flow_dst_check."""
        match self._profile.route_change:
            case RouteChange.AT_ONCE:
                self._reroute(self._ledger.routes.get(route) if removed else self._within(route))
            case RouteChange.NEXT_PACKET if route.family == IPV4:
                # Ref: net/ipv4/route.c:rt_cache_flush.
                self._outdate(lambda known: known.family == IPV4)
            case RouteChange.NEXT_PACKET if removed:
                self._outdate(lambda known: known is route)
            case RouteChange.NEXT_PACKET:
                # Ref: net/ipv6/ip6_fib.c:fib6_update_sernum_upto_root.
                self._outdate(lambda known: _leads_to(known, route))

    def _within(self, route: Route) -> Iterator[FlowEntry]:
        """The flows whose route leads to the destinations of another route as well."""
        for known in self._ledger.routes:
            if _leads_to(known, route):
                yield from self._ledger.routes.get(known)

    def _reroute(self, entries: Iterable[FlowEntry]) -> None:
        """Tear down the flows that the box would now route another way."""
        fib = self._topology.fib
        for entry in entries:
            if any(
                fib(direction.key.l3proto).lookup(direction.target) is not direction.route
                for direction in entry.directions
            ):
                entry.flowtable.teardown(entry, Teardown.ROUTE, self.now)

    def _outdate(self, invalid: Callable[[Route], bool]) -> None:
        """Let the next packet over an invalid route find that it is."""
        for entry in self.entries():
            for direction in entry.directions:
                if invalid(direction.route):
                    direction.stale = True
            entry.flowtable.datapath.install(entry)

    def _neighbour_changed(self, neighbour: Neighbour) -> None:
        device, address = neighbour.device, neighbour.address
        for entry in self._ledger.neighbours.get((device.index, address)):
            for direction in entry.directions:
                if direction.device is device and direction.next_hop == address:
                    follow_neighbour(direction, self._topology)
            entry.flowtable.datapath.install(entry)


def _leads_to(known: Route, route: Route) -> bool:
    """Whether the destinations of ``route`` are among those of ``known``."""
    if known.family != route.family or known.prefixlen > route.prefixlen:
        return False
    shift = len(route.destination) * 8 - known.prefixlen
    return int.from_bytes(known.destination) >> shift == int.from_bytes(route.destination) >> shift
