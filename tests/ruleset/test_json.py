"""Rulesets as JSON, written as nft writes them and read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from flowtable.ruleset import RulesetError, apply, parse, print_ruleset
from flowtable.ruleset.json.object_reader import command as object_command
from flowtable.ruleset.json.writer import print_json
from tests.ruleset.real_nft import listings
from tests.ruleset.table import PREAMBLE, Row, read_rows

TABLES = ("rules.txt", "sets.txt", "selectors.txt", "statements.txt", "families.txt")
ROWS = [
    row
    for name in TABLES
    for row in read_rows((Path(__file__).parent / name).read_text())
    if row.verdict == "ok" and not row.rule.startswith("meter ")
]
DEVICES = ("eth0=eth1", "wan0=lan0", "t-1.x=br-lan")


def rulesets() -> Iterator[tuple[list[Row], str]]:
    """The rules of the table, a chain for each, in one ruleset for all of a heading."""
    for place, rows in groupby(ROWS, key=lambda row: (row.family, row.chain, row.declarations)):
        listed = list(rows)
        chains = "".join(
            f"\tchain c{number} {{\n\t\t{place[1]}\n{row.rule}\n\t}}\n" for number, row in enumerate(listed)
        )
        more = "".join(f"\t{declaration}\n" for declaration in place[2])
        yield listed, f"table {place[0]} t {{\n{PREAMBLE}{more}{chains}}}\n"


def statements(document: str) -> dict[str, Any]:
    """What is in the first rule of each chain."""
    found: dict[str, Any] = {}
    for item in json.loads(document)["nftables"]:
        if "rule" in item:
            found.setdefault(item["rule"]["chain"], item["rule"]["expr"])
    return found


def test_rules_are_those_of_the_real_nft() -> None:
    """The listing of the kernel as JSON, rule by rule, for every kind of rule."""
    groups = list(rulesets())
    different = []
    for (rows, text), (output, error) in zip(
        groups, listings([text for _, text in groups], "-j list ruleset", DEVICES), strict=True
    ):
        assert not error
        real, ours = statements(output), statements(print_json(parse(text, "x.nft")))
        for number, row in enumerate(rows):
            pair = ours[f"c{number}"], real[f"c{number}"]
            lost = any(isinstance(statement, str) for statement in pair[1])
            if "ct original" in row.rule or "ct reply" in row.rule:  # nft forgets the family of addresses
                lost = True
            if not lost and pair[0] != pair[1]:
                different.append((row.rule, *pair))
        listing = print_ruleset(parse(text, "x.nft"))
        # nft forgets devices of chains, and that flag
        if "gress device" not in text and "dynamic" not in listing:
            assert print_ruleset(parse(output, "x.json")) == listing
    assert not different


@pytest.mark.parametrize("text", [text for _, text in rulesets()])
def test_a_document_reads_back_as_its_ruleset(text: str) -> None:
    ruleset = parse(text, "x.nft")
    back = parse(print_json(ruleset), "x.json")
    assert print_ruleset(back, handles=True) == print_ruleset(ruleset, handles=True)


OBJECTS = """\
table inet t {
	comment "all kinds"
	set s {
		type ipv4_addr
		size 10
		flags constant,interval
		auto-merge
		comment "a set"
		elements = { 10.0.0.0/8, 192.0.2.1 comment "one" }
	}

	map m {
		type inet_service : verdict
		policy memory
		elements = { 22 : accept, 23 : jump x, * : drop }
	}

	map marks {
		typeof ip saddr : meta mark
		elements = { 10.0.0.1 : 0x00000005 }
	}

	flowtable f {
		hook ingress priority filter + 5
		devices = { eth0, eth1 }
		flags offload
		counter
	}

	flowtable one {
		hook ingress priority filter
		devices = { "0th" }
	}

	chain x {
		comment "a chain"
	}

	chain c {
		type filter hook forward priority filter - 5; policy drop;
		flow add @f counter packets 1 bytes 2 comment "a rule"
	}

	chain i {
		type filter hook ingress device "eth0" priority filter; policy accept;
	}
}
table netdev n {
	flags dormant,owner,persist

	chain e {
		type filter hook egress devices = { eth0, eth1 } priority filter; policy accept;
	}
}
"""


def test_nothing_is_lost() -> None:
    """Not even what nft's own JSON loses: flags and counter of flowtables, devices and comments of chains."""
    ruleset = parse(OBJECTS, "x.nft")
    assert print_ruleset(ruleset) == OBJECTS
    back = parse(print_json(ruleset), "x.json")
    assert print_ruleset(back) == OBJECTS
    assert print_json(back) == print_json(ruleset)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ({"rules": {}}, "reset rules"),
        ({"rules": {"family": "inet"}}, "reset rules inet"),
        ({"rules": {"family": "inet", "table": "t"}}, "reset rules table inet t"),
        ({"rules": {"family": "inet", "table": "t", "chain": "c"}}, "reset rules chain inet t c"),
        (
            {"rule": {"family": "inet", "table": "t", "chain": "c", "handle": 9}},
            "reset rule inet t c handle 9",
        ),
        ({"set": {"family": "inet", "table": "t", "name": "s"}}, "reset set inet t s"),
        ({"map": {"family": "inet", "table": "t", "name": "m"}}, "reset map inet t m"),
        (
            {"element": {"family": "inet", "table": "t", "name": "s", "elem": ["10.0.0.1"]}},
            "reset element inet t s { 10.0.0.1 }",
        ),
    ],
)
def test_resets(command: dict[str, Any], text: str) -> None:
    """Ref: nftables 1.0.8 src/parser_json.c:json_parse_cmd_reset."""
    assert object_command({"reset": command}) == text


def test_stateless_and_terse() -> None:
    ruleset = parse(OBJECTS, "x.nft")
    back = parse(print_json(ruleset, stateless=True, terse=True), "x.json")
    assert "counter packets 0 bytes 0" in print_ruleset(back)
    assert "elements" not in print_ruleset(back)


def test_commands() -> None:
    """Every command of the schema, on a ruleset that is loaded."""
    loaded = parse(OBJECTS, "x.nft")
    place = {"family": "inet", "table": "t"}
    commands = [
        {"add": {"rule": place | {"chain": "c", "expr": [{"drop": None}], "comment": "last"}}},
        {"insert": {"rule": place | {"chain": "c", "index": 0, "expr": [{"accept": None}]}}},
        {"add": {"element": place | {"name": "marks", "elem": [["10.0.0.2", 7]]}}},
        {"delete": {"element": place | {"name": "marks", "elem": ["10.0.0.1"]}}},
        {"rename": {"chain": place | {"name": "x", "newname": "z"}}},
        {"delete": {"chain": place | {"name": "i"}}},
        {"delete": {"flowtable": place | {"name": "f", "dev": "eth1"}}},
        {"flush": {"set": place | {"name": "s"}}},
        {"delete": {"table": {"family": "netdev", "name": "n"}}},
        {"add": {"table": {"family": "ip", "name": "new"}}},
    ]
    changed = print_ruleset(apply(loaded, json.dumps({"nftables": commands}), "x.json"))
    text = """\
        add rule inet t c drop comment "last"
        insert rule inet t c index 0 accept
        add element inet t marks { 10.0.0.2 : 7 }
        delete element inet t marks { 10.0.0.1 }
        rename chain inet t x z
        delete chain inet t i
        delete flowtable inet t f { devices = { eth1 }; }
        flush set inet t s
        delete table netdev n
        add table ip new
    """
    assert changed == print_ruleset(apply(loaded, text, "x.nft"))
    assert "10.0.0.2 : 0x00000007" in changed


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"rule": {"family": "inet", "table": "t", "chain": "c"}}, "JSON: rule: 'expr' is missing"),
        ({"table": {"name": 5}}, "JSON: table: name: a string is expected, got 5"),
        ({"table": {"name": "a; flush ruleset"}}, "JSON: table: name: 'a; flush ruleset' is no name"),
        ({"add": {"nonsense": {"table": "t", "name": "x"}}}, "JSON: unknown object 'nonsense'"),
        (
            {"rule": {"table": "t", "chain": "c", "expr": [{"magic": None}]}},
            "JSON: unknown statement 'magic'",
        ),
        (
            {"rule": {"table": "t", "chain": "c", "expr": [{"match": {"left": {"x": 1}, "right": 1}}]}},
            "JSON: unknown expression 'x'",
        ),
        (
            {"rule": {"table": "t", "chain": "c", "expr": [], "comment": 'a" drop'}},
            "JSON: rule: comment: a text cannot hold quotes or newlines",
        ),
        ({"delete": {"table": {"name": "t"}}}, "Could not process rule: No such file or directory"),
        ([1], "JSON: a command: an object is expected, got an array"),
    ],
)
def test_errors_name_the_item(item: Any, message: str) -> None:
    with pytest.raises(RulesetError) as caught:
        parse(json.dumps({"nftables": [{"metainfo": {}}, item]}), "x.json")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.message == message
    assert diagnostic.span.source.name == "x.json: nftables[1]"


def test_errors_of_what_is_no_json() -> None:
    with pytest.raises(RulesetError) as caught:
        parse('{"nftables": [\n  {"table": }\n]}\n', "x.json")
    assert str(caught.value).splitlines()[:3] == [
        "x.json:2:13-13: Error: JSON: Expecting value",
        '  {"table": }',
        "            ^",
    ]
    for text in ('{"rules": []}', '{"nftables": {}}', "{" * 5000):
        with pytest.raises(RulesetError):
            parse(text, "x.json")
