"""Files, commands and blocks.

Ref: nftables src/parser_bison.y, the rules from ``input`` to ``chain_block``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.command import (
    AddChain,
    AddFlowtable,
    AddObject,
    AddSet,
    AddTable,
    ChainSyntax,
    Command,
    HookSyntax,
    TableSyntax,
)
from flowtable.ruleset.flowtable_block import parse_devices, parse_flowtable_block
from flowtable.ruleset.grammar import parse_comment, parse_rule
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.keywords import RESERVED
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.model import ChainType
from flowtable.ruleset.object_block import parse_object_block, parse_object_kind
from flowtable.ruleset.parser import parse_block
from flowtable.ruleset.priority import parse_priority
from flowtable.ruleset.set_block import parse_set_block
from flowtable.ruleset.source import RulesetError, Span
from flowtable.ruleset.syntax import Word
from flowtable.ruleset.table_flag import TableFlag, flag_words
from flowtable.ruleset.table_name import FAMILIES, parse_table_name
from flowtable.ruleset.verbs import VERBS, is_verb, parse_add_rule, parse_elements
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from flowtable.ruleset.parser import Parser

_END_OF_COMMAND: Final = ("end of file", "newline", "semicolon")
_OBJECTS: Final = ("counter", "quota", "limit", "synproxy", "secmark", "ct")
_FLAGS: Final = {word: flag for flag in TableFlag for word in flag_words(flag)}
_POLICIES: Final = {"accept": Verdict.ACCEPT, "drop": Verdict.DROP}


def parse_file(parser: Parser) -> list[Command]:
    """Read all commands; what is wrong is in ``parser.errors``."""
    commands: list[Command] = []
    while not parser.stopped() and not parser.at(Kind.END):
        if parser.at_separator():
            parser.advance()
            continue
        try:
            if parser.at_word("include"):
                parser.include()
            elif parser.at_word("define", "redefine", "undefine"):
                parser.define()
            else:
                parsed = _parse_command(parser)
                if parser.stopped():
                    break
                commands.append(parsed)
                if not parser.at(Kind.END) and not parser.at_separator():
                    raise parser.unexpected(*_END_OF_COMMAND)
        except RulesetError as error:
            parser.report(error)
    return commands


def _parse_command(parser: Parser) -> Command:
    parser.depth = 0
    token = parser.token
    if token.kind is Kind.STRING:
        if is_verb(parser):
            parser.advance()
            return VERBS[token.text](parser, token.span)
        if token.text in ("add", "create"):
            parser.advance()
            return _parse_add(parser, create=token.text == "create")
    return _parse_add(parser, create=False, start=token.span)


def _parse_add(parser: Parser, *, create: bool, start: Span | None = None) -> Command:
    start = start or parser.previous.span
    token = parser.token
    word = token.text if token.kind is Kind.STRING else ""
    match word:
        case "table":
            parser.advance()
            table = parse_table_name(parser)
            block = TableSyntax()
            if parser.at(Kind.BRACE_OPEN):
                block = _parse_table_block(parser)
            return AddTable(table, block, create, parser.since(start))
        case "chain":
            parser.advance()
            table = parse_table_name(parser)
            name = parser.name()
            chain = ChainSyntax(name.text, name.span)
            if parser.at(Kind.BRACE_OPEN):
                _parse_chain_block(parser, chain, nested=False)
            return AddChain(table, chain, create)
        case "flowtable":
            parser.advance()
            table = parse_table_name(parser)
            name = parser.name()
            return AddFlowtable(table, parse_flowtable_block(parser, name, nested=False), create)
        case "set" | "map":
            parser.advance()
            table = parse_table_name(parser)
            name = parser.name()
            return AddSet(table, parse_set_block(parser, name, is_map=word == "map", nested=False), create)
        case "element":
            parser.advance()
            return parse_elements(parser, delete=False, create=create)
        case "rule" if create:
            raise parser.unexpected()
        case _ if word in _OBJECTS:
            kind = parse_object_kind(parser)
            table = parse_table_name(parser)
            name = parser.name()
            return AddObject(table, parse_object_block(parser, kind, name, nested=False), create)
        case _:
            if word == "rule":
                parser.advance()
            elif word not in FAMILIES and (token.kind is not Kind.STRING or word in RESERVED):
                raise parser.unexpected()
            return parse_add_rule(parser, insert=False)


def _parse_table_block(parser: Parser) -> TableSyntax:
    table = TableSyntax()

    def item() -> None:
        _parse_table_item(parser, table)

    parser.scope.open()
    parse_block(parser, item, nested=False)
    parser.scope.close()
    return table


def _parse_table_item(parser: Parser, table: TableSyntax) -> None:
    token = parser.token
    word = token.text if token.kind is Kind.STRING else ""
    match word:
        case "chain":
            parser.advance()
            name = parser.name()
            chain = ChainSyntax(name.text, name.span)
            _parse_chain_block(parser, chain)
            table.chains.append(chain)
        case "flowtable":
            parser.advance()
            table.flowtables.append(parse_flowtable_block(parser, parser.name()))
        case "set" | "map":
            parser.advance()
            table.sets.append(parse_set_block(parser, parser.name(), is_map=word == "map"))
        case "flags":
            parser.advance()
            table.flags |= _parse_flag(parser)
            while parser.accept(Kind.COMMA):
                table.flags |= _parse_flag(parser)
        case "comment":
            parser.advance()
            text = parse_comment(parser)
            if table.comment is not None:
                raise parser.error(
                    "You can only specify this once. This statement is duplicated.",
                    parser.since(token.span),
                )
            table.comment = text
        case _ if word in _OBJECTS:
            kind = parse_object_kind(parser)
            table.objects.append(parse_object_block(parser, kind, parser.name()))
        case _:
            raise parser.unexpected()
    if not parser.stopped():
        parser.separator()


def _parse_flag(parser: Parser) -> TableFlag:
    flag = parser.expect(Kind.STRING, "string")
    if flag.text not in _FLAGS:
        raise parser.error(f"unknown table option {flag.text}", flag.span)
    return _FLAGS[flag.text]


def _parse_chain_block(parser: Parser, chain: ChainSyntax, *, nested: bool = True) -> None:
    def item() -> None:
        _parse_chain_item(parser, chain)

    parser.scope.open()
    parse_block(parser, item, nested=nested)
    parser.scope.close()


def _parse_chain_item(parser: Parser, chain: ChainSyntax) -> None:
    token = parser.token
    word = token.text if token.kind is Kind.STRING else ""
    match word:
        case "type":
            chain.hook = _parse_hook(parser)
        case "policy":
            _parse_policy(parser, chain)
        case "comment":
            _parse_comment(parser, chain)
        case "flags":
            parser.advance()
            parser.expect_word("offload")
            chain.offload = True
        case "devices":
            parser.advance()
            parser.expect(Kind.ASSIGN, "'='")
            chain.devices = parse_devices(parser)
        case _:
            rule = parse_rule(parser)
            if not parser.stopped():
                parser.separator()
            chain.rules.append(rule)
            return
    parser.separator()


def _parse_comment(parser: Parser, chain: ChainSyntax) -> None:
    """Read a comment, which is the chain's, and not that of a rule without statements."""
    start = parser.advance().span
    text = parse_comment(parser)
    if chain.comment is not None:
        raise parser.error(
            "You can only specify this once. This statement is duplicated.", parser.since(start)
        )
    chain.comment = text


def _parse_hook(parser: Parser) -> HookSyntax:
    start = parser.advance().span
    kind = parser.name()
    types = {chain_type.value: chain_type for chain_type in ChainType}
    if kind.text not in types:
        raise parser.error("unknown chain type", kind.span)
    parser.expect_word("hook")
    hook = parser.name()
    devices: tuple[str, ...] | None = None
    device_span = parser.token.span
    if parser.accept_word("device"):
        devices = (_parse_device(parser),)
    elif parser.at_word("devices"):
        parser.advance()
        parser.expect(Kind.ASSIGN, "'='")
        devices = parse_devices(parser)
    device_span = parser.since(device_span)
    priority = parse_priority(parser)
    hooks = {item.name.lower(): item for item in Hook}
    if hook.text not in hooks:
        raise parser.error("unknown chain hook", hook.span)
    return HookSyntax(
        types[kind.text],
        hooks[hook.text],
        hook.span,
        priority,
        devices,
        device_span,
        parser.since(start),
    )


def _parse_device(parser: Parser) -> str:
    if parser.at(Kind.DOLLAR):
        span = parser.token.span
        term = parser.variable()
        if not isinstance(term, Word):
            raise parser.error("invalid device name", span)
        return term.text
    return parser.text().text


def _parse_policy(parser: Parser, chain: ChainSyntax) -> None:
    start = parser.advance().span
    if parser.at(Kind.DOLLAR):
        span = parser.token.span
        term = parser.variable()
        if not isinstance(term, Word) or term.text not in _POLICIES:
            raise parser.error("invalid policy expression value", span)
        chain.policy = _POLICIES[term.text]
    elif parser.at_word(*_POLICIES):
        chain.policy = _POLICIES[parser.advance().text]
    else:
        raise parser.unexpected("accept", "drop", "'$'")
    chain.policy_span = parser.since(start)
