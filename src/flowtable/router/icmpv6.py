"""ICMPv6: what the box says about packets it cannot take further, and answers to pings.

The flow label of what it sends is 0, where Linux hashes the flow with a secret of its boot.

Ref: net/ipv6/icmp.c.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from flowtable.clock import MILLISECOND
from flowtable.packet import icmpv6, ipv6
from flowtable.packet.checksum import l4_valid
from flowtable.packet.drop import Drop
from flowtable.packet.extension import find_transport
from flowtable.packet.packet import ICMPV6, IPV6, PacketType
from flowtable.router.icmp import Silence
from flowtable.router.reply import attach, local_packet
from flowtable.topology.device import link_local
from flowtable.topology.route import REJECTING, RouteType
from flowtable.topology.source import ipv6_select_addr
from flowtable.topology.vrf import domain

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.router.icmp import Output
    from flowtable.router.peer import IcmpBudget, Peers
    from flowtable.topology.device import Device
    from flowtable.topology.route import Route
    from flowtable.topology.topology import Topology

_HOST: Final = int(PacketType.HOST)
_ANY: Final = bytes(16)


class Icmpv6:
    """The ICMPv6 of a box, without neighbour discovery.

    Attributes:
        sent: errors sent, by type and code.
        silences: errors not sent, by reason.
    """

    __slots__ = ("_budget", "_output", "_peers", "_topology", "sent", "silences")

    def __init__(self, topology: Topology, peers: Peers, budget: IcmpBudget, output: Output) -> None:
        """Start with nothing sent.

        Args:
            topology: the box.
            peers: the hosts that may be told things.
            budget: how many messages the box may send, ICMP included.
            output: takes a packet of the box's own, whose ``dst`` and ``oif`` are set.
        """
        self._topology = topology
        self._peers = peers
        self._budget = budget
        self._output = output
        self.sent: Counter[tuple[int, int]] = Counter()
        self.silences: Counter[Silence] = Counter()

    def error(self, packet: Packet, kind: int, code: int, rest: int = 0, *, now: int) -> Silence | None:
        """Tell the sender of a packet what became of it, if it may be told.

        Args:
            packet: the packet, as it is now; its start is quoted.
            kind: type of the message, below 128.
            code: its code.
            rest: its second 32 bits: MTU or pointer.
            now: nanoseconds.

        Returns:
            None if a message was sent, else why not.
        """
        silence = self._error(packet, kind, code, rest, now)
        if silence is None:
            self.sent[kind, code] += 1
        else:
            self.silences[silence] += 1
        return silence

    def _error(self, packet: Packet, kind: int, code: int, rest: int, now: int) -> Silence | None:
        """Ref: net/ipv6/icmp.c:icmp6_send; RFC 4443 section 2.4."""
        data = packet.data
        device = packet.iif or packet.oif
        sender, destination = bytes(data[8:24]), bytes(data[24:40])
        to_many = destination[0] == 0xFF or packet.pkttype != _HOST
        if to_many and not _spoken_to_many(data, kind, code, rest):
            return Silence.TO_MANY if destination[0] == 0xFF else Silence.NOT_ADDRESSED
        if sender == _ANY or sender[0] == 0xFF:
            return Silence.NOBODY
        if _is_error(data):
            return Silence.ABOUT_ERROR
        limited = _limited(kind) and not (device is not None and device.loopback)
        if limited and not self._budget.allow(now):
            return Silence.GLOBAL_LIMIT

        fib = self._topology.fib6
        route = fib.lookup(sender, oif=device if link_local(sender) else domain(device))
        if route is None or route.type in REJECTING or route.device is None:
            return Silence.NO_ROUTE
        if route.type is RouteType.ANYCAST:
            return Silence.NOBODY
        source = None if to_many else self._own(destination, device)
        if source is None and route.source is None and packet.iif is not None:
            source = ipv6_select_addr(self._topology.devices.values(), packet.iif, sender)
        source = source or fib.select_source(route, sender)
        if source is None:
            return Silence.NO_ROUTE
        if limited and not self._allow_host(sender, route, now):
            return Silence.HOST_LIMIT
        message = icmpv6.build_error(kind, code, data, rest, addresses=source + sender)
        answer = self._packet(source, sender, message, route, now)
        attach(answer, packet)
        self._output(answer, now)
        return None

    def receive(self, packet: Packet, now: int) -> Drop | None:
        """Take a message to the box itself, its checksum not yet checked; pings are answered.

        Neighbour discovery has been taken out before. MLD and the rest are taken silently.

        Returns:
            None when it was taken, else why it was dropped.

        Ref: net/ipv6/icmp.c:icmpv6_rcv.
        """
        data = packet.data
        thoff = packet.thoff
        if len(data) < thoff + icmpv6.HEADER or not l4_valid(packet):
            return Drop.LOCAL_DELIVERY
        if data[thoff] == icmpv6.ECHO_REQUEST and not self._topology.sysctls.icmp6_echo_ignore_all:
            self._echo(packet, now)
        return None

    def _echo(self, packet: Packet, now: int) -> None:
        """Ref: net/ipv6/icmp.c:icmpv6_echo_reply."""
        data = packet.data
        thoff = packet.thoff
        sender = bytes(data[8:24])
        source: bytes | None = None
        if packet.dst is not None and packet.dst.type is RouteType.LOCAL:
            source = bytes(data[24:40])
        fib = self._topology.fib6
        # A ping to a group is answered on the link it came from.
        on_link = source is None or link_local(sender)
        route = fib.lookup(sender, oif=packet.iif if on_link else domain(packet.iif))
        if route is None or route.type in REJECTING or route.device is None:
            return
        source = source or fib.select_source(route, sender)
        if source is None:
            return
        message = icmpv6.build(
            icmpv6.ECHO_REPLY,
            data[thoff + 1],
            int.from_bytes(data[thoff + 4 : thoff + 8]),
            bytes(data[thoff + 8 :]),
            addresses=source + sender,
        )
        traffic_class = (data[0] << 8 | data[1]) >> 4 & 0xFF
        self._output(self._packet(source, sender, message, route, now, traffic_class), now)

    def _packet(
        self,
        source: bytes,
        destination: bytes,
        message: bytes,
        route: Route,
        now: int,
        traffic_class: int = 0,
    ) -> Packet:
        assert route.device is not None
        data = ipv6.build(
            source,
            destination,
            ICMPV6,
            message,
            hop_limit=self._topology.sysctls.hop_limit(route.device.name),
            traffic_class=traffic_class,
        )
        return local_packet(data, IPV6, now, route)

    def _own(self, address: bytes, device: Device | None) -> bytes | None:
        """The address, if it is one of the box's, anycast included.

        Ref: net/ipv6/addrconf.c:ipv6_chk_addr, net/ipv6/anycast.c:ipv6_chk_acast_addr_src.
        """
        route = self._topology.fib6.lookup(address, oif=device if link_local(address) else domain(device))
        own = route is not None and route.type in (RouteType.LOCAL, RouteType.ANYCAST)
        return address if own else None

    def _allow_host(self, host: bytes, route: Route, now: int) -> bool:
        """Ref: net/ipv6/icmp.c:icmpv6_xrlim_allow."""
        if route.device is None or not route.device.loopback:
            interval = self._topology.sysctls.icmp6_ratelimit * MILLISECOND
            # Wider prefixes hold more hosts, and get more.
            interval >>= (128 - route.prefixlen) >> 5
            if not self._peers.get(host, now).allow(interval, now):
                return False
        self._budget.consume()
        return True


def _limited(kind: int) -> bool:
    """Errors but "packet too big" (net.ipv6.icmp.ratemask as it comes)."""
    return kind < icmpv6.INFORMATIONAL and kind != icmpv6.PACKET_TOO_BIG


def _spoken_to_many(data: bytearray, kind: int, code: int, pointer: int) -> bool:
    """Whether the error may be about a multicast packet (RFC 4443 section 2.4 e.3)."""
    if kind == icmpv6.PACKET_TOO_BIG:
        return True
    if kind != icmpv6.PARAMETER_PROBLEM or code != icmpv6.UNKNOWN_OPTION:
        return False
    return pointer >= len(data) or data[pointer] & 0xC0 == 0x80


def _is_error(data: bytearray) -> bool:
    """Whether a packet is an ICMPv6 error, or may be one that is cut off.

    Ref: net/ipv6/icmp.c:is_ineligible.
    """
    protocol, thoff, fragoff = find_transport(data, data[6], 40)
    if fragoff or protocol != ICMPV6:
        return False
    return len(data) <= thoff or not data[thoff] & icmpv6.INFORMATIONAL
