"""The ways of a flow: through which devices, over which routes, to which neighbours.

Ref: net/netfilter/nft_flow_offload.c:nft_flow_route; net/netfilter/nf_flow_table_core.c:
flow_offload_fill_dir, flow_offload_fill_route.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.conntrack.connection import Status
from flowtable.conntrack.tuple import ORIGINAL, REPLY
from flowtable.flows.entry import Direction, FlowFlag
from flowtable.flows.refusal import Refusal
from flowtable.packet.flowkey import FlowKey
from flowtable.packet.packet import IPV4
from flowtable.profile import ReturnRoute
from flowtable.topology.device import Scope
from flowtable.topology.route import REJECTING, Route, RouteType

if TYPE_CHECKING:
    from collections.abc import Collection

    from flowtable.conntrack.tuple import Tuple
    from flowtable.packet.packet import Packet
    from flowtable.profile import Profile
    from flowtable.topology.device import Device
    from flowtable.topology.route import Fib
    from flowtable.topology.sysctl import Sysctls
    from flowtable.topology.topology import Topology

MAX_MTU: Final = 0xFFFF
"""Ref: include/net/ip.h:IP_MAX_MTU."""

_ports = Struct("!HH").pack


def find_ways(
    packet: Packet, profile: Profile, topology: Topology, devices: Collection[str]
) -> tuple[Direction, Direction] | Refusal:
    """Both directions of the flow that a packet adds.

    Args:
        packet: a routed packet of a connection that may be added.
        profile: how the return route is found, and whether the devices have to be listed.
        topology: the box.
        devices: names of the devices of the flowtable.

    Returns:
        The original and the reply direction, or why there are none.
    """
    connection = packet.ct
    route = packet.dst
    iif = packet.iif
    assert connection is not None and route is not None and iif is not None
    there = REPLY if packet.reply else ORIGINAL
    sender = connection.tuple(there).src
    oif = route.device
    back = _return_route(topology.fib(packet.family), profile.return_route, sender, iif)
    if oif is None or back is None or back.device is None:
        return Refusal.NO_ROUTE
    entrance = iif if profile.return_route is ReturnRoute.ROUTED else back.device
    if profile.require_devices:
        for device in (entrance, oif, back.device):
            if device.name not in devices:
                return Refusal.DEVICE

    flags = nat_flags(connection.status)
    ways = [(entrance, oif, route), (oif, back.device, back)]
    if there == REPLY:
        ways.reverse()
    return (
        _direction(connection.original, connection.reply, flags, *ways[ORIGINAL]),
        # Seen from the reply, what is a source to the one side is a destination to the other.
        _direction(connection.reply, connection.original, _swapped(flags), *ways[REPLY]),
    )


def nat_flags(status: int) -> int:
    """The ``FlowFlag`` bits for the translation of a connection with this status."""
    flags = 0
    if status & Status.SRC_NAT:
        flags |= FlowFlag.SNAT
    if status & Status.DST_NAT:
        flags |= FlowFlag.DNAT
    return flags


def follow_device(direction: Direction, profile: Profile) -> None:
    """Take over what the device of a direction says of itself."""
    direction.source = direction.device.mac
    if profile.follow_mtu:
        direction.mtu = min(direction.route.path_mtu, MAX_MTU)


def follow_neighbour(direction: Direction, topology: Topology) -> None:
    """Take over what is known of the next hop of a direction."""
    device = direction.device
    neighbour = topology.neighbours.get(device, direction.next_hop)
    direction.neighbour = neighbour
    direction.ages = _ages(topology.sysctls, direction.key.l3proto, device)
    if neighbour is not None and neighbour.valid and neighbour.mac is not None:
        direction.destination = neighbour.mac
    else:
        direction.destination = b""


def _ages(sysctls: Sysctls, family: int, device: Device) -> bool:
    """Whether neighbours on a device are confirmed from time to time."""
    if not (sysctls.ipv4_neigh if family == IPV4 else sysctls.ipv6_neigh):
        return False
    return sysctls.neigh(family, device.name).base_reachable_time_ms is not None


def _return_route(fib: Fib, how: ReturnRoute, sender: bytes, iif: Device) -> Route | None:
    """The route of the answers to packets of ``sender`` that come in on ``iif``."""
    match how:
        case ReturnRoute.ROUTED:
            route = fib.lookup(sender)
        case ReturnRoute.PINNED if fib.family == IPV4:
            route = fib.lookup(sender, oif=iif)
            if route is None or route.type in REJECTING:
                # Ref: net/ipv4/route.c:ip_route_output_key_hash_rcu: "routing tables are wrong".
                return Route(IPV4, sender, 32, device=iif, scope=Scope.LINK, oif=iif)
        case ReturnRoute.PINNED:
            route = fib.lookup(sender)
            pinned = fib.lookup(sender, oif=iif)
            # Ref: net/ipv6/route.c:rt6_score_route: a device is a wish, not a condition.
            if route and pinned and (route.prefixlen, route.metric) == (pinned.prefixlen, pinned.metric):
                route = pinned
    if route is None or route.type is not RouteType.UNICAST:
        return None
    return route


def _swapped(flags: int) -> int:
    swapped = 0
    if flags & FlowFlag.SNAT:
        swapped |= FlowFlag.DNAT
    if flags & FlowFlag.DNAT:
        swapped |= FlowFlag.SNAT
    return swapped


def _direction(this: Tuple, other: Tuple, flags: int, iif: Device, oif: Device, route: Route) -> Direction:
    """A direction from the tuple of its packets on arrival and that of the opposite direction.

    Ref: net/netfilter/nf_flow_table_ip.c:nf_flow_snat_ip, nf_flow_dnat_ip;
    net/netfilter/nf_flow_table_core.c:nf_flow_snat_port, nf_flow_dnat_port.
    """
    key = FlowKey.of(iif.index, this.l4proto, this.src, this.dst, this.sport, this.dport)
    source, sport = (other.dst, other.dport) if flags & FlowFlag.SNAT else (this.src, this.sport)
    target, dport = (other.src, other.sport) if flags & FlowFlag.DNAT else (this.dst, this.dport)
    return Direction(
        key,
        source + target + _ports(sport, dport),
        oif,
        route,
        other.src if route.gateway is None else route.gateway,
        min(route.path_mtu, MAX_MTU),
    )
