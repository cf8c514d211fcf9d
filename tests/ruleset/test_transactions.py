"""Files as transactions: all or nothing, on what is loaded already."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP

from flowtable.ruleset import Ruleset, RulesetError, apply, parse, print_ruleset
from flowtable.ruleset.evaluate import compile_ruleset
from flowtable.ruleset.family import Family
from flowtable.ruleset.hook import Hook
from tests.ruleset.box import FakeBox, packet

BASE = """\
table inet t {
	set s {
		type ipv4_addr
		elements = { 192.0.2.1 }
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
		ip saddr @s counter packets 0 bytes 0 jump x
		flow add @f
	}
}
"""


@pytest.fixture
def loaded() -> Ruleset:
    return parse(BASE, "base.nft")


def refusal(ruleset: Ruleset, text: str) -> tuple[str, str | None]:
    with pytest.raises(RulesetError) as caught:
        apply(ruleset, text, "change.nft")
    first = caught.value.diagnostics[0]
    assert print_ruleset(ruleset) == BASE, "a refused file changes nothing"
    return first.message, first.hint


def test_the_base_prints_as_it_is_written(loaded: Ruleset) -> None:
    assert print_ruleset(loaded) == BASE


def test_rules_are_appended_and_the_old_ruleset_stays(loaded: Ruleset) -> None:
    changed = apply(loaded, "add rule inet t c drop\ntable inet t { chain c { accept; }; }\n", "change.nft")
    assert print_ruleset(changed) == BASE.replace(
        "\t\tflow add @f\n", "\t\tflow add @f\n\t\tdrop\n\t\taccept\n"
    )
    assert print_ruleset(loaded) == BASE


def test_counters_go_on_after_a_change(loaded: Ruleset) -> None:
    (chain,) = compile_ruleset(loaded, FakeBox()).chains(2, Hook.FORWARD)
    chain(packet(IP(src="192.0.2.1", dst="10.0.0.1") / TCP()))
    changed = apply(loaded, "add rule inet t c drop\n", "change.nft")
    assert "counter packets 1 bytes 40" in print_ruleset(changed)


def test_an_error_at_the_end_undoes_everything(loaded: Ruleset) -> None:
    message, _ = refusal(loaded, "add table ip new\nadd rule inet t c accept\ndelete chain inet t nosuch\n")
    assert message == "Could not process rule: No such file or directory"


def test_declare_delete_declare(loaded: Ruleset) -> None:
    changed = apply(loaded, "table inet t\ndelete table inet t\n" + BASE, "change.nft")
    assert print_ruleset(changed) == BASE


def test_flush_keeps_everything_but_rules(loaded: Ruleset) -> None:
    flushed = apply(loaded, "flush table inet t\n", "change.nft")
    rules = "\t\tip saddr @s counter packets 0 bytes 0 jump x\n\t\tflow add @f\n"
    assert print_ruleset(flushed) == BASE.replace(rules, "").replace("\t\taccept\n", "")
    assert print_ruleset(apply(loaded, "flush ruleset ip\n", "change.nft")) == BASE
    assert print_ruleset(apply(loaded, "flush ruleset\n", "change.nft")) == ""


class TestFlowtables:
    """Vectors 11 and 12 of the acceptance list."""

    def test_in_use(self, loaded: Ruleset) -> None:
        message, hint = refusal(loaded, "delete flowtable inet t f\n")
        assert message == "Could not process rule: Device or resource busy"
        assert hint == "used by a rule of chain 'c'"

    def test_deleted_once_its_rules_are_gone(self, loaded: Ruleset) -> None:
        changed = apply(loaded, "flush chain inet t c\ndelete flowtable inet t f\n", "change.nft")
        assert list(changed.flowtables()) == []

    def test_offload_cannot_be_toggled(self, loaded: Ruleset) -> None:
        text = "add flowtable inet t f { hook ingress priority 0; flags offload; }\n"
        assert refusal(loaded, text) == (
            "Could not process rule: Operation not supported",
            "'flags offload' cannot be changed",
        )

    def test_counter_can_be_toggled(self, loaded: Ruleset) -> None:
        changed = apply(
            loaded, "add flowtable inet t f { hook ingress priority 0; counter; }\n", "change.nft"
        )
        assert [flowtable.counter for flowtable in changed.flowtables()] == [True]
        assert [flowtable.counter for flowtable in loaded.flowtables()] == [False]

    def test_the_priority_cannot_be_changed(self, loaded: Ruleset) -> None:
        message, _ = refusal(loaded, "add flowtable inet t f { hook ingress priority 5; }\n")
        assert message == "Could not process rule: Operation not supported"

    def test_devices_are_added(self, loaded: Ruleset) -> None:
        text = "add flowtable inet t f { devices = { lan0, eth0 }; }\n"
        changed = apply(loaded, text, "change.nft")
        assert [flowtable.devices for flowtable in changed.flowtables()] == [("eth0", "eth1", "lan0")]

    def test_a_device_twice_in_a_list(self, loaded: Ruleset) -> None:
        text = "add flowtable inet t g { hook ingress priority 0; devices = { lan0, lan0 }; }\n"
        assert refusal(loaded, text)[0] == "Could not process rule: File exists"

    def test_a_device_in_two_flowtables_of_a_table(self, loaded: Ruleset) -> None:
        text = "add flowtable inet t g { hook ingress priority 0; devices = { eth0 }; }\n"
        assert refusal(loaded, text) == (
            "Could not process rule: File exists",
            "device 'eth0' is in flowtable 'f' of this table",
        )

    def test_a_device_in_flowtables_of_two_tables(self, loaded: Ruleset) -> None:
        text = "table ip u { flowtable f { hook ingress priority 0; devices = { eth0 }; }; }\n"
        changed = apply(loaded, text, "change.nft")
        assert [flowtable.family for flowtable in changed.flowtables()] == [Family.INET, Family.IP]

    def test_a_device_that_does_not_exist(self, loaded: Ruleset) -> None:
        changed = apply(loaded, "add flowtable inet t f { devices = { ppp0 }; }\n", "change.nft")
        with pytest.raises(RulesetError) as caught:
            compile_ruleset(changed, FakeBox())
        assert str(caught.value).splitlines() == [
            "base.nft:7:12-12: Error: Could not process rule: No such file or directory",
            "\tflowtable f {",
            "\t          ^",
            "hint: flowtable 'f' is on ppp0, which does not exist",
        ]

    def test_too_many_devices(self, loaded: Ruleset) -> None:
        devices = ", ".join(f"v{number}" for number in range(300))
        message, _ = refusal(loaded, f"add flowtable inet t f {{ devices = {{ {devices} }}; }}\n")
        assert message == "Could not process rule: Argument list too long"

    def test_without_hook(self, loaded: Ruleset) -> None:
        message, _ = refusal(loaded, "add flowtable inet t g { devices = { lan0 }; }\n")
        assert message == "missing hook and priority in flowtable declaration"

    def test_outside_of_forward(self, loaded: Ruleset) -> None:
        text = (
            "table inet t { chain in { type filter hook input priority 0; jump y; };"
            " chain y { flow add @f; }; }\n"
        )
        assert refusal(loaded, text) == (
            "Could not process rule: Operation not supported",
            "'flow add @f' can be used in forward; chain 'y', reached from 'in', is in input",
        )


class TestSets:
    def test_elements_come_and_go(self, loaded: Ruleset) -> None:
        changed = apply(loaded, "add element inet t s { 10.0.0.1, 10.0.0.2 }\n", "change.nft")
        assert "elements = { 10.0.0.1, 10.0.0.2,\n\t\t\t     192.0.2.1 }" in print_ruleset(changed)
        changed = apply(changed, "delete element inet t s { 10.0.0.1, 192.0.2.1 }\n", "change.nft")
        assert "elements = { 10.0.0.2 }" in print_ruleset(changed)
        assert print_ruleset(loaded) == BASE

    def test_in_use(self, loaded: Ruleset) -> None:
        assert (
            refusal(loaded, "delete set inet t s\n")[0] == "Could not process rule: Device or resource busy"
        )

    def test_full(self, loaded: Ruleset) -> None:
        text = "add set inet t u { type inet_service; size 2; }\nadd element inet t u { 1, 2, 3 }\n"
        assert refusal(loaded, text)[0] == "Could not process rule: Too many open files in system"

    def test_missing_element(self, loaded: Ruleset) -> None:
        assert refusal(loaded, "delete element inet t s { 1.1.1.1 }\n")[0].endswith(
            "No such file or directory"
        )


def test_chains_in_use(loaded: Ruleset) -> None:
    assert refusal(loaded, "delete chain inet t x\n") == (
        "Could not process rule: Device or resource busy",
        "used by a rule of chain 'c'",
    )


def test_handles_are_given_in_order(loaded: Ruleset) -> None:
    listing = print_ruleset(loaded, handles=True)
    assert "chain x { # handle 1" in listing
    assert "flow add @f # handle 7" in listing
    changed = apply(loaded, "add rule inet t c drop\n", "change.nft")
    assert "drop # handle 8" in print_ruleset(changed, handles=True)


def test_terse_listings_leave_elements_out(loaded: Ruleset) -> None:
    assert "elements" not in print_ruleset(loaded, terse=True)


class TestLoops:
    def test_a_loop_only_matters_where_packets_get(self, loaded: Ruleset) -> None:
        loop = "table inet t { chain a { jump b; }; chain b { jump a; }; }\n"
        changed = apply(loaded, loop, "change.nft")
        with pytest.raises(RulesetError, match="Too many links") as caught:
            apply(changed, "add rule inet t c accept\nadd rule inet t c jump a\n", "change.nft")
        assert caught.value.diagnostics[0].span.line == 2

    def test_through_a_verdict_map(self, loaded: Ruleset) -> None:
        text = "table inet t { chain a { tcp dport vmap { 22 : jump a }; }; }\nadd rule inet t c jump a\n"
        assert refusal(loaded, text)[0] == "Could not process rule: Too many links"

    def test_many_ways_to_the_same_chain_are_no_loop(self) -> None:
        chains = "".join(
            f"chain a{number} {{ jump a{number + 1}; jump a{number + 1}; jump a{number + 1}; }};"
            for number in range(1, 15)
        )
        base = "chain c { type filter hook input priority 0; jump a1; }"
        text = f"table ip t {{ chain a15 {{ accept; }}; {chains} {base}; }}\n"
        assert "jump a15" in print_ruleset(parse(text, "deep.nft"))


def test_priorities_order_the_chains_of_a_hook() -> None:
    text = """
table ip a {
	chain late { type filter hook forward priority 10; }
	chain first { type filter hook forward priority raw; }
	chain same { type filter hook forward priority 0; }
}
table inet b {
	chain same { type filter hook forward priority 0; }
	chain input { type filter hook input priority 0; }
}
table netdev n {
	chain i { type filter hook ingress device lan0 priority 5; }
	chain j { type filter hook ingress devices = { lan0, lan1 } priority -5; }
}
"""
    program = compile_ruleset(parse(text, "order.nft"), FakeBox())
    forward = [(chain.table, chain.name) for chain in program.chains(2, Hook.FORWARD)]
    assert forward == [("a", "first"), ("b", "same"), ("a", "same"), ("a", "late")]
    assert [chain.name for chain in program.chains(10, Hook.FORWARD)] == ["same"]
    assert [chain.name for chain in program.device_chains("lan0", Hook.INGRESS)] == ["j", "i"]
    assert [chain.name for chain in program.device_chains("lan1", Hook.INGRESS)] == ["j"]
    assert program.device_chains("wan0", Hook.INGRESS) == []


def test_flags_of_tables_add_up_and_those_of_owners_mean_nothing() -> None:
    """As nft since 1.1.0 reads them, several on a line."""
    text = (
        "table ip t { flags persist, owner; chain c { type filter hook forward priority 0; drop; }; }\n"
        "table ip u { flags owner; }\n"
        "table ip u { flags dormant; }\n"
        "table ip u\n"
    )
    loaded = parse(text, "x.nft")
    assert len(compile_ruleset(loaded, FakeBox()).chains(2, Hook.FORWARD)) == 1
    assert "table ip t {\n\tflags owner,persist\n\n\tchain c" in print_ruleset(loaded)
    assert "table ip u {\n\tflags dormant,owner\n}\n" in print_ruleset(loaded)
    assert print_ruleset(parse(print_ruleset(loaded), "x.nft")) == print_ruleset(loaded)


@pytest.mark.parametrize(
    ("flags", "place", "message"),
    [
        ("owner,foo", "26-28", "unknown table option foo"),
        ("owner,", "26-26", "syntax error, unexpected semicolon, expecting string"),
        ("owner persist", "26-32", "syntax error, unexpected string, expecting newline or semicolon"),
    ],
)
def test_wrong_flags_of_tables(flags: str, place: str, message: str) -> None:
    with pytest.raises(RulesetError) as caught:
        parse(f"table ip t {{ flags {flags}; }}\n", "x.nft")
    assert f"x.nft:1:{place}: Error: {message}" in str(caught.value)


def test_dormant_tables_do_nothing() -> None:
    text = "table inet t { flags dormant; chain c { type filter hook forward priority 0; drop; }; }\n"
    assert compile_ruleset(parse(text, "dormant.nft"), FakeBox()).chains(2, Hook.FORWARD) == []
