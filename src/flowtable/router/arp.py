"""ARP: answers for the box's own addresses, learns neighbours, asks for those that are needed.

Ref: net/ipv4/arp.c.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING, Final

from flowtable.packet import arp, ethernet
from flowtable.packet.drop import Drop
from flowtable.packet.malformed import Malformed
from flowtable.packet.packet import ETHERTYPE_ARP, IPV4, PacketType
from flowtable.router.source_validation import may_be_source, validate_source
from flowtable.topology.device import Scope
from flowtable.topology.neighbour import NeighbourState
from flowtable.topology.route import RouteType
from flowtable.topology.source import inet_select_addr
from flowtable.topology.vrf import domain

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.packet.packet import Packet
    from flowtable.router.neighbour import Resolver
    from flowtable.topology.device import Address, Device
    from flowtable.topology.neighbour import Neighbour
    from flowtable.topology.topology import Topology

    Transmit = Callable[[Device, bytes, int], None]

_HOST: Final = int(PacketType.HOST)
_OTHERHOST: Final = int(PacketType.OTHERHOST)
_ANY: Final = bytes(4)
_NO_MAC: Final = bytes(6)


class Outcome(Enum):
    """What became of a received ARP message; the value is its one-line text."""

    REPLIED = "asked for an address of the box, which replied"
    LEARNT = "told or confirmed the MAC address of a neighbour"
    NOT_OURS = "neither for the box nor about a neighbour of its"
    IGNORED = "asked for an address that arp_ignore keeps to itself"
    MALFORMED = "not a well-formed request or reply"


class Arp:
    """The ARP of a box.

    Attributes:
        outcomes: messages received, by what became of them.
    """

    __slots__ = ("_neighbours", "_topology", "_transmit", "outcomes")

    def __init__(self, topology: Topology, neighbours: Resolver, transmit: Transmit) -> None:
        """Start, and have ``neighbours`` ask by ARP for IPv4.

        Args:
            topology: the box.
            neighbours: the neighbours to tell.
            transmit: sends a frame, from its Ethernet header on, out of a device.
        """
        self._topology = topology
        self._neighbours = neighbours
        self._transmit = transmit
        self.outcomes: Counter[Outcome] = Counter()
        neighbours.serve(IPV4, self.solicit)

    def receive(self, device: Device, frame: bytes, offset: int, pkttype: int, now: int) -> Outcome:
        """Take a message.

        Args:
            device: the device it came in on.
            frame: the frame.
            offset: where the ARP message begins in it.
            pkttype: to whom the frame was addressed (``PacketType``).
            now: nanoseconds.
        """
        outcome = self._receive(device, frame, offset, pkttype, now)
        self.outcomes[outcome] += 1
        return outcome

    def _receive(self, device: Device, frame: bytes, offset: int, pkttype: int, now: int) -> Outcome:
        """Ref: net/ipv4/arp.c:arp_rcv, arp_process."""
        if device.loopback or pkttype == _OTHERHOST:
            return Outcome.NOT_OURS
        try:
            message = arp.Arp(frame, offset).check()
        except Malformed:
            return Outcome.MALFORMED
        operation = message.operation
        sender, target = message.sender, message.target
        mac = message.sender_mac
        if operation not in (arp.REQUEST, arp.REPLY) or target[0] & 0xF0 == 0xE0:
            return Outcome.MALFORMED
        sysctls = self._topology.sysctls
        if target[0] == 127 and not sysctls.route_localnet(device.name):
            return Outcome.MALFORMED

        if sender == _ANY:
            # Somebody probes whether the address is free (RFC 5227).
            if operation != arp.REQUEST or not self._is_local(target, device):
                return Outcome.NOT_OURS
            if self._ignores(device, sender, target):
                return Outcome.IGNORED
            self._reply(device, mac, sender, target, now)
            return Outcome.REPLIED
        if operation == arp.REQUEST and self._is_local(target, device) and self._credible(device, sender):
            if self._ignores(device, sender, target):
                return Outcome.IGNORED
            neighbour = self._neighbours.update(device, sender, mac, NeighbourState.STALE, now, create=True)
            if neighbour is None:
                return Outcome.NOT_OURS
            self._reply(device, mac, sender, target, now)
            return Outcome.REPLIED

        announces = (
            sender == target
            and (operation == arp.REQUEST or message.target_mac == mac)
            and self._is_unicast(sender, device)
        )
        # Broadcast replies and requests do not show that the neighbour hears the box.
        proves = operation == arp.REPLY and pkttype == _HOST
        unasked = announces or (operation == arp.REPLY and self._is_unicast(sender, device))
        neighbour = self._neighbours.update(
            device,
            sender,
            mac,
            NeighbourState.REACHABLE if proves else NeighbourState.STALE,
            now,
            create=unasked and self._accepts(device, sender),
            override=announces,
            settled=True,
        )
        return Outcome.NOT_OURS if neighbour is None else Outcome.LEARNT

    def solicit(self, neighbour: Neighbour, packet: Packet | None, unicast: bool, now: int) -> None:
        """Ask for a neighbour, on behalf of a packet that waits for it if one does.

        Ref: net/ipv4/arp.c:arp_solicit.
        """
        device = neighbour.device
        target = neighbour.address
        source = self._announced(device, target, packet)
        if source is None:
            source = inet_select_addr(self._topology.devices.values(), device, target, Scope.LINK) or _ANY
        message = arp.build(arp.REQUEST, device.mac, source, _NO_MAC, target)
        destination = neighbour.mac if unicast and neighbour.mac is not None else ethernet.BROADCAST
        self._transmit(device, ethernet.build(destination, device.mac, ETHERTYPE_ARP, message), now)

    def _announced(self, device: Device, target: bytes, packet: Packet | None) -> bytes | None:
        """The packet's own source, if a request may show it (arp_announce)."""
        level = self._topology.sysctls.arp_announce(device.name)
        if packet is None or level == 2:
            return None
        source = bytes(packet.data[12:16])
        if not self._is_local(source, device):
            return None
        if level == 1 and not any(own.covers(source) and own.covers(target) for own in _addresses(device)):
            return None
        return source

    def _reply(self, device: Device, mac: bytes, sender: bytes, target: bytes, now: int) -> None:
        message = arp.build(arp.REPLY, device.mac, target, mac, sender)
        self._transmit(device, ethernet.build(mac, device.mac, ETHERTYPE_ARP, message), now)

    def _is_local(self, address: bytes, device: Device) -> bool:
        route = self._topology.fib4.lookup(address, oif=domain(device))
        return route is not None and route.type is RouteType.LOCAL

    def _is_unicast(self, address: bytes, device: Device) -> bool:
        """Whether the address may be another host's (RTN_UNICAST of inet_addr_type_dev_table)."""
        if address == _ANY or address[0] & 0xF0 == 0xE0 or address == b"\xff\xff\xff\xff":
            return False
        route = self._topology.fib4.lookup(address, oif=domain(device))
        return route is None or route.type not in (RouteType.LOCAL, RouteType.BROADCAST)

    def _credible(self, device: Device, sender: bytes) -> bool:
        """Whether a packet from ``sender`` to the box would be taken here."""
        topology = self._topology
        if not may_be_source(topology, device, sender):
            return False
        return not isinstance(validate_source(topology, device, sender, _ANY, None), Drop)

    def _ignores(self, device: Device, sender: bytes, target: bytes) -> bool:
        """Ref: net/ipv4/arp.c:arp_ignore, net/ipv4/devinet.c:inet_confirm_addr."""
        match self._topology.sysctls.arp_ignore(device.name):
            case 1:
                return not any(own.address == target for own in _addresses(device))
            case 2:
                return not any(
                    own.address == target and (sender == _ANY or own.covers(sender))
                    for own in _addresses(device)
                )
            case 3:
                return not any(
                    own.address == target and own.scope <= Scope.LINK
                    for other in self._topology.devices.values()
                    for own in _addresses(other)
                )
            case 8:
                return True
            case _:
                return False

    def _accepts(self, device: Device, sender: bytes) -> bool:
        """Ref: net/ipv4/arp.c:arp_accept."""
        match self._topology.sysctls.arp_accept(device.name):
            case 1:
                return True
            case 2:
                return any(own.covers(sender) for own in _addresses(device))
            case _:
                return False


def _addresses(device: Device) -> list[Address]:
    return [own for own in device.addresses if own.family == IPV4]
