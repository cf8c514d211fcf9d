"""The forwarding information base: finds the route for a destination.

Ref: net/ipv4/fib_trie.c, net/ipv4/fib_semantics.c, net/ipv6/route.c.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, Final

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.device import Device, Scope, link_local, unicast
from flowtable.topology.error import TopologyError
from flowtable.topology.event import Listener, RouteChanged, RulesChanged
from flowtable.topology.prefix import PrefixTable
from flowtable.topology.route import (
    DELIVERED,
    IPV6_DEFAULT_METRIC,
    NOWHERE,
    REJECTING,
    Route,
    RouteProtocol,
    RouteTable,
    RouteType,
)
from flowtable.topology.rule import Flow, Rule, RuleAction, Rules, matches
from flowtable.topology.source import inet_select_addr, ipv6_select_addr
from flowtable.topology.vrf import Vrf, domain

Chooser = Callable[[Sequence[Route], bytes, bytes, "Device | None", int], Route | None]
"""Says which next hop of a route the packets of a flow take.

It is asked with a route for each next hop, destination, source, the device that packets come in on,
and their mark; None: it cannot tell.
"""

CACHE_SIZE: Final = 65536
"""Lookups whose route is remembered before the memory starts afresh."""
LIMITED_BROADCAST: Final = b"\xff\xff\xff\xff"
_ENDS: Final = {RuleAction.BLACKHOLE: RouteType.BLACKHOLE, RuleAction.PROHIBIT: RouteType.PROHIBIT}


class Fib:
    """The routes of one family, in tables, and the rules that say which table is asked.

    Attributes:
        family: ``IPV4`` or ``IPV6``.
        rules: change them with ``add_rule`` and ``remove_rule``.
        generation: changes with everything that may change the answer of a lookup.
        choose: asked where a route has several next hops. At first it is the first.
    """

    def __init__(self, family: int, devices: Mapping[str, Device], notify: Listener) -> None:
        self.family = family
        self.generation = 0
        self._devices = devices
        self._notify = notify
        self._routes: dict[Route, None] = {}
        self.rules = Rules()
        self._size = 4 if family == IPV4 else 16
        self._any = bytes(self._size)
        self._tables: dict[int, PrefixTable] = {
            table: PrefixTable(self._size * 8)
            for table in (RouteTable.LOCAL, RouteTable.MAIN, RouteTable.DEFAULT)
        }
        self._cache: dict[bytes, Route | None] = {}
        self._oif_cache: dict[tuple[int, bytes], Route | None] = {}
        self._flow_cache: dict[tuple[object, ...], Route | None] = {}
        self._derived: list[dict[Any, Any]] = []
        self.choose: Chooser = _first
        self._groups: dict[Route, Hashable] = {}

    def __iter__(self) -> Iterator[Route]:
        return iter(list(self._routes))

    def __len__(self) -> int:
        return len(self._routes)

    def lookup(
        self,
        destination: bytes,
        *,
        oif: Device | None = None,
        iif: Device | None = None,
        source: bytes | None = None,
        mark: int = 0,
    ) -> Route | None:
        """The route to a destination: longest prefix, then lowest metric, then first added.

        Routes through devices that are down are passed over. IPv6 multicast and link-local
        destinations mean something on one device only: give that as ``oif``. What else is given
        matters only where there are rules besides the standard ones; it is the rules, in their
        order, that say in which tables the route is looked up.

        Args:
            destination: 4 or 16 bytes.
            oif: only routes through this device; IPv4 types that end a packet match anyway. A
                VRF stands for all devices in it.
            iif: where the packet came in, None for the box's own.
            source: its source address, None while it is not chosen.
            mark: its mark.

        Returns:
            The same object until ``generation`` changes, or None: the network is unreachable.
        """
        if self._groups or not self.rules.standard:
            return self._policy(destination, oif, iif, source, mark)
        if oif is None:
            try:
                return self._cache[destination]
            except KeyError:
                cache = self._cache
                if len(cache) >= CACHE_SIZE:
                    cache.clear()
                route = cache[destination] = self._resolve(destination, None)
                return route
        key = (oif.index, destination)
        try:
            return self._oif_cache[key]
        except KeyError:
            if len(self._oif_cache) >= CACHE_SIZE:
                self._oif_cache.clear()
            route = self._oif_cache[key] = self._resolve(destination, oif)
            return route

    def lookup_preferring(
        self, destination: bytes, device: Device, source: bytes, mark: int = 0
    ) -> Route | None:
        """``lookup`` of IPv6 where a device is a wish: of equal routes, the one through it.

        Ref: net/ipv6/route.c:ip6_route_output_flags_noref, rt6_score_route.
        """
        pinned = self.lookup(destination, oif=device, source=source, mark=mark)
        if link_local(destination):
            return pinned
        best = self.lookup(destination, oif=domain(device), source=source, mark=mark)
        if best and pinned and (best.prefixlen, best.metric) == (pinned.prefixlen, pinned.metric):
            return pinned
        return best

    def _resolve(self, destination: bytes, oif: Device | None) -> Route | None:
        value = int.from_bytes(destination)
        for rule in self.rules:
            route = self._tables[rule.table].find(value, oif)
            if route is not None and route.type is not RouteType.THROW:
                return self._by_address(destination, route, oif)
        return self._by_address(destination, None, oif)

    def _policy(
        self, destination: bytes, oif: Device | None, iif: Device | None, source: bytes | None, mark: int
    ) -> Route | None:
        key = (
            destination,
            source,
            0 if oif is None else oif.index,
            0 if iif is None else iif.index,
            mark,
        )
        cache = self._flow_cache
        try:
            return cache[key]
        except KeyError:
            if len(cache) >= CACHE_SIZE:
                cache.clear()
            flow = self._flow(destination, oif, iif, source, mark)
            found = self._ask(flow)
            if found in self._groups:
                found = self._chosen(found, flow, iif)
            route = cache[key] = self._by_address(destination, found, flow.oif)
            return route

    def _chosen(self, route: Route, flow: Flow, iif: Device | None) -> Route | None:
        """Of several next hops the one that packets take."""
        group = self._groups[route]
        routes = [
            other
            for other in self._table(route).at(route)
            if self._groups.get(other) == group
            and other.usable
            and (flow.oif is None or other.through(flow.oif))
        ]
        if len(routes) < 2:
            return route
        return self.choose(routes, flow.destination, flow.source, iif, flow.mark)

    def _flow(
        self, destination: bytes, oif: Device | None, iif: Device | None, source: bytes | None, mark: int
    ) -> Flow:
        """Ref: net/l3mdev/l3mdev.c:l3mdev_update_flow."""
        vrf = domain(oif) or domain(iif)
        return Flow(
            destination,
            source or self._any,
            iif if vrf is None or iif is None else vrf,
            None if isinstance(oif, Vrf) else oif,
            mark,
            0 if vrf is None else vrf.table,
        )

    def _ask(self, flow: Flow, *, down: bool = False) -> Route | None:
        """Ask the rules in their order. Ref: net/core/fib_rules.c:fib_rules_lookup.

        A rule of type unreachable answers as if there were no route.
        Ref: net/ipv4/fib_rules.c:fib4_rule_action.
        """
        value = int.from_bytes(flow.destination)
        for rule in self.rules:
            if not matches(rule, flow):
                continue
            match rule.action:
                case RuleAction.UNREACHABLE | RuleAction.UNKNOWN:
                    return None
                case RuleAction.BLACKHOLE | RuleAction.PROHIBIT as action:
                    return Route(self.family, self._any, 0, _ENDS[action])
                case RuleAction.LOOKUP:
                    table = self._tables.get(flow.table if rule.l3mdev else rule.table)
                    route = None if table is None else table.find(value, flow.oif, down=down)
                    if route is None or route.type is RouteType.THROW:
                        continue
                    # Ref: net/ipv4/fib_rules.c:fib4_rule_suppress.
                    if rule.suppress_prefixlength is None or route.prefixlen > rule.suppress_prefixlength:
                        return route
        return None

    def _by_address(self, destination: bytes, route: Route | None, oif: Device | None) -> Route | None:
        """What groups and everybody take, whatever route there is, else that route."""
        if self.family == IPV4 and (route is None or route.type not in DELIVERED):
            if destination == LIMITED_BROADCAST:
                return _to_many(RouteType.BROADCAST, destination, route, oif)
            if 224 <= destination[0] < 240:
                return _to_many(RouteType.MULTICAST, destination, route, oif)
        return route

    def add_rule(self, rule: Rule) -> None:
        """Add a rule: ``ip rule add``.

        Raises:
            TopologyError: there is the same one already.
        """
        self.rules.add(rule)
        self.invalidate()
        self._notify(RulesChanged(self.family))

    def remove_rule(self, rule: Rule) -> None:
        """Remove a rule: ``ip rule del``.

        Raises:
            TopologyError: there is no such rule.
        """
        self.rules.remove(rule)
        self.invalidate()
        self._notify(RulesChanged(self.family))

    def set_rules(self, rules: Iterable[Rule]) -> None:
        """Have these rules instead of those that there are."""
        self.rules.replace(rules)
        self.invalidate()
        self._notify(RulesChanged(self.family))

    def add(self, route: Route) -> Route:
        """Add a route, checked and completed as Linux does.

        A gateway without a device gets the device it is on; an IPv6 route without a metric
        gets 1024. Of equal routes the first added is used.

        Returns:
            The route as it is kept.

        Raises:
            TopologyError: Linux would refuse it; with the kernel's words where it has any.
        """
        route = self._checked(route)
        if any(route.same(other) for other in self._table(route).at(route)):
            raise TopologyError("File exists: there is such a route already", "to")
        self.place(route)
        return route

    def place(self, route: Route, behind: Route | None = None, group: Hashable = None) -> None:
        """Add a route as it is, which a running kernel has taken already.

        Args:
            route: what to add.
            behind: a route of the same prefix and metric that comes after it; None: it is the last.
            group: what it has in common with those that are the other next hops of the same route;
                None: there are no others.
        """
        self._routes[route] = None
        if group is not None:
            self._groups[route] = group
        self._table(route).add(route, behind)
        self.invalidate()
        self._notify(RouteChanged(route))

    def remove(self, route: Route) -> None:
        """Remove a route that ``add`` returned or a lookup found.

        Raises:
            TopologyError: there is no such route.
        """
        if route not in self._routes:
            raise TopologyError("No such process")
        del self._routes[route]
        self._groups.pop(route, None)
        self._table(route).remove(route)
        self.invalidate()
        self._notify(RouteChanged(route, removed=True))

    def derive(self, device: Device, routes: list[Route]) -> None:
        """Replace the routes that follow from a device's addresses; equal ones stay as they are."""
        for old in [r for r in self._routes if r.oif is device and r.protocol is RouteProtocol.KERNEL]:
            if any(old.same(new) for new in routes):
                continue
            self.remove(old)
        for new in routes:
            if not any(new.same(old) for old in self._table(new).at(new)):
                self.place(new)

    def invalidate(self) -> None:
        """Forget remembered answers: something that they depend on has changed."""
        self.generation += 1
        self._cache.clear()
        self._oif_cache.clear()
        self._flow_cache.clear()
        for answers in self._derived:
            answers.clear()

    def keep_current(self, answers: dict[Any, Any]) -> None:
        """Empty a dictionary of what follows from lookups whenever they may answer differently."""
        self._derived.append(answers)

    def select_source(self, route: Route, destination: bytes) -> bytes | None:
        """The source address of the box's own packets to a destination, None if it has none.

        Ref: net/ipv4/route.c:ip_route_output_key_hash_rcu, include/net/ip6_route.h:ip6_route_get_saddr.
        """
        if route.source is not None:
            return route.source
        device = route.oif
        vrf = domain(device)
        devices = [other for other in self._devices.values() if domain(other) is vrf]
        if self.family == IPV6:
            return ipv6_select_addr(devices, device, destination)
        match route.type:
            case RouteType.LOCAL:
                return destination
            case RouteType.BROADCAST | RouteType.MULTICAST:
                local = destination == LIMITED_BROADCAST or destination[:3] == b"\xe0\x00\x00"
                scope = Scope.LINK if local else Scope.UNIVERSE
                return inet_select_addr(devices, device, None, scope)
            case _:
                return inet_select_addr(devices, device, route.gateway, route.scope)

    def _table(self, route: Route) -> PrefixTable:
        table = self._tables.get(route.table)
        if table is None:
            table = self._tables[route.table] = PrefixTable(self._size * 8)
        return table

    def _checked(self, route: Route) -> Route:
        size = self._size
        if route.family != self.family or len(route.destination) != size:
            raise TopologyError("Invalid address family", "to")
        shift = size * 8 - route.prefixlen
        if shift < 0 or int.from_bytes(route.destination) >> shift << shift != int.from_bytes(
            route.destination
        ):
            raise TopologyError("Invalid prefix for given prefix length", "to")
        if route.source is not None and not any(d.has(route.source) for d in self._devices.values()):
            words = "Invalid prefsrc address" if self.family == IPV4 else "Invalid source address"
            raise TopologyError(words, "src")
        if self.family == IPV6 and route.metric == 0:
            route = replace(route, metric=IPV6_DEFAULT_METRIC)
        if route.type in NOWHERE:
            if route.gateway is not None or route.device is not None:
                words = "Gateway, device and multipath can not be specified for this route type"
                raise TopologyError(words, "type")
            return route
        if route.gateway is not None:
            return self._through_gateway(route, route.gateway)
        if route.onlink:
            raise TopologyError("onlink is for a route with a gateway", "onlink")
        if route.device is None:
            raise TopologyError("Egress device not specified", "dev")
        scope, table, device = Scope.UNIVERSE, route.table, route.device
        match route.type:
            case RouteType.LOCAL | RouteType.ANYCAST:
                scope, table, device = Scope.HOST, _local_table(route), self._devices["lo"]
            case RouteType.BROADCAST | RouteType.MULTICAST:
                scope, table = Scope.LINK, _local_table(route)
            case _ if self.family == IPV4:
                scope = Scope.LINK
            case _:
                pass
        return replace(route, scope=scope, table=table, device=device, oif=route.device)

    def _through_gateway(self, route: Route, gateway: bytes) -> Route:
        """Ref: net/ipv4/fib_semantics.c:fib_check_nh_v4_gw, net/ipv6/route.c:ip6_validate_gw."""
        if route.type is not RouteType.UNICAST:
            raise TopologyError("Route with host scope can not have a gateway", "via")
        if len(gateway) != len(route.destination):
            raise TopologyError("Gateway of another family than the destination", "via")
        if any(device.has(gateway) for device in self._devices.values()):
            raise TopologyError("Gateway can not be a local address", "via")
        device = route.device
        if route.onlink or link_local(gateway):
            if device is None:
                raise TopologyError("Egress device not specified", "dev")
            if device.loopback:
                raise TopologyError("Egress device can not be loopback device for this route", "dev")
            if not unicast(gateway):
                raise TopologyError("Nexthop has invalid gateway", "via")
            return replace(route, oif=device)
        table = None if route.table == RouteTable.MAIN else self._tables.get(route.table)
        hop = None if table is None else table.find(int.from_bytes(gateway), device, down=True)
        if hop is None:
            hop = self._ask(self._flow(gateway, device, None, None, 0), down=True)
        if (
            hop is None
            or hop.type is not RouteType.UNICAST
            or hop.gateway is not None
            or hop.device is None
            or hop.device.loopback
        ):
            where = f"on {device.name}" if device is not None else "on any link"
            raise TopologyError(f"Nexthop has invalid gateway: {ip_address(gateway)} is not {where}", "via")
        return replace(route, device=hop.device, oif=hop.device)


def _local_table(route: Route) -> int:
    """The table of a route to the box itself that names no other. Ref: iproute2 ip/iproute.c."""
    return RouteTable.LOCAL if route.table == RouteTable.MAIN else route.table


def _to_many(kind: RouteType, destination: bytes, via: Route | None, oif: Device | None) -> Route:
    """The route to a group or to everybody: the type comes from the address, not from a table.

    Ref: net/ipv4/route.c:ip_route_output_key_hash_rcu, __mkroute_output.
    """
    usable = via is not None and via.type not in REJECTING
    device = oif if oif is not None else via.device if via is not None and usable else None
    return Route(
        IPV4,
        destination,
        32,
        kind,
        device=device,
        mtu=via.mtu if via is not None and usable else None,
        source=via.source if via is not None and usable else None,
        scope=Scope.LINK,
        table=RouteTable.LOCAL,
        protocol=RouteProtocol.KERNEL,
        oif=device,
    )


def _first(
    routes: Sequence[Route], destination: bytes, source: bytes, iif: Device | None, mark: int
) -> Route:
    """The first next hop, a function with a name: boxes are copied."""
    del destination, source, iif, mark
    return routes[0]
