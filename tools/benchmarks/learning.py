"""Learning flows: from what the kernel says of a connection to an entry that forwards its packets.

The bytes are those of ctnetlink's events for TCP connections through a masquerading router. Read,
decoded, offered, routed, discovered and installed they are by the service's own parts; only the
kernel is not there, whose share of the work is its own. Figures are of processor time.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from benchmarks.row import Aim, Row, Unit
from flowtable.conntrack.connection import Status, TcpState
from flowtable.conntrack.tuple import Tuple
from flowtable.datapath.bpf import BpfError
from flowtable.datapath.native import NativeDatapath
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.datapath.xdp_datapath import XdpDatapath
from flowtable.live.connections import Connections
from flowtable.live.ctnetlink import tuples
from flowtable.live.ctnetlink.constants import Cta, CtaProtoinfo, Message
from flowtable.live.ctnetlink.message import decode
from flowtable.live.ctnetlink.report import Identity, Report
from flowtable.live.engine import Engine, Refused
from flowtable.live.garbage import collect_rarely
from flowtable.live.mark import Carrier, Mark
from flowtable.netlink.attribute import attribute, nested
from flowtable.netlink.message import HEADER
from flowtable.packet.packet import IPV4, TCP
from flowtable.profile import DEFAULT
from flowtable.ruleset import parse
from flowtable.topology.boxfile import load

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.flows.entry import FlowEntry
    from flowtable.flows.flowtable import DatapathFactory, Flowtable
    from flowtable.flows.teardown import Teardown
    from flowtable.live.ctnetlink.message import Request
    from flowtable.topology.topology import Topology

    MakeDatapath = Callable[[Topology], DatapathFactory]

FLOWS: Final = 20_000
ROUNDS: Final = 3
BATCH: Final = 256
HOSTS: Final = 200
MARK: Final = Mark(Carrier.LABEL, 127)
BOX: Final = """
devices:
  - {name: lan0, mac: "02:00:00:00:01:01", addresses: [10.0.0.1/16]}
  - {name: wan0, mac: "02:00:00:00:02:01", addresses: [192.0.2.1/24]}
routes:
  - {to: default, via: 192.0.2.254, dev: wan0}
neighbours:
  - {address: 192.0.2.254, dev: wan0, mac: "02:00:00:00:02:fe", state: permanent}
sysctls: {net.ipv4.ip_forward: 1}
"""
RULES: Final = """
table inet t {
    flowtable f {
        hook ingress priority filter
        devices = { lan0, wan0 }
    }
}
"""


def event(number: int) -> bytes:
    """What the kernel says when rules mark a connection with its third packet."""
    host, port = divmod(number, 60_000)
    client = struct.pack(">I", 0x0A000002 + (number + host) % HOSTS)
    server, public = bytes((198, 51, 100, 1 + host)), bytes((192, 0, 2, 1))
    original = Tuple(IPV4, TCP, client, server, 1024 + port, 443)
    reply = Tuple(IPV4, TCP, server, public, 443, 1024 + port)
    status = Status.CONFIRMED | Status.SEEN_REPLY | Status.ASSURED | Status.SRC_NAT | Status.NAT_DONE_MASK
    tcp = (
        attribute(CtaProtoinfo.STATE, bytes([TcpState.ESTABLISHED])),
        *(attribute(kind, b"\7") for kind in (2, 3)),
        *(attribute(kind, b"\x23\0") for kind in (4, 5)),
    )
    fields = (
        nested(Cta.TUPLE_ORIG, tuples.encode(original)),
        nested(Cta.TUPLE_REPLY, tuples.encode(reply)),
        attribute(Cta.ID, struct.pack(">I", number)),
        attribute(Cta.STATUS, struct.pack(">I", status)),
        attribute(Cta.TIMEOUT, struct.pack(">I", 432_000)),
        nested(Cta.PROTOINFO, nested(CtaProtoinfo.TCP, *tcp)),
        attribute(Cta.LABELS, struct.pack("=QQ", 0, 1 << 63)),
    )
    body = bytes([IPV4, 0, 0, 0]) + b"".join(fields)
    return HEADER.pack(HEADER.size + len(body), Message.NEW, 0, 0, 0) + body


class Kernel:
    """A kernel that says what it was given to say, and does nothing of what it is told."""

    def __init__(self, events: list[bytes]) -> None:
        self.events = events
        self.at = 0

    def fileno(self) -> int:
        """None."""
        return -1

    def close(self) -> None:
        """Nothing to close."""

    def read(self) -> list[Report]:
        """The next events."""
        part = self.events[self.at : self.at + BATCH]
        self.at += len(part)
        return [each for data in part for each in decode(data) if isinstance(each, Report)]

    def overrun(self) -> bool:
        """Never."""
        return False

    def dump(self) -> Iterator[Report]:
        """Nothing."""
        return iter(())

    def look(self, identities: Sequence[Identity]) -> list[Report | None]:
        """Nobody is there."""
        return [None] * len(identities)

    def write(self, requests: Sequence[Request]) -> list[tuple[int, int]]:
        """Have the bytes made that would be sent."""
        b"".join(each.message(place) for place, each in enumerate(requests))
        return []


class Silent:
    """Hears what happens; every refusal is a fault."""

    def added(self, entry: FlowEntry, now: int) -> None:
        """As it should be."""

    def refused(self, refused: Refused, now: int) -> None:
        """It measures something else."""
        raise SystemExit(f"a flow was refused: {refused.reason.text}")

    def ended(self, entry: FlowEntry, reason: Teardown, now: int) -> None:
        """They go all at once in the end."""


def box() -> Topology:
    """A router with many hosts."""
    hosts = "".join(
        f'  - {{address: 10.0.0.{2 + host}, dev: lan0, mac: "02:00:00:00:03:{host:02x}", state: permanent}}\n'
        for host in range(HOSTS)
    )
    return load(BOX.replace("sysctls:", f"{hosts}sysctls:"), "box.yaml")


def learnt(events: list[bytes], make: MakeDatapath) -> tuple[float, Engine]:
    """Seconds of processor time until all flows of the events are installed, and what has them."""
    topology = box()
    datapath = make(topology)
    kernel = Kernel(events)
    marked: list[tuple[Engine, Flowtable]] = []

    def offer(connection: Connection, mark: Mark) -> None:
        engine, flowtable = marked[0]
        engine.marked(connection, flowtable, time.monotonic_ns())

    connections = Connections(topology.sysctls, offer, kernel)
    connections.marks = (MARK,)
    engine = Engine(topology, connections, DEFAULT, datapath, Silent(), time.monotonic_ns())
    declared = parse(RULES, "rules.nft").tables
    (declaration,) = (each for table in declared.values() for each in table.flowtables.values())
    flowtable = engine.flowtables.create(declaration)
    marked.append((engine, flowtable))
    begin = time.process_time()
    while kernel.at < len(events):
        connections.read()
        connections.write()
    lasted = time.process_time() - begin
    if len(flowtable) != len(events):
        raise SystemExit(f"only {len(flowtable)} of {len(events)} flows were learnt")
    return lasted, engine


def datapaths() -> Iterator[tuple[str, MakeDatapath]]:
    """Those that can be had here."""
    yield "reference datapath", lambda topology: ReferenceDatapath
    yield "in the process, in C", lambda topology: NativeDatapath
    try:
        in_kernel(box())
    except BpfError:
        return
    yield "in the kernel, XDP", in_kernel


def in_kernel(topology: Topology) -> DatapathFactory:
    """The one for all flowtables of a box; without devices."""
    kernel = XdpDatapath(topology, DEFAULT, lambda entry, reason, now: None, capacity=2 * FLOWS)
    return lambda *_: kernel


def decoded(events: list[bytes], ask: Callable[[Report], object]) -> float:
    """Events a second that are decoded as far as they are asked for."""
    begin = time.process_time()
    for data in events:
        for report in decode(data):
            if isinstance(report, Report):
                ask(report)
    return len(events) / (time.process_time() - begin)


def everything(report: Report) -> object:
    """What an operator may see of a connection."""
    return (
        report.identity, report.original, report.reply, report.status, report.timeout, report.mark,
        report.labels, report.helper, report.tcp, report.counters, report.ident, report.use,
    )  # fmt: skip


def resident() -> int:
    """Bytes of memory of this process."""
    with open("/proc/self/statm") as stream:  # noqa: PTH123
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def grown(events: list[bytes], make: MakeDatapath) -> int:
    """Bytes by which a process grows that learns the flows of the events: one of its own."""
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        make(box())
        before = resident()
        kept = learnt(events, make)
        os.write(sender, str(resident() - before).encode())
        del kept
        os._exit(0)
    os.waitpid(child, 0)
    grown_by = int(os.read(receiver, 100))
    os.close(receiver)
    os.close(sender)
    return grown_by


def rows() -> Iterator[Row]:
    """Decoding, learning, and what a flow takes of memory."""
    subject = "connections of the kernel"
    events = [event(number) for number in range(FLOWS)]
    for name, ask in (("identified", lambda report: report.identity), ("decoded whole", everything)):
        rate = max(decoded(events, ask) for _ in range(3))
        yield Row(subject, f"events, {name}", rate, Unit.EVENTS_PER_SECOND, size=FLOWS, aim=Aim(">=", 50_000))
    collect_rarely()
    # First of all: what this process frees later its children need not take.
    memory = {name: grown(events, make) / FLOWS for name, make in datapaths()}
    for name, make in datapaths():
        rate = FLOWS / min(learnt(events, make)[0] for _ in range(ROUNDS))
        yield Row(
            subject, f"flows learnt, {name}", rate, Unit.FLOWS_PER_SECOND, size=FLOWS, aim=Aim(">=", 20_000)
        )
        yield Row(subject, f"memory of a flow, {name}", memory[name], Unit.BYTES, size=FLOWS)
