"""Whether rules that have changed would still put a flow where it is.

A packet of each direction is made up and walked through the rules in Python. Whatever cannot be
told for certain counts as no: the flow ends, its next packets meet the rules in the kernel, and
those bring it back if they want it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.conntrack.connection import Status
from flowtable.conntrack.tuple import ORIGINAL, REPLY
from flowtable.live.load import LoadError
from flowtable.packet.packet import IPV4, IPV6, TCP, UDP, CtInfo, Packet
from flowtable.ruleset import Ruleset, RulesetError, execute
from flowtable.ruleset.evaluate import compile_ruleset
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.model import ChainType
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.flows.entry import FlowEntry
    from flowtable.ruleset.environment import FibQuery, LogEntry, RejectWith
    from flowtable.ruleset.family import Family
    from flowtable.ruleset.nat import NatKind, NatRange
    from flowtable.topology.device import Device
    from flowtable.topology.topology import Topology

_ACCEPT: Final = int(Verdict.ACCEPT)
_ETHERTYPES: Final = {IPV4: b"\x08\x00", IPV6: b"\x86\xdd"}
_NO_DEVICE: Final = (1 << 31) - 1
_HOOKS: Final = (Hook.PREROUTING, Hook.FORWARD, Hook.POSTROUTING)
_IPV4_HEADER: Final = 20
_IPV6_HEADER: Final = 40
_TTL: Final = 64
_ACK: Final = 0x10


class Review:
    """The rules of now, asked about flows."""

    def __init__(self, listing: str, topology: Topology, time: int) -> None:
        """Read the rules.

        Args:
            listing: what nft lists, flowtables and ``flow add`` in it.
            topology: the host.
            time: nanoseconds since 1970.

        Raises:
            LoadError: they hold something that only nft knows.
        """
        self._environment = _Environment(topology)
        self._time = time
        try:
            ruleset = execute(Ruleset(), listing, "ruleset").ruleset
            self._program = compile_ruleset(ruleset, self._environment)
        except RulesetError as error:
            raise LoadError(str(error)) from None

    def allows(self, entry: FlowEntry) -> bool:
        """Whether packets of both directions pass, and one of them adds the flow where it is."""
        environment = self._environment
        environment.wanted, environment.unknown = set(), False
        declaration = entry.flowtable.declaration
        passed = all(self._passes(entry, direction) for direction in (ORIGINAL, REPLY))
        key = (declaration.family, declaration.table, declaration.name)
        return passed and not environment.unknown and key in environment.wanted

    def _passes(self, entry: FlowEntry, direction: int) -> bool:
        way = entry.directions[direction]
        packet = _packet(entry.connection, direction, self._time)
        packet.iif, packet.dst = way.entrance.routed, way.route
        # Where answers go is where packets come from.
        sender = entry.directions[1 - direction].destination or bytes(6)
        packet.link = way.entrance.source + sender + _ETHERTYPES[packet.family]
        for hook in _HOOKS:
            packet.hook = hook
            packet.oif = None if hook is Hook.PREROUTING else way.exit.routed
            if hook is Hook.FORWARD:
                _translate(packet, entry.connection, direction)
            for chain in self._program.chains(packet.family, hook):
                # Established packets are not shown to chains of this type.
                if chain.type is not ChainType.NAT and chain(packet) != _ACCEPT:
                    return False
        return True


def _packet(connection: Connection, direction: int, time: int) -> Packet:
    """A packet of a connection as it arrives, without payload."""
    carried = connection.tuple(direction)
    ports = carried.sport.to_bytes(2) + carried.dport.to_bytes(2)
    l4proto = carried.l4proto
    if l4proto == TCP:
        transport = ports + bytes(8) + bytes((5 << 4, _ACK)) + b"\xff\xff" + bytes(4)
    elif l4proto == UDP:
        transport = ports + (8).to_bytes(2) + bytes(2)
    else:
        transport = bytes(4)
    if connection.l3proto == IPV4:
        size = _IPV4_HEADER
        length = (size + len(transport)).to_bytes(2)
        header = b"\x45\x00" + length + b"\x00\x00\x40\x00" + bytes((_TTL, l4proto)) + bytes(2)
    else:
        size = _IPV6_HEADER
        header = b"\x60\x00\x00\x00" + len(transport).to_bytes(2) + bytes((l4proto, _TTL))
    packet = Packet(
        bytearray(header + carried.src + carried.dst + transport),
        connection.l3proto,
        time=time,
        thoff=size,
        l4proto=l4proto,
    )
    packet.ct = connection
    packet.ctinfo = int(CtInfo.ESTABLISHED_REPLY if direction == REPLY else CtInfo.ESTABLISHED)
    return packet


def _translate(packet: Packet, connection: Connection, direction: int) -> None:
    """Put in the destination that packets have behind prerouting."""
    if not connection.status & Status.NAT_MASK:
        return
    other = connection.tuple(ORIGINAL if direction == REPLY else REPLY)
    size = len(other.src)
    end = packet.thoff
    packet.data[end - size : end] = other.src
    if packet.l4proto in (TCP, UDP):
        packet.data[end + 2 : end + 4] = other.sport.to_bytes(2)


class _Environment:
    """The host, as far as rules may ask of it here: ``ruleset.Environment``.

    Attributes:
        wanted: the flowtables that a packet's rules wanted it in.
        unknown: whether something was asked that is not known here.
    """

    def __init__(self, topology: Topology) -> None:
        self.wanted: set[tuple[Family, str, str]] = set()
        self.unknown = False
        self._topology = topology

    def flow_add(self, packet: Packet, family: Family, table: str, flowtable: str) -> bool:
        """Note it."""
        self.wanted.add((family, table, flowtable))
        return True

    def interface_index(self, name: str) -> int:
        """Index of the device of that name; no device's where there is none."""
        device = self._topology.devices.get(name)
        return _NO_DEVICE if device is None else device.index

    def nat(self, packet: Packet, kind: NatKind, nat_range: NatRange) -> int:
        """Established packets are not translated by rules."""
        return _ACCEPT

    def reject(self, packet: Packet, reply: RejectWith) -> None:
        """Nobody gets an answer."""

    def log(self, packet: Packet, entry: LogEntry) -> None:
        """Nothing is written."""

    def random(self) -> int:
        """Not what the kernel would draw."""
        self.unknown = True
        return 0

    def fib_type(self, packet: Packet, query: FibQuery) -> int | None:
        """Left to the kernel."""
        self.unknown = True
        return None

    def fib_device(self, packet: Packet, query: FibQuery) -> Device | None:
        """Left to the kernel."""
        self.unknown = True
        return None

    def maximum_segment(self, packet: Packet) -> int:
        """Matters to packets with SYN only."""
        return 0

    def set_zone(self, packet: Packet, zone: int, directions: int) -> None:
        """The connection is in its zone already."""

    def duplicate(self, packet: Packet, gateway: bytes | None, device: int | None) -> None:
        """Copies of packets: the fast path makes none."""
        self.unknown = True

    def forward(self, packet: Packet, gateway: bytes | None, device: int | None) -> bool:
        """Another way for packets: the fast path does not know it."""
        self.unknown = True
        return True

    def opaque(self, packet: Packet, place: str) -> bool:
        """Left to the kernel."""
        self.unknown = True
        return False
