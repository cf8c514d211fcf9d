"""The routing decision: through the box, into it, or nowhere.

A decision depends on the addresses, the device and, where there are rules, the mark only, so it
is kept for the packets that follow, until a route, a rule or an address changes. Sysctls stay as
the box began with them.

Ref: net/ipv4/route.c:ip_route_input_slow, net/ipv6/route.c:ip6_route_input.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.packet import icmp, icmpv6
from flowtable.packet.drop import Drop
from flowtable.router import forward, options
from flowtable.router import input as local_input
from flowtable.router.source_validation import may_be_source, validate_source
from flowtable.topology.route import RouteType

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.router.box import Box
    from flowtable.topology.device import Device
    from flowtable.topology.fib import Fib
    from flowtable.topology.route import Route


class Way(Enum):
    """Where a decision sends a packet."""

    FORWARD = auto()
    INPUT = auto()
    REFUSE = auto()


@dataclass(slots=True, frozen=True)
class Decision:
    """What to do with packets of one pair of addresses from one device.

    Attributes:
        way: where they go.
        route: the route they take, for ``FORWARD`` and ``INPUT``.
        redirect: forwarded back to the link they came from, so their sender is to be told.
        drop: why they end here, None unless ``REFUSE``.
        error: type and code of the ICMP error that says so to the sender, if one does.
    """

    way: Way
    route: Route | None = None
    redirect: bool = False
    drop: Drop | None = None
    error: tuple[int, int] | None = None


class Decisions(dict[tuple[bytes, int], Decision]):
    """Decisions already taken, by source and destination address, and device index with the mark."""

    __slots__ = ()

    LIMIT: Final = 65536
    """More are forgotten all at once, so that a scan cannot fill the memory."""

    def __init__(self, fib: Fib) -> None:
        """Start without any; they are forgotten when routes or addresses change.

        Args:
            fib: the routes that they depend on.
        """
        super().__init__()
        fib.keep_current(self)

    def remember(self, addresses: bytes, came: int, decision: Decision) -> None:
        """Keep a decision for the packets that follow."""
        if len(self) >= self.LIMIT:
            self.clear()
        self[addresses, came] = decision


_addresses4 = Struct("12x8s").unpack_from
_addresses6 = Struct("8x32s").unpack_from

_NO_OPTIONS: Final = 0x45
"""First byte of an IPv4 header of 20 bytes."""
_INDEX_BITS: Final = 31
"""An ifindex is an int."""
_FORWARD: Final = Way.FORWARD
_INPUT: Final = Way.INPUT

_NET_UNREACHABLE: Final = (icmp.DESTINATION_UNREACHABLE, icmp.NET_UNREACHABLE)
_HOST_UNREACHABLE: Final = (icmp.DESTINATION_UNREACHABLE, icmp.HOST_UNREACHABLE)
_FILTERED: Final = (icmp.DESTINATION_UNREACHABLE, icmp.ADMIN_PROHIBITED)
_NO_ROUTE6: Final = (icmpv6.DESTINATION_UNREACHABLE, icmpv6.NO_ROUTE)
_PROHIBITED6: Final = (icmpv6.DESTINATION_UNREACHABLE, icmpv6.ADMIN_PROHIBITED)

_MARTIAN: Final = Decision(Way.REFUSE, drop=Drop.MARTIAN_SOURCE)
_MARTIAN_DESTINATION: Final = Decision(Way.REFUSE, drop=Drop.MARTIAN_DESTINATION)
_REFUSED_SOURCE: Final = {
    Drop.MARTIAN_SOURCE: _MARTIAN,
    Drop.REVERSE_PATH: Decision(Way.REFUSE, drop=Drop.REVERSE_PATH),
}
_NOT_FORWARDABLE: Final = Decision(Way.REFUSE, drop=Drop.NOT_FORWARDABLE)
_NOT_FORWARDING: Final = Decision(Way.REFUSE, drop=Drop.NOT_FORWARDING)
_SILENT: Final = frozenset(
    {Drop.MARTIAN_SOURCE, Drop.MARTIAN_DESTINATION, Drop.REVERSE_PATH, Drop.NOT_FORWARDABLE}
)
"""Packets of these end before their options are looked at. Ref: net/ipv4/ip_input.c:ip_rcv_finish_core."""
_NO_ROUTE: Final = Decision(Way.REFUSE, drop=Drop.NO_ROUTE, error=_NET_UNREACHABLE)
_REFUSED: Final = {
    RouteType.BLACKHOLE: Decision(Way.REFUSE, drop=Drop.BLACKHOLE),
    RouteType.UNREACHABLE: Decision(Way.REFUSE, drop=Drop.UNREACHABLE, error=_HOST_UNREACHABLE),
    RouteType.PROHIBIT: Decision(Way.REFUSE, drop=Drop.PROHIBIT, error=_FILTERED),
}
_NO_ROUTE_V6: Final = Decision(Way.REFUSE, drop=Drop.NO_ROUTE, error=_NO_ROUTE6)
_REFUSED_V6: Final = {
    RouteType.BLACKHOLE: Decision(Way.REFUSE, drop=Drop.BLACKHOLE),
    RouteType.UNREACHABLE: Decision(Way.REFUSE, drop=Drop.UNREACHABLE, error=_NO_ROUTE6),
    RouteType.PROHIBIT: Decision(Way.REFUSE, drop=Drop.PROHIBIT, error=_PROHIBITED6),
}


def ipv4(box: Box, packet: Packet) -> None:
    """Decide where an IPv4 packet goes, and hand it on."""
    box.statistics.routing += 1
    device = packet.iif
    assert device is not None
    data = packet.data
    (addresses,) = _addresses4(data)
    came = device.index if not packet.mark else device.index | packet.mark << _INDEX_BITS
    decision = box.decisions4.get((addresses, came))
    if decision is None:
        decision = _decide_ipv4(box, device, addresses[:4], addresses[4:], packet.mark)
        box.decisions4.remember(addresses, came, decision)
    way = decision.way
    route = packet.dst = decision.route
    if data[0] != _NO_OPTIONS and decision.drop not in _SILENT and not options.read_ipv4(box, packet):
        box.statistics.drops[Drop.IP_OPTIONS] += 1
        return
    if way is _FORWARD:
        assert route is not None and route.device is not None
        packet.oif = way_out = route.device
        forward.ipv4(box, packet, route, way_out, decision.redirect)
    elif way is _INPUT:
        local_input.ipv4(box, packet)
    else:
        if decision.error is not None and box.icmp.allow_route_error(packet, box.now):
            box.icmp_error(packet, *decision.error)
        assert decision.drop is not None
        box.statistics.drops[decision.drop] += 1


def ipv6(box: Box, packet: Packet) -> None:
    """Decide where an IPv6 packet goes, and hand it on."""
    box.statistics.routing += 1
    device = packet.iif
    assert device is not None
    (addresses,) = _addresses6(packet.data)
    came = device.index if not packet.mark else device.index | packet.mark << _INDEX_BITS
    decision = box.decisions6.get((addresses, came))
    if decision is None:
        decision = _decide_ipv6(box, device, addresses[:16], addresses[16:], packet.mark)
        box.decisions6.remember(addresses, came, decision)
    way = decision.way
    if way is _FORWARD:
        route = decision.route
        assert route is not None and route.device is not None
        packet.dst = route
        packet.oif = way_out = route.device
        forward.ipv6(box, packet, route, way_out)
    elif way is _INPUT:
        packet.dst = decision.route
        local_input.ipv6(box, packet)
    else:
        if decision.error is not None:
            box.icmpv6_error(packet, *decision.error)
        assert decision.drop is not None
        box.statistics.drops[decision.drop] += 1


_ANY4: Final = bytes(4)
_BROADCAST4: Final = b"\xff" * 4
_ALL_HOSTS4: Final = b"\xe0\x00\x00\x01"


def _decide_ipv4(box: Box, device: Device, source: bytes, destination: bytes, mark: int) -> Decision:
    if destination[0] & 0xF0 == 0xE0:
        return _input_group(box, device, source) if destination == _ALL_HOSTS4 else _NOT_FORWARDABLE
    if source[0] & 0xF0 == 0xE0 or source == _BROADCAST4:
        return _MARTIAN
    if destination == _BROADCAST4 or (source == _ANY4 and destination == _ANY4):
        return _input_ipv4(box, device, source, destination, None)
    if source == _ANY4:
        return _MARTIAN
    if destination == _ANY4:
        return _MARTIAN_DESTINATION
    sysctls = box.topology.sysctls
    if 127 in (source[0], destination[0]) and not device.loopback and not sysctls.route_localnet(device.name):
        return _MARTIAN_DESTINATION if destination[0] == 127 else _MARTIAN

    route = box.topology.fib4.lookup(destination, iif=device, source=source, mark=mark)
    forwarding = sysctls.ip_forward(device.name)
    if route is None:
        return _NO_ROUTE if forwarding else _NOT_FORWARDING
    if route.type is RouteType.LOCAL or route.type is RouteType.BROADCAST:
        return _input_ipv4(box, device, source, destination, route)
    if not forwarding:
        return _NOT_FORWARDING
    if route.type is not RouteType.UNICAST:
        return _REFUSED.get(route.type, _NOT_FORWARDABLE)
    on_link = validate_source(box.topology, device, source, destination, route.device)
    if isinstance(on_link, Drop):
        return _REFUSED_SOURCE[on_link]
    redirect = route.device is device and on_link and sysctls.send_redirects(device.name)
    return Decision(Way.FORWARD, route, redirect=redirect)


def _input_group(box: Box, device: Device, source: bytes) -> Decision:
    """A multicast packet to a group that the box is a member of.

    Ref: net/ipv4/route.c:ip_mc_validate_source.
    """
    if not may_be_source(box.topology, device, source):
        return _MARTIAN
    return _input_ipv4(box, device, source, _ALL_HOSTS4, None)


def _input_ipv4(box: Box, device: Device, source: bytes, destination: bytes, route: Route | None) -> Decision:
    if source == _ANY4:
        return Decision(Way.INPUT, route)
    on_link = validate_source(box.topology, device, source, destination, None)
    return _REFUSED_SOURCE[on_link] if isinstance(on_link, Drop) else Decision(Way.INPUT, route)


_ALL_NODES: Final = bytes(13) + b"\x01"
_ALL_ROUTERS: Final = bytes(13) + b"\x02"
_SOLICITED_NODE: Final = b"\xff\x02" + bytes(9) + b"\x01\xff"


def _decide_ipv6(box: Box, device: Device, source: bytes, destination: bytes, mark: int) -> Decision:
    if destination[0] == 0xFF:
        return Decision(Way.INPUT) if _is_member(box, device, destination) else _NOT_FORWARDABLE
    link_local = destination[0] == 0xFE and destination[1] & 0xC0 == 0x80
    oif = device if link_local else None
    route = box.topology.fib6.lookup(destination, oif=oif, iif=device, source=source, mark=mark)
    if route is None:
        return _NO_ROUTE_V6
    if route.local:
        return Decision(Way.INPUT, route)
    if route.type is RouteType.UNICAST:
        return Decision(Way.FORWARD, route) if box.topology.sysctls.ip6_forward() else _NOT_FORWARDING
    return _REFUSED_V6.get(route.type, _NOT_FORWARDABLE)


def _is_member(box: Box, device: Device, group: bytes) -> bool:
    """Whether the box listens to an IPv6 multicast group on the device.

    All nodes, all routers where it is one, and the solicited-node group of each address, anycast
    included.

    Ref: net/ipv6/mcast.c:ipv6_chk_mcast_addr, net/ipv6/addrconf.c:addrconf_join_solict.
    """
    scope = group[1]
    if group[2:] == _ALL_NODES:
        return scope in (1, 2)
    if group[2:] == _ALL_ROUTERS:
        return scope in (1, 2, 5) and box.topology.sysctls.ip6_router(device.name)
    if group[:13] != _SOLICITED_NODE:
        return False
    return any(
        route.oif is device and route.destination[13:] == group[13:]
        for route in box.topology.fib6
        if route.type is RouteType.LOCAL or route.type is RouteType.ANYCAST
    )
