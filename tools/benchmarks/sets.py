"""Sets with few and with many elements: what a rule with one takes for a packet, and what loading takes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from scapy.layers.inet import IP, UDP

from benchmarks.row import Aim, Row, Unit
from benchmarks.traffic import ROUNDS, topology
from flowtable.clock import SECOND
from flowtable.packet.packet import IPV4, Packet
from flowtable.packet.parse import dissect_ipv4
from flowtable.router import Box
from flowtable.ruleset import parse
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.verdict import Verdict

SET_RULES = """
table ip t {{
    set s {{ type {type}; flags interval; elements = {{ {elements} }}; }}
    chain c {{
        type filter hook forward priority filter; policy drop;
        {key} @s accept
    }}
}}
"""
SET_KINDS = {
    "interval set": ("ip saddr", "ipv4_addr", "{0}.{1}.{2}.0-{0}.{1}.{2}.99"),
    "concatenation with intervals": (
        "ip saddr . udp dport",
        "ipv4_addr . inet_service",
        "{0}.{1}.{2}.0/25 . 1-1023",
    ),
}
SET_SIZES = (10, 100_000)
LOOK_UPS = 20_000


def rows() -> Iterator[Row]:
    """Each kind of set, small and large."""
    few, many = SET_SIZES
    for name, (key, datatype, element) in SET_KINDS.items():
        subject = f"rule with an {name}" if name[0] in "aeiou" else f"rule with a {name}"
        times = []
        loading = 0.0
        for size in SET_SIZES:
            numbers = (number * 16_000_000 // size for number in range(size))
            elements = (element.format(1 + (n >> 16 & 0xFF), n >> 8 & 0xFF, n & 0xFF) for n in numbers)
            text = SET_RULES.format(key=key, type=datatype, elements=", ".join(elements))
            begin = time.perf_counter()
            target = Box(topology(), parse(text, "set.nft"), transmit=lambda *_: None)
            loading = time.perf_counter() - begin
            times.append(look_up_time(target))
        small, large = times
        yield Row(subject, f"{few:,} elements", small, Unit.NANOSECONDS, size=few)
        yield Row(
            subject,
            f"{many:,} elements",
            large,
            Unit.NANOSECONDS,
            f"{few:,} elements",
            large / small,
            many,
            Aim("<=", 3),
        )
        yield Row(subject, f"loading {many:,} elements", loading, Unit.SECONDS, size=many)


def look_up_time(target: Box) -> float:
    """Nanoseconds that the forward chain takes for a packet, half of them in its set and half not."""
    (chain,) = target.program.chains(IPV4, Hook.FORWARD)
    within, without = set_packet("1.0.0.5"), set_packet("250.0.0.5")
    if (chain(within), chain(without)) != (Verdict.ACCEPT, Verdict.DROP):
        raise SystemExit("the sets of the benchmark do not hold what they should")
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(LOOK_UPS):
            chain(within)
            chain(without)
        best = min(best, time.perf_counter() - begin)
    return best / (2 * LOOK_UPS) * SECOND


def set_packet(source: str) -> Packet:
    """A datagram from that address."""
    packet = Packet(bytearray(bytes(IP(src=source, dst="192.0.2.1") / UDP(dport=53))), IPV4)
    dissect_ipv4(packet)
    packet.hook = Hook.FORWARD
    return packet
