"""Rulesets in two, loaded by the running kernel, and its listings in one again."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from flowtable.live.mark import Carrier, Mark
from flowtable.live.record import Kept, Key, read_set
from flowtable.live.rejoin import rejoin_json, rejoin_text
from flowtable.live.split import Split, SplitError, split
from flowtable.ruleset import Ruleset, RulesetError, execute, parse, print_ruleset
from flowtable.ruleset.files import Files
from tests.ruleset.real_nft import in_turn, listings

CORPUS = Path(__file__).parent.parent / "rulesets"
FILES = {path.stem: path.read_text() for path in sorted(CORPUS.glob("*.nft"))}
QUEUES = {"desync-queue"}
"""Not every kernel has NFT_QUEUE."""
WITH_FLOWTABLES = [name for name, text in FILES.items() if "flowtable" in text and name not in QUEUES]
DEVICES = ("eth0=eth1", "eth2=wan0")


def divide(text: str, carrier: Carrier = Carrier.LABEL, before: Ruleset | None = None) -> Split:
    before = before or Ruleset()
    include = Files([CORPUS / "include"])
    return split(execute(before, text, "x.nft", read_include=include), before, {}, carrier)


def whole(name: str) -> Ruleset:
    """A file of the corpus, loaded by a kernel that has flowtables."""
    return execute(Ruleset(), FILES[name], "x.nft", read_include=Files([CORPUS / "include"])).ruleset


def kernel(texts: list[str], command: str) -> list[str]:
    """What nft prints once each text is loaded by itself."""
    outputs = listings(texts, command, DEVICES)
    assert not [error for _, error in outputs if error]
    return [output for output, _ in outputs]


def remembered(document: str) -> list[Kept]:
    """The flowtables that the kernel remembers: from ``nft -j list ruleset``."""
    items = [item["set"] for item in json.loads(document)["nftables"] if "set" in item]
    return [kept for kept in map(read_set, items) if kept is not None]


@pytest.mark.parametrize("carrier", Carrier)
def test_a_listing_of_the_kernel_is_that_of_the_whole(carrier: Carrier) -> None:
    texts = [divide(FILES[name], carrier).text for name in WITH_FLOWTABLES]
    texts_numeric = kernel(texts, "-n list ruleset")
    documents = kernel(texts, "-j list ruleset")
    for index, (name, listing) in enumerate(zip(WITH_FLOWTABLES, kernel(texts, "list ruleset"), strict=True)):
        expected = whole(name)
        flowtables = remembered(documents[index])
        assert rejoin_text(listing, flowtables) == print_ruleset(expected), name
        numeric = rejoin_text(texts_numeric[index], flowtables)
        assert print_ruleset(parse(numeric, "x.nft")) == print_ruleset(expected), name
        together = json.dumps(rejoin_json(json.loads(documents[index]), flowtables))
        assert "flowtable-" not in together, name
        # What this nft has no JSON for is lost there without flowtables too.
        assert flow_lines(print_ruleset(parse(together, "x.json"))) == flow_lines(print_ruleset(expected)), (
            name
        )


def flow_lines(listing: str) -> list[str]:
    """The flowtables of a listing, and the rules that add flows."""
    blocks = re.findall(r"\tflowtable [^}]*\}[^}]*\}|\tflowtable [^{]*\{[^}]*\}", listing)
    return [*blocks, *re.findall(r".*flow add.*", listing)]


def test_flow_add_is_written_in_its_place() -> None:
    text = """\
table inet t {
	flowtable f {
		hook ingress priority 0; devices = { eth0,
			eth1 }
	}
	chain c {
		type filter hook forward priority 0;
		tcp dport 22 flow offload \\
			@f counter; jump { ct mark 7 flow add @f; drop; }
	}
}
"""
    divided = divide(text)
    mark = Mark(Carrier.LABEL, 127)
    lines = [
        "table inet t {",
        "\t",
        *["", "", ""],
        "\tchain c {",
        "\t\ttype filter hook forward priority 0;",
        f"\t\ttcp dport 22 {mark.statements} counter; jump {{ ct mark 7 {mark.statements}; drop; }}",
        "\t}",
        "}",
        'add set inet t flowtable-f { type ifname; comment "hook ingress priority 0 label 127"; '
        'elements = { "eth0", "eth1" }; }',
    ]
    assert divided.text.splitlines() == lines
    assert [(kept.flowtable.devices, kept.mark) for kept in divided.flowtables] == [(("eth0", "eth1"), mark)]


def test_included_files_stand_where_they_are_included() -> None:
    files = {
        "a": [
            ("a.nft", 'flowtable f {\nhook ingress priority 0\n}\ninclude "b"\n'),
            ("b.nft", "define x = 5"),
        ],
        "b": [("c.nft", "chain c {\ntype filter hook forward priority 0;\nflow add @f\n}")],
    }
    outcome = execute(
        Ruleset(),
        'table ip t {\ninclude "a" ; counter n { }\n}\n',
        "x.nft",
        read_include=files.get,
        defines=["y=7"],
    )
    text = split(outcome, Ruleset(), {}).text
    assert "include" not in text
    assert (
        text.index("define y=7") < text.index("table ip t") < text.index("chain c") < text.index("define x")
    )
    assert print_ruleset(parse(text.replace(Mark(Carrier.LABEL, 127).statements, "accept"), "x.nft")) != ""


WHOLE = """\
table inet t {
	flowtable f {
		hook ingress priority 0
		devices = { eth0 }
	}
	chain c {
		type filter hook forward priority 0;
	}
}
"""


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("add rule inet t c flow add @f\n", f"add rule inet t c {Mark(Carrier.LABEL, 3).statements}\n"),
        ("add flowtable inet t f { devices = { eth1 }; }", 'add element inet t flowtable-f { "eth1" }\n'),
        (
            "delete flowtable inet t f { devices = { eth0 }; }",
            'delete element inet t flowtable-f { "eth0" }\n',
        ),
        (
            "delete flowtable inet t f; add table inet u",
            "; add table inet u\ndelete set inet t flowtable-f\n",
        ),
        ("flush ruleset", "flush ruleset"),
        ("delete table inet t\nadd table inet t\n", "delete table inet t\nadd table inet t\n"),
        (
            "add flowtable inet t f { hook ingress priority 0; counter; }\n",
            "\ndelete set inet t flowtable-f\nadd set inet t flowtable-f { type ifname; "
            'comment "hook ingress priority 0 counter label 3"; elements = { "eth0" }; }\n',
        ),
        (
            "create flowtable inet t g { hook ingress priority -5; flags offload; }\n",
            "\nadd set inet t flowtable-g { type ifname; "
            'comment "hook ingress priority -5 flags offload label 127"; }\n',
        ),
        ("list flowtables; list chain inet t c\n", "; list chain inet t c\n"),
    ],
)
def test_commands_change_what_is_there(command: str, text: str) -> None:
    before = parse(WHOLE, "x.nft")
    (flowtable,) = before.flowtables()
    marks = {(flowtable.family, flowtable.table, flowtable.name): Mark(Carrier.LABEL, 3)}
    assert split(execute(before, command, "x.nft"), before, marks).text == text


FAMILIES = ("inet t", "ip t", "ip6 u")
NAMES = ("f", "g", "h")
MATCHES = (
    "",
    "tcp dport 22",
    "ip daddr 10.0.0.0/8",
    "meta l4proto { tcp, udp }",
    "ct state established",
    "counter",
)
TAILS = ("", "counter", "accept", "ct mark set 7", 'comment "x"')


def command(numbers: random.Random) -> str:
    """A command, or a few, that may be about flowtables; not all are valid at all times."""
    table, name = numbers.choice(FAMILIES), numbers.choice(NAMES)
    devices = ", ".join(numbers.sample(("eth0", "eth1", "eth2", "wan0"), numbers.randint(1, 2)))
    match, tail = numbers.choice(MATCHES), numbers.choice(TAILS)
    offset = numbers.randint(-9, 9)
    hook = f"hook ingress priority {offset};"
    chain = f"type filter hook forward priority {offset};"
    commands = (
        *(f"add rule {table} c {match} flow add @{name} {tail}",) * 4,
        f"insert rule {table} c {match} flow offload @{name} {tail}",
        f"add rule {table} c {match} jump {{ flow add @{name}; accept; }}",
        f"replace rule {table} c index 0 flow add @{name}",
        f"add rule {table} c {match} {tail}",
        *(f"add flowtable {table} {name} {{ {hook} devices = {{ {devices} }}; }}",) * 4,
        f"create flowtable {table} {name} {{ {hook} counter; }}",
        f"add flowtable {table} {name} {{ devices = {{ {devices} }}; }}",
        f"delete flowtable {table} {name} {{ devices = {{ {devices} }}; }}",
        f"delete flowtable {table} {name}",
        f"flush chain {table} c; delete flowtable {table} {name}",
        f"flush table {table}",
        f"delete table {table}; table {table} {{ chain c {{ {chain} }}; }}",
        f"table {table} {{ flowtable {name} {{ {hook} }}; chain c {{ flow add @{name}; }}; }}",
        f"add element {table} s {{ 192.0.2.{numbers.randint(1, 99)} }}",
        "flush ruleset; " + START.replace("\n", ";"),
    )
    return numbers.choice(commands) + "\n"


START = "".join(
    f"table {table} {{\nset s {{ type ipv4_addr; }}\nchain c {{ type filter hook forward priority 0\n}}\n}}\n"
    for table in FAMILIES
)


@pytest.mark.parametrize("seed", range(4))
def test_any_commands_lead_to_the_same_listing(seed: int) -> None:
    """One after the other into the running kernel; what is refused here is left out."""
    numbers = random.Random(seed)
    loaded, flowtables = Ruleset(), dict[Key, Mark]()
    texts, expected, kept = [], [], []
    commands = [START, *(command(numbers) for _ in range(80))]
    for text in commands:
        try:
            outcome = execute(loaded, text, "x.nft")
        except RulesetError:
            continue
        divided = split(outcome, loaded, flowtables)
        loaded = outcome.ruleset
        flowtables = {each.key: each.mark for each in divided.flowtables}
        texts.append(divided.text)
        expected.append(print_ruleset(loaded))
        kept.append(divided.flowtables)
    assert len(texts) > 20
    for text, listing, ours, there in zip(texts, in_turn(texts, DEVICES), expected, kept, strict=True):
        assert rejoin_text(listing, there) == ours, text


def test_every_flowtable_needs_a_bit() -> None:
    blocks = "".join(f"flowtable {name} {{ hook ingress priority 0; }}\n" for name in "fg")
    outcome = execute(Ruleset(), f"table inet t {{\n{blocks}}}\n", "x.nft")
    assert [str(kept.mark) for kept in split(outcome, Ruleset(), {}, bits=[4, 9]).flowtables] == [
        "label 4",
        "label 9",
    ]
    with pytest.raises(SplitError, match="no label bit is left"):
        split(outcome, Ruleset(), {}, bits=[4])
