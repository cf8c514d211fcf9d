"""Local delivery: the protocols of the box itself.

It speaks ICMP, ICMPv6 and neighbour discovery. What listens on it (``Topology.services``) takes
what comes, and everything else is refused as Linux refuses it.

Ref: net/ipv4/ip_input.c:ip_protocol_deliver_rcu; net/ipv6/ip6_input.c:ip6_protocol_deliver_rcu.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from flowtable.packet import icmp, icmpv6, ipv4, ipv6, tcp, udp
from flowtable.packet.checksum import l4_valid, transport_checksum
from flowtable.packet.drop import Drop
from flowtable.packet.extension import (
    DESTINATION,
    EXTENSION_HEADERS,
    FRAGMENT,
    HOP_BY_HOP,
    NO_NEXT_HEADER,
    ROUTING,
    UnknownOption,
    read_options,
)
from flowtable.packet.malformed import Malformed
from flowtable.packet.packet import ICMP, ICMPV6, IPV4, IPV6, TCP, UDP, PacketType
from flowtable.router import nd
from flowtable.router.reject import reset_segment
from flowtable.router.reply import echoed_options, local_packet, record_route
from flowtable.topology.device import link_local
from flowtable.topology.route import REJECTING, RouteType
from flowtable.topology.vrf import domain

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.router.icmp import Icmp, Output
    from flowtable.router.icmpv6 import Icmpv6
    from flowtable.router.tunnel import Tunnels
    from flowtable.topology.topology import Topology

_HOST: Final = int(PacketType.HOST)
_IGMP: Final = 2
_ECN: Final = 3
_NO_OPTIONS: Final = 0x45
"""Version 4 and a header of 20 bytes."""
_SEGMENT_ROUTING: Final = frozenset({3, 4})
"""Routing headers of RPL and SRv6, which are off (net.ipv6.conf.*.seg6_enabled)."""


class Local:
    """The box as the destination of packets.

    Attributes:
        delivered: packets taken, by protocol and port (ICMP: type; else 0).
    """

    __slots__ = ("_discovery", "_icmp", "_icmpv6", "_output", "_topology", "_tunnels", "delivered")

    def __init__(
        self,
        topology: Topology,
        icmp: Icmp,
        icmpv6: Icmpv6,
        discovery: nd.NeighbourDiscovery,
        output: Output,
        tunnels: Tunnels | None = None,
    ) -> None:
        """Start with nothing delivered.

        Args:
            topology: the box.
            icmp: takes ICMP and sends errors.
            icmpv6: takes ICMPv6 and sends errors.
            discovery: takes neighbour discovery.
            output: takes a TCP reset, whose ``dst`` and ``oif`` are set.
            tunnels: take packets that carry others.
        """
        self._topology = topology
        self._icmp = icmp
        self._icmpv6 = icmpv6
        self._discovery = discovery
        self._tunnels = tunnels
        self._output = output
        self.delivered: Counter[tuple[int, int]] = Counter()

    def ipv4(self, packet: Packet, now: int) -> Drop | None:
        """Deliver a whole IPv4 packet; returns why it was dropped, None if it was taken."""
        if packet.data[0] != _NO_OPTIONS and not self._read_options(packet, now):
            return Drop.IP_OPTIONS
        protocol = packet.l4proto
        if protocol == ICMP:
            return self._taken(packet, self._icmp.receive(packet, now))
        if protocol == UDP:
            return self._udp(packet, now)
        if protocol == TCP:
            return self._tcp(packet, now)
        if protocol == _IGMP:
            return self._taken(packet, None)
        if self._tunnels is not None and self._tunnels.serves(IPV4, protocol):
            return self._taken(packet, self._tunnels.receive(packet, protocol))
        self._icmp.error(packet, icmp.DESTINATION_UNREACHABLE, icmp.PROTOCOL_UNREACHABLE, now=now)
        return Drop.NO_SOCKET

    def ipv6(self, packet: Packet, now: int) -> Drop | None:
        """Deliver a whole IPv6 packet; returns why it was dropped, None if it was taken.

        Options of a leading hop-by-hop header have been read on receipt.
        """
        data = packet.data
        protocol, named_at, at = data[6], 6, 40
        if protocol == HOP_BY_HOP and len(data) >= 48:
            protocol, named_at, at = data[40], 40, 48 + data[41] * 8
        while protocol in EXTENSION_HEADERS or protocol == NO_NEXT_HEADER:
            if protocol == NO_NEXT_HEADER:
                return self._taken(packet, None)
            if protocol not in (DESTINATION, ROUTING, FRAGMENT):
                break
            if len(data) < at + 8:
                return Drop.LOCAL_DELIVERY
            drop = self._extension(packet, protocol, at, now)
            if drop is not None:
                return drop
            size = 8 if protocol == FRAGMENT else (data[at + 1] + 1) * 8
            protocol, named_at, at = data[at], at, at + size
        packet.l4proto = protocol
        packet.thoff = at
        if protocol == ICMPV6:
            return self._icmp6(packet, now)
        if protocol == UDP:
            return self._udp(packet, now)
        if protocol == TCP:
            return self._tcp(packet, now)
        if self._tunnels is not None and self._tunnels.serves(IPV6, protocol):
            return self._taken(packet, self._tunnels.receive(packet, protocol))
        self._icmpv6.error(packet, icmpv6.PARAMETER_PROBLEM, icmpv6.UNKNOWN_NEXT_HEADER, named_at, now=now)
        return Drop.NO_SOCKET

    def _read_options(self, packet: Packet, now: int) -> bool:
        """Note the box in the options of a packet to it, for answers to echo. Not in the checksum."""
        data = packet.data
        check = data[10:12]
        try:
            record_route(data, bytes(data[16:20]), self._topology.fib4, now)
        except Malformed:
            return False
        data[10:12] = check
        return True

    def _taken(self, packet: Packet, drop: Drop | None, port: int = 0) -> Drop | None:
        if drop is None:
            self.delivered[packet.l4proto, port] += 1
        return drop

    def _icmp6(self, packet: Packet, now: int) -> Drop | None:
        data = packet.data
        if len(data) > packet.thoff and data[packet.thoff] in nd.TYPES and packet.iif is not None:
            outcome = self._discovery.receive(packet, packet.iif, now)
            return self._taken(packet, Drop.LOCAL_DELIVERY if outcome is nd.Outcome.MALFORMED else None)
        return self._taken(packet, self._icmpv6.receive(packet, now))

    def _extension(self, packet: Packet, kind: int, at: int, now: int) -> Drop | None:
        """Process an IPv6 extension header that is the destination's to process.

        Ref: net/ipv6/exthdrs.c:ipv6_destopt_rcv, ipv6_rthdr_rcv; net/ipv6/reassembly.c:ipv6_frag_rcv.
        """
        data = packet.data
        if kind == DESTINATION:
            try:
                read_options(data, at, hop_by_hop=False)
            except UnknownOption as unknown:
                if unknown.answer:
                    code = icmpv6.UNKNOWN_OPTION
                    self._icmpv6.error(packet, icmpv6.PARAMETER_PROBLEM, code, unknown.offset, now=now)
                return Drop.LOCAL_DELIVERY
            except Malformed:
                return Drop.LOCAL_DELIVERY
        elif kind == ROUTING:
            if packet.pkttype != _HOST or data[24] == 0xFF or data[at + 2] in _SEGMENT_ROUTING:
                return Drop.LOCAL_DELIVERY
            if data[at + 3]:
                code = icmpv6.HEADER_FIELD
                self._icmpv6.error(packet, icmpv6.PARAMETER_PROBLEM, code, at + 2, now=now)
                return Drop.LOCAL_DELIVERY
        elif data[at + 2] or data[at + 3] & 0xF9:
            return Drop.FRAGMENT_INVALID
        return None

    def _udp(self, packet: Packet, now: int) -> Drop | None:
        """Ref: net/ipv4/udp.c:__udp4_lib_rcv, net/ipv6/udp.c:__udp6_lib_rcv."""
        data = packet.data
        try:
            header = udp.Udp(data, packet.thoff).check()
        except Malformed:
            return Drop.LOCAL_DELIVERY
        del data[packet.thoff + header.length :]
        if packet.family == IPV4:
            addresses, destination = data[12:20], bytes(data[16:20])
        else:
            addresses, destination = data[8:40], bytes(data[24:40])
        if header.checksum == 0:
            valid = packet.family == IPV4
        else:
            valid = transport_checksum(addresses, UDP, data[packet.thoff :]) == 0
        if not valid:
            return Drop.LOCAL_DELIVERY
        if self._topology.listening(UDP, destination, header.dport):
            return self._taken(packet, None, header.dport)
        packet.ct = None
        if packet.family == IPV6:
            if destination[0] != 0xFF:
                code6 = icmpv6.PORT_UNREACHABLE
                self._icmpv6.error(packet, icmpv6.DESTINATION_UNREACHABLE, code6, now=now)
        elif packet.dst is not None and packet.dst.type is RouteType.LOCAL:
            code = icmp.PORT_UNREACHABLE
            self._icmp.error(packet, icmp.DESTINATION_UNREACHABLE, code, now=now)
        return Drop.NO_SOCKET

    def _tcp(self, packet: Packet, now: int) -> Drop | None:
        """Ref: net/ipv4/tcp_ipv4.c:tcp_v4_rcv, net/ipv6/tcp_ipv6.c:tcp_v6_rcv."""
        data = packet.data
        if packet.pkttype != _HOST:
            return Drop.LOCAL_DELIVERY
        try:
            header = tcp.Tcp(data, packet.thoff).check()
        except Malformed:
            return Drop.LOCAL_DELIVERY
        if not l4_valid(packet):
            return Drop.LOCAL_DELIVERY
        destination = bytes(data[16:20] if packet.family == IPV4 else data[24:40])
        if self._topology.listening(TCP, destination, header.dport):
            return self._taken(packet, None, header.dport)
        packet.ct = None
        segment = reset_segment(packet)
        if segment is not None and packet.dst is not None and packet.dst.type is RouteType.LOCAL:
            if packet.family == IPV4:
                self._reset4(packet, segment, now)
            else:
                self._reset6(packet, segment, now)
        return Drop.NO_SOCKET

    def _reset4(self, packet: Packet, segment: bytes, now: int) -> None:
        """Ref: net/ipv4/ip_output.c:ip_send_unicast_reply."""
        data = packet.data
        sender = bytes(data[12:16])
        fib = self._topology.fib4
        own = bytes(data[16:20])
        route = fib.lookup(sender, oif=domain(packet.iif), source=own)
        if route is None or route.type in REJECTING or route.device is None:
            return
        options = echoed_options(data)
        answer = local_packet(
            ipv4.build(
                own,
                sender,
                TCP,
                segment,
                ttl=self._topology.sysctls.ip_default_ttl,
                tos=data[1] & ~_ECN,
                dont_fragment=True,
                options=options,
            ),
            IPV4,
            now,
            route,
        )
        if options:
            record_route(answer.data, own, fib, now)
        self._output(answer, now)

    def _reset6(self, packet: Packet, segment: bytes, now: int) -> None:
        """Ref: net/ipv6/tcp_ipv6.c:tcp_v6_send_response."""
        data = packet.data
        sender = bytes(data[8:24])
        device = packet.iif if link_local(sender) else domain(packet.iif)
        route = self._topology.fib6.lookup(sender, oif=device)
        if route is None or route.type in REJECTING or route.device is None:
            return
        answer = ipv6.build(
            bytes(data[24:40]),
            sender,
            TCP,
            segment,
            hop_limit=self._topology.sysctls.hop_limit(route.device.name),
            traffic_class=(data[0] << 8 | data[1]) >> 4 & 0xFF & ~_ECN,
        )
        self._output(local_packet(answer, IPV6, now, route), now)
