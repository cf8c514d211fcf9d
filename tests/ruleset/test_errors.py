"""Errors beyond what nft itself can be asked for: hints, includes, and what is not understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowtable.ruleset import RulesetError, parse, print_ruleset
from flowtable.ruleset.evaluate import compile_ruleset
from flowtable.ruleset.files import Files
from tests.ruleset.box import FakeBox

RULE = "table inet t {{\n\tchain c {{\n\t\t{}\n\t}}\n}}\n"


def error(text: str, **options: Files) -> str:
    with pytest.raises(RulesetError) as caught:
        parse(text, "f.nft", **options)
    return str(caught.value)


def test_the_shape_of_an_error() -> None:
    assert error(RULE.format("ip saddr tcp accept")) == (
        "f.nft:3:12-14: Error: datatype mismatch, expected IPv4 address, "
        "expression has type Internet protocol\n"
        "\t\tip saddr tcp accept\n"
        "\t\t~~~~~~~~ ^^^"
    )


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("table inet t {\r\n}\r\n", "f.nft:1:15-15", "hint: the line ends with a carriage return"),
        ("\ufefftable inet t {\n}\n", "f.nft:1:1-1", "hint: the file starts with a byte order mark"),
    ],
)
def test_files_of_other_systems(text: str, place: str, hint: str) -> None:
    lines = error(text).splitlines()
    assert lines[0].startswith(f"{place}: Error: syntax error, unexpected junk")
    assert any(line.startswith(hint) for line in lines)


def test_no_more_than_ten_errors() -> None:
    assert error("foo bar\n" * 30).count("Error:") == 10


def test_blank_lines_in_lists_are_fine() -> None:
    """Unlike nft 1.0.6, which takes one newline there but no blank line."""
    ruleset = parse(RULE.format("tcp dport { 22,\n\n # and\n\n 80 } accept"), "f.nft")
    assert "tcp dport { 22, 80 } accept" in print_ruleset(ruleset)


@pytest.mark.parametrize("rule", ["iif nosuch accept", "oif { lan0, nosuch } accept"])
def test_devices_by_index_have_to_exist(rule: str) -> None:
    text = f"table inet t {{ chain c {{ type filter hook forward priority 0; {rule}; }}; }}\n"
    ruleset = parse(text, "f.nft")
    with pytest.raises(RulesetError, match="Interface does not exist"):
        compile_ruleset(ruleset, FakeBox())


class TestInclude:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "defines.nft").write_text("define PORT = 22")
        (tmp_path / "rules").mkdir()
        (tmp_path / "rules" / "b.nft").write_text("tcp dport 80 accept\n")
        (tmp_path / "rules" / "a.nft").write_text("# nothing\ntcp dport $PORT accept\n")
        (tmp_path / "wrong.nft").write_text("table inet t {\n\tchain c { tcp dport foo; }\n}\n")
        (tmp_path / "outer.nft").write_text('\ninclude "wrong.nft"\n')
        (tmp_path / "loop.nft").write_text('include "loop.nft"\n')
        return tmp_path

    def test_in_every_block(self, folder: Path) -> None:
        text = 'table inet t {\ninclude "defines.nft"\nchain c {\ninclude "rules/*.nft"\ndrop\n}\n}\n'
        ruleset = parse(text, "f.nft", read_include=Files([folder]))
        rules = "\t\ttcp dport 22 accept\n\t\ttcp dport 80 accept\n\t\tdrop\n"
        assert print_ruleset(ruleset) == f"table inet t {{\n\tchain c {{\n{rules}\t}}\n}}\n"

    def test_absolute_names(self, folder: Path) -> None:
        text = f'include "{folder}/defines.nft"\ntable inet t {{ chain c {{ tcp dport $PORT; }}; }}\n'
        assert "tcp dport 22" in print_ruleset(parse(text, "f.nft", read_include=Files([])))

    def test_a_pattern_may_match_nothing(self, folder: Path) -> None:
        assert parse('include "nosuch*.nft"\n', "f.nft", read_include=Files([folder])).tables == {}

    def test_a_file_has_to_exist(self, folder: Path) -> None:
        lines = error('include "nosuch.nft"\n', read_include=Files([folder])).splitlines()
        assert lines[0] == "f.nft:1:1-21: Error: File not found: nosuch.nft"

    def test_errors_name_every_file_on_the_way(self, folder: Path) -> None:
        lines = error('include "outer.nft"\n', read_include=Files([folder])).splitlines()
        wrong, outer = folder / "wrong.nft", folder / "outer.nft"
        assert lines == [
            f"In file included from {outer}:2:1-20:",
            "                 from f.nft:1:1-20:",
            f"{wrong}:2:22-24: Error: Could not resolve service: Servname not supported for ai_socktype",
            "\tchain c { tcp dport foo; }",
            "\t                    ^^^",
        ]

    def test_not_too_deep(self, folder: Path) -> None:
        lines = error('include "loop.nft"\n', read_include=Files([folder])).splitlines()
        assert lines[16].endswith("Include nested too deeply, max 16 levels")


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        ("tcp dprot 22 accept", "did you mean 'dport'?"),
        ("ct stat new accept", "did you mean 'state'?"),
        ("acept", "did you mean 'accept'?"),
        ("tcp dport 22 conter accept", "did you mean 'counter'?"),
        ("tcp dport 22 accept }", "put ';' or a new line in front of '}'"),
    ],
)
def test_misspelt_words_and_missing_separators_have_a_hint(rule: str, hint: str) -> None:
    assert f"hint: {hint}" in error(f"table inet t {{\n\tchain c {{\n\t\t{rule}\n\t}}\n}}\n")


def test_the_documentation_of_the_kernel_without_its_semicolon() -> None:
    text = "table inet x {\n\tflowtable f {\n\t\thook ingress priority 0 devices = { eth0, eth1 };\n\t}\n}\n"
    assert error(text).splitlines() == [
        "f.nft:3:27-33: Error: syntax error, unexpected devices, expecting newline or semicolon",
        "\t\thook ingress priority 0 devices = { eth0, eth1 };",
        "\t\t                        ^^^^^^^",
        "hint: put ';' or a new line in front of 'devices'",
    ]
