"""Rules that have changed, asked about flows that are there."""

from __future__ import annotations

import pytest

from flowtable.flows.entry import FlowEntry
from flowtable.live.load import LoadError
from flowtable.live.review import Review
from tests.lab import START, udp, udp_reply
from tests.live.test_engine import Bench

RULES = """
table inet x {{
    flowtable f {{ hook ingress priority filter; devices = {{ lan0, wan0 }}; }}
    chain y {{ type filter hook forward priority filter; policy {policy};
        {rules}
    }}
    chain z {{ type nat hook postrouting priority srcnat; oifname "wan0" masquerade; }}
}}
"""


def flow(nat: str = "") -> tuple[Bench, FlowEntry]:
    bench = Bench(nat=nat)
    bench.lab.client(udp())
    bench.lab.server(udp_reply(destination="10.0.2.1") if nat else udp_reply())
    assert bench.mark() is None
    (entry,) = bench.engine.flowtables.entries()
    return bench, entry


def allows(rules: str, *, policy: str = "drop", nat: str = "masquerade") -> bool:
    bench, entry = flow(nat)
    text = RULES.format(rules=rules, policy=policy)
    return Review(text, bench.lab.box.topology, START).allows(entry)


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ("ct state established flow add @f accept", True),
        ("flow add @f; accept", True),
        ("accept", False),
        ("udp dport 53 flow add @f; ct state established accept", True),
        ("udp sport 53 flow add @f; ct state established accept", True),
        ("udp dport 54 flow add @f; ct state established accept", False),
        ("flow add @f; iifname lan0 accept", False),
        ("flow add @f; iifname { lan0, wan0 } accept", True),
        ("flow add @f; ip saddr 10.0.1.99 accept; ip daddr 10.0.1.99 accept", True),
        ("flow add @f; ip saddr 10.0.2.1 drop; accept", True),
        ("flow add @f; ip daddr 10.0.1.99 drop; accept", False),
        ("ct state new flow add @f; accept", False),
        ("iif lan0 oif wan0 flow add @f; accept", True),
        ("iif gone0 flow add @f; accept", False),
        ("ether saddr 02:00:00:00:01:99 flow add @f; accept", True),
        ("ether saddr 02:00:00:00:01:98 flow add @f; accept", False),
        ("xt match tcp; flow add @f; accept", False),
        ("fib saddr type unicast flow add @f; accept", False),
    ],
)
def test_rules(rules: str, allowed: bool):
    assert allows(rules) is allowed


def test_chains_before_and_behind_have_a_say():
    bench, entry = flow()
    text = RULES.format(rules="flow add @f", policy="accept")
    for hook, drops in (
        ("prerouting", "udp dport 53"),
        ("postrouting", "udp sport 53"),
        ("input", "udp dport 53"),
    ):
        more = f"table ip w {{ chain c {{ type filter hook {hook} priority 0; {drops} drop; }}; }}"
        assert Review(text + more, bench.lab.box.topology, START).allows(entry) is (hook == "input")


def test_what_is_not_understood_is_said():
    bench, _ = flow()
    with pytest.raises(LoadError, match="ruleset:1:"):
        Review("table inet x { chain y { nonsense; }; }", bench.lab.box.topology, START)
