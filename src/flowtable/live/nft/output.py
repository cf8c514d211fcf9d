"""What nft prints, with flowtables in it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from flowtable.live.record import PREFIX
from flowtable.live.rejoin import rejoin_json, rejoin_text
from flowtable.ruleset.family import Family
from flowtable.ruleset.printer import print_flowtable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowtable.live.record import Kept, Key

_ECHO: Final = re.compile(
    rf"(?P<verb>add|delete) (?P<kind>set|element) (?P<family>\S+) (?P<table>\S+) {PREFIX}(?P<name>\S+)"
    r"(?: \{(?P<handle> # handle \d+)?.*)?"
)


def shown(output: str, flowtables: Iterable[Kept], *, as_json: bool, sets: bool = False) -> str:
    """What is to be printed in the place of what nft printed.

    Args:
        output: what nft printed.
        flowtables: the flowtables that the kernel remembers.
        as_json: it is JSON, a document in each line.
        sets: it is a list of sets, which has no flowtables.
    """
    kept = {each.key: each for each in flowtables}
    if as_json:
        documents = [
            rejoin_json(json.loads(line), kept.values(), sets=sets) for line in output.splitlines() if line
        ]
        return "".join(f"{json.dumps(document)}\n" for document in documents)
    listing = rejoin_text(output, kept.values(), sets=sets)
    lines = [_echo(line, kept) if PREFIX in line else line for line in listing.splitlines()]
    return "".join(f"{line}\n" for line in lines if line is not None)


def _echo(line: str, kept: Mapping[Key, Kept]) -> str | None:
    """A line of ``nft --echo``: what is added or deleted. The devices of a flowtable come with it."""
    found = _ECHO.fullmatch(line.rstrip())
    if found is None:
        return line
    known = kept.get((Family(found["family"]), found["table"], found["name"]))
    if found["kind"] == "element" or known is None:
        return None
    block = print_flowtable(known.flowtable, handles=found["handle"] is not None).splitlines()
    inside = "; ".join(each.strip() for each in block[1:-1])
    handle = found["handle"] or ""
    head = f"{found['verb']} flowtable {found['family']} {found['table']} {found['name']}"
    return f"{head} {{{handle} {inside}; }}"
