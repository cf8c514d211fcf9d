"""Files, commands and blocks.

Ref: nftables src/parser_bison.y, the rules from ``input`` to ``chain_block``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset import command
from flowtable.ruleset.command import (
    AddChain,
    AddElements,
    AddFlowtable,
    AddRule,
    AddSet,
    AddTable,
    ChainSyntax,
    Command,
    Delete,
    Flush,
    FlushRuleset,
    HookSyntax,
    TableName,
    TableSyntax,
)
from flowtable.ruleset.family import Family
from flowtable.ruleset.flowtable_block import parse_devices, parse_flowtable_block
from flowtable.ruleset.grammar import parse_comment, parse_rule
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.keywords import RESERVED
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.model import ChainType
from flowtable.ruleset.parser import parse_block
from flowtable.ruleset.priority import parse_priority
from flowtable.ruleset.set_block import parse_set_block
from flowtable.ruleset.source import RulesetError, Span
from flowtable.ruleset.syntax import SetTerm, Word
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from flowtable.ruleset.parser import Parser

_END_OF_COMMAND: Final = ("end of file", "newline", "semicolon")
_FAMILIES: Final = {family.value: family for family in Family}
_UNSUPPORTED_FAMILIES: Final = ("arp", "bridge")
_OBJECTS: Final = ("counter", "quota", "limit", "synproxy", "secmark", "ct")
_UNSUPPORTED_COMMANDS: Final = (
    *("insert", "replace", "list", "reset", "rename", "monitor", "describe", "export", "import"),
    *("get", "destroy"),
)
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
        if token.text in ("delete", "flush"):
            parser.advance()
            return _parse_delete(parser) if token.text == "delete" else _parse_flush(parser)
        if token.text in _UNSUPPORTED_COMMANDS and (token.text in RESERVED or _is_object(parser)):
            if token.text == "destroy":
                raise parser.unexpected("string", token=parser.following)
            raise parser.unsupported(f"the command '{token.text}' is", token.span)
        if token.text in ("add", "create"):
            parser.advance()
            return _parse_add(parser, create=token.text == "create")
    return _parse_add(parser, create=False, start=token.span)


def _is_object(parser: Parser) -> bool:
    """Whether the next but one word is the kind of an object: then ``destroy`` is no family's table."""
    return parser.following.text in ("table", "chain", "rule", "set", "map", "element", "flowtable")


def _parse_add(parser: Parser, *, create: bool, start: Span | None = None) -> Command:
    start = start or parser.previous.span
    token = parser.token
    word = token.text if token.kind is Kind.STRING else ""
    match word:
        case "table":
            parser.advance()
            table = _table_name(parser)
            block = TableSyntax()
            if parser.at(Kind.BRACE_OPEN):
                block = _parse_table_block(parser)
            return AddTable(table, block, create, parser.since(start))
        case "chain":
            parser.advance()
            table = _table_name(parser)
            name = parser.name()
            chain = ChainSyntax(name.text, name.span)
            if parser.at(Kind.BRACE_OPEN):
                _parse_chain_block(parser, chain, nested=False)
            return AddChain(table, chain, create)
        case "flowtable":
            parser.advance()
            table = _table_name(parser)
            name = parser.name()
            return AddFlowtable(table, parse_flowtable_block(parser, name, nested=False), create)
        case "set" | "map":
            parser.advance()
            table = _table_name(parser)
            name = parser.name()
            return AddSet(table, parse_set_block(parser, name, is_map=word == "map", nested=False), create)
        case "element" if not create:
            parser.advance()
            return _parse_elements(parser, delete=False)
        case "rule" if create:
            raise parser.unexpected()
        case _ if word in _OBJECTS and not create:
            raise parser.unsupported(f"'{word}' objects are", token.span)
        case _:
            if word == "rule":
                parser.advance()
            elif word not in _FAMILIES and (token.kind is not Kind.STRING or word in RESERVED):
                raise parser.unexpected()
            return _parse_add_rule(parser)


def _parse_add_rule(parser: Parser) -> Command:
    table = _table_name(parser)
    chain = parser.name()
    if parser.at_word("position", "handle", "index"):
        raise parser.unsupported("placing a rule is", parser.token.span)
    if parser.at_separator() or parser.at(Kind.END):
        raise parser.unexpected()
    return AddRule(table, chain.text, chain.span, parse_rule(parser))


def _parse_elements(parser: Parser, *, delete: bool) -> Command:
    table = _table_name(parser)
    name = parser.name()
    if parser.at(Kind.DOLLAR):
        span = parser.token.span
        term = parser.variable()
        if not isinstance(term, SetTerm):
            raise parser.error("Set member cannot be anything but a set", span)
    elif parser.at(Kind.BRACE_OPEN):
        term = parser.elements(data=None)
    else:
        raise parser.unexpected("'{'", "'$'")
    return AddElements(table, name.text, name.span, term, delete)


def _parse_delete(parser: Parser) -> Command:
    if parser.accept_word("element"):
        return _parse_elements(parser, delete=True)
    if parser.at_word("rule", *_OBJECTS):
        raise parser.unsupported(f"deleting a {parser.token.text} is", parser.token.span)
    if not parser.at_word(*(kind.value for kind in command.Kind)):
        raise parser.unexpected()
    kind = command.Kind(parser.advance().text)
    if kind is command.Kind.TABLE:
        table = _table_name(parser)
        return Delete(kind, table, table.name, table.span)
    table = _table_name(parser)
    if parser.at_word("handle"):
        raise parser.unsupported("deleting by handle is", parser.token.span)
    name = parser.name("handle", "string")
    if parser.at(Kind.BRACE_OPEN):
        raise parser.unsupported("deleting parts is", parser.token.span)
    return Delete(kind, table, name.text, name.span)


def _parse_flush(parser: Parser) -> Command:
    if parser.accept_word("ruleset"):
        if parser.at_word(*_FAMILIES):
            return FlushRuleset(_FAMILIES[parser.advance().text])
        return FlushRuleset(None)
    if parser.accept_word("table"):
        table = _table_name(parser)
        return Flush(table, None, table.span)
    if parser.accept_word("chain"):
        table = _table_name(parser)
        chain = parser.name()
        return Flush(table, chain.text, chain.span)
    if parser.at_word("set", "map", "meter"):
        raise parser.unsupported(f"flushing a {parser.token.text} is", parser.token.span)
    raise parser.unexpected()


def _table_name(parser: Parser) -> TableName:
    family = Family.IP
    if parser.at_word(*_UNSUPPORTED_FAMILIES):
        raise parser.unsupported(f"{parser.token.text} tables are", parser.token.span)
    if parser.at_word(*_FAMILIES):
        family = _FAMILIES[parser.advance().text]
    name = parser.name()
    return TableName(family, name.text, name.span)


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
            flag = parser.expect(Kind.STRING, "string")
            if flag.text in ("owner", "persist"):
                raise parser.unsupported(f"the table flag '{flag.text}' is", flag.span)
            if flag.text != "dormant":
                raise parser.error(f"unknown table option {flag.text}", flag.span)
            table.dormant = True
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
            raise parser.unsupported(f"'{word}' objects are", token.span)
        case _:
            raise parser.unexpected()
    if not parser.stopped():
        parser.separator()


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
        case "flags" | "devices":
            raise parser.unsupported(f"'{word}' of a chain is", token.span)
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
