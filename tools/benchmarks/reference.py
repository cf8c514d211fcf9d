"""The packet paths in Python beside other Python packet tools.

The traffic is that of examples/home-router as its box receives it, repeated. Figures are packets per
second of processor time, which what else runs on the machine takes no part of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import dpkt
from scapy.layers.l2 import Ether

from benchmarks.row import Aim, Row, Unit
from benchmarks.traffic import EXAMPLE, ROUNDS, Frame, Work, box, example, hits, race, repeated, through

PACKETS: Final = 200_000
SCAPY_SAMPLE: Final = 2000


def dpkt_round_trip() -> Work:
    """Parse with dpkt and serialise again."""

    def work(part: list[Frame]) -> None:
        for _, data, _ in part:
            bytes(dpkt.ethernet.Ethernet(data))

    return work


def scapy_parse() -> Work:
    """Parse with scapy."""

    def work(part: list[Frame]) -> None:
        for _, data, _ in part:
            Ether(data)

    return work


def rows() -> Iterator[Row]:
    """The whole traffic, the packets of the fast path, and what only parses."""
    warm, taken = hits(example())
    traffic = list(repeated(example(), PACKETS))
    fast = [taken[number % len(taken)] for number in range(PACKETS)]
    before = warm.statistics.bypass
    whole = race(
        traffic,
        classic=through(lambda: box(flowtable=False)),
        both=through(lambda: box(flowtable=True)),
        dpkt=dpkt_round_trip,
    )
    hit = race(fast, reference=through(lambda: warm), dpkt=dpkt_round_trip)
    parse_only = race(traffic[:SCAPY_SAMPLE], scapy=scapy_parse, dpkt=dpkt_round_trip)
    if warm.statistics.bypass - before != ROUNDS * len(fast):
        raise SystemExit("not every packet of the fast path row took the fast path")
    subject, dpkt_rate, per_second = f"{EXAMPLE.name}, all packets", whole["dpkt"], Unit.PACKETS_PER_SECOND
    tool = "dpkt, parse and serialise"
    yield Row(subject, tool, dpkt_rate, per_second)
    for name, rate, aim in (
        ("classic path (conntrack, NAT, rules), no flowtable", whole["classic"], Aim(">=", 0.8)),
        ("with the flowtable", whole["both"], None),
    ):
        yield Row(subject, name, rate, per_second, tool, rate / dpkt_rate, aim=aim)
    subject, rate = f"{EXAMPLE.name}, packets of the fast path", hit["reference"]
    yield Row(subject, tool, hit["dpkt"], per_second)
    yield Row(subject, "fast path", rate, per_second, tool, rate / hit["dpkt"], aim=Aim(">=", 5))
    subject, rate = f"{EXAMPLE.name}, the first {SCAPY_SAMPLE:,} packets", parse_only["scapy"]
    yield Row(subject, tool, parse_only["dpkt"], per_second)
    yield Row(subject, "scapy, parse", rate, per_second, tool, rate / parse_only["dpkt"])
