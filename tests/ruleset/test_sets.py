"""Sets, maps and objects while rules run: what packets, time and transactions make of them."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP

from flowtable.clock import SECOND
from flowtable.flows.refusal import Refusal
from flowtable.packet.packet import Packet
from flowtable.ruleset import RulesetError, apply, execute, parse, print_ruleset
from flowtable.ruleset.evaluate import BaseChain
from flowtable.ruleset.model import Ruleset
from flowtable.ruleset.verdict import Verdict
from tests.lab import Lab, Tcp, udp, udp_reply
from tests.ruleset.box import load, packet

CHAIN = "chain c {{\ntype filter hook forward priority 0; policy drop;\n{}\n}}\n"


def table(declarations: str, *rules: str) -> tuple[Ruleset, BaseChain]:
    return load(f"table ip t {{\n{declarations}\n{CHAIN.format(chr(10).join(rules))}}}\n")


def dns(source: str = "10.0.0.1", time: float = 0, dport: int = 53, iif: str = "lan0") -> Packet:
    frame = IP(src=source, dst="192.0.2.1") / UDP(sport=5000, dport=dport)
    return packet(frame, time=int(time * SECOND), iif=iif)


def elements(ruleset: Ruleset, now: float | None = None) -> list[str]:
    """The elements that a listing shows."""
    text = print_ruleset(ruleset, now=None if now is None else int(now * SECOND))
    if "elements = { " not in text:
        return []
    inside = text.split("elements = { ")[1].split(" }")[0]
    return [part.strip() for part in inside.split(",")]


class TestTimeouts:
    def test_an_element_ages_from_the_first_packet_on(self) -> None:
        ruleset, chain = table(
            "set s { type ipv4_addr; flags timeout; elements = { 10.0.0.1 timeout 10s }; }",
            "ip saddr @s accept",
        )
        assert elements(ruleset) == ["10.0.0.1 timeout 10s expires 10s"]
        ruleset.start(100 * SECOND)
        assert elements(ruleset, 104) == ["10.0.0.1 timeout 10s expires 6s"]
        assert chain(dns(time=109)) == Verdict.ACCEPT
        assert chain(dns(time=110)) == Verdict.DROP
        assert elements(ruleset, 110) == []

    def test_expires_is_what_is_left_of_the_timeout(self) -> None:
        ruleset, chain = table(
            "set s { type ipv4_addr; timeout 1h; elements = { 10.0.0.1 expires 5s }; }", "ip saddr @s accept"
        )
        ruleset.start(0)
        assert chain(dns(time=4)) == Verdict.ACCEPT
        assert chain(dns(time=6)) == Verdict.DROP

    def test_add_leaves_a_timeout_alone_and_update_starts_it_again(self) -> None:
        for operation, verdict in (("add", Verdict.DROP), ("update", Verdict.ACCEPT)):
            _, chain = table(
                "set s { type ipv4_addr; timeout 10s; }",
                f"udp dport 53 {operation} @s {{ ip saddr }} drop",
                "ip saddr @s accept",
            )
            for seconds in (0, 6):
                assert chain(dns(time=seconds)) == Verdict.DROP
            assert chain(dns(time=12, dport=54)) == verdict

    def test_room_is_made_of_what_has_ended(self) -> None:
        ruleset, chain = table("set s { type ipv4_addr; timeout 10s; size 1; }", "add @s { ip saddr } accept")
        assert chain(dns("10.0.0.1", 0)) == Verdict.ACCEPT
        assert chain(dns("10.0.0.2", 5)) == Verdict.DROP
        assert chain(dns("10.0.0.2", 11)) == Verdict.ACCEPT
        assert elements(ruleset, 11) == ["10.0.0.2 expires 10s"]

    def test_the_catch_all_stands_in_for_an_element_that_ended(self) -> None:
        ruleset, chain = table(
            "map m { type ipv4_addr : verdict; flags timeout;"
            " elements = { 10.0.0.1 timeout 5s : accept, * : drop }; }",
            "ip saddr vmap @m",
        )
        ruleset.start(0)
        assert chain(dns(time=4)) == Verdict.ACCEPT
        assert chain(dns(time=6)) == Verdict.DROP


class TestTransactions:
    def test_counts_of_elements_go_on(self) -> None:
        ruleset, chain = table(
            "set s { type ipv4_addr; counter; elements = { 10.0.0.1 }; }", "ip saddr @s accept"
        )
        chain(dns())
        after = apply(ruleset, "add element ip t s { 10.0.0.2 }\n", "more.nft")
        chain(dns())
        assert elements(after) == [
            "10.0.0.1 counter packets 2 bytes 56",
            "10.0.0.2 counter packets 0 bytes 0",
        ]

    def test_what_packets_added_stays(self) -> None:
        ruleset, chain = table("set s { type ipv4_addr; flags dynamic; }", "add @s { ip saddr } accept")
        chain(dns("10.0.0.9"))
        after = apply(ruleset, "add element ip t s { 10.0.0.2 }\n", "more.nft")
        assert elements(after) == ["10.0.0.2", "10.0.0.9"]
        assert elements(ruleset) == ["10.0.0.9"], "the loaded ruleset is as it was"

    def test_a_refused_change_changes_nothing(self) -> None:
        ruleset = parse("table ip t { set s { type ipv4_addr; size 1; elements = { 10.0.0.1 }; }; }\n", "f")
        with pytest.raises(RulesetError, match="Too many open files"):
            apply(
                ruleset, "delete element ip t s { 10.0.0.1 }\nadd element ip t s { 1.1.1.1, 2.2.2.2 }\n", "g"
            )
        assert elements(ruleset) == ["10.0.0.1"]

    def test_intervals_that_are_added_one_by_one_are_merged(self) -> None:
        text = "table ip t { set s { type ipv4_addr; flags interval; auto-merge; }; }\n"
        for prefix in ("10.0.0.0/24", "10.0.2.0/24", "10.0.1.0/24", "10.0.1.7", "10.0.4.0/24"):
            text += f"add element ip t s {{ {prefix} }}\n"
        assert elements(parse(text, "merge.nft")) == ["10.0.0.0-10.0.2.255", "10.0.4.0/24"]

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ("10.0.0.0/8 . 22", "10.0.0.0/8 . 22"),
            ("10.1.2.3 . 22", "10.0.0.0/8 . 22"),
            ("11.0.0.1 . 24", "11.0.0.0/8 . 23-25"),
            ("11.0.0.1 . 26", None),
        ],
    )
    def test_get_element_of_a_concatenation(self, asked: str, found: str | None) -> None:
        ruleset = parse(
            "table ip t { set s { type ipv4_addr . inet_service; flags interval;"
            " elements = { 10.0.0.0/8 . 22, 11.0.0.0/8 . 23-25 }; }; }\n",
            "get.nft",
        )
        command = f"get element ip t s {{ {asked} }}\n"
        if found is None:
            with pytest.raises(RulesetError):
                execute(ruleset, command, "get.nft")
        else:
            assert f"elements = {{ {found} }}" in execute(ruleset, command, "get.nft").output


class TestStatements:
    def test_devices_that_packets_add_are_printed_by_name(self) -> None:
        ruleset, chain = table(
            "set s { type ifname . inet_service; flags dynamic; }", "add @s { iifname . udp dport } accept"
        )
        chain(dns(iif="lan1"))
        assert elements(ruleset) == ['"lan1" . 53']

    def test_last_is_when_a_packet_came_by(self) -> None:
        ruleset, chain = table("", "udp dport 53 last accept")
        assert "last used never" in print_ruleset(ruleset)
        chain(dns(time=10))
        assert "last used 2s500ms" in print_ruleset(ruleset, now=int(12.5 * SECOND))
        assert "last accept" in print_ruleset(ruleset, stateless=True)

    def test_a_later_fragment_changes_no_set(self) -> None:
        ruleset, chain = table("set s { type inet_service; flags dynamic; }", "add @s { th dport } accept")
        fragment = packet(IP(src="10.0.0.1", dst="192.0.2.1", proto=17, frag=5) / bytes(20))
        assert chain(fragment) == Verdict.DROP
        assert elements(ruleset) == []

    def test_each_element_has_a_limit_of_its_own(self) -> None:
        _, chain = table(
            "set s { type ipv4_addr; flags dynamic; }",
            "add @s { ip saddr limit rate 1/minute burst 1 packets } accept",
        )
        verdicts = [
            chain(dns(source, seconds))
            for source, seconds in (("10.0.0.1", 0), ("10.0.0.1", 1), ("10.0.0.2", 1), ("10.0.0.1", 61))
        ]
        assert verdicts == [Verdict.ACCEPT, Verdict.DROP, Verdict.ACCEPT, Verdict.ACCEPT]


HELPER = """
table inet x {{
    ct helper ftp-standard {{
        type "ftp" protocol tcp
    }}
    flowtable f {{
        hook ingress priority filter; devices = {{ lan0, wan0 }};
    }}
    chain y {{
        type filter hook forward priority filter; policy accept;
        {}
        flow add @f
    }}
}}
"""


@pytest.mark.parametrize(("rule", "offloaded"), [('tcp dport 21 ct helper set "ftp-standard"', 0), ("", 1)])
def test_a_connection_with_a_helper_is_never_offloaded(rule: str, offloaded: int) -> None:
    lab = Lab(ruleset=HELPER.format(rule))
    connection = Tcp(lab, dport=21)
    connection.open()
    for _ in range(3):
        connection.out("A", b"x")
        connection.back("A", b"y")
    assert lab.entries() == offloaded
    assert (lab.statistics.refusals[Refusal.HELPER] > 0) is not offloaded
    assert ("helper=ftp" in lab.connections()[0]) is not offloaded


def test_connections_that_ended_no_longer_count() -> None:
    rules = "table ip x { chain y { type filter hook forward priority 0; ct count over 1 drop; }; }\n"
    lab = Lab(ruleset=rules)
    assert lab.client(udp(dport=1))
    assert lab.client(udp(dport=1)), "the same connection"
    assert not lab.client(udp(dport=2))
    lab.wait(31)
    assert lab.client(udp(dport=2))


def test_a_rule_gives_connections_other_timeouts() -> None:
    rules = """table ip x {
        ct timeout dns { protocol udp; policy = { unreplied : 5, replied : 7 }; }
        chain y { type filter hook forward priority 0; udp dport 53 ct timeout set "dns"; }
    }
    """
    lab = Lab(ruleset=rules)
    lab.client(udp())
    lab.wait(6)
    assert lab.connections() == []
    lab.client(udp())
    lab.server(udp_reply())
    lab.wait(3)
    lab.client(udp())
    lab.wait(6)
    assert len(lab.connections()) == 1
    lab.wait(2)
    assert lab.connections() == []


def test_a_segment_of_a_known_service_is_found_in_a_concatenation_with_its_protocol() -> None:
    _, chain = table("", "meta l4proto . th dport { tcp . 22, udp . 53 } accept")
    assert chain(dns()) == Verdict.ACCEPT
    assert chain(dns(dport=22)) == Verdict.DROP
    assert chain(packet(IP(src="10.0.0.1", dst="192.0.2.1") / TCP(dport=22))) == Verdict.ACCEPT


def test_elements_have_no_named_objects() -> None:
    """Where nft 1.0.6 aborts: ``BUG: unknown stateful statement type objref``."""
    text = 'table ip t {\n\tset s {\n\t\ttype inet_service\n\t\tcounter name "mail"\n\t}\n}\n'
    with pytest.raises(RulesetError) as caught:
        parse(text, "x.nft")
    assert str(caught.value).startswith("x.nft:4:11-14: Error: elements of sets have no named objects")
