"""Commands on a ruleset that is loaded: places of rules, handles, listings."""

from __future__ import annotations

import re
import subprocess
from functools import partial

import pytest

from flowtable.ruleset import Ruleset, RulesetError, apply, execute, parse, print_ruleset
from flowtable.ruleset.types import BY_NAME
from tests.namespace import require

BASE = """\
table inet t {
	set s {
		type ipv4_addr
		elements = { 192.0.2.1, 192.0.2.2 }
	}

	set ports {
		type inet_service
		flags interval
		elements = { 1-5, 80 }
	}

	map m {
		type inet_service : verdict
		elements = { 22 : jump x }
	}

	flowtable f {
		hook ingress priority filter
		devices = { eth0, eth1 }
	}

	chain x {
		accept
	}

	chain c {
		type filter hook forward priority filter; policy drop;
		tcp dport { 22, 80 } accept
		ip saddr @s jump x
		tcp dport vmap { 25 : drop, 80 : goto x }
	}
}
table ip u {
	chain y {
		drop
	}
}
"""


@pytest.fixture
def loaded() -> Ruleset:
    return parse(BASE, "base.nft")


def rules(ruleset: Ruleset, command: str, chain: str = "c") -> list[str]:
    """The rules of a chain of table inet t after a command."""
    listing = execute(apply(ruleset, command + "\n", "x.nft"), f"list chain inet t {chain}\n", "x.nft").output
    return [line.strip() for line in listing.splitlines()[2:-2] if not line.startswith("\t\ttype")]


def printed(ruleset: Ruleset, command: str, *, handles: bool = False) -> str:
    return execute(ruleset, command + "\n", "x.nft", show=partial(print_ruleset, handles=handles)).output


def refusal(ruleset: Ruleset, command: str) -> tuple[str, str, str | None]:
    with pytest.raises(RulesetError) as caught:
        apply(ruleset, command + "\n", "x.nft")
    assert print_ruleset(ruleset) == BASE, "a refused file changes nothing"
    first = caught.value.diagnostics[0]
    return f"{first.span.first}-{first.span.last}", first.message, first.hint


def test_handles_are_those_of_the_kernel(loaded: Ruleset) -> None:
    """Recorded from nft -a: chains first, then sets, flowtables, and of rules their sets first."""
    listing = print_ruleset(loaded, handles=True)
    numbered = [line.strip() for line in listing.splitlines() if "# handle" in line]
    assert numbered == [
        "table inet t { # handle 1",
        "set s { # handle 3",
        "set ports { # handle 4",
        "map m { # handle 5",
        "flowtable f { # handle 6",
        "chain x { # handle 1",
        "accept # handle 7",
        "chain c { # handle 2",
        "tcp dport { 22, 80 } accept # handle 9",
        "ip saddr @s jump x # handle 10",
        "tcp dport vmap { 25 : drop, 80 : goto x } # handle 12",
        "table ip u { # handle 2",
        "chain y { # handle 1",
        "drop # handle 2",
    ]


@pytest.mark.parametrize(
    ("command", "place"),
    [
        ("add rule inet t c log", 3),
        ("insert rule inet t c log", 0),
        ("add rule inet t c index 0 log", 1),
        ("insert rule inet t c index 1 log", 1),
        ("add rule inet t c handle 10 log", 2),
        ("insert rule inet t c handle 10 log", 1),
        ("add rule inet t c position 12 log", 3),
        ("insert rule inet t c position 9 log", 0),
    ],
)
def test_a_rule_goes_where_it_is_told(loaded: Ruleset, command: str, place: int) -> None:
    assert rules(loaded, command).index("log") == place
    assert "log" not in print_ruleset(loaded)


def test_a_rule_is_replaced_and_deleted_by_its_handle(loaded: Ruleset) -> None:
    assert rules(loaded, "replace rule inet t c handle 10 log") == [
        "tcp dport { 22, 80 } accept",
        "log",
        "tcp dport vmap { 25 : drop, 80 : goto x }",
    ]
    assert len(rules(loaded, "delete rule inet t c handle 10")) == 2
    again = apply(loaded, "replace rule inet t c handle 10 log\n", "x.nft")
    assert "\t\tlog # handle 13\n" in print_ruleset(again, handles=True)


@pytest.mark.parametrize(
    ("command", "place", "message"),
    [
        ("add rule inet t c handle 99 drop", "26-27", "Could not process rule: No such file or directory"),
        ("add rule inet t c index 9 drop", "19-25", "Could not process rule: No such file or directory"),
        (
            "insert rule inet t c position 7 drop",
            "22-31",
            "Could not process rule: No such file or directory",
        ),
        (
            "replace rule inet t c handle 99 drop",
            "30-31",
            "Could not process rule: No such file or directory",
        ),
        ("delete rule inet t c handle 1", "29-29", "Could not process rule: No such file or directory"),
        ("delete rule inet t d handle 9", "20-20", "Could not process rule: No such file or directory"),
        ("delete rule inet t c", "21-21", "syntax error, unexpected newline, expecting handle"),
        ("delete rule inet t c index 0", "22-26", "syntax error, unexpected index, expecting handle"),
        ("delete chain inet t handle 99", "28-29", "Could not process rule: No such file or directory"),
        ("delete table inet handle 2", "26-26", "Could not process rule: No such file or directory"),
        ("delete chain inet t handle 1", "28-28", "Could not process rule: Device or resource busy"),
        ("rename chain inet t nope z", "21-24", "No such file or directory"),
        ("rename chain inet t x c", "1-23", "Could not process rule: File exists"),
        ("flush set inet t nope", "18-21", "No such file or directory"),
        ("flush set inet t m", "18-18", "No such file or directory"),
        ("flush chain inet t nope", "20-23", "Could not process rule: No such file or directory"),
        ("flush table inet nope", "18-21", "Could not process rule: No such file or directory"),
        ("list table inet nope", "17-20", "No such file or directory"),
        ("list chain inet t nope", "19-22", "No such file or directory"),
        ("list set inet t m", "17-17", "No such file or directory"),
        ("list map inet t s", "17-17", "No such file or directory"),
        ("list flowtable inet t g", "23-23", "No such file or directory"),
        ("list rules", "6-10", "syntax error, unexpected string"),
        ("reset flowtable inet t f", "7-15", "syntax error, unexpected flowtable"),
        ("reset table inet t", "7-11", "syntax error, unexpected table"),
        ("reset rules table", "18-18", "syntax error, unexpected newline, expecting string"),
        ("reset rules inet nope", "18-21", "No such file or directory"),
        ("reset rules inet t nope", "20-23", "No such file or directory"),
        ("reset rule inet t c", "20-20", "syntax error, unexpected newline, expecting handle"),
        ("reset rule inet t c handle 99", "28-29", "Could not process rule: No such file or directory"),
        ("reset rule inet t nope handle 9", "19-22", "Could not process rule: No such file or directory"),
        ("reset set inet t m", "18-18", "No such file or directory"),
        ("reset element inet t s { 9.9.9.9 }", "1-34", "Could not process rule: No such file or directory"),
        ("create rule inet t c drop", "8-11", "syntax error, unexpected rule"),
        ("get element inet t s { 9.9.9.9 }", "1-32", "Could not process rule: No such file or directory"),
        ("export json", "1-11", "JSON export is no longer supported, use 'nft -j list ruleset' instead"),
        ("import json", "1-11", "Could not process rule: Operation not supported"),
        ("monitor", "1-7", "there is nothing to monitor"),
    ],
)
def test_refusals(loaded: Ruleset, command: str, place: str, message: str) -> None:
    """Places and messages are those of nft 1.0.6, but for ``monitor`` and what newer versions can reset."""
    assert refusal(loaded, command)[:2] == (place, message)


def test_a_name_that_is_nearly_right_is_suggested(loaded: Ruleset) -> None:
    assert refusal(loaded, "flush set inet t port")[2] == "did you mean 'ports'?"
    assert refusal(loaded, "delete set inet t port")[2] == "did you mean 'ports'?"


def test_what_is_destroyed_need_not_be_there(loaded: Ruleset) -> None:
    gone = """
        destroy table inet nope
        destroy chain ip nope x
        destroy chain inet t nope
        destroy chain inet t handle 99
        destroy rule inet t c handle 99
        destroy element inet t s { 9.9.9.9 }
        destroy flowtable inet t g
    """
    assert print_ruleset(apply(loaded, gone, "x.nft")) == BASE
    assert "table ip u" not in print_ruleset(apply(loaded, "destroy table ip u\n", "x.nft"))


def test_delete_by_handle(loaded: Ruleset) -> None:
    changed = apply(loaded, "delete set inet t handle 4\ndelete table ip handle 2\n", "x.nft")
    assert "set ports" not in print_ruleset(changed)
    assert "table ip" not in print_ruleset(changed)


def test_jumps_follow_a_chain_to_its_new_name(loaded: Ruleset) -> None:
    changed = apply(loaded, "rename chain inet t x z\n", "x.nft")
    expected = BASE.replace("chain x", "chain z").replace("jump x", "jump z").replace("goto x", "goto z")
    assert print_ruleset(changed) == expected
    assert print_ruleset(loaded) == BASE


def test_sets_are_flushed(loaded: Ruleset) -> None:
    changed = apply(loaded, "flush set inet t s\nflush map inet t m\n", "x.nft")
    expected = BASE.replace("\t\telements = { 192.0.2.1, 192.0.2.2 }\n", "")
    assert print_ruleset(changed) == expected.replace("\t\telements = { 22 : jump x }\n", "")


def test_devices_come_and_go(loaded: Ruleset) -> None:
    changed = apply(loaded, "add flowtable inet t f { devices = { eth2 }; }\n", "x.nft")
    assert changed.tables[next(iter(changed.tables))].flowtables["f"].devices == ("eth0", "eth1", "eth2")
    changed = apply(changed, "delete flowtable inet t f { devices = { eth0, eth2 }; }\n", "x.nft")
    assert changed.tables[next(iter(changed.tables))].flowtables["f"].devices == ("eth1",)
    place, message, hint = refusal(loaded, "delete flowtable inet t f { devices = { eth7 }; }")
    assert (place, message) == ("25-25", "Could not process rule: No such file or directory")
    assert hint == "it is not on eth7"


def test_listings(loaded: Ruleset) -> None:
    """As nft 1.0.6 prints them."""
    assert printed(loaded, "list tables") == "table inet t\ntable ip u\n"
    assert printed(loaded, "list tables ip") == "table ip u\n"
    assert printed(loaded, "list ruleset") == BASE
    assert printed(loaded, "list ruleset ip") == "table ip u {\n\tchain y {\n\t\tdrop\n\t}\n}\n"
    assert printed(loaded, "list table ip u") == printed(loaded, "list ruleset ip")
    assert printed(loaded, "list chains") == (
        "table inet t {\n\tchain x {\n\t}\n\tchain c {\n"
        "\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n"
        "table ip u {\n\tchain y {\n\t}\n}\n"
    )
    assert printed(loaded, "list flowtables inet") == (
        "table inet t {\n\tflowtable f {\n\t\thook ingress priority filter\n"
        "\t\tdevices = { eth0, eth1 }\n\t}\n}\n"
    )
    assert printed(loaded, "list sets ip") == "table ip u {\n}\n"
    assert printed(loaded, "list map inet t m", handles=True) == (
        "table inet t {\n\tmap m { # handle 5\n\t\ttype inet_service : verdict\n"
        "\t\telements = { 22 : jump x }\n\t}\n}\n"
    )


def test_get_shows_the_elements_that_cover_what_is_asked_for(loaded: Ruleset) -> None:
    assert printed(loaded, "get element inet t ports { 3 }") == (
        "table inet t {\n\tset ports {\n\t\ttype inet_service\n\t\tflags interval\n"
        "\t\telements = { 1-5 }\n\t}\n}\n"
    )


def test_a_listing_shows_what_the_commands_before_it_made(loaded: Ruleset) -> None:
    text = "add table ip v\nlist tables ip\ndelete table ip v\nlist tables ip\n"
    outcome = execute(loaded, text, "x.nft")
    assert outcome.output == "table ip u\ntable ip v\ntable ip u\n"
    assert print_ruleset(outcome.ruleset) == BASE


def test_describe(loaded: Ruleset) -> None:
    assert printed(loaded, "describe tcp dport") == (
        "payload expression, datatype inet_service (internet network service) (basetype integer), 16 bits\n"
    )
    assert printed(loaded, "describe ipv4_addr") == (
        "datatype ipv4_addr (IPv4 address) (basetype integer), 32 bits\n"
    )
    described = printed(loaded, "describe ct state").splitlines()
    assert described[0] == (
        "ct expression, datatype ct_state (conntrack state) (basetype bitmask, integer), 32 bits"
    )
    assert described[2] == "pre-defined symbolic constants (in hexadecimal):"
    assert "\tuntracked                     \t0x00000040" in described


def test_counters_and_quotas_are_reset() -> None:
    text = (
        "table ip t { counter a { packets 1 bytes 2; }; counter b { packets 3 bytes 4; };"
        " quota q { over 1 mbytes used 5 bytes; }; }\n"
    )
    loaded = parse(text, "x.nft")
    outcome = execute(loaded, "reset counter ip t a\nreset quotas\n", "x.nft")
    assert "packets 1 bytes 2" in outcome.output
    assert "packets 3" not in outcome.output
    assert "used 5 bytes" in outcome.output
    after = print_ruleset(outcome.ruleset)
    assert ("packets 1" in after, "packets 3" in after, "used" in after) == (False, True, False)
    assert "packets 1 bytes 2" in print_ruleset(loaded)


COUNTED = """\
table ip t {
	quota q {
		over 1 mbytes used 5 bytes
	}

	set s {
		type ipv4_addr
		flags interval
		counter
		elements = { 192.0.2.0/25 counter packets 1 bytes 90, 198.51.100.1 counter packets 2 bytes 90 }
	}

	map m {
		type ipv4_addr : verdict
		counter
		elements = { 192.0.2.1 counter packets 3 bytes 90 : drop }
	}

	chain c {
		ip saddr @s counter packets 4 bytes 90 quota 2 kbytes used 90 bytes drop
		jump {
			counter packets 5 bytes 90 accept
		}
		counter packets 6 bytes 90
	}

	chain d {
		limit rate 1/second counter packets 7 bytes 90
	}
}
table inet t {
	chain c {
		counter packets 8 bytes 90
	}
}
"""


def left(text: str) -> set[int]:
    """The packets of the counters that are not at zero."""
    return {int(packets) for packets in re.findall(r"packets ([1-9])", text)}


@pytest.mark.parametrize(
    ("command", "listed", "reset"),
    [
        ("reset rules", "list ruleset", {4, 5, 6, 7, 8}),
        ("reset rules ip", "list ruleset ip", {4, 5, 6, 7}),
        ("reset rules inet", "list ruleset inet", {8}),
        ("reset rules t", "list table t", {4, 5, 6, 7}),
        ("reset rules table inet t", "list table inet t", {8}),
        ("reset rules ip t c", "list chain t c", {4, 6}),
        ("reset rules chain t d", "list chain t d", {7}),
        ("reset set t s", "list set t s", {1, 2}),
        ("reset map ip t m", "list map ip t m", {3}),
        ("reset element t s { 192.0.2.9 }", "get element t s { 192.0.2.9 }", {1}),
        ("reset element t m { 192.0.2.1 }", "get element t m { 192.0.2.1 }", {3}),
    ],
)
def test_rules_and_elements_are_reset(command: str, listed: str, reset: set[int]) -> None:
    """They are listed, then reset, as nft 1.0.8 does; rules of chains without a name with their table."""
    loaded = parse(COUNTED, "x.nft")
    outcome = execute(loaded, f"{command}\n", "x.nft")
    assert outcome.output == printed(loaded, listed)
    assert left(outcome.output) >= reset
    assert left(print_ruleset(outcome.ruleset)) == {1, 2, 3, 4, 5, 6, 7, 8} - reset
    assert print_ruleset(loaded) == COUNTED


def test_quotas_of_rules_are_reset_and_those_of_objects_are_not() -> None:
    after = print_ruleset(execute(parse(COUNTED, "x.nft"), "reset rules\n", "x.nft").ruleset)
    assert "counter packets 0 bytes 0 quota 2 kbytes drop" in after
    assert "over 1 mbytes used 5 bytes" in after


def test_one_rule_is_reset_without_a_listing() -> None:
    """Ref: nftables src/rule.c:do_command_reset."""
    loaded = parse(COUNTED, "x.nft")
    last = next(rule for _, _, rule in loaded.rules() if "packets 6" in rule.statements[-1].text())
    outcome = execute(loaded, f"reset rule ip t c handle {last.handle}\n", "x.nft")
    assert outcome.output == ""
    assert left(print_ruleset(outcome.ruleset)) == {1, 2, 3, 4, 5, 7, 8}


def test_rules_that_are_reset_are_still_checked() -> None:
    chains = "chain a { jump a; counter; }; chain b { type filter hook input priority 0; jump a; };"
    with pytest.raises(RulesetError, match="Too many links"):
        execute(parse(COUNTED, "x.nft"), f"table ip u {{ {chains} }}\nreset rules\n", "x.nft")


def test_an_element_that_is_reset_counts_and_ages_on() -> None:
    text = COUNTED.replace("flags interval", "flags interval,timeout")
    text = text.replace("packets 1 bytes 90", "packets 1 bytes 90 timeout 1h")
    loaded = parse(text, "x.nft")
    after = print_ruleset(execute(loaded, "reset set t s\n", "x.nft").ruleset)
    assert after == print_ruleset(loaded).replace("packets 1 bytes 90", "packets 0 bytes 0").replace(
        "packets 2 bytes 90", "packets 0 bytes 0"
    )


@pytest.mark.parametrize("name", BY_NAME)
def test_every_type_is_described(loaded: Ruleset, name: str) -> None:
    assert f"datatype {name} (" in printed(loaded, f"describe {name}")


METERS = """\
table inet t {
	chain c {
		meter one size 100 { ip saddr counter }
		meter two { ip saddr . tcp dport timeout 5s limit rate 1/second }
	}
}
"""
"""Lists of meters, as nft 1.0.6 prints them."""
ONE = "\tmeter one {\n\t\ttype ipv4_addr\n\t\tsize 100\n\t\tflags dynamic\n\t}\n"
TWO = "\tmeter two {\n\t\ttype ipv4_addr . inet_service\n\t\tsize 65535\n\t\tflags dynamic,timeout\n\t}\n"


@pytest.mark.parametrize(
    ("command", "listed"),
    [
        ("list meters", ONE + TWO),
        ("list meters inet", ONE + TWO),
        ("list flow tables", ONE + TWO),
        ("list meter inet t two", TWO),
        ("list sets", ""),
    ],
)
def test_meters_are_listed_by_themselves(command: str, listed: str) -> None:
    assert printed(parse(METERS, "x.nft"), command) == f"table inet t {{\n{listed}}}\n"


def test_meters_have_the_handles_of_their_sets() -> None:
    listing = printed(parse(METERS, "x.nft"), "list meters", handles=True)
    assert "meter one { # handle 2" in listing
    assert "meter two { # handle 4" in listing


def test_a_meter_that_is_not_there_is_not_listed() -> None:
    with pytest.raises(RulesetError, match="No such file or directory"):
        printed(parse(METERS, "x.nft"), "list meter inet t three")


OBJECTS = """\
table inet t {
	ct timeout five {
		protocol tcp
		l3proto inet
		policy = { established : 5 }
	}
}
"""


def test_objects_of_connections_are_listed_by_table() -> None:
    loaded = parse(OBJECTS, "x.nft")
    assert printed(loaded, "list ct timeout table inet t") == OBJECTS
    assert printed(loaded, "list ct helpers table inet t") == "table inet t {\n}\n"


def test_a_proxy_is_declared_in_one_line() -> None:
    declared = apply(Ruleset(), "add table t; add synproxy t p mss 1460 wscale 7 sack-perm\n", "x.nft")
    assert print_ruleset(declared) == (
        "table ip t {\n\tsynproxy p {\n\t\tmss 1460\n\t\twscale 7\n\t\t sack-perm\n\t}\n}\n"
    )
    with pytest.raises(RulesetError, match="expecting newline or semicolon or wscale"):
        apply(Ruleset(), "add table t; add synproxy t p mss 1460 timestamp\n", "x.nft")


NETDEV = """\
table netdev t {
	chain c {
		type filter hook ingress devices = { eth0, eth1 } priority filter; policy accept;
	}
}
"""


def test_devices_are_taken_out_of_chains() -> None:
    loaded = parse(NETDEV, "x.nft")
    less = apply(loaded, "delete chain netdev t c { devices = { eth1 }; }\n", "x.nft")
    assert 'hook ingress device "eth0"' in print_ruleset(less)
    assert print_ruleset(loaded) == NETDEV
    with pytest.raises(RulesetError, match="hint: it is not on eth7"):
        apply(loaded, "delete chain netdev t c { devices = { eth7 }; }\n", "x.nft")
    kept = apply(loaded, "destroy chain netdev t c { devices = { eth7 }; }\n", "x.nft")
    assert print_ruleset(kept) == NETDEV


NOT_NFTS = ("ct_event", "ct_label", "dccppkt_type", "ecn")
"""Types that nft 1.0.6 does not know by name."""
SWAPPED = ("arp_op", "ether_type")
"""Types of which it shows values with their bytes in the wrong order."""
OF_THE_MACHINE = ("devgroup", "realm")
"""Types whose names it reads from files."""
SELECTED = (
    *("tcp dport", "ip saddr", "ct state", "ct label", "meta mark", "iifname", "icmp type", "ip dscp"),
    *("tcp flags", "fib saddr type", "meta l4proto", "vlan id", "tcp option maxseg size", "rt mtu"),
    *("numgen inc mod 2", "jhash ip saddr mod 2", "socket mark", "frag id", "meta day", "ip option rr type"),
)


@pytest.mark.parametrize(
    "subject", [*(name for name in BY_NAME if name not in (*NOT_NFTS, *SWAPPED, *OF_THE_MACHINE)), *SELECTED]
)
def test_descriptions_are_those_of_the_real_nft(loaded: Ruleset, subject: str) -> None:
    require("nft")
    real = subprocess.run(["nft", "describe", *subject.split()], capture_output=True, text=True, check=True)
    assert printed(loaded, f"describe {subject}") == real.stdout


HOOKED = """\
table inet t {
	flowtable f {
		hook ingress priority 5
		devices = { eth0, eth1 }
	}
	chain c {
		type filter hook forward priority 0;
	}
	chain d {
		type filter hook forward priority 0;
	}
	chain e {
		type nat hook postrouting priority srcnat;
	}
	chain x {
	}
}
table netdev n {
	chain i {
		type filter hook ingress device eth0 priority -10;
	}
}
table ip off {
	flags dormant
	chain c {
		type filter hook forward priority 0;
	}
}
"""


def test_hooks_are_listed_in_the_order_in_which_they_run() -> None:
    loaded = parse(HOOKED, "x.nft")
    assert printed(loaded, "list hooks ip6") == (
        "family ip6 {\n"
        "\thook forward {\n"
        "\t\t 0000000000 chain inet t d [nf_tables]\n"
        "\t\t 0000000000 chain inet t c [nf_tables]\n"
        "\t}\n"
        "\thook postrouting {\n"
        "\t\t+0000000100 chain inet t e [nf_tables]\n"
        "\t}\n"
        "}\n"
    )
    assert printed(loaded, "list hooks netdev device eth0") == (
        "family netdev {\n"
        "\thook ingress device eth0 {\n"
        "\t\t-0000000010 chain netdev n i [nf_tables]\n"
        "\t\t+0000000005 flowtable inet t f [nf_flow_table_inet]\n"
        "\t}\n"
        "}\n"
    )
    assert printed(loaded, "list hooks inet").count("family") == 2
    assert printed(loaded, "list hooks").count("hook ingress") == 2
    assert printed(loaded, "list hooks arp") == ""
