"""What statements ask of the box, and what becomes of packets where nobody listens."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from flowtable.packet.drop import Drop
from flowtable.ruleset import RulesetError, parse, print_ruleset
from flowtable.ruleset.environment import FibQuery
from flowtable.ruleset.evaluate import compile_ruleset
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.verdict import Verdict
from tests.ruleset.box import INDEXES, FakeBox, connection, matches, packet, run

SYN = IP(src="10.0.0.1", dst="192.0.2.1") / TCP(sport=1000, dport=80)
SYN6 = IPv6(src="2001:db8::1", dst="2001:db8::2") / TCP(sport=1000, dport=80)
RAW = "type filter hook prerouting priority raw"


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ("queue", Verdict.DROP),
        ("queue num 3", Verdict.DROP),
        ("queue num 3 bypass", Verdict.ACCEPT),
        ("queue flags bypass,fanout to 2-3", Verdict.ACCEPT),
        ("queue to numgen inc mod 4", Verdict.DROP),
        ("queue flags bypass to tcp dport map { 80 : 1 }", Verdict.ACCEPT),
    ],
)
def test_queue(rule: str, verdict: Verdict) -> None:
    queued = packet(SYN)
    assert run(rule, queued) == verdict
    assert queued.drop is (Drop.QUEUE if verdict == Verdict.DROP else None)


def test_a_map_that_chooses_no_queue_ends_the_rule() -> None:
    assert run("queue to tcp dport map { 81 : 1 }\naccept", packet(SYN)) == Verdict.ACCEPT


@pytest.mark.parametrize(
    ("rule", "listing"),
    [
        ("queue", "queue to 0"),
        ("queue num 2", "queue to 2"),
        ("queue num 2-3 fanout", "queue flags fanout to 2-3"),
        ("queue num 2-3 fanout bypass", "queue flags bypass,fanout to 2-3"),
        ("queue flags bypass to symhash mod 2", "queue flags bypass to symhash mod 2"),
    ],
)
def test_how_queues_are_printed(rule: str, listing: str) -> None:
    text = f"table inet t {{ chain c {{ {rule}; }}; }}"
    assert f"\t\t{listing}\n" in print_ruleset(parse(text, "x.nft"))


def test_no_proxy_listens() -> None:
    chain = "type filter hook prerouting priority mangle"
    rules = "meta l4proto tcp tproxy to :80 drop\naccept"
    assert run(rules, packet(SYN), chain=chain) == Verdict.ACCEPT


def test_zones_are_chosen_for_one_direction_or_both() -> None:
    box = FakeBox()
    run("ct zone set 5\nct original zone set 6\nct reply zone set 7", packet(SYN), chain=RAW, box=box)
    assert box.zones == [(5, 3), (6, 1), (7, 2)]


def test_labels_are_added() -> None:
    ct = connection(labels=1 << 3)
    run("ct label set 5", packet(SYN, ct=ct))
    assert ct.labels == 1 << 3 | 1 << 5
    assert matches("ct label 5", packet(SYN, ct=ct))
    assert not matches("ct label 6", packet(SYN, ct=ct))


@pytest.mark.parametrize(
    ("rule", "copies", "forwarded"),
    [
        ('dup to "wan0"', [(None, INDEXES["wan0"])], []),
        ('fwd to "wan0"', [], [(None, INDEXES["wan0"])]),
        ('fwd ip to 10.0.0.9 device "wan0"', [], [(bytes((10, 0, 0, 9)), INDEXES["wan0"])]),
        ('fwd to meta mark map { 0 : "wan0" }', [], [(None, INDEXES["wan0"])]),
        ('fwd to meta mark map { 1 : "wan0" }', [], []),
    ],
)
def test_frames_are_copied_and_sent_on(rule: str, copies: list[object], forwarded: list[object]) -> None:
    box = FakeBox()
    text = f'table netdev t {{ chain c {{ type filter hook ingress device "lan0" priority 0; {rule}; }}; }}'
    (chain,) = compile_ruleset(parse(text, "x.nft"), box).device_chains("lan0", Hook.INGRESS)
    verdict = chain(packet(SYN))
    assert verdict == (Verdict.STOLEN if forwarded else Verdict.ACCEPT)
    assert box.copies == copies
    assert box.forwarded == forwarded


def test_copies_go_to_gateways() -> None:
    box = FakeBox()
    run('dup to 10.0.0.9 device "wan0"\ndup to 10.0.0.8', packet(SYN), family="ip", box=box)
    assert box.copies == [(bytes((10, 0, 0, 9)), INDEXES["wan0"]), (bytes((10, 0, 0, 8)), None)]


def test_devices_of_copies_have_to_exist() -> None:
    with pytest.raises(RulesetError, match="Interface does not exist"):
        run('dup to 10.0.0.9 device "nosuch"', packet(SYN), family="ip")


def test_what_fib_asks() -> None:
    box = FakeBox()
    box.types = {FibQuery(source=False): 2}
    box.ways = {FibQuery(source=True, iif=True): "lan0", FibQuery(source=True, mark=True): "wan0"}
    for match in (
        "fib daddr type local",
        "fib saddr . iif oif exists",
        'fib saddr . iif oifname "lan0"',
        'fib saddr . mark oif "wan0"',
        "fib saddr oif missing",
        "fib saddr oif 0",
    ):
        assert run(f"{match} accept", packet(SYN), box=box) == Verdict.ACCEPT, match


def test_random_numbers_are_those_of_the_box() -> None:
    box = FakeBox()
    box.numbers = iter((0, 0xFFFFFFFF, 7))  # type: ignore[assignment]
    for rule in ("numgen random mod 10 0", "numgen random mod 10 9", "meta random 7"):
        assert run(f"{rule} accept", packet(SYN), box=box) == Verdict.ACCEPT


def test_times_are_those_of_packets_and_utc() -> None:
    monday = packet(SYN, time=1_704_100_500 * 10**9)  # 2024-01-01 09:15:00
    for match in (
        'meta time "2024-01-01 09:15:00"',
        'meta time "2024-01-01"-"2024-01-02"',
        "meta day Monday",
        'meta hour "09:15"',
        'meta hour "09:00"-"17:00"',
    ):
        assert matches(match, monday), match
    assert not matches('meta hour "10:00"-"17:00"', monday)


def test_segments_are_never_made_larger() -> None:
    rule = "tcp option maxseg size set 1400"
    for before, after in ((1460, 1400), (1200, 1200)):
        seen = packet(IP() / TCP(options=[("MSS", before)]))
        run(rule, seen)
        assert int.from_bytes(seen.data[42:44]) == after


def test_chains_without_a_name_end_where_they_end() -> None:
    assert run("jump { tcp dport 81 accept; }\naccept", packet(SYN)) == Verdict.ACCEPT
    assert run("goto { tcp dport 81 accept; }\naccept", packet(SYN)) == Verdict.DROP
    assert run("jump { tcp dport 80 return; drop; }\naccept", packet(SYN)) == Verdict.ACCEPT
    assert run("tcp dport 80 jump { ip saddr 10.0.0.1 accept; }", packet(SYN)) == Verdict.ACCEPT


def test_chains_without_a_name_are_checked_as_others() -> None:
    for rule, message in (
        ("jump { jump nosuch; }", "No such file or directory"),
        ("jump { masquerade; }", "Operation not supported"),
        ("jump { flow add @f; }", "No such file or directory"),
    ):
        text = f"table inet t {{ chain c {{ type filter hook forward priority 0; {rule}; }}; }}"
        with pytest.raises(RulesetError, match=message):
            parse(text, "x.nft")


def test_hardware_and_devices_of_chains() -> None:
    text = """table netdev t {
	chain c {
		flags offload
		type filter hook ingress devices = { eth0, lan0 } priority filter; policy accept;
	}
}
"""
    assert print_ruleset(parse(text, "x.nft")) == text
    more = print_ruleset(parse(text + "add chain netdev t c { devices = { wan0 }; }\n", "x.nft"))
    assert "devices = { eth0, lan0, wan0 }" in more
    for wrong in (
        "table ip t { chain c { type filter hook forward priority 0; flags offload; }; }",
        "table ip t { chain c { flags offload; }; }",
        "table ip t { chain c { devices = { lan0 }; }; }",
    ):
        with pytest.raises(RulesetError):
            parse(wrong, "x.nft")


def test_prefixes_of_logs_take_variables() -> None:
    text = 'define who = "lan"\ntable inet t { chain c { log prefix "from $who: "; }; }\n'
    assert 'log prefix "from lan: "' in print_ruleset(parse(text, "x.nft"))


def test_symhash_is_the_same_both_ways() -> None:
    found = [
        [number for number in range(16) if matches(f"symhash mod 16 {number}", packet(frame))]
        for frame in (UDP_THERE, UDP_BACK)
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 1


UDP_THERE = IP(src="10.0.0.1", dst="192.0.2.1") / UDP(sport=1000, dport=53)
UDP_BACK = IP(src="192.0.2.1", dst="10.0.0.1") / UDP(sport=53, dport=1000)


def test_extension_headers_are_only_looked_for_in_ipv6() -> None:
    assert matches("exthdr frag missing", packet(SYN6))
    assert not matches("exthdr frag missing", packet(SYN))
