"""What statements do."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from flowtable.clock import MILLISECOND, SECOND
from flowtable.packet.drop import Drop
from flowtable.packet.packet import CtInfo
from flowtable.ruleset import print_ruleset
from flowtable.ruleset.environment import LogEntry, RejectKind, RejectWith
from flowtable.ruleset.family import Family
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.nat import NatKind, NatRange
from flowtable.ruleset.verdict import Verdict
from tests.ruleset.box import FakeBox, connection, load, packet, run

TCP4 = IP(src="10.0.0.1", dst="192.0.2.1") / TCP(sport=1000, dport=80)
UDP4 = IP(src="10.0.0.1", dst="192.0.2.1") / UDP(sport=1000, dport=53)
TCP6 = IPv6(src="2001:db8::1", dst="2001:db8::2") / TCP(sport=1000, dport=80)
PING = IP(src="10.0.0.1", dst="192.0.2.1") / ICMP()

FILTER = "table inet t {{ chain c {{ type filter hook forward priority 0; policy {0}; {1}; }}; }}"


class TestVerdicts:
    def test_accept_and_drop(self) -> None:
        dropped = packet(TCP4)
        assert run("accept", packet(TCP4)) == Verdict.ACCEPT
        assert run("drop", dropped, policy="accept") == Verdict.DROP
        assert dropped.drop is Drop.RULE

    def test_policy(self) -> None:
        dropped = packet(TCP4)
        assert run("", packet(TCP4), policy="accept") == Verdict.ACCEPT
        assert run("", dropped, policy="drop") == Verdict.DROP
        assert dropped.drop is Drop.POLICY

    def test_return_in_a_base_chain_is_the_policy(self) -> None:
        assert run("return\naccept", packet(TCP4), policy="drop") == Verdict.DROP

    def test_continue_goes_to_the_next_rule(self) -> None:
        assert run("tcp dport 80 continue\naccept", packet(TCP4)) == Verdict.ACCEPT

    def test_jump_comes_back(self) -> None:
        more = "chain x { udp dport 53 accept; }"
        assert run("jump x\naccept", packet(TCP4), more=more) == Verdict.ACCEPT
        assert run("jump x\ndrop", packet(UDP4), more=more) == Verdict.ACCEPT

    def test_return_comes_back_to_where_the_jump_was(self) -> None:
        more = "chain x { tcp dport 80 return; drop; }"
        assert run("jump x\naccept", packet(TCP4), more=more) == Verdict.ACCEPT
        assert run("jump x\naccept", packet(UDP4), more=more) == Verdict.DROP

    def test_goto_does_not_come_back(self) -> None:
        more = "chain x { udp dport 53 accept; }"
        assert run("goto x\naccept", packet(TCP4), more=more) == Verdict.DROP
        assert run("goto x\ndrop", packet(UDP4), more=more) == Verdict.ACCEPT

    def test_goto_returns_to_whoever_jumped_before(self) -> None:
        more = "chain y { return; }\nchain x { goto y; drop; }"
        assert run("jump x\naccept", packet(TCP4), more=more) == Verdict.ACCEPT

    def test_only_what_follows_a_false_match_is_skipped(self) -> None:
        ruleset, chain = load(FILTER.format("accept", "counter tcp dport 22 drop; counter accept"))
        assert chain(packet(TCP4)) == Verdict.ACCEPT
        assert print_ruleset(ruleset).count("counter packets 1 bytes 40") == 2

    def test_verdict_maps(self) -> None:
        more = "chain x { accept; }"
        rules = "tcp dport vmap { 22 : drop, 80 : jump x }\ndrop"
        assert run(rules, packet(TCP4), more=more) == Verdict.ACCEPT
        assert run(rules, packet(UDP4), more=more) == Verdict.DROP
        states = "ct state vmap { established : accept, invalid : drop }\ndrop"
        established = packet(TCP4, ct=connection(), ctinfo=CtInfo.ESTABLISHED)
        assert run(states, established) == Verdict.ACCEPT
        assert run(states, packet(TCP4), policy="accept") == Verdict.DROP

    def test_verdict_maps_with_ranges_wildcards_and_a_default(self) -> None:
        assert run("tcp dport vmap { 1-79 : drop, 80-90 : accept }", packet(TCP4)) == Verdict.ACCEPT
        assert run("tcp dport vmap { 22 : drop, * : accept }", packet(TCP4)) == Verdict.ACCEPT
        assert run('iifname vmap { "lan*" : accept, "wan0" : drop }', packet(TCP4)) == Verdict.ACCEPT
        assert run("tcp dport vmap { 22 : drop }\naccept", packet(TCP4)) == Verdict.ACCEPT

    def test_named_verdict_maps(self) -> None:
        more = "map m { type inet_service : verdict; elements = { 80 : accept }; }"
        assert run("tcp dport vmap @m", packet(TCP4), more=more) == Verdict.ACCEPT


class TestCounter:
    def test_counts_packets_and_bytes(self) -> None:
        ruleset, chain = load(FILTER.format("accept", "counter packets 5 bytes 100; tcp dport 22 counter"))
        chain(packet(TCP4))
        chain(packet(TCP4))
        listing = print_ruleset(ruleset)
        assert "counter packets 7 bytes 180" in listing
        assert "tcp dport 22 counter packets 0 bytes 0" in listing
        assert "counter\n" in print_ruleset(ruleset, stateless=True)


class TestLimit:
    @staticmethod
    def passed(limit: str, times: list[int], *, frame: IP = TCP4) -> list[bool]:
        _, chain = load(FILTER.format("drop", f"{limit} accept"))
        return [chain(packet(frame, time=time)) == Verdict.ACCEPT for time in times]

    def test_a_burst_and_then_the_rate(self) -> None:
        start = 10**18
        times = [start] * 7 + [start + SECOND // 2, start + SECOND, start + SECOND]
        assert self.passed("limit rate 1/second", times) == [True] * 5 + [False] * 3 + [True, False]

    def test_over(self) -> None:
        assert self.passed("limit rate over 1/second burst 2 packets", [0] * 4) == [False, False, True, True]

    def test_tokens_are_nanoseconds(self) -> None:
        times = [0, 333 * MILLISECOND, 333_333_333, 666_666_666]
        assert self.passed("limit rate 3/second burst 1 packets", times) == [True, False, True, True]

    def test_tokens_stop_at_the_burst(self) -> None:
        times = [0, *[1000 * SECOND] * 4]
        assert self.passed("limit rate 1/minute burst 2 packets", times) == [True, True, True, False, False]

    def test_bytes(self) -> None:
        # 40 bytes each: 100 in the bucket, and 40 more after 0.4 s.
        times = [0, 0, 0, 200 * MILLISECOND, 200 * MILLISECOND]
        assert self.passed("limit rate 100 bytes/second", times) == [True, True, False, True, False]
        assert self.passed("limit rate 100 bytes/second burst 20 bytes", [0] * 4) == [True, True, True, False]


class TestLog:
    def test_everything_it_says(self) -> None:
        box = FakeBox()
        run('log prefix "in: " level info flags tcp sequence,options flags ip options', packet(TCP4), box=box)
        run('log prefix "x" group 3 snaplen 64 queue-threshold 2', packet(TCP4), box=box)
        run("log", packet(TCP4), box=box)
        flags = ("tcp sequence", "tcp options", "ip options")
        assert box.entries == [
            LogEntry(prefix="in: ", level=6, flags=flags),
            LogEntry(prefix="x", level=None, group=3, snaplen=64, queue_threshold=2),
            LogEntry(),
        ]

    def test_goes_on(self) -> None:
        assert run("log accept", packet(TCP4)) == Verdict.ACCEPT


class TestReject:
    @pytest.mark.parametrize(
        ("family", "reject", "code4", "code6"),
        [
            ("inet", "reject", 3, 4),
            ("inet", "reject with icmpx no-route", 0, 0),
            ("inet", "reject with icmpx host-unreachable", 1, 3),
            ("inet", "reject with icmpx admin-prohibited", 13, 1),
            ("inet", "reject with icmp host-unreachable", 1, None),
            ("inet", "reject with icmpv6 addr-unreachable", None, 3),
            ("ip", "reject", 3, None),
            ("ip6", "reject", None, 4),
            ("ip", "reject with icmp type admin-prohibited", 13, None),
        ],
    )
    def test_unreachable(self, family: str, reject: str, code4: int | None, code6: int | None) -> None:
        for frame, code in ((TCP4, code4), (TCP6, code6)):
            if family in ("inet", "ip" if frame is TCP4 else "ip6"):
                box = FakeBox()
                to = packet(frame)
                verdict = run(reject, to, family=family, policy="accept", box=box)
                if code is None:
                    assert (verdict, box.rejections) == (Verdict.ACCEPT, [])
                else:
                    assert box.rejections == [RejectWith(RejectKind.UNREACHABLE, code)]
                    assert (verdict, to.drop) == (Verdict.DROP, Drop.REJECT)

    def test_reset_is_for_tcp(self) -> None:
        box = FakeBox()
        assert run("reject with tcp reset", packet(TCP4), policy="accept", box=box) == Verdict.DROP
        assert run("reject with tcp reset", packet(UDP4), policy="accept", box=box) == Verdict.ACCEPT
        assert box.rejections == [RejectWith(RejectKind.TCP_RESET)]


class TestNat:
    PRE = "type nat hook prerouting priority dstnat"
    POST = "type nat hook postrouting priority srcnat"

    @pytest.mark.parametrize(
        ("chain", "rule", "kind", "nat_range"),
        [
            (POST, "masquerade", NatKind.MASQUERADE, NatRange()),
            (
                POST,
                "masquerade random,persistent",
                NatKind.MASQUERADE,
                NatRange(random=True, persistent=True),
            ),
            (
                POST,
                "tcp dport 80 masquerade to :1024-2048",
                NatKind.MASQUERADE,
                NatRange(min_port=1024, max_port=2048),
            ),
            (
                POST,
                "snat ip to 203.0.113.1",
                NatKind.SNAT,
                NatRange(bytes([203, 0, 113, 1]), bytes([203, 0, 113, 1])),
            ),
            (
                POST,
                "tcp dport 80 snat ip to 203.0.113.1-203.0.113.4:1-9 fully-random",
                NatKind.SNAT,
                NatRange(bytes([203, 0, 113, 1]), bytes([203, 0, 113, 4]), 1, 9, fully_random=True),
            ),
            (
                POST,
                "snat ip prefix to 203.0.113.0/24",
                NatKind.SNAT,
                NatRange(bytes([203, 0, 113, 0]), bytes([203, 0, 113, 255]), netmap=True),
            ),
            (
                PRE,
                "tcp dport 80 dnat ip to 10.0.0.9:8080",
                NatKind.DNAT,
                NatRange(bytes([10, 0, 0, 9]), bytes([10, 0, 0, 9]), 8080, 8080),
            ),
            (PRE, "tcp dport 80 dnat to :8080", NatKind.DNAT, NatRange(min_port=8080, max_port=8080)),
            (PRE, "redirect", NatKind.REDIRECT, NatRange()),
            (PRE, "tcp dport 80 redirect to :22", NatKind.REDIRECT, NatRange(min_port=22, max_port=22)),
            (
                PRE,
                "dnat ip to tcp dport map { 22 : 10.0.0.5, 80 : 10.0.0.6 }",
                NatKind.DNAT,
                NatRange(bytes([10, 0, 0, 6]), bytes([10, 0, 0, 6])),
            ),
            (
                PRE,
                "tcp dport 80 redirect to :tcp dport map { 80 : 8080 }",
                NatKind.REDIRECT,
                NatRange(min_port=8080, max_port=8080),
            ),
        ],
    )
    def test_what_is_asked_for(self, chain: str, rule: str, kind: NatKind, nat_range: NatRange) -> None:
        box = FakeBox()
        assert run(rule, packet(TCP4), chain=chain, box=box) == Verdict.ACCEPT
        assert box.translations == [(kind, nat_range)]

    def test_ipv6(self) -> None:
        box = FakeBox()
        run("tcp dport 80 dnat ip6 to [2001:db8::9]:81", packet(TCP6), chain=self.PRE, box=box)
        address = bytes.fromhex("20010db8000000000000000000000009")
        assert box.translations == [(NatKind.DNAT, NatRange(address, address, 81, 81))]

    def test_packets_of_the_other_family_pass_by(self) -> None:
        box = FakeBox()
        assert run("dnat ip to 10.0.0.9", packet(TCP6), chain=self.PRE, box=box) == Verdict.DROP
        assert box.translations == []

    def test_a_map_without_the_key_ends_the_rule(self) -> None:
        box = FakeBox()
        rules = "dnat ip to tcp dport map { 22 : 10.0.0.5 }\naccept"
        assert run(rules, packet(TCP4), chain=self.PRE, box=box) == Verdict.ACCEPT
        assert box.translations == []

    def test_the_verdict_is_that_of_the_translation(self) -> None:
        box = FakeBox()
        box.nat_verdict = Verdict.DROP
        assert run("masquerade", packet(TCP4), chain=self.POST, policy="accept", box=box) == Verdict.DROP


class TestMarks:
    @pytest.mark.parametrize(
        ("rule", "mark"),
        [
            ("meta mark set 5", 5),
            ("meta mark set meta mark | 0x100", 0x110),
            ("meta mark set meta mark & 0xf or 0x20", 0x20),
            ("meta mark set meta mark ^ 0x11", 1),
            ("meta mark set ct mark", 9),
            ("meta mark set ct mark & 0x8", 8),
            ("meta mark set tcp dport map { 80 : 7, 81 : 8 }", 7),
            ("meta mark set tcp dport map { 81 : 8 }", 16),
            ("meta mark set meta length", 40),
        ],
    )
    def test_packet_mark(self, rule: str, mark: int) -> None:
        to = packet(TCP4, mark=16, ct=connection(mark=9))
        run(rule, to)
        assert to.mark == mark

    def test_connection_mark(self) -> None:
        to = packet(TCP4, mark=16, ct=connection(mark=9))
        run("ct mark set meta mark | 1", to)
        assert to.ct is not None
        assert to.ct.mark == 17

    def test_no_connection_to_mark(self) -> None:
        assert run("ct mark set 5 accept", packet(TCP4)) == Verdict.ACCEPT

    def test_a_value_that_cannot_be_read_ends_the_rule(self) -> None:
        assert run("meta mark set ct mark accept", packet(TCP4)) == Verdict.DROP

    def test_priority(self) -> None:
        to = packet(TCP4)
        run("meta priority set 1:10", to)
        assert to.priority == 0x10010


class TestNotrack:
    def test_packets_without_a_connection(self) -> None:
        to = packet(TCP4)
        chain = "type filter hook prerouting priority raw"
        assert run("notrack accept", to, chain=chain) == Verdict.ACCEPT
        assert to.ctinfo == CtInfo.UNTRACKED

    def test_others_keep_theirs(self) -> None:
        to = packet(TCP4, ct=connection())
        run("notrack", to)
        assert to.ctinfo == CtInfo.NEW


class TestFlow:
    MORE = "flowtable f { hook ingress priority filter; devices = { lan0, wan0 }; }"

    @pytest.mark.parametrize("word", ["add", "offload"])
    def test_goes_on_if_added(self, word: str) -> None:
        box = FakeBox()
        assert run(f"flow {word} @f accept", packet(TCP4), more=self.MORE, box=box) == Verdict.ACCEPT
        assert box.flows == [(Family.INET, "t", "f")]

    def test_a_refusal_ends_the_rule(self) -> None:
        box = FakeBox()
        box.accepts_flows = False
        rules = "flow add @f drop\naccept"
        assert run(rules, packet(TCP4), more=self.MORE, box=box) == Verdict.ACCEPT

    def test_only_after_the_matches_in_front(self) -> None:
        box = FakeBox()
        run("meta l4proto { tcp, udp } flow add @f", packet(PING), more=self.MORE, box=box)
        assert box.flows == []


def test_hooks_are_those_of_the_chain() -> None:
    _, chain = load(FILTER.format("accept", "accept"))
    assert (chain.hook, chain.priority, chain.family, chain.name) == (Hook.FORWARD, 0, Family.INET, "c")
