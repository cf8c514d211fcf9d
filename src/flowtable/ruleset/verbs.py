"""Commands that start with another word than ``add`` or ``create``.

Ref: nftables src/parser_bison.y, the rules from ``replace_cmd`` to ``describe_cmd``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset import command
from flowtable.ruleset.command import (
    AddElements,
    AddRule,
    Command,
    Delete,
    DeleteDevices,
    DeleteRule,
    Flush,
    FlushRuleset,
    FlushSet,
    Rename,
    ReplaceRule,
)
from flowtable.ruleset.family import Family
from flowtable.ruleset.flowtable_block import parse_device_block, parse_flowtable_block
from flowtable.ruleset.grammar import SELECTORS, parse_rule
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.place import parse_handle, parse_place
from flowtable.ruleset.query import Describe, GetElements, ListHooks, Listing, ResetRule, Scope
from flowtable.ruleset.syntax import SetTerm
from flowtable.ruleset.table_name import parse_family, parse_table_name
from flowtable.ruleset.types import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span

_LISTED: Final = {tuple(kind.value.split()): kind for kind in command.Kind}
_EVERY: Final = {(*words[:-1], f"{words[-1]}s"): kind for words, kind in _LISTED.items()}
_DELETED: Final = {words: kind for words, kind in _LISTED.items() if kind is not command.Kind.METER}
_SETS: Final = ("set", "map", "meter")
_OF_CONNECTIONS: Final = (command.Kind.CT_HELPER, command.Kind.CT_TIMEOUT, command.Kind.CT_EXPECTATION)


def parse_add_rule(parser: Parser, *, insert: bool) -> Command:
    """Read a rule and where it goes."""
    table = parse_table_name(parser)
    chain = parser.name()
    place = parse_place(parser)
    if _at_end(parser):
        raise parser.unexpected()
    return AddRule(table, chain.text, chain.span, parse_rule(parser), place, insert)


def parse_elements(parser: Parser, *, delete: bool, destroy: bool = False, create: bool = False) -> Command:
    """Read the elements that are added to a set or taken out."""
    table = parse_table_name(parser)
    name = parser.name()
    return AddElements(table, name.text, name.span, _element_list(parser), delete, destroy, create)


def _element_list(parser: Parser) -> SetTerm:
    if parser.at(Kind.DOLLAR):
        span = parser.token.span
        term = parser.variable()
        if not isinstance(term, SetTerm):
            raise parser.error("Set member cannot be anything but a set", span)
        return term
    if parser.at(Kind.BRACE_OPEN):
        return parser.elements(data=None)
    raise parser.unexpected("'{'", "'$'")


def _parse_insert(parser: Parser, start: Span) -> Command:
    del start
    parser.expect_word("rule")
    return parse_add_rule(parser, insert=True)


def _parse_replace(parser: Parser, start: Span) -> Command:
    del start
    parser.expect_word("rule")
    table = parse_table_name(parser)
    chain = parser.name()
    place = parse_handle(parser)
    return ReplaceRule(table, chain.text, chain.span, place, parse_rule(parser))


def _parse_delete(parser: Parser, start: Span) -> Command:
    del start
    return _parse_deletion(parser, destroy=False)


def _parse_destroy(parser: Parser, start: Span) -> Command:
    del start
    return _parse_deletion(parser, destroy=True)


def _parse_deletion(parser: Parser, *, destroy: bool) -> Command:
    if parser.accept_word("element"):
        return parse_elements(parser, delete=True, destroy=destroy)
    if parser.accept_word("rule"):
        table = parse_table_name(parser)
        chain = parser.name()
        return DeleteRule(table, chain.text, chain.span, parse_handle(parser), destroy)
    kind = _parse_kind(parser, _DELETED)
    if kind is None:
        raise parser.unexpected()
    if kind is command.Kind.TABLE:
        return _parse_table_deletion(parser, destroy=destroy)
    table = parse_table_name(parser)
    if parser.at_word("handle"):
        place = parse_handle(parser)
        return Delete(kind, table, "", place.span, place.number, destroy)
    name = parser.name("handle", "string")
    if parser.at(Kind.BRACE_OPEN) and kind is command.Kind.FLOWTABLE:
        block = parse_flowtable_block(parser, name, nested=False)
        return DeleteDevices(kind, table, name.text, name.span, block.devices, destroy)
    if parser.at(Kind.BRACE_OPEN) and kind is command.Kind.CHAIN:
        return DeleteDevices(kind, table, name.text, name.span, parse_device_block(parser), destroy)
    return Delete(kind, table, name.text, name.span, None, destroy)


def _parse_table_deletion(parser: Parser, *, destroy: bool) -> Command:
    family = parse_family(parser)
    if parser.at_word("handle"):
        place = parse_handle(parser)
        table = command.TableName(family or Family.IP, "", place.span)
        return Delete(command.Kind.TABLE, table, "", place.span, place.number, destroy)
    name = parser.name()
    table = command.TableName(family or Family.IP, name.text, name.span)
    return Delete(command.Kind.TABLE, table, name.text, name.span, None, destroy)


def _parse_flush(parser: Parser, start: Span) -> Command:
    del start
    if parser.accept_word("ruleset"):
        return FlushRuleset(parse_family(parser))
    if parser.accept_word("table"):
        table = parse_table_name(parser)
        return Flush(table, None, table.span)
    if parser.accept_word("chain"):
        table = parse_table_name(parser)
        chain = parser.name()
        return Flush(table, chain.text, chain.span)
    if word := parser.accept_word(*_SETS):
        table = parse_table_name(parser)
        name = parser.name()
        return FlushSet(table, name.text, name.span, word)
    raise parser.unexpected()


def _parse_rename(parser: Parser, start: Span) -> Command:
    parser.expect_word("chain")
    table = parse_table_name(parser)
    chain = parser.name()
    name = parser.name()
    return Rename(table, chain.text, chain.span, name.text, parser.since(start))


def _parse_list(parser: Parser, start: Span) -> Command:
    if parser.accept_word("ruleset"):
        return Listing(Scope.RULESET, None, parse_family(parser), None, "", parser.since(start))
    if parser.accept_word("hooks"):
        family = parse_family(parser)
        return ListHooks(family, parser.text().text if parser.accept_word("device") else None)
    listing = _parse_listing(parser, start, reset=False)
    if listing is None:
        raise parser.unexpected()
    return listing


def _parse_reset(parser: Parser, start: Span) -> Command:
    if parser.accept_word("rules"):
        return _parse_reset_of_rules(parser, start)
    if parser.accept_word("rule"):
        table = parse_table_name(parser)
        chain = parser.name()
        return ResetRule(table, chain.text, chain.span, parse_handle(parser))
    if parser.accept_word("element"):
        return _parse_elements_shown(parser, start, reset=True)
    if not parser.at_word("counter", "counters", "quota", "quotas", "set", "map"):
        raise parser.unexpected()
    listing = _parse_listing(parser, start, reset=True)
    assert listing is not None
    return listing


def _parse_reset_of_rules(parser: Parser, start: Span) -> Listing:
    """Read ``[FAMILY] [TABLE [CHAIN]]``; the words ``table`` and ``chain`` in front are an older form."""
    kind = parser.accept_word("table", "chain")
    family = parse_family(parser)
    if kind is None and _at_end(parser):
        return Listing(Scope.RULESET, None, family, None, "", parser.since(start), reset=True)
    name = parser.name()
    table = command.TableName(family or Family.IP, name.text, name.span)
    if kind == "table" or (kind is None and _at_end(parser)):
        return Listing(Scope.ONE, command.Kind.TABLE, table.family, table, table.name, table.span, reset=True)
    chain = parser.name()
    return Listing(Scope.ONE, command.Kind.CHAIN, table.family, table, chain.text, chain.span, reset=True)


def _at_end(parser: Parser) -> bool:
    return parser.at_separator() or parser.at(Kind.END)


def _parse_listing(parser: Parser, start: Span, *, reset: bool) -> Listing | None:
    every = _parse_kind(parser, _EVERY)
    if every is not None:
        return _parse_listing_of_all(parser, every, start, reset=reset)
    kind = _parse_kind(parser, _LISTED)
    if kind is None:
        return None
    if kind in _OF_CONNECTIONS and parser.accept_word("table"):
        table = parse_table_name(parser)
        return Listing(Scope.EVERY, kind, table.family, table, "", table.span, reset)
    table = parse_table_name(parser)
    if kind is command.Kind.TABLE:
        return Listing(Scope.ONE, kind, table.family, table, table.name, table.span, reset)
    name = parser.name()
    return Listing(Scope.ONE, kind, table.family, table, name.text, name.span, reset)


def _parse_listing_of_all(parser: Parser, kind: command.Kind, start: Span, *, reset: bool) -> Listing:
    if kind is not command.Kind.TABLE and parser.accept_word("table"):
        table = parse_table_name(parser)
        return Listing(Scope.EVERY, kind, table.family, table, "", table.span, reset)
    family = parse_family(parser)
    return Listing(Scope.EVERY, kind, family, None, "", parser.since(start), reset)


def _parse_kind(parser: Parser, kinds: Mapping[tuple[str, ...], command.Kind]) -> command.Kind | None:
    """Read the words of a kind: one, or two as in ``ct helper``; meters were ``flow table`` once."""
    if parser.token.kind is not Kind.STRING:
        return None
    first, second = parser.token.text, parser.following.text
    if first == "flow" and second in ("table", "tables"):
        first, second = f"meter{second.removeprefix('table')}", ""
        parser.advance()
    if (first, second) in kinds:
        parser.advance()
        parser.advance()
        return kinds[first, second]
    if (first,) in kinds:
        parser.advance()
        return kinds[(first,)]
    return None


def _parse_get(parser: Parser, start: Span) -> Command:
    parser.expect_word("element")
    return _parse_elements_shown(parser, start, reset=False)


def _parse_elements_shown(parser: Parser, start: Span, *, reset: bool) -> GetElements:
    table = parse_table_name(parser)
    name = parser.name()
    return GetElements(table, name.text, name.span, _element_list(parser), parser.since(start), reset)


def _parse_describe(parser: Parser, start: Span) -> Command:
    del start
    token = parser.token
    if token.kind is Kind.STRING and token.text in SELECTORS:
        return Describe(SELECTORS[token.text](parser))
    parser.expect(Kind.STRING)
    datatype = BY_NAME.get(token.text)
    if datatype is None:
        raise parser.error(f"unknown datatype {token.text}", token.span)
    return Describe(datatype)


def _parse_export(parser: Parser, start: Span) -> Command:
    while not parser.at_separator() and not parser.at(Kind.END):
        parser.advance()
    raise parser.error(
        "JSON export is no longer supported, use 'nft -j list ruleset' instead",
        parser.since(start),
        hint="'flowtable print -j' prints a ruleset as JSON",
    )


def _parse_import(parser: Parser, start: Span) -> Command:
    while not parser.at_separator() and not parser.at(Kind.END):
        parser.advance()
    raise parser.error(
        "Could not process rule: Operation not supported",
        parser.since(start),
        hint="a JSON ruleset is read wherever a ruleset file is",
    )


def _parse_monitor(parser: Parser, start: Span) -> Command:
    raise parser.error(
        "there is nothing to monitor",
        start,
        hint="'monitor' follows a running kernel; a file changes nothing there",
    )


VERBS: Final[dict[str, Callable[[Parser, Span], Command]]] = {
    "insert": _parse_insert,
    "replace": _parse_replace,
    "delete": _parse_delete,
    "destroy": _parse_destroy,
    "flush": _parse_flush,
    "rename": _parse_rename,
    "list": _parse_list,
    "reset": _parse_reset,
    "get": _parse_get,
    "describe": _parse_describe,
    "export": _parse_export,
    "import": _parse_import,
    "monitor": _parse_monitor,
}
"""The first word of a command, and what reads the rest."""


def is_verb(parser: Parser) -> bool:
    """Whether a command starts here, and no rule for a table that is named like one.

    ``destroy`` and ``get`` are keywords in front of what they work on only.
    """
    word = parser.token.text
    if word not in VERBS:
        return False
    if word == "get":
        return parser.following.text == "element"
    return word != "destroy" or parser.following.text in _DESTROYED


_DESTROYED: Final = {words[0] for words in _DELETED} | {"rule", "element"}
