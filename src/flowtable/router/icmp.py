"""ICMP: what the box says about packets it cannot take further, and answers to who asks it.

Ref: net/ipv4/icmp.c.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING, Final

from flowtable.clock import MILLISECOND
from flowtable.packet import icmp
from flowtable.packet.checksum import l4_valid
from flowtable.packet.drop import Drop
from flowtable.packet.malformed import Malformed
from flowtable.packet.packet import ICMP, PacketType
from flowtable.router.reply import attach, echoed_options, icmp_reply, midnight
from flowtable.topology.device import Scope
from flowtable.topology.route import REJECTING, RouteType
from flowtable.topology.source import inet_select_addr
from flowtable.topology.vrf import domain

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.packet.packet import Packet
    from flowtable.router.ident import Identifiers
    from flowtable.router.peer import IcmpBudget, Peers
    from flowtable.topology.route import Route
    from flowtable.topology.topology import Topology

    Output = Callable[[Packet, int], None]

_HOST: Final = int(PacketType.HOST)

LAST_TYPE: Final = icmp.ADDRESS_MASK_REPLY
"""NR_ICMP_TYPES: what is above is unknown, and taken for an error."""
_EXTENDED_ECHO: Final = frozenset({42, 43})
"""RFC 8335; net.ipv4.icmp_echo_enable_probe is off."""
_NO_ERROR_ABOUT: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12})
"""Types that Linux counts as errors. Ref: net/ipv4/icmp.c:icmp_pointers."""
_INTERNETWORK_CONTROL: Final = 0xC0
_DUMMY: Final = bytes((192, 0, 0, 8))
"""The source of a box without any address (RFC 7600 section 4.8)."""


class Silence(Enum):
    """Why an ICMP or ICMPv6 error was not sent; the value is its one-line text."""

    NOT_ADDRESSED = "the frame was a broadcast, a multicast or for another host"
    TO_MANY = "the destination is a broadcast or multicast address"
    FRAGMENT = "the packet is a fragment other than the first"
    ABOUT_ERROR = "the packet is an ICMP error itself"
    NOBODY = "the source address is not that of a single host"
    GLOBAL_LIMIT = "the box has sent too many ICMP messages"
    HOST_LIMIT = "the sender has got too many ICMP messages"
    NO_ROUTE = "there is no route back to the sender"
    NO_ROOM = "the way back has no room for a quoted header"


class Icmp:
    """The ICMP of a box.

    Attributes:
        sent: errors sent, by type and code.
        silences: errors not sent, by reason.
    """

    __slots__ = ("_budget", "_identifiers", "_output", "_peers", "_topology", "sent", "silences")

    def __init__(
        self, topology: Topology, peers: Peers, budget: IcmpBudget, identifiers: Identifiers, output: Output
    ) -> None:
        """Start with nothing sent.

        Args:
            topology: the box.
            peers: the hosts that may be told things.
            budget: how many messages the box may send, ICMPv6 included.
            identifiers: where identification numbers come from.
            output: takes a packet of the box's own, whose ``dst`` and ``oif`` are set.
        """
        self._topology = topology
        self._peers = peers
        self._budget = budget
        self._identifiers = identifiers
        self._output = output
        self.sent: Counter[tuple[int, int]] = Counter()
        self.silences: Counter[Silence] = Counter()

    def error(self, packet: Packet, kind: int, code: int, rest: int = 0, *, now: int) -> Silence | None:
        """Tell the sender of a packet what became of it, if it may be told.

        Args:
            packet: the packet, as it is now; its start is quoted.
            kind: type of the message, one of ``packet.icmp.ERRORS``.
            code: its code.
            rest: its second 32 bits: MTU, gateway, or pointer in the first byte.
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
        """Ref: net/ipv4/icmp.c:__icmp_send."""
        data = packet.data
        silence = self._forbidden(packet)
        if silence is not None:
            return silence
        limited = self._limited(kind, code) and not (packet.iif is not None and packet.iif.loopback)
        if limited and not self._budget.allow(now):
            return Silence.GLOBAL_LIMIT
        try:
            options = echoed_options(data)
        except Malformed:
            # What this error is about, or nobody has looked yet: Linux knows no options to echo.
            options = b""
        sender = bytes(data[12:16])
        fib = self._topology.fib4
        source = self._source(packet)
        route = fib.lookup(sender, oif=domain(packet.iif), source=source)
        if route is None or route.type in REJECTING or route.device is None:
            return Silence.NO_ROUTE
        source = source or fib.select_source(route, sender) or _DUMMY
        if limited and not self._allow_host(sender, route, now):
            return Silence.HOST_LIMIT
        room = min(route.path_mtu, icmp.MAX_ERROR) - 20 - len(options) - icmp.HEADER
        if room <= 20:
            return Silence.NO_ROOM
        answer = icmp_reply(
            packet,
            source,
            icmp.build(kind, code, rest, bytes(data[:room])),
            tos=data[1] & 0x1E | _INTERNETWORK_CONTROL,
            ttl=self._topology.sysctls.ip_default_ttl,
            ident=self._identifiers.ipv4(),
            options=options,
            route=route,
            fib=fib,
            now=now,
        )
        attach(answer, packet)
        self._output(answer, now)
        return None

    def receive(self, packet: Packet, now: int) -> Drop | None:
        """Take a message to the box itself; echo and timestamp requests are answered.

        Returns:
            None when it was taken, else why it was dropped.

        Ref: net/ipv4/icmp.c:icmp_rcv.
        """
        data = packet.data
        thoff = packet.thoff
        if len(data) < thoff + icmp.HEADER or not l4_valid(packet):
            return Drop.LOCAL_DELIVERY
        kind = data[thoff]
        if kind in _EXTENDED_ECHO:
            return None
        if kind > LAST_TYPE:
            return Drop.LOCAL_DELIVERY
        sysctls = self._topology.sysctls
        asks = kind in (icmp.ECHO_REQUEST, icmp.TIMESTAMP_REQUEST)
        if _to_many(packet):
            masks = kind in (icmp.ADDRESS_MASK_REQUEST, icmp.ADDRESS_MASK_REPLY)
            if not (asks and not sysctls.icmp_echo_ignore_broadcasts) and not masks:
                return Drop.LOCAL_DELIVERY
        rest = int.from_bytes(data[thoff + 4 : thoff + 8])
        body = bytes(data[thoff + 8 :])
        if kind == icmp.ECHO_REQUEST:
            if not sysctls.icmp_echo_ignore_all:
                self._answer(packet, icmp.build(icmp.ECHO_REPLY, data[thoff + 1], rest, body), now)
        elif kind == icmp.TIMESTAMP_REQUEST:
            if len(body) < 4:
                return Drop.LOCAL_DELIVERY
            time = midnight(now).to_bytes(4)
            self._answer(packet, icmp.build(icmp.TIMESTAMP_REPLY, 0, rest, body[:4] + time + time), now)
        return None

    def allow_route_error(self, packet: Packet, now: int) -> bool:
        """Whether the sender may be told once more that there is no route.

        Ref: net/ipv4/route.c:ip_error.
        """
        return self._peers.get(bytes(packet.data[12:16]), now).allow_route_error(now)

    def _answer(self, packet: Packet, message: bytes, now: int) -> None:
        """Ref: net/ipv4/icmp.c:icmp_reply."""
        data = packet.data
        limited = self._limited(message[0], message[1])
        if limited and not self._budget.allow(now):
            return
        try:
            options = echoed_options(data)
        except Malformed:
            return
        sender = bytes(data[12:16])
        fib = self._topology.fib4
        source = self._local_destination(packet)
        route = fib.lookup(sender, oif=domain(packet.iif), source=source)
        if route is None or route.type in REJECTING or route.device is None:
            return
        source = source or fib.select_source(route, sender)
        if source is None or (limited and not self._allow_host(sender, route, now)):
            return
        answer = icmp_reply(
            packet,
            source,
            message,
            tos=data[1],
            ttl=self._topology.sysctls.ip_default_ttl,
            ident=self._identifiers.ipv4(),
            options=options,
            route=route,
            fib=fib,
            now=now,
        )
        self._output(answer, now)

    def _forbidden(self, packet: Packet) -> Silence | None:
        """Why no error may ever be sent about a packet (RFC 1122 section 3.2.2)."""
        data = packet.data
        if packet.pkttype != _HOST:
            return Silence.NOT_ADDRESSED
        if _to_many(packet):
            return Silence.TO_MANY
        if packet.fragoff:
            return Silence.FRAGMENT
        if packet.l4proto == ICMP:
            thoff = packet.thoff
            if len(data) <= thoff or data[thoff] > LAST_TYPE or data[thoff] in _NO_ERROR_ABOUT:
                return Silence.ABOUT_ERROR
        return None

    def _limited(self, kind: int, code: int) -> bool:
        """Ref: net/ipv4/icmp.c:icmpv4_mask_allow."""
        if kind == icmp.DESTINATION_UNREACHABLE and code == icmp.FRAGMENTATION_NEEDED:
            return False
        return kind <= LAST_TYPE and self._topology.sysctls.icmp_ratemask >> kind & 1 == 1

    def _allow_host(self, host: bytes, route: Route, now: int) -> bool:
        """Ref: net/ipv4/icmp.c:icmpv4_xrlim_allow."""
        device = route.device
        if device is None or not device.loopback:
            interval = self._topology.sysctls.icmp_ratelimit * MILLISECOND
            if not self._peers.get(host, now).allow(interval, now):
                return False
        self._budget.consume()
        return True

    def _source(self, packet: Packet) -> bytes | None:
        """The source of an error, None where the route back decides."""
        local = self._local_destination(packet)
        if local is not None:
            return local
        topology = self._topology
        if packet.iif is None or not topology.sysctls.icmp_errors_use_inbound_ifaddr:
            return None
        return inet_select_addr(topology.devices.values(), packet.iif, bytes(packet.data[12:16]), Scope.LINK)

    @staticmethod
    def _local_destination(packet: Packet) -> bytes | None:
        """The destination, if it is an address of the box (RTCF_LOCAL)."""
        if packet.dst is not None and packet.dst.type is RouteType.LOCAL:
            return bytes(packet.data[16:20])
        return None


def _to_many(packet: Packet) -> bool:
    """Whether it was routed to more than one host (RTCF_BROADCAST, RTCF_MULTICAST)."""
    if packet.dst is not None:
        return packet.dst.type is RouteType.BROADCAST or packet.dst.type is RouteType.MULTICAST
    return packet.data[16] & 0xF0 == 0xE0 or packet.data[16:20] == b"\xff\xff\xff\xff"
