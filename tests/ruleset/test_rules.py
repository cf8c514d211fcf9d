"""Every kind of rule, held against what nft 1.0.6 says of it (tools/record-nft-expectations)."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowtable.ruleset import Diagnostic, RulesetError, parse
from flowtable.ruleset.printer import print_rule
from tests.ruleset.table import Row, read_rows, ruleset_of

HERE = Path(__file__).parent
ROWS = [
    pytest.param(row, id=f"{path.stem}-{row.line}: {row.rule}")
    for path in sorted(HERE.glob("*.txt"))
    for row in read_rows(path.read_text())
]


@pytest.mark.parametrize("row", ROWS)
def test_rule(row: Row) -> None:
    assert outcome(row) == (row.verdict, row.expected)


def outcome(row: Row) -> tuple[str, str]:
    text, line = ruleset_of(row)
    try:
        ruleset = parse(text, "rule.nft")
    except RulesetError as error:
        assert all(diagnostic.span.line == line for diagnostic in error.diagnostics)
        return "error", " | ".join(map(describe, error.diagnostics))
    (table,) = ruleset.tables.values()
    return "ok", print_rule(table.chains["c"].rules[0], table.family)


def describe(diagnostic: Diagnostic) -> str:
    place = f"{diagnostic.span.first}-{diagnostic.span.last}"
    underline = str(diagnostic).splitlines()[2]
    related = []
    start = None
    for column, mark in enumerate(underline + " ", 1):
        if mark == "~" and start is None:
            start = column
        elif mark != "~" and start is not None:
            related.append(f"~{start}-{column - 1}")
            start = None
    return " ".join([place, diagnostic.message, *related])
