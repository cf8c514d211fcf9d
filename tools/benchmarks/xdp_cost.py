"""What a packet costs the program in the kernel, without devices: BPF_PROG_TEST_RUN.

A frame that was forwarded is another frame, which has to be a packet of a flow as well: so there are two
flows, each of which makes the other's packets of its own. A frame can go on like this for as long as
its TTL allows, many times in a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from benchmarks.programs import Config as BenchConfig
from benchmarks.programs import Programs
from benchmarks.row import Aim, Row, Unit
from flowtable.datapath.bpf import Program
from flowtable.datapath.layout import (
    PORT_STATION,
    TAGGED,
    Flow,
    Key,
    Link,
    LinkKey,
    NextHop,
    Port,
)
from flowtable.datapath.tables import settings
from flowtable.datapath.xdp import XdpTables
from flowtable.packet.checksum import TTL_DELTA, delta, fill_ipv4
from flowtable.packet.packet import IPV4, IPV6, TCP
from flowtable.profile import DEFAULT
from flowtable.ruleset.family import Family

LOOPBACK: Final = 1
"""BPF_PROG_TEST_RUN takes no other device that nothing is attached to."""
REPEAT: Final = 250
"""As far as a TTL of 255 reaches."""
ROUNDS: Final = 60
MACS: Final = bytes.fromhex("020000000001020000000002")
ETHERTYPE: Final = {IPV4: b"\x08\x00", IPV6: b"\x86\xdd"}
PPP: Final = {IPV4: b"\x00\x21", IPV6: b"\x00\x57"}
SESSION: Final = 0x1234


def tag(vid: int) -> bytes:
    """A VLAN tag."""
    return b"\x81\x00" + vid.to_bytes(2)


@dataclass(frozen=True, slots=True)
class Side:
    """What packets of a flow have around them, and what is in them.

    Attributes:
        family: ``IPV4`` or ``IPV6``.
        wire: addresses and ports.
        vid: of the VLAN, None for none.
        session: in a PPPoE session.
    """

    family: int
    wire: bytes
    vid: int | None = None
    session: bool = False

    @property
    def head(self) -> bytes:
        """The link-layer header."""
        if self.vid is not None:
            return MACS + tag(self.vid) + ETHERTYPE[self.family]
        if self.session:
            return MACS + b"\x88\x64\x11\x00" + SESSION.to_bytes(2) + bytes(2) + PPP[self.family]
        return MACS + ETHERTYPE[self.family]

    @property
    def link(self) -> LinkKey | None:
        """How frames arrive, None without encapsulation."""
        key = LinkKey(iif=LOOPBACK, depth=1)
        if self.vid is not None:
            key.encap[0].id, key.encap[0].protocol = self.vid, 0x8100
        elif self.session:
            key.encap[0].id, key.encap[0].protocol = SESSION, 0x8864
        else:
            return None
        return key

    def frame(self) -> bytes:
        """A TCP segment without payload."""
        tcp = self.wire[-4:] + bytes(8) + b"\x50\x10" + bytes(6)
        if self.family == IPV4:
            ip = bytearray(bytes.fromhex("45000028000040 00ff06 0000") + self.wire[:-4])
            fill_ipv4(ip)
            packet = bytes(ip) + tcp
        else:
            packet = b"\x60\0\0\0" + len(tcp).to_bytes(2) + bytes((TCP, 255)) + self.wire[:-4] + tcp
        head = bytearray(self.head)
        if self.session:
            head[18:20] = (len(packet) + 2).to_bytes(2)
        return bytes(head) + packet


@dataclass(slots=True)
class Bench:
    """Tables on the loopback device."""

    tables: XdpTables
    numbers: dict[str, int] = field(default_factory=lambda: {"flow": 0, "link": 0})

    def add(self, here: Side, there: Side) -> None:
        """A flow whose packets come as those of ``here`` and leave as those of ``there``."""
        number = self.numbers["flow"] = self.numbers["flow"] + 1
        hop = NextHop(device=LOOPBACK, length=len(there.head), pppoe=there.session)
        hop.head[: len(there.head)] = there.head
        self.tables.set_next_hop(number, hop)
        key = Key(link=self._link(here), protocol=TCP)
        flow = Flow(next_hop=number, entry=number, mtu=1500)
        for target, side in ((key, here), (flow, there)):
            target.sport[:], target.dport[:] = side.wire[-4:-2], side.wire[-2:]
            target.addresses[: len(side.wire) - 4] = side.wire[:-4]
        flow.ip_delta = (TTL_DELTA + delta(here.wire[:-4], there.wire[:-4])) % 0xFFFF
        flow.l4_delta = delta(here.wire, there.wire) % 0xFFFF
        self.tables.set_flow(here.family, key, flow)

    def _link(self, side: Side) -> int:
        key = side.link
        if key is None:
            return LOOPBACK
        number = self.numbers["link"] = self.numbers["link"] + 1
        self.tables.set_link(key, Link(number=TAGGED + number))
        return TAGGED + number


def cost(program: Program, frame: bytes) -> float:
    """Nanoseconds per packet: the best of many runs, since whatever else runs on the machine only adds."""
    return min(program.run(frame, repeat=REPEAT)[2] for _ in range(ROUNDS))


NAT: Final = "hit + NAT"
AIM: Final = Aim("<=", 60)
A, B = bytes((10, 0, 1, 99, 198, 51, 100, 7)), bytes((192, 0, 2, 1, 198, 51, 100, 8))
A6, B6 = bytes.fromhex("20010db8" + "11" * 28), bytes.fromhex("20010db8" + "22" * 28)
PORTS, OTHER_PORTS = bytes((0x9C, 0x40, 1, 0xBB)), bytes((0xEE, 0x48, 1, 0xBB))

PLAIN, TRANSLATED = Side(IPV4, A + PORTS), Side(IPV4, B + OTHER_PORTS)
PLAIN6, TRANSLATED6 = Side(IPV6, A6 + PORTS), Side(IPV6, B6 + OTHER_PORTS)
CASES: Final[dict[str, tuple[Side, Side]]] = {
    "hit": (PLAIN, PLAIN),
    NAT: (PLAIN, TRANSLATED),
    "hit, IPv6": (PLAIN6, PLAIN6),
    "hit + NAT, IPv6": (PLAIN6, TRANSLATED6),
    "VLAN swap": (Side(IPV4, A + PORTS, vid=10), Side(IPV4, A + PORTS, vid=20)),
    "PPPoE push and pop + NAT, mean": (PLAIN, Side(IPV4, B + OTHER_PORTS, session=True)),
}
SUBJECT: Final = "XDP program alone (BPF_PROG_TEST_RUN), per packet"
EMPTY: Final = "empty program"


def rows() -> Iterator[Row]:
    """The empty program, a miss, and every kind of hit."""
    programs = Programs(BenchConfig(device=LOOPBACK, flows=1))
    tables = XdpTables(settings(Family.INET, DEFAULT), capacity=1024)
    tables.allow(LOOPBACK)
    station = Port(state=PORT_STATION)
    station.mac[:] = MACS[:6]
    tables.set_port(LOOPBACK, station)
    empty = cost(programs.empty, PLAIN.frame())
    yield Row(SUBJECT, EMPTY, empty, Unit.NANOSECONDS)
    yield Row(SUBJECT, "miss", cost(tables.program, PLAIN.frame()), Unit.NANOSECONDS)
    for name, (here, there) in CASES.items():
        bench = Bench(XdpTables(settings(Family.INET, DEFAULT), capacity=1024))
        bench.tables.allow(LOOPBACK)
        bench.tables.set_port(LOOPBACK, station)
        bench.add(here, there)
        if there != here:
            bench.add(there, here)
        value = cost(bench.tables.program, here.frame())
        counted = bench.tables.statistics()
        if set(counted) != {None}:
            raise SystemExit(f"{name}: not every packet was forwarded: {counted}")
        yield Row(SUBJECT, name, value, Unit.NANOSECONDS)
        if name == NAT:
            yield Row(SUBJECT, f"{name}, above the {EMPTY}", value - empty, Unit.NANOSECONDS, aim=AIM)
