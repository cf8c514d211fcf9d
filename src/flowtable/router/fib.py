"""What ``fib`` and ``rt mtu`` expressions read: the routing tables, asked about a packet's addresses.

Ref: net/ipv4/netfilter/nft_fib_ipv4.c, net/ipv6/netfilter/nft_fib_ipv6.c, net/netfilter/nft_rt.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.packet import IPV4, IPV6
from flowtable.ruleset.hook import Hook
from flowtable.topology.device import link_local
from flowtable.topology.route import REJECTING, RouteType

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.environment import FibQuery
    from flowtable.topology.device import Device
    from flowtable.topology.route import Route
    from flowtable.topology.topology import Topology

_NUMBERS: Final = {
    RouteType.UNICAST: 1,
    RouteType.LOCAL: 2,
    RouteType.BROADCAST: 3,
    RouteType.ANYCAST: 4,
    RouteType.MULTICAST: 5,
    RouteType.BLACKHOLE: 6,
    RouteType.UNREACHABLE: 7,
    RouteType.PROHIBIT: 8,
}
"""Ref: include/uapi/linux/rtnetlink.h:RTN_*."""
_UNICAST: Final = 1
_LOCAL: Final = 2
_BROADCAST: Final = 3
_MULTICAST: Final = 5
_UNREACHABLE: Final = 7
_IN_LOCAL_TABLE: Final = (RouteType.LOCAL, RouteType.BROADCAST, RouteType.ANYCAST)
_EARLY: Final = (Hook.PREROUTING, Hook.INPUT, Hook.INGRESS)
_LIMITED_BROADCAST: Final = b"\xff" * 4
_SIZES: Final = {IPV4: 20, IPV6: 40}
_HEADERS: Final = {IPV4: 40, IPV6: 60}
"""IP and TCP header together, bytes."""
_DEFAULT_SEGMENT: Final = 536
"""Ref: include/net/tcp.h:TCP_MSS_DEFAULT."""
_MAX_MTU: Final = 0xFFFF


def address_type(topology: Topology, packet: Packet, query: FibQuery) -> int | None:
    """What kind of address a packet's source or destination is (RTN number); None without an IP header."""
    addresses = _addresses(packet)
    if addresses is None:
        return None
    address = addresses[0] if query.source else addresses[1]
    device = _device(packet, query)
    if packet.family == IPV4:
        return _type4(topology, address, device)
    return _type6(topology, address, device)


def _type4(topology: Topology, address: bytes, device: Device | None) -> int:
    """Ref: net/ipv4/fib_frontend.c:__inet_dev_addr_type."""
    if address[0] == 0 or address == _LIMITED_BROADCAST:
        return _BROADCAST
    if address[0] & 0xF0 == 0xE0:
        return _MULTICAST
    route = topology.fib4.lookup(address)
    if route is None or route.type not in _IN_LOCAL_TABLE or (device is not None and route.oif is not device):
        return _UNICAST
    return _NUMBERS[route.type]


def _type6(topology: Topology, address: bytes, device: Device | None) -> int:
    """Ref: net/ipv6/netfilter/nft_fib_ipv6.c:__nft_fib6_eval_type."""
    if address[0] == 0xFF:
        return _MULTICAST
    if device is not None and device.has(address):
        return _LOCAL
    route = topology.fib6.lookup(address, oif=device if link_local(address) else None)
    if route is None:
        return _UNREACHABLE
    if route.type is RouteType.LOCAL and device is not None:
        return _UNICAST
    return _NUMBERS[route.type]


def way_out(topology: Topology, packet: Packet, query: FibQuery) -> Device | None:
    """The device that packets to a packet's source or destination leave by, None where they do not.

    With ``iif`` or ``oif`` only that device will do.
    """
    addresses = _addresses(packet)
    if addresses is None:
        return None
    source, destination = addresses
    device = _device(packet, query)
    came_in = packet.iif
    if came_in is not None and came_in.loopback and packet.hook in _EARLY:
        return came_in
    if packet.family == IPV4 and source[0] == 0 and _local_group(destination):
        return came_in
    address = source if query.source else destination
    route = _route(topology, packet.family, address, device)
    if route is None or route.type is not RouteType.UNICAST or route.device is None:
        return None
    if device is not None and route.device is not device:
        return None
    return route.device


def _route(topology: Topology, family: int, address: bytes, device: Device | None) -> Route | None:
    """IPv6 takes the device into the lookup, where IPv4 only compares."""
    if family == IPV6 and device is not None:
        return topology.fib6.lookup(address, oif=device)
    return topology.fib(family).lookup(address)


def maximum_segment(topology: Topology, packet: Packet) -> int:
    """The largest TCP segment that fits the way of a packet and the way back, in bytes.

    Ref: net/netfilter/nft_rt.c:get_tcpmss.
    """
    assert packet.dst is not None
    mtu = packet.dst.path_mtu
    addresses = _addresses(packet)
    back = None if addresses is None else topology.fib(packet.family).lookup(addresses[0])
    if back is not None and back.type not in REJECTING and back.device is not None:
        mtu = min(mtu, back.path_mtu)
    headers = _HEADERS[packet.family]
    return mtu - headers if headers < mtu <= _MAX_MTU else _DEFAULT_SEGMENT


def _device(packet: Packet, query: FibQuery) -> Device | None:
    if query.iif:
        return packet.iif
    return packet.oif if query.oif else None


def _local_group(address: bytes) -> bool:
    """A limited broadcast, or a group that stays on its link (224.0.0.0/24)."""
    return address == _LIMITED_BROADCAST or address[:3] == b"\xe0\x00\x00"


def _addresses(packet: Packet) -> tuple[bytes, bytes] | None:
    data = packet.data
    if len(data) < _SIZES.get(packet.family, len(data) + 1):
        return None
    if packet.family == IPV4:
        return bytes(data[12:16]), bytes(data[16:20])
    return bytes(data[8:24]), bytes(data[24:40])
