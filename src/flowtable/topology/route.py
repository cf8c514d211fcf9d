"""Routes. Ref: net/ipv4/fib_semantics.c, net/ipv6/route.c."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

from flowtable.packet.packet import IPV4
from flowtable.topology.device import Device, Scope

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
    THROW = "throw"


class RouteTable(IntEnum):
    """Tables that are there from the start. Ref: include/uapi/linux/rtnetlink.h:RT_TABLE_*."""

    DEFAULT = 253
    MAIN = 254
    LOCAL = 255


class RouteProtocol(Enum):
    """Who made the route. Ref: RTPROT_*."""

    KERNEL = "kernel"
    STATIC = "static"


REJECTING: Final = frozenset({RouteType.BLACKHOLE, RouteType.UNREACHABLE, RouteType.PROHIBIT})
"""Types that end a packet, whatever the device."""
NOWHERE: Final = REJECTING | {RouteType.THROW}
"""Types without a device. THROW ends the search in a table, so that the next rule is asked."""
DELIVERED: Final = frozenset({RouteType.LOCAL, RouteType.BROADCAST, RouteType.ANYCAST, RouteType.MULTICAST})
"""Types that deliver a packet to the box itself."""


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
        table: number of the table that holds it: a ``RouteTable``, a VRF's or any other.
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
    table: int = RouteTable.MAIN
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
        return self.type in DELIVERED

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
