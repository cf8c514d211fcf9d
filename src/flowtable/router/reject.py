"""Reject: what a rule that refuses a packet says to its sender.

Ref: net/ipv4/netfilter/nf_reject_ipv4.c; net/ipv6/netfilter/nf_reject_ipv6.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet import icmp, icmpv6, ipv4, ipv6, tcp
from flowtable.packet.checksum import checksum, transport_checksum
from flowtable.packet.packet import GRE, IPV4, IPV6, TCP, UDP
from flowtable.router.reply import attach, local_packet
from flowtable.ruleset.environment import RejectKind
from flowtable.topology.device import link_local
from flowtable.topology.route import REJECTING, RouteType
from flowtable.topology.vrf import domain

if TYPE_CHECKING:
    from flowtable.conntrack.core import Conntrack
    from flowtable.packet.packet import Packet
    from flowtable.router.icmp import Icmp, Output
    from flowtable.router.icmpv6 import Icmpv6
    from flowtable.ruleset.environment import RejectWith
    from flowtable.topology.topology import Topology

_UNCHECKED: Final = frozenset({GRE, 50, 51, 132, 136, 33})
"""Protocols whose checksum is not that of all of their bytes: GRE, ESP, AH, SCTP, UDP-Lite, DCCP.

Ref: include/net/netfilter/nf_reject.h:nf_reject_verify_csum.
"""


class Reject:
    """Answers to rejected packets."""

    __slots__ = ("_conntrack", "_icmp", "_icmpv6", "_output", "_topology")

    def __init__(
        self, topology: Topology, conntrack: Conntrack, icmp: Icmp, icmpv6: Icmpv6, output: Output
    ) -> None:
        """Start.

        Args:
            topology: the box.
            conntrack: its connections, of which a TCP reset closes one.
            icmp: sends the IPv4 unreachables.
            icmpv6: sends the IPv6 unreachables.
            output: takes a TCP reset, whose ``dst`` and ``oif`` are set.
        """
        self._topology = topology
        self._conntrack = conntrack
        self._icmp = icmp
        self._icmpv6 = icmpv6
        self._output = output

    def __call__(self, packet: Packet, reply: RejectWith, now: int) -> None:
        """Answer a packet as a rule says."""
        match reply.kind:
            case RejectKind.UNREACHABLE:
                self.unreachable(packet, reply.code, now)
            case RejectKind.TCP_RESET:
                self.reset(packet, now)

    def unreachable(self, packet: Packet, code: int, now: int) -> None:
        """Say "destination unreachable", with the code of the packet's family.

        A packet with a wrong checksum gets no answer; who knows who sent it.

        Ref: nf_send_unreach, nf_send_unreach6.
        """
        if packet.fragoff or not _intact(packet):
            return
        if packet.family == IPV4:
            self._icmp.error(packet, icmp.DESTINATION_UNREACHABLE, code, now=now)
        else:
            self._icmpv6.error(packet, icmpv6.DESTINATION_UNREACHABLE, code, now=now)

    def reset(self, packet: Packet, now: int) -> None:
        """Answer a TCP segment with a reset, in the name of its destination.

        Ref: nf_send_reset, nf_send_reset6.
        """
        if packet.l4proto != TCP or packet.fragoff or not _intact(packet):
            return
        segment = reset_segment(packet)
        if segment is None:
            return
        build = self._reset4 if packet.family == IPV4 else self._reset6
        answer = build(packet, segment, now)
        if answer is None:
            return
        attach(answer, packet)
        if packet.ct is not None:
            self._conntrack.set_closing(packet.ct, now)
        self._output(answer, now)

    def _reset4(self, packet: Packet, segment: bytes, now: int) -> Packet | None:
        if packet.dst is not None and packet.dst.type in (RouteType.BROADCAST, RouteType.MULTICAST):
            return None
        source, destination = bytes(packet.data[16:20]), bytes(packet.data[12:16])
        route = self._topology.fib4.lookup(destination, oif=domain(packet.iif), source=source)
        if route is None or route.type in REJECTING or route.device is None:
            return None
        ttl = self._topology.sysctls.ip_default_ttl
        data = ipv4.build(source, destination, TCP, segment, ttl=ttl, dont_fragment=True)
        return local_packet(data, IPV4, now, route)

    def _reset6(self, packet: Packet, segment: bytes, now: int) -> Packet | None:
        source, destination = bytes(packet.data[24:40]), bytes(packet.data[8:24])
        if not (_unicast(source) and _unicast(destination)):
            return None
        device = packet.iif if link_local(destination) else domain(packet.iif)
        route = self._topology.fib6.lookup(destination, oif=device)
        if route is None or route.type in REJECTING or route.device is None:
            return None
        hop_limit = self._topology.sysctls.hop_limit(route.device.name)
        return local_packet(
            ipv6.build(source, destination, TCP, segment, hop_limit=hop_limit), IPV6, now, route
        )


def reset_segment(packet: Packet) -> bytes | None:
    """The reset that answers a TCP segment, None if it is one itself or too short (RFC 9293).

    Ref: nf_reject_ip_tcphdr_put; net/ipv4/tcp_ipv4.c:tcp_v4_send_reset.
    """
    data = packet.data
    if len(data) < packet.thoff + tcp.HEADER:
        return None
    header = tcp.Tcp(data, packet.thoff)
    flags = header.flags
    if flags & tcp.RST:
        return None
    addresses = data[16:20] + data[12:16] if packet.family == IPV4 else data[24:40] + data[8:24]
    if flags & tcp.ACK:
        return tcp.build(
            header.dport,
            header.sport,
            addresses=bytes(addresses),
            sequence=header.acknowledgement,
            flags=tcp.RST,
        )
    length = len(data) - packet.thoff - header.header_length
    length += bool(flags & tcp.SYN) + bool(flags & tcp.FIN)
    return tcp.build(
        header.dport,
        header.sport,
        addresses=bytes(addresses),
        acknowledgement=header.sequence + length & 0xFFFFFFFF,
        flags=tcp.RST | tcp.ACK,
    )


def _intact(packet: Packet) -> bool:
    """Whether the packet's transport checksum is right.

    Of a protocol without one in this place Linux sums up all the same, and so seldom answers.

    Ref: net/netfilter/utils.c:nf_ip_checksum, nf_ip6_checksum.
    """
    data = packet.data
    thoff = packet.thoff
    protocol = packet.l4proto
    if protocol in _UNCHECKED:
        return True
    if thoff >= len(data):
        return False
    segment = data[thoff:]
    if protocol == UDP and len(segment) >= 8 and segment[6:8] == b"\0\0":
        return True
    if packet.family == IPV6:
        return transport_checksum(data[8:40], protocol, segment) == 0
    if protocol in (TCP, UDP):
        return transport_checksum(data[12:20], protocol, segment) == 0
    return checksum(segment) == 0


def _unicast(address: bytes) -> bool:
    return address[0] != 0xFF and any(address)
