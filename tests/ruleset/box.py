"""A box for rules to run in: devices, packets, and a note of everything that rules ask for."""

from __future__ import annotations

import itertools

from scapy.layers.inet import IP
from scapy.packet import Packet as Scapy

from flowtable.conntrack.connection import Connection
from flowtable.conntrack.tuple import Tuple
from flowtable.packet.packet import IPV4, IPV6, CtInfo, Packet
from flowtable.packet.parse import dissect_ipv4, dissect_ipv6
from flowtable.ruleset import parse
from flowtable.ruleset.environment import FibQuery, LogEntry, RejectWith
from flowtable.ruleset.evaluate import BaseChain, compile_ruleset
from flowtable.ruleset.family import Family
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.model import Ruleset
from flowtable.ruleset.nat import NatKind, NatRange
from flowtable.ruleset.verdict import Verdict
from flowtable.topology.device import Device, DeviceKind

INDEXES = {"lo": 1, "lan0": 2, "lan1": 3, "wan0": 4, "eth0": 5, "eth1": 6}
DEVICES = {
    name: Device(name=name, index=index, kind=DeviceKind.ETHERNET, mac=bytes([2, 0, 0, 0, 0, index]))
    for name, index in INDEXES.items()
}


class FakeBox:
    """An ``Environment`` that writes down what is asked of it."""

    def __init__(self) -> None:
        self.translations: list[tuple[NatKind, NatRange]] = []
        self.flows: list[tuple[Family, str, str]] = []
        self.rejections: list[RejectWith] = []
        self.entries: list[LogEntry] = []
        self.copies: list[tuple[bytes | None, int | None]] = []
        self.forwarded: list[tuple[bytes | None, int | None]] = []
        self.zones: list[tuple[int, int]] = []
        self.places: list[str] = []
        self.skip_opaque = False
        self.types: dict[FibQuery, int] = {}
        self.ways: dict[FibQuery, str] = {}
        self.numbers = itertools.count(1 << 31, 1 << 16)
        self.accepts_flows = True
        self.nat_verdict = Verdict.ACCEPT

    def nat(self, packet: Packet, kind: NatKind, nat_range: NatRange) -> int:
        self.translations.append((kind, nat_range))
        return self.nat_verdict

    def flow_add(self, packet: Packet, family: Family, table: str, flowtable: str) -> bool:
        self.flows.append((family, table, flowtable))
        return self.accepts_flows

    def reject(self, packet: Packet, reply: RejectWith) -> None:
        self.rejections.append(reply)

    def log(self, packet: Packet, entry: LogEntry) -> None:
        self.entries.append(entry)

    def random(self) -> int:
        return next(self.numbers) & 0xFFFFFFFF

    def fib_type(self, packet: Packet, query: FibQuery) -> int | None:
        return self.types.get(query, 1)

    def fib_device(self, packet: Packet, query: FibQuery) -> Device | None:
        return DEVICES.get(self.ways.get(query, ""))

    def maximum_segment(self, packet: Packet) -> int:
        return 1360

    def set_zone(self, packet: Packet, zone: int, directions: int) -> None:
        self.zones.append((zone, directions))

    def duplicate(self, packet: Packet, gateway: bytes | None, device: int | None) -> None:
        self.copies.append((gateway, device))

    def forward(self, packet: Packet, gateway: bytes | None, device: int | None) -> bool:
        self.forwarded.append((gateway, device))
        return True

    def opaque(self, packet: Packet, place: str) -> bool:
        self.places.append(place)
        return self.skip_opaque

    def interface_index(self, name: str) -> int | None:
        return INDEXES.get(name)


def packet(
    frame: Scapy,
    *,
    iif: str | None = "lan0",
    oif: str | None = "wan0",
    mark: int = 0,
    time: int = 0,
    ct: Connection | None = None,
    ctinfo: int = CtInfo.NEW,
) -> Packet:
    """The packet that scapy builds, as it comes to a hook."""
    family = IPV4 if isinstance(frame, IP) else IPV6
    made = Packet(bytearray(bytes(frame)), family, time=time)
    (dissect_ipv4 if family == IPV4 else dissect_ipv6)(made)
    made.iif = DEVICES[iif] if iif else None
    made.oif = DEVICES[oif] if oif else None
    made.mark = mark
    made.ct = ct
    made.ctinfo = ctinfo
    return made


def connection(**attributes: object) -> Connection:
    """A TCP connection from 10.0.0.1:1000 to 192.0.2.1:80."""
    client, server = bytes([10, 0, 0, 1]), bytes([192, 0, 2, 1])
    made = Connection(Tuple(IPV4, 6, client, server, 1000, 80), Tuple(IPV4, 6, server, client, 80, 1000))
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def load(text: str, box: FakeBox | None = None) -> tuple[Ruleset, BaseChain]:
    """The ruleset, and its first base chain at any hook."""
    ruleset = parse(text, "test.nft")
    program = compile_ruleset(ruleset, box or FakeBox())
    for family in (IPV4, IPV6):
        for hook in Hook:
            for chain in program.chains(family, hook):
                return ruleset, chain
    raise AssertionError("no base chain")


def run(
    rules: str,
    to: Packet,
    *,
    family: str = "inet",
    chain: str = "type filter hook forward priority filter",
    policy: str = "drop",
    more: str = "",
    box: FakeBox | None = None,
) -> int:
    """The verdict of a chain with these rules on a packet."""
    text = f"table {family} t {{\n{more}\nchain c {{\n{chain}; policy {policy};\n{rules}\n}}\n}}\n"
    _, base = load(text, box)
    to.hook = base.hook
    return base(to)


def matches(match: str, to: Packet, **options: str) -> bool:
    """Whether a match is true of a packet."""
    return run(f"{match} accept", to, **options) == Verdict.ACCEPT  # type: ignore[arg-type]
