"""The command line of nft, and what a text may be about."""

from __future__ import annotations

import pytest

from flowtable.live.nft.arguments import included, lists, mentions_flows, read_arguments, shows_flows


@pytest.mark.parametrize(
    ("line", "options", "file", "words"),
    [
        ("list ruleset", (), None, ("list", "ruleset")),
        ("-a list ruleset", ("--handle",), None, ("list", "ruleset")),
        ("-jan list ruleset", ("--json", "--handle", "--numeric"), None, ("list", "ruleset")),
        ("-nn list ruleset", ("--numeric", "--numeric"), None, ("list", "ruleset")),
        ("-f rules.nft", (), "rules.nft", ()),
        ("-cf rules.nft", ("--check",), "rules.nft", ()),
        ("-frules.nft", (), "rules.nft", ()),
        ("--file=rules.nft --check", ("--check",), "rules.nft", ()),
        ("--hand --file -", ("--handle",), "-", ()),
        ("-d netlink -e add table t", ("--echo", "--debug=netlink"), None, ("add", "table", "t")),
        ("-- list ruleset", (), None, ("list", "ruleset")),
        (
            "add rule t c counter -1",
            (),
            None,
            ("add", "rule", "t", "c", "counter", "-1"),
        ),
    ],
)
def test_what_nft_takes(
    line: str, options: tuple[str, ...], file: str | None, words: tuple[str, ...]
) -> None:
    arguments = read_arguments(line.split())
    assert arguments is not None
    assert (arguments.options, arguments.file, arguments.words) == (options, file, words)


def test_variables_and_folders_are_kept_apart() -> None:
    arguments = read_arguments(["-D", "a=1", "--define", "b=2", "-I", "/x", "-I/y", "-f", "-"])
    assert arguments is not None
    assert (arguments.defines, arguments.folders) == (("a=1", "b=2"), ("/x", "/y"))
    assert arguments.standard


@pytest.mark.parametrize("line", ["-x list ruleset", "--nosuch", "-f", "--json=yes list ruleset", "-aZ"])
def test_what_nft_does_not_take_is_left_to_it(line: str) -> None:
    assert read_arguments(line.split()) is None


@pytest.mark.parametrize("line", ["", "-v", "--help", "-i", "-a"])
def test_what_has_no_commands_is_left_to_it(line: str) -> None:
    arguments = read_arguments(line.split())
    assert arguments is not None
    assert arguments.plain


@pytest.mark.parametrize(
    "text",
    [
        "add flowtable inet t f { hook ingress priority 0; }",
        "list flowtables",
        "tcp dport 22 flow add @f",
        "tcp dport 22 flow\toffload @f",
        '{"nftables": [{"flowtable": {"family": "inet"}}]}',
        '{"flow": {"op": "add", "flowtable": "@f"}}',
    ],
)
def test_what_is_about_flowtables(text: str) -> None:
    assert mentions_flows(text)


@pytest.mark.parametrize(
    "text", ["flow table ft { ip saddr counter }", "ip6 flowlabel 5", "add table inet overflow"]
)
def test_what_is_not(text: str) -> None:
    assert not mentions_flows(text)


def test_lists_and_includes() -> None:
    assert lists("list ruleset")
    assert lists("reset counters")
    assert not lists("add table listen")
    assert not lists("monitor"), "there is no end of it"
    assert included('include "a.nft"\ntable t {\n\tinclude "b/*.nft"; include "c"\n}\n') == [
        "a.nft",
        "b/*.nft",
        "c",
    ]
    assert shows_flows("set flowtable-f {")
    assert not shows_flows("table inet t {\n}\n")
