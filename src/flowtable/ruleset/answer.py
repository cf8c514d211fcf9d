"""What ``list``, ``reset``, ``get`` and ``describe`` print.

A listing is that of the ruleset with everything else left out. Other than with nft 1.0.6, it shows
what the commands in front of it in the same file have made.

Ref: nftables src/rule.c:do_command_list.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar, assert_never

from flowtable.ruleset.change import Get
from flowtable.ruleset.command import Kind
from flowtable.ruleset.describe import describe
from flowtable.ruleset.element import field_bounds
from flowtable.ruleset.hook_listing import list_hooks
from flowtable.ruleset.model import Ruleset
from flowtable.ruleset.objects import ObjectKind
from flowtable.ruleset.query import Describe, ListHooks, Listing, Scope
from flowtable.ruleset.refused import ENOENT, refused, similar
from flowtable.ruleset.source import Diagnostic, RulesetError
from flowtable.ruleset.statements.meter import Meter
from flowtable.ruleset.table_flag import NO_FLAGS
from flowtable.ruleset.values import Fields, Interval, bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flowtable.ruleset.element import Element
    from flowtable.ruleset.model import Table
    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.source import Span

    Show = Callable[[Ruleset], str]
    """Prints a ruleset."""


T = TypeVar("T")

_EMPTY_TABLE: Final = re.compile(r" \{(?: # handle \d+)?\n\}\n")


def answer(ruleset: Ruleset, query: Listing | Get | Describe | ListHooks, show: Show) -> str:
    """What a query prints.

    Raises:
        RulesetError: it asks for something that is not there.
    """
    match query:
        case Listing():
            return _list(ruleset, query, show)
        case Get():
            return _get(ruleset, query, show)
        case Describe(subject):
            return describe(subject)
        case ListHooks():
            return list_hooks(ruleset, query)
        case _:
            assert_never(query)


def find_set(table: Table, name: str, span: Span, word: str) -> Set:
    """The set or map of a table.

    Args:
        table: the table.
        name: its name.
        span: where the name stands.
        word: ``set`` or ``map``: what it has to be; others are never found.
    """
    declared = table.sets.get(name)
    if declared is None or word != ("map" if declared.is_map else "set"):
        names = [each.name for each in table.sets.values() if each.is_map is (word == "map")]
        raise _missing(name, span, names)
    return declared


def covering(declared: Set, query: Get) -> list[Element]:
    """The elements of a set that cover those that are asked for.

    Raises:
        RulesetError: one is not there.
    """
    found = []
    for element in query.elements:
        match = next((each for each in declared.elements.values() if _covers(each, element)), None)
        if match is None:
            raise refused(ENOENT, query.query.span)
        found.append(match)
    return found


def _missing(name: str, span: Span, names: Iterable[str]) -> RulesetError:
    return RulesetError([Diagnostic(ENOENT, span, hint=similar(name, names))])


def _list(ruleset: Ruleset, query: Listing, show: Show) -> str:
    whole = query.kind is None or (query.kind is Kind.TABLE and query.scope is Scope.ONE)
    parts = _tables(ruleset, query)
    if not whole:
        parts = [_part(table, query) for table in parts]
    text = show(Ruleset({(part.family, part.name): part for part in parts}))
    if whole:
        return text
    if query.kind is Kind.TABLE:
        return _EMPTY_TABLE.sub("\n", text)
    return text.replace("\n\n", "\n")


def _tables(ruleset: Ruleset, query: Listing) -> list[Table]:
    if query.table is not None:
        table = ruleset.tables.get((query.table.family, query.table.name))
        if table is None:
            names = [name for family, name in ruleset.tables if family is query.table.family]
            raise _missing(query.table.name, query.table.span, names)
        return [table]
    return [table for table in ruleset.tables.values() if query.family in (None, table.family)]


def _part(table: Table, query: Listing) -> Table:
    """A table with nothing but what is asked for; it has a handle if it is listed itself."""
    handle = table.handle if query.kind is Kind.TABLE else 0
    part = replace(
        table, chains={}, sets={}, flowtables={}, objects={}, flags=NO_FLAGS, comment=None, handle=handle
    )
    every = query.scope is Scope.EVERY
    match query.kind:
        case Kind.CHAIN if every:
            part.chains = {name: replace(chain, rules=[]) for name, chain in table.chains.items()}
        case Kind.CHAIN:
            part.chains = _named(table.chains, query)
        case Kind.FLOWTABLE:
            part.flowtables = table.flowtables if every else _named(table.flowtables, query)
        case Kind.SET | Kind.MAP:
            is_map = query.kind is Kind.MAP
            of_kind = {name: each for name, each in table.sets.items() if each.is_map is is_map}
            part.sets = of_kind if every else _named(of_kind, query)
        case Kind.METER:
            meters = {meter.name: meter for meter in _meters(table)}
            part.sets = meters if every else _named(meters, query)
        case Kind.TABLE | None:
            pass
        case _:
            kind = ObjectKind(query.kind.value)
            of_its_kind = {name: each for (other, name), each in table.objects.items() if other is kind}
            shown = of_its_kind if every else _named(of_its_kind, query)
            part.objects = {(kind, name): each for name, each in shown.items()}
    return part


def _meters(table: Table) -> Iterator[Set]:
    """The sets of the meters of its rules."""
    for chain in table.chains.values():
        for rule in chain.rules:
            for statement in rule.every_statement():
                if isinstance(statement, Meter):
                    yield statement.set


def _named(things: dict[str, T], query: Listing) -> dict[str, T]:
    if query.name not in things:
        raise _missing(query.name, query.span, things)
    return {query.name: things[query.name]}


def _get(ruleset: Ruleset, query: Get, show: Show) -> str:
    asked = query.query
    table = ruleset.tables[asked.table.family, asked.table.name]
    declared = table.sets[asked.set]
    found = covering(declared, query)
    part = replace(table, chains={}, flowtables={}, objects={}, flags=NO_FLAGS, comment=None, handle=0)
    part.sets = {asked.set: replace(declared, elements={element.key: element for element in found})}
    return show(Ruleset({(table.family, table.name): part}))


def _covers(element: Element, other: Element) -> bool:
    if element.key is None or other.key is None:
        return element.key is other.key
    if isinstance(element.key, Interval) or isinstance(other.key, Interval):
        return _contains(bounds(element.key), bounds(other.key))
    if isinstance(element.key, Fields) or isinstance(other.key, Fields):
        pairs = zip(field_bounds(element.key), field_bounds(other.key), strict=True)
        return all(_contains(whole, part) for whole, part in pairs)
    return element.key == other.key


def _contains(whole: tuple[int, int], part: tuple[int, int]) -> bool:
    return whole[0] <= part[0] and part[1] <= whole[1]
