"""Neighbour discovery: IPv6's ARP, and what a router makes of the rest of it.

Duplicate address detection is left out: the addresses of a box file are the box's. Nothing is
delayed at random: advertisements of anycast addresses are sent at once.

Ref: net/ipv6/ndisc.c.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING, Final

from flowtable.packet import icmpv6, ipv6, nd
from flowtable.packet.checksum import l4_valid
from flowtable.packet.malformed import Malformed
from flowtable.packet.packet import ICMPV6, IPV6
from flowtable.router.reply import local_packet
from flowtable.topology.device import link_local
from flowtable.topology.neighbour import NeighbourState
from flowtable.topology.route import Route, RouteType
from flowtable.topology.source import ipv6_select_addr

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.router.icmp import Output
    from flowtable.router.neighbour import Resolver
    from flowtable.topology.device import Device
    from flowtable.topology.neighbour import Neighbour
    from flowtable.topology.topology import Topology

_ANY: Final = bytes(16)
_ALL_NODES: Final = b"\xff\x02" + bytes(13) + b"\x01"

TYPES: Final = frozenset(
    {
        icmpv6.ROUTER_SOLICITATION,
        icmpv6.ROUTER_ADVERTISEMENT,
        icmpv6.NEIGHBOUR_SOLICITATION,
        icmpv6.NEIGHBOUR_ADVERTISEMENT,
        icmpv6.REDIRECT,
    }
)
"""ICMPv6 types that are neighbour discovery."""


class Outcome(Enum):
    """What became of a received message; the value is its one-line text."""

    ADVERTISED = "solicited an address of the box, which advertised it"
    LEARNT = "told or confirmed the MAC address of a neighbour"
    NOT_OURS = "neither for the box nor about a neighbour of its"
    ROUTER_SOLICITATION = "router solicitation: the box sends no advertisements"
    ROUTER_ADVERTISEMENT = "router advertisement: a router accepts none"
    REDIRECT = "redirect: a router accepts none"
    MALFORMED = "hop limit, checksum, length, option or address that cannot be"


class NeighbourDiscovery:
    """The neighbour discovery of a box.

    Attributes:
        outcomes: messages received, by what became of them.
    """

    __slots__ = ("_neighbours", "_output", "_topology", "outcomes")

    def __init__(self, topology: Topology, neighbours: Resolver, output: Output) -> None:
        """Start, and have ``neighbours`` ask by neighbour discovery for IPv6.

        Args:
            topology: the box.
            neighbours: the neighbours to tell.
            output: takes a packet of the box's own. Its ``dst`` is a route to that one
                neighbour or group on its ``oif`` (``icmp6_dst_alloc``), not one of the table.
        """
        self._topology = topology
        self._neighbours = neighbours
        self._output = output
        self.outcomes: Counter[Outcome] = Counter()
        neighbours.serve(IPV6, self.solicit)

    def receive(self, packet: Packet, device: Device, now: int) -> Outcome:
        """Take a message of one of ``TYPES``, its checksum not yet checked."""
        outcome = self._receive(packet, device, now)
        self.outcomes[outcome] += 1
        return outcome

    def _receive(self, packet: Packet, device: Device, now: int) -> Outcome:
        """Ref: net/ipv6/ndisc.c:ndisc_rcv."""
        data = packet.data
        # Fragmented messages do not count either (RFC 6980).
        if len(data) < packet.thoff + icmpv6.HEADER or data[7] != nd.HOP_LIMIT:
            return Outcome.MALFORMED
        if packet.frag_max_size or not l4_valid(packet):
            return Outcome.MALFORMED
        try:
            match data[packet.thoff]:
                case icmpv6.NEIGHBOUR_SOLICITATION:
                    solicitation = nd.NeighbourSolicitation(data, packet.thoff).check()
                    return self._solicited(packet, device, solicitation, now)
                case icmpv6.NEIGHBOUR_ADVERTISEMENT:
                    advertisement = nd.NeighbourAdvertisement(data, packet.thoff).check()
                    return self._advertised(packet, device, advertisement, now)
                case icmpv6.ROUTER_SOLICITATION:
                    asked = nd.RouterSolicitation(data, packet.thoff).check()
                    return self._router_solicited(packet, device, asked, now)
                case icmpv6.ROUTER_ADVERTISEMENT:
                    offered = nd.RouterAdvertisement(data, packet.thoff).check()
                    return self._router_advertised(packet, device, offered, now)
                case _:
                    nd.Redirect(data, packet.thoff).check()
                    return Outcome.REDIRECT if link_local(bytes(data[8:24])) else Outcome.MALFORMED
        except Malformed:
            return Outcome.MALFORMED

    def _solicited(
        self, packet: Packet, device: Device, message: nd.NeighbourSolicitation, now: int
    ) -> Outcome:
        """Ref: net/ipv6/ndisc.c:ndisc_recv_ns."""
        sender, destination = bytes(packet.data[8:24]), bytes(packet.data[24:40])
        target = message.target
        mac = _lladdr(message, nd.SOURCE_LLADDR)
        detects = sender == _ANY
        if target[0] == 0xFF or (detects and (mac or destination[:13] != nd.solicited_node(target)[:13])):
            return Outcome.MALFORMED
        unicast = device.has(target)
        if not unicast and not self._is_anycast(device, target):
            return Outcome.NOT_OURS
        router = self._topology.sysctls.ip6_router(device.name)
        if detects:
            self._advertise(device, _ALL_NODES, target, router, False, unicast, True, now)
            return Outcome.ADVERTISED
        multicast = destination[0] == 0xFF
        if device.ethernet:
            neighbour = self._neighbours.update(
                device, sender, mac, NeighbourState.STALE, now, create=True, weak_override=True
            )
            # A unicast solicitation is answered even if it does not say where to.
            if neighbour is None and (multicast or mac is not None):
                return Outcome.NOT_OURS
        self._advertise(device, sender, target, router, True, unicast and multicast, multicast, now)
        return Outcome.ADVERTISED

    def _advertised(
        self, packet: Packet, device: Device, message: nd.NeighbourAdvertisement, now: int
    ) -> Outcome:
        """Ref: net/ipv6/ndisc.c:ndisc_recv_na."""
        target = message.target
        mac = _lladdr(message, nd.TARGET_LLADDR)
        if target[0] == 0xFF or (packet.data[24] == 0xFF and message.solicited) or device.has(target):
            return Outcome.MALFORMED
        known = self._topology.neighbours.get(device, target)
        if known is None or known.state is NeighbourState.FAILED:
            return Outcome.NOT_OURS
        self._neighbours.update(
            device,
            target,
            mac,
            NeighbourState.REACHABLE if message.solicited else NeighbourState.STALE,
            now,
            override=message.override,
            weak_override=True,
            router=message.router,
        )
        return Outcome.LEARNT

    def _router_solicited(
        self, packet: Packet, device: Device, message: nd.RouterSolicitation, now: int
    ) -> Outcome:
        """Ref: net/ipv6/ndisc.c:ndisc_recv_rs."""
        sender = bytes(packet.data[8:24])
        mac = _lladdr(message, nd.SOURCE_LLADDR)
        if sender != _ANY and self._topology.sysctls.ip6_router(device.name):
            self._heard(device, sender, mac, router=False, now=now)
        return Outcome.ROUTER_SOLICITATION

    def _router_advertised(
        self, packet: Packet, device: Device, message: nd.RouterAdvertisement, now: int
    ) -> Outcome:
        """Ref: net/ipv6/ndisc.c:ndisc_router_discovery."""
        sender = bytes(packet.data[8:24])
        mac = _lladdr(message, nd.SOURCE_LLADDR)
        if not link_local(sender):
            return Outcome.MALFORMED
        self._heard(device, sender, mac, router=True, now=now)
        return Outcome.ROUTER_ADVERTISEMENT

    def _heard(self, device: Device, sender: bytes, mac: bytes | None, *, router: bool, now: int) -> None:
        self._neighbours.update(
            device,
            sender,
            mac,
            NeighbourState.STALE,
            now,
            create=True,
            weak_override=True,
            router=router,
        )

    def solicit(self, neighbour: Neighbour, packet: Packet | None, unicast: bool, now: int) -> None:
        """Ask for a neighbour, on behalf of a packet that waits for it if one does.

        Ref: net/ipv6/ndisc.c:ndisc_solicit.
        """
        device = neighbour.device
        target = neighbour.address
        source = bytes(packet.data[8:24]) if packet is not None else _ANY
        if not device.has(source):
            source = next((own.address for own in device.addresses if link_local(own.address)), _ANY)
        if source == _ANY:
            return
        destination = target if unicast else nd.solicited_node(target)
        option = nd.lladdr_option(nd.SOURCE_LLADDR, device.mac)
        message = nd.build_neighbour_solicitation(target, option, addresses=source + destination)
        self._send(device, source, destination, message, now)

    def _advertise(
        self,
        device: Device,
        destination: bytes,
        target: bytes,
        router: bool,
        solicited: bool,
        override: bool,
        with_mac: bool,
        now: int,
    ) -> None:
        """Ref: net/ipv6/ndisc.c:ndisc_send_na."""
        source: bytes | None = target
        if not device.has(target):
            source = ipv6_select_addr(self._topology.devices.values(), device, destination)
        if source is None:
            return
        flags = router * nd.ROUTER | solicited * nd.SOLICITED | override * nd.OVERRIDE
        options = (nd.lladdr_option(nd.TARGET_LLADDR, device.mac),) if with_mac and device.ethernet else ()
        message = nd.build_neighbour_advertisement(
            target, *options, addresses=source + destination, flags=flags
        )
        self._send(device, source, destination, message, now)

    def _send(self, device: Device, source: bytes, destination: bytes, message: bytes, now: int) -> None:
        kind = RouteType.MULTICAST if destination[0] == 0xFF else RouteType.UNICAST
        route = Route(IPV6, destination, 128, kind, device=device, oif=device)
        data = ipv6.build(source, destination, ICMPV6, message, hop_limit=nd.HOP_LIMIT)
        self._output(local_packet(data, IPV6, now, route), now)

    def _is_anycast(self, device: Device, address: bytes) -> bool:
        route = self._topology.fib6.lookup(address, oif=device)
        return route is not None and route.type is RouteType.ANYCAST


def _lladdr(message: nd.Message, wanted: int) -> bytes | None:
    """The MAC address in the first option of a kind, None without one.

    Raises:
        Malformed: the option is not as long as one for Ethernet.

    Ref: include/net/ndisc.h:ndisc_opt_addr_data.
    """
    for kind, value in message.options:
        if kind == wanted:
            if len(value) != 6:
                raise Malformed("link-layer address option of a wrong length", message.offset)
            return value
    return None
