"""The ruleset that the kernel has, with flowtables, and with the handles that the kernel gave."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flowtable.live.rejoin import rejoin_text
from flowtable.ruleset import Ruleset, RulesetError, apply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowtable.live.record import Kept
    from flowtable.ruleset.model import Chain, Flowtable, Rule, Table
    from flowtable.ruleset.objects import NamedObject
    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.source import Span

_HANDLE: Final = re.compile(r" # handle (\d+)$")
_TABLE: Final = re.compile(r"^table .*?^\}$", re.MULTILINE | re.DOTALL)


def read_listing(listing: str, flowtables: Iterable[Kept]) -> Ruleset:
    """Read what ``nft -a list ruleset`` prints.

    Args:
        listing: what it printed.
        flowtables: the flowtables that the kernel remembers.

    Returns:
        The tables that can be read; one that uses what only a newer language has is left out.
    """
    ruleset = Ruleset()
    for text in _TABLE.findall(rejoin_text(listing, flowtables)):
        try:
            ruleset = apply(ruleset, f"{text}\n", "ruleset")
        except RulesetError:
            continue
    for table in ruleset.tables.values():
        _adopt(table)
    ruleset.last_handle = max((table.handle for table in ruleset.tables.values()), default=0)
    return ruleset


def _adopt(table: Table) -> None:
    """Give everything in a table the handle that stands behind it in the listing."""
    table.handle = _handle(table.span)
    rules = [rule for chain in table.chains.values() for rule in chain.rules]
    numbered: tuple[NamedObject | Set | Flowtable | Chain | Rule, ...] = (
        *table.objects.values(),
        *table.sets.values(),
        *table.flowtables.values(),
        *table.chains.values(),
        *rules,
    )
    for each in numbered:
        each.handle = _handle(each.span)
    table.last_handle = max((each.handle for each in numbered), default=0)


def _handle(span: Span) -> int:
    """The handle at the end of the line, or of the block of a chain without a name that begins there."""
    number = span.line
    found = _HANDLE.search(span.source.line(number))
    while found is None and number < len(span.source.text):
        number += 1
        line = span.source.line(number)
        found = _HANDLE.search(line)
        if line.startswith("\t}"):
            break
    return 0 if found is None else int(found[1])
