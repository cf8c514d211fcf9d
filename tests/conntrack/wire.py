"""Packets for the tests, built with nothing of what is tested; and a box to send them through."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Connection, TcpTracking
from flowtable.conntrack.core import Conntrack
from flowtable.conntrack.nat import Nat
from flowtable.conntrack.settings import Settings
from flowtable.packet.packet import GRE, ICMP, ICMPV6, IPV4, IPV6, TCP, UDP, CtInfo, Packet
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.nat import NatKind, NatRange
from flowtable.topology.device import Address, Device
from flowtable.topology.topology import Topology

CLIENT, SERVER, ROUTER = "10.0.1.99", "10.0.2.99", "10.0.2.1"
CLIENT6, SERVER6, ROUTER6 = "fd01::99", "fd02::99", "fd02::1"


def addr(text: str) -> bytes:
    return ip_address(text).packed


def ones_sum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def ip(src: str, dst: str, l4proto: int, segment: bytes, *, ttl: int = 64, options: bytes = b"") -> bytes:
    """An IP packet whose transport checksum, where there is one to fill in, is right."""
    a, b = addr(src), addr(dst)
    at = {TCP: 16, UDP: 6, ICMP: 2, ICMPV6: 2}.get(l4proto)
    if at is not None and len(segment) >= at + 2:
        pseudo = b"" if l4proto == ICMP else a + b + struct.pack(">II", len(segment), l4proto)
        blank = segment[:at] + b"\0\0" + segment[at + 2 :]
        check = 0xFFFF - ones_sum(pseudo + blank)
        if l4proto == UDP and check == 0:
            check = 0xFFFF
        segment = segment[:at] + check.to_bytes(2) + segment[at + 2 :]
    if len(a) == 16:
        return struct.pack(">IHBB", 6 << 28, len(segment), l4proto, ttl) + a + b + segment
    size = 20 + len(options)
    head = struct.pack(">BBHHHBBH", 0x40 | size // 4, 0, size + len(segment), 1, 0, ttl, l4proto, 0)
    head += a + b + options
    check = 0xFFFF - ones_sum(head)
    return head[:10] + check.to_bytes(2) + head[12:] + segment


FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128}


def tcp(
    src: str,
    dst: str,
    sport: int = 40000,
    dport: int = 443,
    flags: str = "A",
    seq: int = 0,
    ack: int = 0,
    win: int = 65535,
    *,
    options: bytes = b"",
    data: bytes = b"",
) -> bytes:
    options += b"\0" * (-len(options) % 4)
    bits = sum(FLAGS[f] for f in flags)
    head = struct.pack(
        ">HHIIHHHH",
        sport,
        dport,
        seq & 0xFFFFFFFF,
        ack & 0xFFFFFFFF,
        (5 + len(options) // 4) << 12 | bits,
        win,
        0,
        0,
    )
    return ip(src, dst, TCP, head + options + data)


def udp(src: str, dst: str, sport: int = 5000, dport: int = 53, data: bytes = b"hello") -> bytes:
    return ip(src, dst, UDP, struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data)


def icmp(src: str, dst: str, kind: int = 8, code: int = 0, ident: int = 7, data: bytes = b"ping") -> bytes:
    return ip(src, dst, ICMP, struct.pack(">BBHHH", kind, code, 0, ident, 1) + data)


def icmp6(src: str, dst: str, kind: int = 128, code: int = 0, ident: int = 7, data: bytes = b"ping") -> bytes:
    return ip(src, dst, ICMPV6, struct.pack(">BBHHH", kind, code, 0, ident, 1) + data)


def unreachable(src: str, dst: str, quoted: bytes, *, kind: int = 3, code: int = 3) -> bytes:
    """An ICMP error that quotes a packet, ICMPv6 if the addresses are."""
    if ":" in src:
        return ip(src, dst, ICMPV6, struct.pack(">BBHI", kind, code, 0, 0) + quoted)
    return ip(src, dst, ICMP, struct.pack(">BBHI", kind, code, 0, 0) + quoted)


def gre(src: str, dst: str, header: bytes = b"\0\0\x08\0", data: bytes = b"inner") -> bytes:
    return ip(src, dst, GRE, header + data)


MSS = b"\x02\x04\x05\xb4"
SACK_OK = b"\x01\x01\x04\x02"


def wscale(shift: int) -> bytes:
    return bytes((1, 3, 3, shift))


def sack(*blocks: tuple[int, int]) -> bytes:
    return bytes((1, 1, 5, 2 + 8 * len(blocks))) + b"".join(struct.pack(">II", *b) for b in blocks)


def packet(raw: bytes, time: int = 0) -> Packet:
    """What the parser makes of a packet without IPv6 extension headers."""
    if raw[0] >> 4 == 4:
        return Packet(
            bytearray(raw),
            IPV4,
            time=time,
            thoff=(raw[0] & 15) * 4,
            l4proto=raw[9],
            fragoff=(raw[6] & 31) << 11 | raw[7] << 3,
        )
    return Packet(bytearray(raw), IPV6, time=time, thoff=40, l4proto=raw[6])


def box() -> Topology:
    """A router between 10.0.1.0/24 on eth0 and 10.0.2.0/24 on eth1, and the like with IPv6."""
    topology = Topology()
    for index, name in enumerate(("eth0", "eth1"), start=2):
        device = topology.add_device(Device(name, index, mac=bytes((2, 0, 0, 0, 0, index))))
        topology.add_address(device, Address.parse(f"10.0.{index - 1}.1/24"))
        topology.add_address(device, Address.parse(f"fd0{index - 1}::1/64"))
    return topology


@dataclass
class Lab:
    """Conntrack and NAT without the stations between: what a packet is when it comes out.

    ``rules`` are the nat chains by hook; time stands still unless the test moves it.
    """

    topology: Topology = field(default_factory=box)
    rules: dict[int, list[Callable[[Packet], int]]] = field(default_factory=dict)
    seed: int = 0
    now: int = SECOND
    translating: bool = True

    def __post_init__(self) -> None:
        self.conntrack = Conntrack(self.topology.sysctls, self.seed)
        self.nat = Nat(self.conntrack, self.topology)
        self.eth0 = self.topology.devices["eth0"]
        self.eth1 = self.topology.devices["eth1"]

    def follow_sysctls(self) -> None:
        """Let conntrack see sysctls that the test has changed."""
        self.conntrack.settings = Settings.of(self.topology.sysctls)

    def rule(self, hook: Hook, kind: NatKind, chosen: NatRange | None = None) -> None:
        self.rules.setdefault(hook, []).append(lambda p: self.nat.setup(p, kind, chosen or NatRange()))

    def forward(self, raw: bytes, *, back: bool = False) -> Packet | None:
        """A packet from eth0 to eth1, or ``back``; None if it was dropped."""
        p = packet(raw, self.now)
        p.iif = self.eth1 if back else self.eth0
        if not self.stations(p, Hook.PREROUTING, self.conntrack.incoming):
            return None
        p.oif = self.eth0 if back else self.eth1
        return p if self.stations(p, Hook.POSTROUTING) else None

    def deliver(self, raw: bytes) -> Packet | None:
        """A packet from eth0 to the box itself."""
        p = packet(raw, self.now)
        p.iif = self.eth0
        if not self.stations(p, Hook.PREROUTING, self.conntrack.incoming):
            return None
        return p if self.stations(p, Hook.INPUT) else None

    def send(self, raw: bytes) -> Packet | None:
        """A packet of the box itself, out of eth1."""
        p = packet(raw, self.now)
        p.oif = self.eth1
        if not self.stations(p, Hook.OUTPUT, self.conntrack.incoming):
            return None
        return p if self.stations(p, Hook.POSTROUTING) else None

    def stations(self, p: Packet, hook: Hook, first: Callable[[Packet], int] | None = None) -> bool:
        p.hook = hook
        if first is not None and first(p) != 1:
            return False
        if self.translating and self.nat.station(hook, self.rules.get(hook, ()))(p) != 1:
            return False
        return first is not None or self.conntrack.confirm(p) == 1

    def only(self) -> Connection:
        """The one connection there is."""
        (connection,) = self.conntrack
        return connection

    def tcp(self) -> TcpTracking:
        """What TCP is known of it."""
        tracking = self.only().tcp
        assert tracking is not None
        return tracking

    def left(self) -> int:
        """Whole seconds until it times out."""
        return (self.only().expires - self.now) // SECOND


def state(p: Packet | None) -> str:
    """What ``ct state`` is of a packet."""
    assert p is not None
    if p.ct is None:
        return "untracked" if p.ctinfo == CtInfo.UNTRACKED else "invalid"
    return CtInfo(p.ctinfo).name.removesuffix("_REPLY").lower()


def addresses(p: Packet) -> tuple[str, int, str, int]:
    """Source, source port, destination, destination port as a packet has them now."""
    data = bytes(p.data)
    if p.family == IPV4:
        src, dst = data[12:16], data[16:20]
    else:
        src, dst = data[8:24], data[24:40]
    sport, dport = struct.unpack_from(">HH", data, p.thoff)
    return str(ip_address(src)), sport, str(ip_address(dst)), dport


def right_checksums(raw: bytes) -> bool:
    """Whether header and transport checksums of a packet are right, counted without the library."""
    if raw[0] >> 4 == 4:
        thoff = (raw[0] & 15) * 4
        if ones_sum(raw[:thoff]) != 0xFFFF:
            return False
        l4proto, ends = raw[9], raw[12:20]
    else:
        thoff, l4proto, ends = 40, raw[6], raw[8:40]
    segment = raw[thoff:]
    if l4proto == UDP and segment[6:8] == b"\0\0":
        return True
    if l4proto not in (TCP, UDP, ICMP, ICMPV6):
        return True
    pseudo = b"" if l4proto == ICMP else ends + struct.pack(">II", len(segment), l4proto)
    return ones_sum(pseudo + segment) == 0xFFFF
