"""Packets per second through ``flowtable route``, on the road of ``xdp_forwarding`` beside the kernel.

The router runs in this process and on the same processor as source and sink, in turns: the source sends
as many datagrams as the socket of the router holds, then the router takes them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Final

from benchmarks.programs import FRAME
from benchmarks.row import Row, Unit
from benchmarks.xdp_forwarding import (
    CLIENT,
    LAN,
    MASQUERADE,
    MTU,
    PUBLIC,
    RULES,
    SERVER,
    SINK,
    WAN,
    Road,
    on_one_processor,
    processor_time,
    road,
)
from flowtable.capture.packet_port import PacketPort
from flowtable.cli.wires import Wires
from flowtable.clock import SECOND
from flowtable.datapath.native import NativeDatapath
from flowtable.router import Box
from flowtable.ruleset import parse
from flowtable.topology.boxfile import load

FLOWS: Final = 1000
ROUNDS: Final = 3
TURN: Final = 2000
TURNS: Final = 25
ROUTER: Final = "flowtable route: fast path in C"
CLASSIC: Final = "flowtable route: classic path in Python, masquerade"

BOX: Final = f"""
devices:
  - {{name: lan, mac: "{LAN}", mtu: {MTU}, addresses: [{CLIENT[:-1]}254/16]}}
  - {{name: wan, mac: "{WAN}", mtu: {MTU}, addresses: [{PUBLIC}/24]}}
neighbours: [{{address: {SERVER}, dev: wan, mac: "{SINK}"}}]
sysctls: {{net.ipv4.ip_forward: 1}}
"""
FLOWTABLE: Final = """
table ip f {
    flowtable f { hook ingress priority 0; devices = { lan, wan }; }
    chain c { type filter hook forward priority 0; flow add @f; }
}
"""


def rate(way: Road, rules: str) -> float:
    """Packets that arrive per second of processor time, of source, router and sink together."""
    with ExitStack() as stack, way.router.inside():
        box = Box(load(BOX), parse(rules, "rules.nft"), transmit=lambda *_: None, datapath=NativeDatapath)
        devices = (box.topology.devices[name] for name in ("lan", "wan"))
        ports = {
            each.index: stack.enter_context(closing(PacketPort(each.name, each.index))) for each in devices
        }
        wires = stack.enter_context(closing(Wires(box, ports)))
        wires.turn(0)
        best = 0.0
        for _ in range(ROUNDS):
            before, took = way.programs.arrived, 0
            for _ in range(TURNS):
                begin = processor_time()
                with way.source.inside():
                    way.programs.source.send(FRAME, TURN)
                while wires.turn(0):
                    pass
                took += processor_time() - begin
            best = max(best, (way.programs.arrived - before) / took * SECOND)
    return best


def rows() -> Iterator[Row]:
    """The router with and without its flowtable, and the kernel, all with masquerade."""
    subject = f"Packets through the router in Python over veth, {FLOWS:,} flows"
    with on_one_processor(), road(FLOWS) as way:
        with way.with_rules(RULES[MASQUERADE]):
            way.rate()
            kernel = way.rate()
        way.router.ip(["address flush dev lan", "address flush dev wan"])
        fast = rate(way, RULES[MASQUERADE] + FLOWTABLE)
        classic = rate(way, RULES[MASQUERADE])
    yield Row(subject, MASQUERADE, kernel, Unit.PACKETS_PER_SECOND, size=FLOWS)
    yield Row(subject, ROUTER, fast, Unit.PACKETS_PER_SECOND, MASQUERADE, fast / kernel, FLOWS)
    yield Row(subject, CLASSIC, classic, Unit.PACKETS_PER_SECOND, MASQUERADE, classic / kernel, FLOWS)
