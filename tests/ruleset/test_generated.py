"""Rulesets generated from the grammar: what is printed, as text or JSON, is read back as the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowtable.ruleset import parse, print_ruleset
from flowtable.ruleset.json.writer import print_json
from flowtable.ruleset.layout import lay_out

PORT = st.integers(0, 65535)
BYTE = st.integers(0, 255)
ADDRESS = st.tuples(BYTE, BYTE, BYTE, BYTE).map(lambda parts: ".".join(map(str, parts)))
ADDRESS6 = st.integers(0, 2**16 - 1).map(lambda tail: f"2001:db8::{tail:x}")
MARK = st.integers(0, 2**32 - 1)
NAME = st.sampled_from(["lan0", "wan0", "br-lan", "eth0.7", "ppp*"])
STATES = ["new", "established", "related", "invalid", "untracked"]
TCP_FLAGS = ["fin", "syn", "rst", "psh", "ack", "urg"]


def pair(values: st.SearchStrategy[int]) -> st.SearchStrategy[str]:
    """A range."""
    return st.tuples(values, values).map(lambda ends: f"{min(ends)}-{max(ends)}")


def some(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A set in place."""
    return st.lists(values, min_size=1, max_size=5).map(lambda items: f"{{ {', '.join(items)} }}")


def flags(names: list[str], joined: str = ",") -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(names), min_size=1, unique=True).map(joined.join)


def words(*parts: str | st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """The parts, one behind the other."""
    return st.tuples(*(st.just(part) if isinstance(part, str) else part for part in parts)).map(" ".join)


NEGATION = st.sampled_from(["", "!="])
PORTS = st.one_of(PORT.map(str), pair(PORT), some(st.one_of(PORT.map(str), pair(PORT))))
NETS = st.one_of(
    ADDRESS,
    st.tuples(ADDRESS, st.integers(0, 32)).map(lambda net: f"{net[0]}/{net[1]}"),
    some(st.one_of(ADDRESS, st.tuples(ADDRESS, st.integers(8, 32)).map(lambda net: f"{net[0]}/{net[1]}"))),
)
MATCH = st.one_of(
    words("ip", st.sampled_from(["saddr", "daddr"]), NEGATION, NETS),
    words("ip6 daddr", NEGATION, st.one_of(ADDRESS6, some(ADDRESS6))),
    words("tcp", st.sampled_from(["sport", "dport"]), NEGATION, PORTS),
    words("udp dport", NEGATION, PORTS),
    words("ct state", flags(STATES)),
    words("ct state", some(st.sampled_from(STATES))),
    words("tcp flags", flags(TCP_FLAGS)),
    st.tuples(flags(TCP_FLAGS), flags(TCP_FLAGS)).map(lambda two: f"tcp flags {two[0]} / {two[0]},{two[1]}"),
    words(st.sampled_from(["iifname", "oifname"]), NEGATION, st.one_of(NAME, some(NAME))),
    words("meta mark", NEGATION, st.one_of(MARK.map(str), pair(MARK))),
    st.tuples(MARK, MARK).map(lambda two: f"ct mark & {two[0]} == {two[0] & two[1]}"),
    words("meta l4proto", st.sampled_from(["tcp", "udp", "{ tcp, udp, gre }", "!= icmp"])),
    words("ip dscp", st.integers(0, 63).map(str)),
    words("ct original packets", st.sampled_from([">", "<=", "=="]), st.integers(0, 2**40).map(str)),
    words("icmp type", st.sampled_from(["echo-request", "{ echo-reply, redirect }", "!= 3"])),
)
STATEMENT = st.one_of(
    st.sampled_from(["counter", "notrack", "log", "flow add @f"]),
    st.tuples(PORT, PORT).map(lambda counts: f"counter packets {counts[0]} bytes {counts[1]}"),
    st.integers(1, 10**6).map(lambda rate: f"limit rate {rate}/second"),
    st.integers(1, 10**6).map(lambda rate: f"limit rate over {rate} bytes/hour burst {rate} kbytes"),
    words("meta mark set", MARK.map(str)),
    words("meta mark set", MARK.map("ct mark & {}".format)),
    words("ct mark set", MARK.map(str)),
    st.text("abc -:_", min_size=1).map('log prefix "{}" level info'.format),
)
VERDICT = st.sampled_from(["accept", "drop", "return", "continue", "jump x", "goto x", "reject", ""])
VMAP = st.dictionaries(PORT, st.sampled_from(["accept", "drop", "jump x"]), min_size=1).map(
    lambda items: f"{{ {', '.join(f'{port} : {verdict}' for port, verdict in items.items())} }}"
)
RULE = st.one_of(
    words(MATCH, STATEMENT, VERDICT),
    words(STATEMENT, MATCH, STATEMENT),
    words("tcp dport vmap", VMAP),
    words(MATCH, st.text("xyz", min_size=1).map('accept comment "{}"'.format)),
)
HEAD = """\
table inet t {
	flowtable f {
		hook ingress priority 0
		devices = { lan0, wan0 }
	}
	chain x {
		counter
	}
	chain c {
		type filter hook forward priority 0
"""


@given(st.lists(RULE, max_size=4))
def test_what_is_printed_is_read_back(rules: list[str]) -> None:
    text = HEAD + "".join(f"\t\t{rule}\n" for rule in rules) + "\t}\n}\n"
    ruleset = parse(text, "x.nft")
    listing = print_ruleset(ruleset)
    assert print_ruleset(parse(listing, "listing.nft")) == listing
    assert print_ruleset(parse(print_json(ruleset), "x.json")) == listing
    assert print_ruleset(parse(lay_out(text, "x.nft"), "x.nft")) == listing
