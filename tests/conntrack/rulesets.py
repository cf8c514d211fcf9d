"""Nat rules, set up in a ``Lab``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flowtable.packet.packet import IPV4, IPV6, TCP, UDP, Packet
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.nat import NatKind, NatRange
from tests.conntrack.wire import Lab, addr

Test = Callable[[Packet], bool]


@dataclass
class Rule:
    hook: Hook
    test: Test
    kind: NatKind
    chosen: NatRange


def chosen(first: str, last: str | None = None, port: int = 0, *, persistent: bool = False) -> NatRange:
    return NatRange(addr(first), addr(last or first), port, port, persistent=persistent)


def to_port(port: int, family: int) -> Test:
    def test(p: Packet) -> bool:
        if p.family != family or p.l4proto not in (TCP, UDP) or p.iif is None or p.iif.name != "eth0":
            return False
        return int.from_bytes(p.data[p.thoff + 2 : p.thoff + 4]) == port

    return test


def leaving(family: int | None = None, *, tcp: bool | None = None) -> Test:
    return lambda p: (
        p.oif is not None
        and p.oif.name == "eth1"
        and family in (None, p.family)
        and tcp in (None, p.l4proto == TCP)
    )


def ping_to(destination: str) -> Test:
    return lambda p: p.family == IPV4 and p.l4proto == 1 and bytes(p.data[16:20]) == addr(destination)


PRE, POST = Hook.PREROUTING, Hook.POSTROUTING

RULES: dict[str, list[Rule]] = {
    "none": [],
    "masquerade": [Rule(POST, leaving(), NatKind.MASQUERADE, NatRange())],
    "both": [
        Rule(PRE, to_port(80, IPV4), NatKind.DNAT, chosen("10.0.2.50", port=8080)),
        Rule(PRE, to_port(81, IPV4), NatKind.DNAT, chosen("10.0.2.50", "10.0.2.52")),
        Rule(PRE, to_port(80, IPV6), NatKind.DNAT, chosen("fd02::50", port=8080)),
        Rule(PRE, to_port(81, IPV6), NatKind.DNAT, chosen("fd02::50", "fd02::52", persistent=True)),
        Rule(PRE, ping_to("10.0.2.51"), NatKind.DNAT, chosen("10.0.2.52")),
        Rule(POST, leaving(IPV4, tcp=False), NatKind.SNAT, chosen("10.0.2.200", "10.0.2.209")),
        Rule(
            POST, leaving(IPV4, tcp=True), NatKind.SNAT, chosen("10.0.2.200", "10.0.2.205", persistent=True)
        ),
        Rule(POST, leaving(IPV6), NatKind.SNAT, chosen("fd02::200", "fd02::20f")),
    ],
}


def install(lab: Lab, name: str) -> None:
    """Set the rules up in a lab; without any, no packet goes through NAT at all."""
    lab.translating = bool(RULES[name])
    for rule in RULES[name]:
        lab.rules.setdefault(rule.hook, []).append(_chain(lab, rule))


def _chain(lab: Lab, rule: Rule) -> Callable[[Packet], int]:
    return lambda p: lab.nat.setup(p, rule.kind, rule.chosen) if rule.test(p) else 1
