"""Whole rulesets, held against what nft 1.0.6 prints of them (tools/record-nft-expectations)."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowtable.ruleset import RulesetError, parse, print_ruleset
from tests.ruleset.cases import Case, read_cases, timeless

CASES = [
    pytest.param(case, id=f"{path.stem}-{number}")
    for path in sorted((Path(__file__).parent / "data").glob("*.cases"))
    for number, case in enumerate(read_cases(path.read_text()), 1)
]


@pytest.mark.parametrize("case", CASES)
def test_file(case: Case) -> None:
    try:
        output = print_ruleset(parse(case.text, "case.nft"))
    except RulesetError as error:
        output = "".join(f"{line}\n" for line in str(error).splitlines() if not line.startswith("hint: "))
    assert stripped(timeless(output)) == stripped(case.expected)


def stripped(output: str) -> list[str]:
    """Without the blank lines that nft puts between errors and behind carets."""
    return [line.rstrip() for line in output.splitlines() if line.strip()]
