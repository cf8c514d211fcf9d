"""Files of cases: a ruleset, what nft makes of it, the next ruleset ..."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple


class Case(NamedTuple):
    text: str
    expected: str


def read_cases(text: str) -> list[Case]:
    return [Case(*case.split("----\n", 1)) for case in text.split("====\n")]


def timeless(listing: str) -> str:
    """Without the times that go on while it is listed."""
    return re.sub(r"expires [0-9a-z]+", "expires TIME", listing)


def write_cases(cases: Iterable[Case]) -> str:
    return "====\n".join(f"{case.text}----\n{case.expected}" for case in cases)
