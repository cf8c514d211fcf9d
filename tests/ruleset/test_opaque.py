"""What only a kernel can do: read, kept, printed; and what becomes of packets that reach it."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP

from flowtable.packet.drop import Drop
from flowtable.router import Box
from flowtable.ruleset import parse, print_ruleset
from flowtable.ruleset.verdict import Verdict
from flowtable.topology.boxfile import load as load_box
from tests.ruleset.box import FakeBox, load, packet, run

SYN = IP(src="10.0.0.1", dst="192.0.2.1") / TCP(sport=1000, dport=80)
OPAQUE = [
    'osf name "Linux"',
    'osf ttl loose version "Linux:3.0"',
    "ipsec in reqid 5",
    "synproxy mss 1460 wscale 7",
    'xt match "foo"',
    'xt target "MARK"',
    "ct secmark set meta secmark",
    "jhash ct secmark mod 2 seed 0x1 1",
    "vxlan vni 10 ip saddr { 1.1.1.1, 2.2.2.2 } accept",
    "geneve vni 10",
    "gretap ether saddr 00:00:00:00:00:01 drop",
]


@pytest.mark.parametrize("rule", OPAQUE)
def test_it_is_printed_as_it_was_written(rule: str) -> None:
    text = f"table inet t {{\n\tchain c {{\n\t\t{rule}\n\t}}\n}}\n"
    assert print_ruleset(parse(text, "x.nft")) == text
    assert print_ruleset(parse(print_ruleset(parse(text, "x.nft")), "x.nft")) == text


@pytest.mark.parametrize("rule", OPAQUE)
def test_a_packet_that_reaches_it_ends_there(rule: str) -> None:
    box, stopped = FakeBox(), packet(SYN)
    assert run(f"{rule}\naccept", stopped, box=box) == Verdict.DROP
    assert stopped.drop is Drop.OPAQUE
    assert box.places == ["test.nft:5"]


def test_it_can_be_skipped() -> None:
    box = FakeBox()
    box.skip_opaque = True
    assert run('osf name "Linux" drop\naccept', packet(SYN), box=box) == Verdict.ACCEPT
    assert box.places == ["test.nft:5"]


def test_a_packet_that_does_not_match_before_it_goes_on() -> None:
    box = FakeBox()
    assert run('tcp dport 81 osf name "Linux"\naccept', packet(SYN), box=box) == Verdict.ACCEPT
    assert not box.places


def test_what_follows_an_unknown_header_is_kept_over_lines() -> None:
    text = 'table inet t { chain c {\nvxlan vni 10 tcp dport { 22,\n 80 } accept comment "x"\naccept\n}\n}\n'
    listing = print_ruleset(parse(text, "x.nft"))
    assert '\t\tvxlan vni 10 tcp dport { 22, 80 } accept comment "x"\n\t\taccept\n' in listing


def test_bridges_are_asked_for_the_names_of_their_ports_only() -> None:
    _, chain = load("table inet t { chain c { type filter hook forward priority 0; accept; }; }")
    assert chain(packet(SYN)) == Verdict.ACCEPT
    listing = print_ruleset(
        parse("table bridge t { chain c { meta ibrname br0 meta ibrpvid 5 drop; }; }", "x.nft")
    )
    assert 'meta ibrname "br0" meta ibrpvid 5 drop' in listing


BOX = """
devices:
  - {name: lan0, mac: "02:00:00:00:01:01", addresses: [10.0.1.1/24]}
  - {name: wan0, mac: "02:00:00:00:02:01", addresses: [10.0.2.1/24]}
neighbours:
  - {address: 10.0.2.2, dev: wan0, mac: "02:00:00:00:02:02", state: permanent}
sysctls: {net.ipv4.ip_forward: 1}
"""
RULES = """\
table ip t {
	chain c {
		type filter hook forward priority 0
		tcp dport 80 osf name "Linux" drop
	}
}
"""


@pytest.mark.parametrize("skip", [False, True])
def test_a_box_counts_what_reaches_it(skip: bool) -> None:
    sent: list[bytes] = []
    box = Box(
        load_box(BOX, "box.yaml"),
        parse(RULES, "rules.nft"),
        transmit=lambda device, frame, time: sent.append(bytes(frame)),
        skip_opaque=skip,
    )
    frame = bytes.fromhex("020000000101 020000000102 0800")
    for port in (80, 80, 81):
        box.receive(
            box.topology.devices["lan0"],
            frame + bytes(IP(src="10.0.1.2", dst="10.0.2.2") / TCP(dport=port, flags="S")),
            0,
        )
    assert box.statistics.opaque == {"rules.nft:4": 2}
    assert len(sent) == (3 if skip else 1)
    assert box.statistics.drops[Drop.OPAQUE] == (0 if skip else 2)
