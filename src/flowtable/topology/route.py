"""Routes, and the forwarding information base that finds the one for a destination.

Ref: net/ipv4/fib_trie.c, net/ipv4/fib_semantics.c, net/ipv6/route.c.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from ipaddress import ip_address
from typing import Any, Final

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.device import Device, Scope, link_local, unicast
from flowtable.topology.error import TopologyError
from flowtable.topology.event import Listener, RouteChanged
from flowtable.topology.prefix import PrefixTable
from flowtable.topology.source import inet_select_addr, ipv6_select_addr

CACHE_SIZE: Final = 65536
"""Destinations whose route is remembered before the memory starts afresh."""
LIMITED_BROADCAST: Final = b"\xff\xff\xff\xff"
IPV6_DEFAULT_METRIC: Final = 1024
"""IP6_RT_PRIO_USER: the metric of an IPv6 route that gives none."""


class RouteType(Enum):
    """What happens to packets that take the route. Ref: include/uapi/linux/rtnetlink.h:RTN_*."""

    UNICAST = "unicast"
    LOCAL = "local"
    BROADCAST = "broadcast"
    ANYCAST = "anycast"
    MULTICAST = "multicast"
    BLACKHOLE = "blackhole"
    UNREACHABLE = "unreachable"
    PROHIBIT = "prohibit"


class RouteTable(IntEnum):
    """Where a route is kept; the local table is asked first. Ref: RT_TABLE_*."""

    MAIN = 254
    LOCAL = 255


class RouteProtocol(Enum):
    """Who made the route. Ref: RTPROT_*."""

    KERNEL = "kernel"
    STATIC = "static"


REJECTING: Final = frozenset({RouteType.BLACKHOLE, RouteType.UNREACHABLE, RouteType.PROHIBIT})
"""Types that end a packet, whatever the device."""


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A route: what ``ip route`` prints as one line.

    Attributes:
        family: ``IPV4`` or ``IPV6``.
        destination: network address, 4 or 16 bytes.
        prefixlen: its length in bits.
        type: what happens to packets that take it.
        gateway: next hop, None when the destination itself is on the link.
        device: where packets go: ``lo`` for LOCAL and ANYCAST; None for the types that end a
            packet, and for a multicast or limited broadcast that no device is known for.
        metric: the lowest of equal prefixes wins.
        mtu: path MTU in bytes, None for the device's.
        source: preferred source address for the box's own packets.
        onlink: the gateway is on the link although no route says so.
        scope: distance to the destination, which ``Fib.add`` works out; IPv4 only.
        table: which table holds it.
        protocol: KERNEL for what follows from addresses.
        oif: the device that a lookup's ``oif`` is compared with: ``device``, except that a
            LOCAL or ANYCAST route belongs to the device that has the address.
    """

    family: int
    destination: bytes
    prefixlen: int
    type: RouteType = RouteType.UNICAST
    gateway: bytes | None = None
    device: Device | None = None
    metric: int = 0
    mtu: int | None = None
    source: bytes | None = None
    onlink: bool = False
    scope: Scope = Scope.UNIVERSE
    table: RouteTable = RouteTable.MAIN
    protocol: RouteProtocol = RouteProtocol.STATIC
    oif: Device | None = None

    @property
    def path_mtu(self) -> int:
        """The route's MTU or its device's. Ref: ip_dst_mtu_maybe_forward, ip6_dst_mtu_maybe_forward.

        Raises:
            TypeError: the route has no device.
        """
        if self.mtu is not None:
            return self.mtu
        if self.device is None:
            raise TypeError("a route without a device has no MTU")
        return self.device.mtu

    @property
    def local(self) -> bool:
        """Whether packets that take it are delivered to the box itself."""
        return self.type in _DELIVERED

    @property
    def usable(self) -> bool:
        """Whether the state of its device lets packets take it.

        An IPv4 address stays the box's own while its device is down (weak host model).
        """
        if self.oif is None or self.oif.up:
            return True
        return self.type is RouteType.LOCAL and self.family == IPV4

    def through(self, oif: Device) -> bool:
        """Whether a lookup for one output device may find it.

        IPv6 keeps the types that end a packet on ``lo``, IPv4 on no device at all.
        """
        return self.oif is oif or (self.oif is None and self.family == IPV4)

    def same(self, other: Route) -> bool:
        """Whether both say the same of the same destination."""
        return _facts(self) == _facts(other)


_DELIVERED: Final = frozenset({RouteType.LOCAL, RouteType.BROADCAST, RouteType.ANYCAST, RouteType.MULTICAST})


def _facts(route: Route) -> tuple[object, ...]:
    return (
        route.destination,
        route.prefixlen,
        route.type,
        route.gateway,
        route.device,
        route.metric,
        route.mtu,
        route.source,
        route.onlink,
        route.scope,
        route.table,
        route.oif,
    )


class Fib:
    """The routes of one family: the local table, then the main one.

    Attributes:
        family: ``IPV4`` or ``IPV6``.
        generation: changes with everything that may change the answer of a lookup.
    """

    def __init__(self, family: int, devices: Mapping[str, Device], notify: Listener) -> None:
        self.family = family
        self.generation = 0
        self._devices = devices
        self._notify = notify
        self._routes: dict[Route, None] = {}
        bits = 32 if family == IPV4 else 128
        self._local = PrefixTable(bits)
        self._main = PrefixTable(bits)
        self._cache: dict[bytes, Route | None] = {}
        self._oif_cache: dict[tuple[int, bytes], Route | None] = {}
        self._derived: list[dict[Any, Any]] = []

    def __iter__(self) -> Iterator[Route]:
        return iter(list(self._routes))

    def __len__(self) -> int:
        return len(self._routes)

    def lookup(self, destination: bytes, *, oif: Device | None = None) -> Route | None:
        """The route to a destination: longest prefix, then lowest metric, then first added.

        Routes through devices that are down are passed over. IPv6 multicast and link-local
        destinations mean something on one device only: give that as ``oif``.

        Args:
            destination: 4 or 16 bytes.
            oif: only routes through this device; IPv4 types that end a packet match anyway.

        Returns:
            The same object until ``generation`` changes, or None: the network is unreachable.
        """
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

    def _resolve(self, destination: bytes, oif: Device | None) -> Route | None:
        value = int.from_bytes(destination)
        route = self._local.find(value, oif) or self._main.find(value, oif)
        if self.family == IPV4 and (route is None or route.table is not RouteTable.LOCAL):
            if destination == LIMITED_BROADCAST:
                return _to_many(RouteType.BROADCAST, destination, route, oif)
            if 224 <= destination[0] < 240:
                return _to_many(RouteType.MULTICAST, destination, route, oif)
        return route

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
        self._insert(route)
        return route

    def remove(self, route: Route) -> None:
        """Remove a route that ``add`` returned or a lookup found.

        Raises:
            TopologyError: there is no such route.
        """
        if route not in self._routes:
            raise TopologyError("No such process")
        del self._routes[route]
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
                self._insert(new)

    def invalidate(self) -> None:
        """Forget remembered answers: something that they depend on has changed."""
        self.generation += 1
        self._cache.clear()
        self._oif_cache.clear()
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
        if self.family == IPV6:
            return ipv6_select_addr(self._devices.values(), device, destination)
        match route.type:
            case RouteType.LOCAL:
                return destination
            case RouteType.BROADCAST | RouteType.MULTICAST if route.table is RouteTable.LOCAL:
                local = destination == LIMITED_BROADCAST or destination[:3] == b"\xe0\x00\x00"
                scope = Scope.LINK if local else Scope.UNIVERSE
                return inet_select_addr(self._devices.values(), device, None, scope)
            case _:
                return inet_select_addr(self._devices.values(), device, route.gateway, route.scope)

    def _table(self, route: Route) -> PrefixTable:
        return self._local if route.table is RouteTable.LOCAL else self._main

    def _insert(self, route: Route) -> None:
        self._routes[route] = None
        self._table(route).add(route)
        self.invalidate()
        self._notify(RouteChanged(route))

    def _checked(self, route: Route) -> Route:
        size = 4 if self.family == IPV4 else 16
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
        if route.type in REJECTING:
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
                scope, table, device = Scope.HOST, RouteTable.LOCAL, self._devices["lo"]
            case RouteType.BROADCAST | RouteType.MULTICAST:
                scope, table = Scope.LINK, RouteTable.LOCAL
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
        value = int.from_bytes(gateway)
        hop = self._local.find(value, device, down=True) or self._main.find(value, device, down=True)
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
