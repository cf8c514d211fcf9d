"""What changes around flows, and what that does to them.

The topology tells of every change; the ledger tells whom it concerns. When a flow notices that
its route changed is the profile's ``route_change``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.flows.side import Transmit
from flowtable.flows.teardown import Teardown
from flowtable.flows.way import route_of
from flowtable.packet.packet import IPV4, IPV6
from flowtable.profile import RouteChange
from flowtable.topology.event import (
    AddressChanged,
    BridgeVlansChanged,
    FdbChanged,
    LinkChanged,
    NeighbourChanged,
    PortChanged,
    RouteChanged,
    RulesChanged,
    SysctlChanged,
)

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
    """Keeps the flows of a box in step with its topology.

    Attributes:
        examined: how often a change made it look at a flow.
    """

    def __init__(
        self,
        topology: Topology,
        ledger: Ledger,
        profile: Profile,
        clock: Callable[[], int],
        idle_timeouts_changed: Callable[[], None],
    ) -> None:
        """Begin to watch.

        Args:
            topology: the box.
            ledger: the flows of all its flowtables.
            profile: when they notice that a route changed.
            clock: tells the time of a change, nanoseconds.
            idle_timeouts_changed: called when the sysctls of idle timeouts have other values.
        """
        self._topology = topology
        self._ledger = ledger
        self._profile = profile
        self._clock = clock
        self._idle_timeouts_changed = idle_timeouts_changed
        self.examined = 0
        self._up = {device for device in topology.devices.values() if device.up}
        topology.subscribe(self._changed)

    def _changed(self, event: Event) -> None:
        match event:
            case LinkChanged(device, removed):
                self._link_changed(device, up=device.up and not removed)
            case AddressChanged(_, address):
                self._flush(address.family)
            case RouteChanged(route, removed):
                self._route_changed(route, removed=removed)
            case RulesChanged(family):
                self._rules_changed(family)
            case NeighbourChanged(neighbour):
                self._neighbour_changed(neighbour)
            case FdbChanged(station):
                self._retrace(self._ledger.stations.get((station.vid, station.mac)))
            case PortChanged(port):
                self._retrace(self._ledger.devices.get(port.device.index))
            case BridgeVlansChanged(bridge):
                self._retrace(self._ledger.devices.get(bridge.index))
            case SysctlChanged(name):
                self._sysctl_changed(name)

    def _link_changed(self, device: Device, *, up: bool) -> None:
        """Ref: net/netfilter/nft_flow_offload.c:flow_offload_netdev_event."""
        toggled = up != (device in self._up)
        concerned = self._ledger.devices.get(device.index)
        if up and self._profile.follow_path:
            self._retrace(concerned)
        else:
            for entry in self._each(concerned):
                if not up and self._needs(entry, device):
                    entry.flowtable.teardown(entry, Teardown.DEVICE, self._clock())
                elif up:
                    entry.flowtable.refresh(entry, self._clock())
        # Ref: net/ipv4/fib_frontend.c:fib_netdev_event, net/ipv4/arp.c:arp_netdev_event.
        self._flush(IPV4)
        if toggled:
            (self._up.add if up else self._up.discard)(device)
            self._flush(IPV6)
            if up and self._profile.route_change is RouteChange.AT_ONCE:
                for family in (IPV4, IPV6):
                    for route in self._topology.fib(family):
                        if route.oif is device:
                            self._reroute(self._within(route))

    def _needs(self, entry: FlowEntry, device: Device) -> bool:
        """Whether a flow ends with a device on its way.

        The kernel looks at where packets arrive, and not at the devices that it skips.
        Ref: net/netfilter/nf_flow_table_core.c:nf_flow_table_do_cleanup.
        """
        return self._profile.follow_path or any(
            direction.key.iif == device.index for direction in entry.directions
        )

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
                self._outdate(taken, lambda known: known is route)
            case RouteChange.NEXT_PACKET:
                # Ref: net/ipv6/ip6_fib.c:fib6_update_sernum_upto_root.
                self._outdate(self._within(route), lambda known: _leads_to(known, route))

    def _rules_changed(self, family: int) -> None:
        """Any flow may be routed another way now. Ref: net/core/fib_rules.c:notify_rule_change."""
        match self._profile.route_change:
            case RouteChange.AT_ONCE:
                self._reroute(
                    entry
                    for entry in list(self._ledger.connections.values())
                    if entry.connection.original.l3proto == family
                )
            case RouteChange.NEXT_PACKET:
                self._flush(family)

    def _sysctl_changed(self, name: str) -> None:
        """Ref: net/ipv4/devinet.c:devinet_sysctl_forward."""
        if name.startswith("net.netfilter.nf_flowtable_"):
            self._idle_timeouts_changed()
        elif name == "net.ipv4.ip_forward" or (name.startswith("net.ipv4.") and name.endswith(".forwarding")):
            match self._profile.route_change:
                case RouteChange.AT_ONCE:
                    self._end(IPV4)
                case RouteChange.NEXT_PACKET:
                    self._flush(IPV4)
        elif self._profile.route_change is RouteChange.AT_ONCE and name == "net.ipv6.conf.all.forwarding":
            self._end(IPV6)

    def _end(self, family: int) -> None:
        """Tear down all flows of a family, which the box may not forward any more."""
        for entry in self._each(list(self._ledger.connections.values())):
            if entry.connection.original.l3proto == family:
                entry.flowtable.teardown(entry, Teardown.ROUTE, self._clock())

    def _neighbour_changed(self, neighbour: Neighbour) -> None:
        concerned = self._ledger.neighbours.get((neighbour.device.index, neighbour.address))
        if self._profile.follow_path:
            self._retrace(concerned)
        else:
            for entry in self._each(concerned):
                entry.flowtable.refresh(entry, self._clock())

    def _each(self, entries: Iterable[FlowEntry]) -> Iterator[FlowEntry]:
        """The entries, counted."""
        for entry in entries:
            self.examined += 1
            yield entry

    def _retrace(self, entries: Iterable[FlowEntry]) -> None:
        """Let flows follow a change below the routed device."""
        if self._profile.follow_path:
            for entry in self._each(entries):
                entry.flowtable.retrace(entry, self._clock())

    def _within(self, route: Route) -> Iterator[FlowEntry]:
        """The flows that another route may lead another way."""
        for known in self._ledger.routes:
            if _leads_to(known, route) or _elsewhere(known, route):
                yield from self._ledger.routes.get(known)

    def _reroute(self, entries: Iterable[FlowEntry]) -> None:
        """Tear down the flows that the box would now route another way.

        They do not follow: the rules may ask where a packet goes, and decide otherwise.
        """
        for entry in self._each(entries):
            if any(
                route_of(direction, self._topology) is not direction.route for direction in entry.directions
            ):
                entry.flowtable.teardown(entry, Teardown.ROUTE, self._clock())
            elif self._profile.follow_path:
                # The route that a tunnel takes may have changed.
                entry.flowtable.retrace(entry, self._clock())

    def _flush(self, family: int) -> None:
        """All routes of a family count as changed, for flows that look at their next packet.

        Ref: net/ipv4/route.c:rt_cache_flush; include/net/net_namespace.h:rt_genid_bump_ipv6.
        """
        if self._profile.route_change is RouteChange.NEXT_PACKET:
            self._outdate(list(self._ledger.connections.values()), lambda known: known.family == family)

    def _outdate(self, entries: Iterable[FlowEntry], invalid: Callable[[Route], bool]) -> None:
        """Let the next packet over an invalid route find that it is.

        Packets that leave directly, through a device below the routed one, ask for no route.
        """
        for entry in self._each(entries):
            for direction in entry.directions:
                if direction.transmit is Transmit.NEIGH and invalid(direction.route):
                    direction.stale = True
            entry.flowtable.datapath.install(entry)


def _leads_to(known: Route, route: Route) -> bool:
    """Whether ``route``, in the same table, leads to some of the destinations of ``known``."""
    return known.table == route.table and known.prefixlen <= route.prefixlen and _meet(known, route)


def _elsewhere(known: Route, route: Route) -> bool:
    """Whether ``route``, in another table, which rules may ask first, leads to destinations of ``known``."""
    return known.table != route.table and _meet(known, route)


def _meet(one: Route, other: Route) -> bool:
    """Whether two routes have destinations in common."""
    if one.family != other.family:
        return False
    shift = len(one.destination) * 8 - min(one.prefixlen, other.prefixlen)
    return int.from_bytes(one.destination) >> shift == int.from_bytes(other.destination) >> shift
