"""Tunnels: packets that are the payload of other packets.

A packet for the box that a tunnel carries is opened on local delivery and arrives on the tunnel's
device; a packet that leaves by a tunnel's device becomes one of the box's own.

Ref: net/ipv4/ip_tunnel.c, net/ipv4/ipip.c, net/ipv6/sit.c, net/ipv6/ip6_tunnel.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet import extension, icmp, icmpv6, ipv4, ipv6
from flowtable.packet.checksum import adjust, delta
from flowtable.packet.drop import Drop
from flowtable.packet.packet import IPV4, IPV6, PacketType
from flowtable.packet.parse import parse_ipv4, parse_ipv6
from flowtable.router.reply import local_packet
from flowtable.topology.device import IPV6_MIN_MTU, DeviceKind
from flowtable.topology.route import REJECTING
from flowtable.topology.tunnel import Tunnel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowtable.packet.packet import Packet
    from flowtable.router.box import Box
    from flowtable.topology.device import Device
    from flowtable.topology.fib import Fib
    from flowtable.topology.route import Route

IPIP: Final = 4
"""Protocol number of IPv4 in IP."""
IPV6_IN_IP: Final = 41

_INNER: Final = {DeviceKind.IPIP: IPIP, DeviceKind.SIT: IPV6_IN_IP, DeviceKind.IP6IP6: IPV6_IN_IP}
_SERVED: Final = {
    (IPV4, IPIP): (DeviceKind.IPIP, DeviceKind.SIT),
    (IPV4, IPV6_IN_IP): (DeviceKind.SIT,),
    (IPV6, IPIP): (DeviceKind.IP6IP6,),
    (IPV6, IPV6_IN_IP): (DeviceKind.IP6IP6,),
}
"""Kinds whose tunnels are asked for a packet, by its family and protocol.

Ref: net/ipv4/tunnel4.c, net/ipv6/tunnel6.c.
"""
_OUTER: Final = {IPV4: frozenset({DeviceKind.IPIP, DeviceKind.SIT}), IPV6: frozenset({DeviceKind.IP6IP6})}
_NESTING: Final = 8
"""Tunnels in tunnels that one packet may enter. Ref: net/core/dev.h:XMIT_RECURSION_LIMIT."""
_HOST: Final = int(PacketType.HOST)
_ETHERNET: Final = 14
_LINK: Final = {IPIP: bytes(12) + b"\x08\x00", IPV6_IN_IP: bytes(12) + b"\x86\xdd"}
_HEADER: Final = {IPIP: ipv4.HEADER, IPV6_IN_IP: ipv6.HEADER}
_ECT1, _ECT0, _CE = 1, 2, 3
_LIMIT: Final = 4
"""Type of the tunnel encapsulation limit option (RFC 2473 section 4.1.1)."""
_LIMIT_HEADER: Final = 8
_FRAGMENTATION_NEEDED: Final = (icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED)
_PORT_UNREACHABLE: Final = (icmp.DESTINATION_UNREACHABLE, icmp.PORT_UNREACHABLE)
_PORT_UNREACHABLE6: Final = (icmpv6.DESTINATION_UNREACHABLE, icmpv6.PORT_UNREACHABLE)
_ADDRESS_UNREACHABLE6: Final = (icmpv6.DESTINATION_UNREACHABLE, icmpv6.ADDRESS_UNREACHABLE)
_TOO_BIG6: Final = (icmpv6.PACKET_TOO_BIG, 0)
_HEADER_FIELD6: Final = (icmpv6.PARAMETER_PROBLEM, icmpv6.HEADER_FIELD)


class Tunnels:
    """The tunnels of a box."""

    __slots__ = ("_box", "_kinds", "_nested", "_tunnels")

    def __init__(self, box: Box) -> None:
        self._box = box
        self._nested = 0
        self._kinds: frozenset[DeviceKind] = frozenset()
        self._tunnels: dict[tuple[DeviceKind, bytes, bytes], list[Tunnel]] = {}

    def follow(self, devices: Iterable[Device]) -> None:
        """Know the tunnels among the devices of the box."""
        self._tunnels.clear()
        for device in devices:
            if isinstance(device, Tunnel):
                key = device.kind, device.local, device.remote
                self._tunnels.setdefault(key, []).append(device)
        self._kinds = frozenset(kind for kind, *_ in self._tunnels)

    def serves(self, family: int, protocol: int) -> bool:
        """Whether packets of the protocol over IPv4 or IPv6 have somebody to ask for a tunnel."""
        return protocol in _INNER.values() and not self._kinds.isdisjoint(_OUTER[family])

    def receive(self, packet: Packet, protocol: int) -> Drop | None:
        """Open a whole packet for the box, whose payload is at its transport header.

        Returns:
            None if it was the payload of a tunnel, which has arrived there; else why not.

        Ref: ip_tunnel_rcv, ipip6_rcv, __ip6_tnl_rcv.
        """
        box, data = self._box, packet.data
        inner = data[packet.thoff :]
        if len(inner) < _HEADER[protocol]:
            return Drop.TUNNEL_PROTOCOL
        tunnel = self._find(packet, protocol)
        if tunnel is None:
            if packet.family == IPV4:
                box.icmp_error(packet, *_PORT_UNREACHABLE)
            else:
                box.icmpv6_error(packet, *_PORT_UNREACHABLE6)
            return Drop.TUNNEL_UNKNOWN
        if protocol != _INNER[tunnel.kind]:
            return Drop.TUNNEL_PROTOCOL
        if not _take_congestion(_traffic_class(data, packet.family), inner, protocol):
            return Drop.TUNNEL_ECN
        box.statistics.decapsulated += 1
        box.climb(tunnel, _LINK[protocol] + bytes(inner), _HOST)
        return None

    def _find(self, packet: Packet, protocol: int) -> Tunnel | None:
        """Ref: ip_tunnel_lookup, ipip6_tunnel_lookup, ip6_tnl_lookup."""
        data = packet.data
        at, size = (12, 4) if packet.family == IPV4 else (8, 16)
        remote, local = bytes(data[at : at + size]), bytes(data[at + size : at + 2 * size])
        for kind in _SERVED[packet.family, protocol]:
            found = None
            for tunnel in self._tunnels.get((kind, local, remote), ()):
                if not tunnel.up:
                    continue
                if tunnel.lower is packet.iif:
                    return tunnel
                found = tunnel
            if found is not None:
                return found
        return None

    def transmit(self, tunnel: Tunnel, frame: bytes) -> None:
        """Send a frame that was handed to a tunnel's device."""
        parse = parse_ipv4 if frame[12:14] == b"\x08\x00" else parse_ipv6
        packet = parse(frame, _ETHERNET, None, self._box.now)
        if isinstance(packet, Drop):
            self._box.withhold(packet)
        else:
            self.send(tunnel, packet)

    def send(self, tunnel: Tunnel, packet: Packet) -> None:
        """Send a packet through a tunnel."""
        if packet.family != (IPV4 if tunnel.kind is DeviceKind.IPIP else IPV6):
            self._box.withhold(Drop.TUNNEL_PROTOCOL)
            return
        if self._nested == _NESTING:
            self._box.withhold(Drop.TUNNEL_ROUTE)
            return
        self._nested += 1
        try:
            if tunnel.kind is DeviceKind.IP6IP6:
                self._over_ipv6(tunnel, packet)
            else:
                self._over_ipv4(tunnel, packet)
        finally:
            self._nested -= 1

    def _over_ipv4(self, tunnel: Tunnel, packet: Packet) -> None:
        """Ref: net/ipv4/ip_tunnel.c:ip_tunnel_xmit, net/ipv6/sit.c:ipip6_tunnel_xmit."""
        box, data = self._box, packet.data
        route = self._route(tunnel, box.topology.fib4)
        if route is None:
            if packet.family == IPV6:
                box.icmpv6_error(packet, *_ADDRESS_UNREACHABLE6)
            return
        room = route.path_mtu - ipv4.HEADER
        dont_fragment = True
        if packet.family == IPV6:
            dont_fragment = room >= IPV6_MIN_MTU
            room = max(room, IPV6_MIN_MTU)
            if len(data) > room:
                box.withhold(Drop.TOO_BIG)
                box.icmpv6_error(packet, *_TOO_BIG6, room)
                return
        elif len(data) > room and data[6] & 0x40:
            box.withhold(Drop.TOO_BIG)
            box.icmp_error(packet, *_FRAGMENTATION_NEEDED, room)
            return
        outer = ipv4.build(
            tunnel.local,
            tunnel.remote,
            IPIP if packet.family == IPV4 else IPV6_IN_IP,
            bytes(data),
            ttl=tunnel.ttl or data[8 if packet.family == IPV4 else 7],
            tos=_outer_congestion(data, packet.family),
            ident=box.identifiers.ipv4(),
            dont_fragment=dont_fragment,
        )
        self._sent(tunnel, packet, outer, route)

    def _over_ipv6(self, tunnel: Tunnel, packet: Packet) -> None:
        """Ref: net/ipv6/ip6_tunnel.c:ipxip6_tnl_xmit, ip6_tnl_xmit."""
        box, data = self._box, packet.data
        if data[8:24] == tunnel.remote:
            box.withhold(Drop.TUNNEL_SOURCE)
            return
        limit = tunnel.encaplimit
        option = _limit_option(data)
        if option is not None:
            if data[option + 2] == 0:
                box.withhold(Drop.TUNNEL_LIMIT)
                box.icmpv6_error(packet, *_HEADER_FIELD6, option + 2)
                return
            limit = data[option + 2] - 1
        route = self._route(tunnel, box.topology.fib6)
        if route is None:
            box.icmpv6_error(packet, *_ADDRESS_UNREACHABLE6)
            return
        room = route.path_mtu - ipv6.HEADER - (0 if limit is None else _LIMIT_HEADER)
        room = max(room, IPV6_MIN_MTU)
        if len(data) > room:
            box.withhold(Drop.TOO_BIG)
            box.icmpv6_error(packet, *_TOO_BIG6, room)
            return
        next_header, options = IPV6_IN_IP, b""
        if limit is not None:
            next_header = extension.DESTINATION
            options = extension.build_options(IPV6_IN_IP, (_LIMIT, bytes((limit,))))
        outer = ipv6.build(
            tunnel.local,
            tunnel.remote,
            next_header,
            options + data,
            hop_limit=tunnel.ttl or data[7],
            traffic_class=_outer_congestion(data, IPV6),
        )
        self._sent(tunnel, packet, outer, route)

    def _route(self, tunnel: Tunnel, fib: Fib) -> Route | None:
        """The route to the remote end, None and the packet ends where there is none that leads there."""
        route = fib.lookup(tunnel.remote, oif=tunnel.lower, source=tunnel.local)
        if (
            route is not None
            and route.type not in REJECTING
            and route.device is not None
            and route.device is not tunnel
        ):
            return route
        self._box.withhold(Drop.TUNNEL_ROUTE)
        return None

    def _sent(self, tunnel: Tunnel, packet: Packet, outer: bytes, route: Route) -> None:
        statistics = tunnel.statistics
        statistics.tx_packets += 1
        statistics.tx_bytes += len(packet.data)
        self._box.statistics.encapsulated += 1
        family = IPV4 if len(tunnel.local) == 4 else IPV6
        carrier = local_packet(outer, family, self._box.now, route)
        carrier.mark = packet.mark
        self._box.send(carrier)


def _traffic_class(data: bytearray, family: int) -> int:
    return data[1] if family == IPV4 else (data[0] << 4 | data[1] >> 4) & 0xFF


def _outer_congestion(data: bytearray, family: int) -> int:
    """The outer ECN field. Ref: include/net/inet_ecn.h:INET_ECN_encapsulate."""
    inner = _traffic_class(data, family) & 3
    return _ECT0 if inner == _CE else inner


def _take_congestion(outer: int, inner: bytearray, protocol: int) -> bool:
    """Carry the outer ECN field over to the inner packet; False where it must not go on.

    Ref: include/net/inet_ecn.h:INET_ECN_decapsulate.
    """
    outer &= 3
    within = _traffic_class(inner, IPV4 if protocol == IPIP else IPV6) & 3
    if within == 0:
        return outer != _CE
    if outer == _CE:
        new = _CE
    elif outer == _ECT1 and within == _ECT0:
        new = _ECT1
    else:
        return True
    if protocol == IPIP:
        before = bytes(inner[0:2])
        inner[1] = inner[1] & ~3 | new
        check = adjust(int.from_bytes(inner[10:12]), delta(before, bytes(inner[0:2])))
        inner[10:12] = check.to_bytes(2)
    else:
        inner[1] = inner[1] & ~0x30 | new << 4
    return True


def _limit_option(data: bytearray) -> int | None:
    """Where a packet has a tunnel encapsulation limit, None where not.

    Ref: net/ipv6/ip6_tunnel.c:ip6_tnl_parse_tlv_enc_lim.
    """
    following, at = data[6], ipv6.HEADER
    while following in extension.EXTENSION_HEADERS and at + 8 <= len(data):
        match following:
            case extension.FRAGMENT:
                if (data[at + 2] << 8 | data[at + 3]) & 0xFFF8:
                    return None
                size = 8
            case extension.AUTHENTICATION:
                size = (data[at + 1] + 2) * 4
            case _:
                size = (data[at + 1] + 1) * 8
        if following == extension.DESTINATION:
            option = at + 2
            end = min(at + size, len(data))
            while option + 3 <= end:
                if data[option] == _LIMIT and data[option + 1] == 1:
                    return option
                option += data[option + 1] + 2 if data[option] else 1
        following, at = data[at], at + size
    return None
