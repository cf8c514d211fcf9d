"""What changes around flows, and what that does to them.

The topology tells of every change; the ledger tells whom it concerns. When a flow notices that
its route changed is the profile's ``route_change``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.flows.teardown import Teardown
from flowtable.flows.way import follow_device, follow_neighbour
from flowtable.packet.packet import IPV4, IPV6
from flowtable.profile import RouteChange
from flowtable.topology.event import AddressChanged, LinkChanged, NeighbourChanged, RouteChanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flowtable.flows.entry import FlowEntry
    from flowtable.flows.ledger import Ledger
    from flowtable.profile import Profile
    from flowtable.topology.device import Device
    from flowtable.topology.event import Event
    from flowtable.topology.neighbour import Neighbour
    from flowtable.topology.route import Route
    from flowtable.topology.topology import Topology


class Watch:
    """Keeps the flows of a box in step with its topology."""

    def __init__(
        self, topology: Topology, ledger: Ledger, profile: Profile, clock: Callable[[], int]
    ) -> None:
        """Begin to watch.

        Args:
            topology: the box.
            ledger: the flows of all its flowtables.
            profile: when they notice that a route changed.
            clock: tells the time of a change, nanoseconds.
        """
        self._topology = topology
        self._ledger = ledger
        self._profile = profile
        self._clock = clock
        self._up = {device for device in topology.devices.values() if device.up}
        topology.subscribe(self._changed)

    def _changed(self, event: Event) -> None:
        match event:
            case LinkChanged(device, removed):
                self._link_changed(device, up=device.up and not removed)
            case AddressChanged(_, address):
                # Its routes change with it, of which there are events of their own.
                if address.family == IPV6:
                    self._flush(IPV6)
            case RouteChanged(route, removed):
                self._route_changed(route, removed=removed)
            case NeighbourChanged(neighbour):
                self._neighbour_changed(neighbour)
            case _:
                pass

    def _link_changed(self, device: Device, *, up: bool) -> None:
        """Ref: net/netfilter/nft_flow_offload.c:flow_offload_netdev_event."""
        toggled = up != (device in self._up)
        for entry in self._ledger.devices.get(device.index):
            if not up:
                entry.flowtable.teardown(entry, Teardown.DEVICE, self._clock())
                continue
            for direction in entry.directions:
                if direction.device is device:
                    follow_device(direction, self._profile)
            entry.flowtable.datapath.install(entry)
        # Ref: net/ipv4/fib_frontend.c:fib_netdev_event, net/ipv4/arp.c:arp_netdev_event.
        self._flush(IPV4)
        if toggled:
            (self._up.add if up else self._up.discard)(device)
            self._flush(IPV6)
            if self._profile.route_change is RouteChange.AT_ONCE:
                self._reroute(list(self._ledger.connections.values()))

    def _route_changed(self, route: Route, *, removed: bool) -> None:
        """Ref: net/netfilter/nf_flow_table_ip.c:nf_flow_dst_check."""
        taken = self._ledger.routes.get(route)
        match self._profile.route_change:
            case RouteChange.AT_ONCE:
                self._reroute(taken if removed else self._within(route))
            case RouteChange.NEXT_PACKET if route.family == IPV4:
                # Ref: net/ipv4/fib_trie.c:fib_table_delete: a route that nobody took may go quietly.
                if taken or not removed:
                    self._flush(IPV4)
            case RouteChange.NEXT_PACKET if removed:
                _outdate(taken, lambda known: known is route)
            case RouteChange.NEXT_PACKET:
                # Ref: net/ipv6/ip6_fib.c:fib6_update_sernum_upto_root.
                _outdate(self._within(route), lambda known: _leads_to(known, route))

    def _neighbour_changed(self, neighbour: Neighbour) -> None:
        device, address = neighbour.device, neighbour.address
        for entry in self._ledger.neighbours.get((device.index, address)):
            for direction in entry.directions:
                if direction.device is device and direction.next_hop == address:
                    follow_neighbour(direction, self._topology)
            entry.flowtable.datapath.install(entry)

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
                entry.flowtable.teardown(entry, Teardown.ROUTE, self._clock())

    def _flush(self, family: int) -> None:
        """All routes of a family count as changed, for flows that look at their next packet.

        Ref: net/ipv4/route.c:rt_cache_flush; include/net/net_namespace.h:rt_genid_bump_ipv6.
        """
        if self._profile.route_change is RouteChange.NEXT_PACKET:
            _outdate(self._ledger.connections.values(), lambda known: known.family == family)


def _outdate(entries: Iterable[FlowEntry], invalid: Callable[[Route], bool]) -> None:
    """Let the next packet over an invalid route find that it is."""
    for entry in entries:
        for direction in entry.directions:
            if invalid(direction.route):
                direction.stale = True
        entry.flowtable.datapath.install(entry)


def _leads_to(known: Route, route: Route) -> bool:
    """Whether the destinations of ``route`` are among those of ``known``."""
    if known.family != route.family or known.prefixlen > route.prefixlen:
        return False
    shift = len(route.destination) * 8 - known.prefixlen
    return int.from_bytes(known.destination) >> shift == int.from_bytes(route.destination) >> shift
