"""The ways of a flow: through which devices, over which routes, to which neighbours.

Ref: net/netfilter/nft_flow_offload.c:nft_flow_route; net/netfilter/nf_flow_table_core.c:
flow_offload_fill_dir, flow_offload_fill_route.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, TypeAlias

from flowtable.conntrack.connection import Status
from flowtable.conntrack.tuple import ORIGINAL, REPLY
from flowtable.flows.entry import Direction, FlowFlag
from flowtable.flows.refusal import Refusal
from flowtable.flows.side import Side, Transmit
from flowtable.packet.flowkey import FlowKey
from flowtable.packet.packet import IPV4, IPV6
from flowtable.profile import ReturnRoute
from flowtable.topology.device import Scope
from flowtable.topology.route import REJECTING, Route, RouteType
from flowtable.topology.vrf import domain

if TYPE_CHECKING:
    from flowtable.conntrack.tuple import Tuple
    from flowtable.flows.discovery import Discovery
    from flowtable.flows.entry import FlowEntry
    from flowtable.flows.offer import Offer
    from flowtable.profile import Profile
    from flowtable.topology.device import Device
    from flowtable.topology.fib import Fib
    from flowtable.topology.sysctl import Sysctls
    from flowtable.topology.topology import Topology

MAX_MTU: Final = 0xFFFF
"""Ref: include/net/ip.h:IP_MAX_MTU."""
IPV4_HEADER: Final = 20
IPV6_HEADER: Final = 40

Track: TypeAlias = tuple[Side, Side]
"""Where packets of a direction come from and where they go to."""

_ports = Struct("!HH").pack


def find_ways(offer: Offer, discovery: Discovery) -> tuple[Direction, Direction] | Refusal:
    """Both directions of the flow of a connection.

    Args:
        offer: a connection that may be added, and how packets of it were routed.
        discovery: of the flowtable; its profile says how the return route is found, and whether the
            devices have to be listed.

    Returns:
        The original and the reply direction, or why there are none.
    """
    topology, profile, devices = discovery.topology, discovery.profile, discovery.devices
    connection, route, iif, mark = offer.connection, offer.route, offer.iif, offer.mark
    there, back = (REPLY, ORIGINAL) if offer.reply else (ORIGINAL, REPLY)
    sender, receiver = connection.tuple(there).src, connection.tuple(back).src
    oif = route.device
    fib = topology.fib(connection.l3proto)
    answers = None
    if oif is not None:
        answers = _return_route(fib, profile.return_route, sender, receiver, oif, iif, mark)
    if oif is None or answers is None or answers.device is None:
        return Refusal.NO_ROUTE

    target = discovery.side(oif, _next_hop(route, receiver))
    source = discovery.side(answers.device, _next_hop(answers, sender))
    if isinstance(target, Refusal):
        return target
    if isinstance(source, Refusal):
        return source
    entrance = source
    if profile.return_route is ReturnRoute.ROUTED and iif not in (answers.device, domain(answers.device)):
        other = discovery.side(iif, sender, offer.station)
        if isinstance(other, Refusal):
            return other
        entrance = other
    if profile.require_devices:
        if entrance.port.name not in devices:
            return Refusal.INPUT_DEVICE
        if target.port.name not in devices or source.port.name not in devices:
            return Refusal.OUTPUT_DEVICE

    flags = nat_flags(connection.status)
    ways = [(entrance, target, route), (target, source, answers)]
    if there == REPLY:
        ways.reverse()
    return (
        _direction(connection.original, connection.reply, flags, *ways[ORIGINAL], mark, profile),
        # Seen from the reply, what is a source to the one side is a destination to the other.
        _direction(connection.reply, connection.original, _swapped(flags), *ways[REPLY], mark, profile),
    )


def retrace(entry: FlowEntry, discovery: Discovery) -> tuple[Track, Track] | Refusal:
    """The ways of a flow, found anew over the routes that it has.

    A side whose neighbour is not known for the moment stays as it was: its packets wait for the
    neighbour on the classic path.

    Returns:
        Entrance and exit of the original and of the reply direction, or why there are none.
    """
    known: dict[Side, Side] = {}

    def again(side: Side) -> Side | Refusal:
        if side in known:
            return known[side]
        found = discovery.side(side.routed, side.next_hop, side.station)
        if found is Refusal.NO_NEIGHBOUR:
            found = side
        if isinstance(found, Refusal):
            return found
        if discovery.profile.require_devices and found.port.name not in discovery.devices:
            return Refusal.OUTPUT_DEVICE
        known[side] = found
        return found

    tracks: list[Track] = []
    for direction in entry.directions:
        entrance, exit_ = again(direction.entrance), again(direction.exit)
        if isinstance(entrance, Refusal):
            return entrance
        if isinstance(exit_, Refusal):
            return exit_
        tracks.append((entrance, exit_))
    return tracks[0], tracks[1]


def nat_flags(status: int) -> int:
    """The ``FlowFlag`` bits for the translation of a connection with this status."""
    flags = 0
    if status & Status.SRC_NAT:
        flags |= FlowFlag.SNAT
    if status & Status.DST_NAT:
        flags |= FlowFlag.DNAT
    return flags


def follow(direction: Direction, topology: Topology, profile: Profile) -> None:
    """Take over what the devices and the neighbour of a direction say of themselves."""
    side = direction.exit
    device = side.exit
    if profile.follow_mtu:
        direction.mtu = _mtu(direction.route, side, profile)
    if side.transmit is Transmit.DIRECT and not profile.follow_path and direction.destination:
        # What was found when the flow was added is what it keeps.
        return
    direction.source = device.mac if not side.push and side.transmit is Transmit.NEIGH else side.source
    direction.neighbour = None
    if not device.ethernet:
        direction.source = direction.destination = bytes(6)
    elif side.peer is not None:
        direction.destination = side.peer
    else:
        neighbour = topology.neighbours.get(side.link, side.next_hop)
        usable = neighbour is not None and neighbour.valid
        direction.destination = (neighbour.mac or b"") if neighbour is not None and usable else b""
        if side.transmit is Transmit.NEIGH or profile.follow_path:
            direction.neighbour = neighbour
            direction.ages = _ages(topology.sysctls, len(side.next_hop), side.link)


def _ages(sysctls: Sysctls, size: int, device: Device) -> bool:
    """Whether neighbours with addresses of that size are confirmed on a device from time to time."""
    family = IPV4 if size == 4 else IPV6
    if not (sysctls.ipv4_neigh if family == IPV4 else sysctls.ipv6_neigh):
        return False
    return sysctls.neigh(family, device.name).base_reachable_time_ms is not None


def route_of(direction: Direction, topology: Topology) -> Route | None:
    """The route that packets of a direction would take on the classic path now."""
    key = direction.key
    fib = topology.fib(key.l3proto)
    iif = direction.entrance.routed
    return fib.lookup(direction.target, iif=iif, source=key.source, mark=direction.mark)


def _return_route(
    fib: Fib, how: ReturnRoute, sender: bytes, receiver: bytes, oif: Device, iif: Device, mark: int
) -> Route | None:
    """The route of the answers to packets from ``iif`` to ``oif``; their mark is that of the packet.

    The kernel asks as for packets of its own, which come in nowhere.
    """
    match how:
        case ReturnRoute.ROUTED:
            route = fib.lookup(sender, iif=oif, source=receiver, mark=mark)
        case ReturnRoute.PINNED if fib.family == IPV4:
            route = fib.lookup(sender, oif=iif, source=receiver, mark=mark)
            if route is None or route.type in REJECTING:
                # Ref: net/ipv4/route.c:ip_route_output_key_hash_rcu: "routing tables are wrong".
                return Route(IPV4, sender, 32, device=iif, scope=Scope.LINK, oif=iif)
        case ReturnRoute.PINNED:
            route = fib.lookup_preferring(sender, iif, receiver, mark)
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


def _next_hop(route: Route, destination: bytes) -> bytes:
    return destination if route.gateway is None else route.gateway


def _mtu(route: Route, side: Side, profile: Profile) -> int:
    """The largest IP packet. Ref: net/netfilter/nf_flow_table_core.c:flow_offload_fill_route."""
    mtu = route.path_mtu
    if route.family == IPV6 and not profile.route_mtu6:
        assert route.device is not None
        mtu = route.device.mtu
    mtu = min(mtu, MAX_MTU)
    if side.plain:
        return mtu
    if profile.sound_path:
        # A bridge drops what its port does not carry. Ref: net/bridge/br_forward.c:br_dev_queue_push_xmit.
        mtu = min([mtu, *(hop.port.device.mtu for hop in side.bridges)])
    tunnel = side.tunnel
    if tunnel is not None and side.push:
        header = IPV4_HEADER if len(tunnel.next_hop) == 4 else IPV6_HEADER
        mtu = min(mtu, tunnel.route.path_mtu - header)
    return mtu


def _direction(
    this: Tuple,
    other: Tuple,
    flags: int,
    entrance: Side,
    exit_: Side,
    route: Route,
    mark: int,
    profile: Profile,
) -> Direction:
    """A direction from the tuple of its packets on arrival and that of the opposite direction.

    Ref: net/netfilter/nf_flow_table_ip.c:nf_flow_snat_ip, nf_flow_dnat_ip;
    net/netfilter/nf_flow_table_core.c:nf_flow_snat_port, nf_flow_dnat_port.
    """
    key = FlowKey.of(
        entrance.port.index, this.l4proto, this.src, this.dst, this.sport, this.dport, entrance.encap
    )
    source, sport = (other.dst, other.dport) if flags & FlowFlag.SNAT else (this.src, this.sport)
    target, dport = (other.src, other.sport) if flags & FlowFlag.DNAT else (this.dst, this.dport)
    rewritten = source + target + _ports(sport, dport)
    return Direction(key, rewritten, route, entrance, exit_, _mtu(route, exit_, profile), mark)
