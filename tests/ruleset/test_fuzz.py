"""Whatever the text, only errors in the text come of it; and what is printed is read back the same."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from flowtable.packet.packet import IPV4, IPV6
from flowtable.ruleset import RulesetError, parse, print_ruleset
from flowtable.ruleset.evaluate import compile_ruleset
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.verdict import Verdict
from tests.ruleset.box import FakeBox, connection, packet
from tests.ruleset.cases import read_cases
from tests.ruleset.table import read_rows, ruleset_of

HERE = Path(__file__).parent
ROWS = [row for path in sorted(HERE.glob("*.txt")) for row in read_rows(path.read_text())]
FILES = [
    case.text for path in sorted((HERE / "data").glob("*.cases")) for case in read_cases(path.read_text())
]
SEEDS = [ruleset_of(row)[0] for row in ROWS] + FILES
CHAINS = sorted({(row.family, row.chain, row.declarations) for row in ROWS if row.verdict == "ok"})
WORDS = sorted({word for seed in SEEDS for word in seed.split()})

PACKETS = [
    packet(IP(src="10.0.0.1", dst="192.0.2.1") / TCP(dport=22, flags="S"), ct=connection(), ctinfo=0),
    packet(IP(src="1.1.1.1", dst="10.0.0.1", proto=17, frag=5) / Raw(b"abc")),
    packet(IPv6(src="fe80::1", dst="2001:db8::1") / UDP(dport=53), iif=None),
]


def loads_or_says_why(text: str) -> None:
    try:
        ruleset = parse(text, "fuzz.nft")
    except RulesetError as error:
        assert error.diagnostics
        assert "Error: " in str(error)
        return
    printed = print_ruleset(ruleset)
    assert print_ruleset(parse(printed, "printed.nft")) == printed
    try:
        program = compile_ruleset(ruleset, FakeBox())
    except RulesetError:
        return
    for family in (IPV4, IPV6):
        for hook in Hook:
            for chain in program.chains(family, hook):
                for each in PACKETS:
                    if each.family == family:
                        each.hook = hook
                        assert chain(each) in (Verdict.DROP, Verdict.ACCEPT)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    loads_or_says_why(text)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from([*WORDS, "\n", ";", "{", "}", "(", ",", "@", "$", ":", "-", "/"]), max_size=40)
)
def test_any_words(words: list[str]) -> None:
    text = " ".join(words)
    loads_or_says_why(text)
    loads_or_says_why(f"table inet t {{\nchain c {{\ntype filter hook forward priority 0\n{text}\n}}\n}}\n")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_changed_rulesets(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SEEDS))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 10)))
        text = text[:start] + data.draw(st.one_of(st.text(max_size=3), st.sampled_from(WORDS))) + text[end:]
    loads_or_says_why(text)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_rules_that_load_print_the_same_again(data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(CHAINS))
    rules = [
        row for row in ROWS if (row.family, row.chain, row.declarations) == place and row.verdict == "ok"
    ]
    chosen = data.draw(st.lists(st.sampled_from(rules), min_size=1, max_size=8))
    separator = data.draw(st.sampled_from(["\n", " "]))
    loads_or_says_why(ruleset_of(chosen[0]._replace(rule=separator.join(row.rule for row in chosen)))[0])


@given(
    st.sampled_from(
        ["(", "{", "tcp dport {", "{ 22, {", "chain c {", "table t { chain c {", "$", "\\\n", '"']
    ),
    st.integers(1, 3000),
)
@settings(max_examples=40, deadline=None)
def test_deep_nesting(text: str, times: int) -> None:
    loads_or_says_why(text * times)
    loads_or_says_why(f"table t {{ chain c {{ tcp dport {text * times}")


def test_variables_that_grow_exponentially() -> None:
    lines = ["define a0 = { 1, 2 }"] + [f"define a{n} = {{ $a{n - 1}, $a{n - 1} }}" for n in range(1, 40)]
    loads_or_says_why("\n".join(lines) + "\ntable t { chain c { tcp dport $a39; }; }\n")
