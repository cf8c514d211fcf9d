"""Packets per second through a router in the kernel: a host, the router and another host, by veth.

The source is a program that makes datagrams of 60 bytes, of one flow after the other, and sends them into
its veth (BPF_PROG_TEST_RUN with live frames), the sink one that counts and drops. All of it runs on one
processor, so that the costs of source and sink are part of every figure; counted is the time that
the processor spent on it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from ipaddress import ip_address
from pathlib import Path
from socket import if_nametoindex
from typing import Final

from benchmarks.programs import FIRST_PORT, FRAME, PORTS, Config, Programs
from benchmarks.row import Aim, Row, Unit
from flowtable.clock import SECOND
from flowtable.datapath.attach import Attachment, AttachMode, attach
from flowtable.datapath.bpf import Program
from flowtable.datapath.layout import PORT_STATION, Flow, Key, NextHop, Port
from flowtable.datapath.tables import settings
from flowtable.datapath.xdp import XdpTables
from flowtable.packet.checksum import TTL_DELTA, delta
from flowtable.packet.packet import IPV4, UDP
from flowtable.profile import DEFAULT
from flowtable.ruleset.family import Family
from scenarios.machine.namespace import Namespace

FLOWS: Final = (1, 1000, 100_000)
ROUNDS: Final = 5
COUNT: Final = 200_000
"""Packets in a round."""
LAN, WAN = "02:00:00:00:00:01", "02:00:00:00:00:02"
SOURCE, SINK = "02:00:00:00:00:c1", "02:00:00:00:00:fe"
CLIENT, PUBLIC, SERVER = "10.1.0.1", "192.0.2.1", "192.0.2.99"
DISCARD: Final = 9
"""The port of the datagrams."""
MTU: Final = 1500

FORWARDING: Final = "kernel: forwarding alone"
CONNTRACK: Final = "kernel: + connection tracking"
MASQUERADE: Final = "kernel: + masquerade"
FLOWTABLE: Final = "XDP flowtable, with NAT"
GENERIC: Final = "XDP flowtable, with NAT, generic mode"
INGRESS: Final = "tc flowtable, with NAT"
REDIRECT: Final = "XDP program that only redirects"
FIND: Final = "XDP program that only finds the flow and redirects"
AIMS: Final = {
    MASQUERADE: Aim(">=", 3.5),
    CONNTRACK: Aim(">=", 2.7),
    REDIRECT: Aim(">=", 0.9),
    FIND: None,
}
"""What the flowtable is compared with, and what should come of it."""

RULES: Final = {
    FORWARDING: "",
    CONNTRACK: """
table ip t {
    chain c { type filter hook forward priority 0; ct state established,related accept; }
}
""",
    MASQUERADE: """
table ip t {
    chain c { type filter hook forward priority 0; ct state established,related accept; }
    chain p { type nat hook postrouting priority srcnat; oifname "wan" masquerade; }
}
""",
}


def packed(text: str) -> bytes:
    """An address as it stands in packets."""
    return ip_address(text).packed


def hardware(text: str) -> bytes:
    """A MAC address as it stands in frames."""
    return bytes.fromhex(text.replace(":", ""))


@dataclass(slots=True)
class Road:
    """The hosts and the router.

    Attributes:
        source: the namespace of the host that sends.
        router: that of the router.
        sink: that of the host that receives.
        programs: what runs on the hosts.
    """

    source: Namespace
    router: Namespace
    sink: Namespace
    programs: Programs

    @contextmanager
    def with_rules(self, rules: str) -> Iterator[None]:
        """The kernel forwards, and its rules are these."""
        self.router.run("nft", "-f", "-", text=f"flush ruleset\n{rules}")
        yield
        self.router.run("nft", "flush", "ruleset")

    @contextmanager
    def attached(self, make: Callable[[], Attachment]) -> Iterator[None]:
        """What the router has attached, then no more."""
        with self.router.inside():
            attachment = make()
        try:
            yield
        finally:
            attachment.close()

    def rate(self) -> float:
        """Packets that arrive per second of processor time."""
        before = self.programs.arrived
        with self.source.inside():
            begin = processor_time()
            self.programs.source.send(FRAME, COUNT)
            took = processor_time() - begin
        return (self.programs.arrived - before) / took * SECOND


@contextmanager
def road(flows: int) -> Iterator[Road]:
    """A road on which so many flows go."""
    with ExitStack() as stack:
        source, router, sink = (stack.enter_context(closing(Namespace())) for _ in range(3))
        router.ip(
            [
                f"link add lan address {LAN} type veth peer name out address {SOURCE} netns {source.path}",
                f"link add wan address {WAN} type veth peer name in address {SINK} netns {sink.path}",
                "link set lan up",
                "link set wan up",
                f"address add {CLIENT[:-1]}254/16 dev lan",
                f"address add {PUBLIC}/24 dev wan",
                f"neighbour add {SERVER} lladdr {SINK} nud permanent dev wan",
            ]
        )
        # Frames of XDP come in only where the device polls, as for GRO, which leaves datagrams alone.
        router.run("ethtool", "-K", "lan", "gro", "on")
        router.sysctl("net.ipv4.ip_forward", 1)
        source.ip(["link set out up"])
        sink.ip(["link set in up"])
        with source.inside():
            out = if_nametoindex("out")
        config = Config(device=out, flows=flows)
        config.macs[:] = hardware(LAN) + hardware(SOURCE)
        config.source[:], config.target[:] = packed(CLIENT), packed(SERVER)
        programs = Programs(config)
        with source.inside():
            programs.allow(out)
        with sink.inside():
            stack.enter_context(closing(attach(programs.sink, if_nametoindex("in"), AttachMode.NATIVE)))
        yield Road(source, router, sink, programs)


def wires(flows: int) -> Iterator[bytes]:
    """Addresses and ports of each flow, as the source has them."""
    client, server = int.from_bytes(packed(CLIENT)), packed(SERVER)
    for number in range(flows):
        ports = (FIRST_PORT + number % PORTS).to_bytes(2) + DISCARD.to_bytes(2)
        yield (client + number // PORTS).to_bytes(4) + server + ports


@cache
def _soft_interrupts(processor: int) -> Path:
    """What is known of the thread to which the kernel hands over what it could not finish in passing."""
    threads = (path.parent for path in Path("/proc").glob("*/comm"))
    name = f"ksoftirqd/{processor}\n"
    return next(thread / "schedstat" for thread in threads if (thread / "comm").read_text() == name)


def processor_time() -> int:
    """What this thread and the kernel's for soft interrupts, on its processor, have had; nanoseconds."""
    (processor,) = os.sched_getaffinity(0)
    return time.thread_time_ns() + int(_soft_interrupts(processor).read_text().split()[0])


def onward(flows: int) -> Programs:
    """Programs that send such flows on, inside of the router."""
    wan = if_nametoindex("wan")
    programs = Programs(Config(device=wan, flows=flows))
    programs.allow(wan)
    for number, wire in enumerate(wires(flows)):
        programs.add_flow(number, wire)
    return programs


def flowtable(flows: int) -> XdpTables:
    """Tables with so many flows, which leave with the router's address; inside of the router."""
    lan, wan = if_nametoindex("lan"), if_nametoindex("wan")
    tables = XdpTables(settings(Family.INET, DEFAULT), capacity=flows)
    station = Port(state=PORT_STATION)
    station.mac[:] = hardware(LAN)
    tables.set_port(lan, station)
    tables.allow(wan)
    hop = NextHop(device=wan, length=14)
    hop.head[:14] = hardware(SINK) + hardware(WAN) + b"\x08\x00"
    tables.set_next_hop(1, hop)
    for number, wire in enumerate(wires(flows), start=1):
        here, there = wire[:-4], packed(PUBLIC) + packed(SERVER)
        key = Key(link=lan, protocol=UDP)
        flow = Flow(next_hop=1, entry=number, mtu=MTU)
        flow.ip_delta = (TTL_DELTA + delta(here, there)) % 0xFFFF
        flow.l4_delta = delta(here, there) % 0xFFFF
        for target, addresses in ((key, here), (flow, there)):
            target.addresses[:8] = addresses
            target.sport[:], target.dport[:] = wire[-4:-2], wire[-2:]
        tables.set_flow(IPV4, key, flow)
    return tables


def contestants(way: Road, flows: int) -> dict[str, Callable[[], AbstractContextManager[None]]]:
    """What may be on the road, by its name."""
    with way.router.inside():
        tables = flowtable(flows)
        lan, others = if_nametoindex("lan"), onward(flows)

    def runs(program: Program, mode: AttachMode) -> Callable[[], AbstractContextManager[None]]:
        return lambda: way.attached(lambda: attach(program, lan, mode))

    return {
        **{name: partial(way.with_rules, rules) for name, rules in RULES.items()},
        INGRESS: runs(tables.tc_program, AttachMode.TC),
        GENERIC: runs(tables.program, AttachMode.GENERIC),
        FLOWTABLE: runs(tables.program, AttachMode.NATIVE),
        FIND: runs(others.find, AttachMode.NATIVE),
        REDIRECT: runs(others.redirect, AttachMode.NATIVE),
    }


def measure(flows: int) -> dict[str, float]:
    """Packets per second of each contestant: the best of rounds in which all of them take their turn."""
    best: dict[str, float] = {}
    with road(flows) as way:
        taking_turns = contestants(way, flows)
        for _ in range(ROUNDS):
            for name, on in taking_turns.items():
                with on():
                    way.rate()
                    best[name] = max(best.get(name, 0.0), way.rate())
    return best


def rows() -> Iterator[Row]:
    """Every contestant, at each number of flows; the flowtable beside those it has aims for."""
    with on_one_processor():
        for flows in FLOWS:
            yield from compared(flows, measure(flows))


def compared(flows: int, measured: dict[str, float]) -> Iterator[Row]:
    """The rows of one number of flows."""
    subject = f"Packets through the kernel over veth, {flows:,} flow{'s' if flows > 1 else ''}"
    ours = measured[FLOWTABLE]
    for name, rate in measured.items():
        yield Row(subject, name, rate, Unit.PACKETS_PER_SECOND, size=flows)
    for name, aim in AIMS.items():
        yield Row(subject, FLOWTABLE, ours, Unit.PACKETS_PER_SECOND, name, ours / measured[name], flows, aim)


@contextmanager
def on_one_processor() -> Iterator[None]:
    """Stay there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
