"""Every lint, on what it is about and on what it is not about."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from flowtable.explain.lints import CATALOGUE, Finding, Subject, check
from flowtable.ruleset import Ruleset, execute
from flowtable.ruleset.json.reader import is_document
from flowtable.topology.boxfile import load

DOCS = (Path(__file__).parent.parent.parent / "docs" / "lints.md").read_text()

BOX = """
devices:
  - {name: lan0, mac: "02:00:00:00:01:01", addresses: [192.168.1.1/24]}
  - {name: wan0, mac: "02:00:00:00:02:01", addresses: [198.51.100.2/24]}
  - {name: wan0.7, kind: vlan, parent: wan0, id: 7}
  - {name: spare, mac: "02:00:00:00:03:01", up: false}
sysctls:
  net.netfilter.nf_conntrack_acct: %d
"""


def forward(rules: str, *, policy: str = "drop", devices: str = "lan0, wan0", options: str = "") -> str:
    """A table with a flowtable and a forward chain."""
    return f"""\
flush ruleset
table inet t {{
	flowtable f {{
		hook ingress priority 0; devices = {{ {devices} }}; {options}
	}}
	chain other {{
		counter
	}}
	chain forward {{
		type filter hook forward priority 0; policy {policy};
		jump other
		{rules}
	}}
}}
"""


def chain(rules: str, header: str = "type filter hook input priority 0;") -> str:
    """A table with one chain."""
    return f"flush ruleset\ntable inet t {{\n\tchain c {{\n\t\t{header}\n\t\t{rules}\n\t}}\n}}\n"


def find(text: str, *, box: str | None = None) -> list[Finding]:
    outcome = execute(Ruleset(), text, "x.nft")
    topology = load(box, "box.yaml") if box is not None else None
    return check(Subject(outcome.ruleset, outcome.commands, is_document(text), topology))


GOOD = "ct state established,related accept\n\t\tiifname lan0 accept"
OFFLOAD = "ct state established flow add @f\n\t\t" + GOOD
JSON = """{"nftables": [
{"table": {"family": "ip", "name": "t"}},
{"chain": {"family": "ip", "table": "t", "name": "c", "type": "filter", "hook": "forward", "prio": 0}},
{"flowtable": {"family": "ip", "table": "t", "name": "f", "hook": "ingress", "prio": 0, "dev": ["a", "b"]%s}},
{"rule": {"family": "ip", "table": "t", "chain": "c", "expr": [{"flow": {"op": "add", "flowtable": "@f"}}]}}
]}"""


class Case(NamedTuple):
    """A ruleset that a lint finds something in, what it finds, and rulesets that it finds nothing in."""

    bad: str
    message: str
    good: tuple[str, ...]
    box: str | None = None


CASES = {
    "flow-behind-accept": Case(
        forward("ct state established,related accept\n\t\tct state established flow add @f\n\t\taccept"),
        "no established connection comes here: line 12 takes them first",
        (
            forward(OFFLOAD),
            forward("ct state established tcp dport 22 accept\n\t\tflow add @f\n\t\t" + GOOD),
            forward("ct state new accept\n\t\tflow add @f\n\t\t" + GOOD),
        ),
    ),
    "flow-not-called": Case(
        forward(GOOD + "\n\t}\n\tchain lost {\n\t\tflow add @f"),
        "chain 'lost' has no hook and nothing jumps to it: no packet comes here",
        (forward("jump called\n\t\t" + GOOD + "\n\t}\n\tchain called {\n\t\tflow add @f"),),
    ),
    "flow-accept": Case(
        forward("ct state established flow add @f accept\n\t\tiifname lan0 accept"),
        "only the packet that adds the flow is accepted here; the others need a rule of their own",
        (
            forward("ct state established flow add @f accept\n\t\t" + GOOD),
            forward("flow add @f accept", policy="accept"),
            forward("flow add @f\n\t\tct state vmap { established : accept, invalid : drop }"),
        ),
    ),
    "no-established-accept": Case(
        forward("flow add @f\n\t\tiifname lan0 accept"),
        "its policy is drop and no rule accepts established connections",
        (forward(OFFLOAD), forward("flow add @f", policy="accept"), forward("flow add @f\n\t\taccept")),
    ),
    "unused-flowtable": Case(forward(GOOD), "no rule adds flows to flowtable 'f'", (forward(OFFLOAD),)),
    "notrack-offload": Case(
        forward(OFFLOAD + "\n\t}\n\tchain raw {\n\t\ttype filter hook prerouting priority raw;\n\t\tnotrack"),
        "packets without a connection are never offloaded",
        (
            forward(
                OFFLOAD + "\n\t}\n\tchain raw {\n\t\ttype filter hook prerouting priority raw;\n"
                "\t\tudp dport 53 notrack"
            ),
            chain("notrack", "type filter hook prerouting priority raw;"),
        ),
    ),
    "unreachable-rule": Case(
        chain("tcp dport 22 accept\n\t\tcounter drop\n\t\tudp dport 53 accept"),
        "no packet comes here: line 6 takes all of them",
        (chain("tcp dport 22 accept\n\t\tudp dport 53 accept\n\t\tdrop"),),
    ),
    "single-device": Case(
        forward(OFFLOAD, devices="lan0"),
        "flowtable 'f' has one side only: devices = lan0",
        (forward(OFFLOAD),),
    ),
    "device-not-listed": Case(
        forward('iifname { lan0, lan1 } oifname "wan0" flow add @f\n\t\t' + GOOD),
        "device 'lan1' is not in flowtable 'f'",
        (
            forward("iifname lan0 oifname wan0 flow add @f\n\t\t" + GOOD),
            forward("iifname != lan9 flow add @f\n\t\t" + GOOD),
        ),
    ),
    "stacked-devices": Case(
        forward(OFFLOAD, devices="lan0, wan0, wan0.7"),
        "'wan0.7' stands on 'wan0', and both are listed",
        (forward(OFFLOAD, devices="lan0, wan0.7"),),
        BOX % 1,
    ),
    "offload-virtual": Case(
        forward(OFFLOAD, devices="eth0, pppoe-wan, br-lan", options="flags offload;"),
        "'flags offload' needs a driver for br-lan, pppoe-wan, which has none",
        (
            forward(OFFLOAD, devices="eth0, lan1", options="flags offload;"),
            forward(OFFLOAD, devices="eth0, br-lan"),
        ),
    ),
    "roaming": Case(
        forward(OFFLOAD, devices="wan0, phy0-ap0"),
        "clients of phy0-ap0 roam, and their flows stay where they were",
        (forward(OFFLOAD),),
    ),
    "snat-address": Case(
        chain("snat ip to 203.0.113.9", "type nat hook postrouting priority 100;"),
        "no device of the box has this address",
        (chain("snat ip to 198.51.100.2", "type nat hook postrouting priority 100;"),),
        BOX % 1,
    ),
    "device-down": Case(
        forward(OFFLOAD, devices="lan0, spare"),
        "spare of flowtable 'f' is down",
        (forward(OFFLOAD),),
        BOX % 1,
    ),
    "whole-value-negation": Case(
        chain("ct status != dnat drop"),
        "this compares the whole value, so nearly always holds; '! dnat' is none of them",
        (chain("ct status ! dnat drop"), chain("ct state != established drop"), chain("ct status dnat drop")),
    ),
    "exact-flags": Case(
        chain("tcp flags { syn, fin } drop"),
        "a set holds whole values: 'tcp flags' has several flags at once",
        (chain("tcp flags syn,fin drop"), chain("ct state { new, established } accept")),
    ),
    "flags-precedence": Case(
        chain("tcp flags & syn | ack == syn drop"),
        "this is read as 'tcp flags & (syn | ack) | ack == syn'; put the mask in parentheses",
        (chain("tcp flags & (syn | ack) == syn drop"),),
    ),
    "th-unguarded": Case(
        chain("th dport 53 accept"),
        "this reads any protocol's bytes; match 'meta l4proto' in front of it",
        (chain("meta l4proto { tcp, udp } th dport 53 accept"), chain("tcp dport 53 accept")),
    ),
    "device-index": Case(
        chain("iif wan0 drop"),
        "'iif' means the device that has the name when the rules are loaded",
        (chain("iif lo accept"), chain("iifname wan0 drop")),
    ),
    "ct-accounting": Case(
        chain("ct original packets < 30 accept"),
        "without net.netfilter.nf_conntrack_acct=1, which is off, it reads 0",
        (chain("ct mark 5 accept"),),
        BOX % 0,
    ),
    "helper-offload": Case(
        forward(
            OFFLOAD + '\n\t}\n\tct helper ftp {\n\t\ttype "ftp" protocol tcp;\n\t}\n\tchain pre {\n'
            '\t\ttype filter hook prerouting priority 0;\n\t\ttcp dport 21 ct helper set "ftp"'
        ),
        "connections that get a helper here are never offloaded",
        (forward(OFFLOAD),),
    ),
    "change-offload": Case(
        forward(OFFLOAD + "\n\t\tmeta priority set 1:10"),
        "'meta priority set' is not done to packets of offloaded flows",
        (
            forward(OFFLOAD + "\n\t\tmeta mark set 5"),
            chain("meta priority set 1:10", "type filter hook forward priority 0;"),
        ),
    ),
    "limit-offload": Case(
        forward(OFFLOAD + "\n\t\tlimit rate over 1 mbytes/second drop"),
        "'limit rate over 1 mbytes/second' does not see the bytes of offloaded flows",
        (
            forward(OFFLOAD + "\n\t\tct state new limit rate 5/second accept"),
            chain("limit rate over 1 mbytes/second drop", "type filter hook forward priority 0;"),
        ),
    ),
    "flowtable-counter": Case(
        forward("ct packets > 20 flow add @f\n\t\t" + GOOD),
        "once a connection is offloaded this stands still: no 'counter' in flowtable 'f'",
        (forward("ct packets > 20 flow add @f\n\t\t" + GOOD, options="counter;"), forward(OFFLOAD)),
    ),
    "late-mark": Case(
        forward("flow add @f\n\t\t" + GOOD + "\n\t\tiifname lan0 ct mark set 5"),
        "'ct mark' is set behind 'flow add': the way is chosen by then",
        (forward("ct mark set 5 flow add @f\n\t\t" + GOOD),),
    ),
    "reload-doubles": Case(
        chain("tcp dport 22 accept").removeprefix("flush ruleset\n"),
        "loaded twice, the rules of table 't' are there twice",
        (
            chain("tcp dport 22 accept"),
            "table inet t\ndelete table inet t\n"
            + chain("tcp dport 22 accept").removeprefix("flush ruleset\n"),
            "table inet t { chain c { }; }\n",
        ),
    ),
    "hookless-chain": Case(
        "flush ruleset\ntable inet t { chain forward { tcp dport 22 accept; }; }\n",
        "chain 'forward' has no 'type ... hook ...' line: no packet comes here",
        (
            chain("accept"),
            "table ip t { chain forward { }; chain i { type filter hook input priority 0; }; }\n",
        ),
    ),
    "unused-chain": Case(
        chain("accept\n\t}\n\tchain idle {\n\t\tdrop"),
        "nothing jumps to chain 'idle'",
        (
            chain("jump busy\n\t}\n\tchain busy {\n\t\tdrop"),
            chain(
                "tcp dport vmap @m\n\t}\n\tchain busy {\n\t\tdrop\n\t}\n\tmap m {\n"
                "\t\ttype inet_service : verdict\n\t\telements = { 22 : jump busy }"
            ),
        ),
    ),
    "newer-nft": Case(
        "destroy table inet t\n",
        "'destroy' needs nft 1.0.7 and Linux 6.3",
        ("table inet t\ndelete table inet t\n",),
    ),
    "json-flowtable": Case(
        JSON % ', "flags": ["offload"], "counter": true',
        "nft reads no flags and no counter of flowtables from JSON",
        (JSON % "", forward(OFFLOAD, options="counter;")),
    ),
}


def test_every_lint_has_its_cases_and_its_section() -> None:
    assert CASES.keys() == CATALOGUE.keys()
    assert [line[4:] for line in DOCS.splitlines() if line.startswith("### ")] == [*CATALOGUE]
    for lint in CATALOGUE.values():
        assert lint.why.lower() in DOCS.replace("\n", " ").lower()


@pytest.mark.parametrize("name", CASES)
def test_lint(name: str) -> None:
    case = CASES[name]
    found = [finding for finding in find(case.bad, box=case.box) if finding.lint.id == name]
    assert [finding.message for finding in found] == [case.message]
    for text in case.good:
        assert name not in [finding.lint.id for finding in find(text, box=case.box)], text


def test_what_is_ignored() -> None:
    bad = "ct status != dnat drop"
    assert [each.lint.id for each in find(chain(bad))] == ["whole-value-negation"]
    assert find(chain(bad + " # flowtable: ignore=whole-value-negation")) == []
    assert find(chain("# as meant. flowtable: ignore=th-unguarded, whole-value-negation\n\t\t" + bad)) == []
    assert len(find(chain(bad + " # flowtable: ignore=th-unguarded"))) == 1
    assert len(find(chain("counter # flowtable: ignore=whole-value-negation\n\t\t" + bad))) == 1


def test_the_places_are_in_order() -> None:
    text = chain("tcp flags { syn, fin } drop\n\t\tct status != dnat drop\n\t\tth dport 53 accept")
    assert [each.span.line for each in find(text)] == [5, 6, 7]


def test_accounting_is_not_known_without_a_box() -> None:
    text = chain("ct bytes > 1000 drop")
    assert [each.message for each in find(text)] == [
        "without net.netfilter.nf_conntrack_acct=1, which may be off, it reads 0"
    ]
    assert find(text, box=BOX % 1) == []
