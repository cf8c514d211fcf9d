"""Declarations of sets and maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.command import SetSyntax
from flowtable.ruleset.grammar import parse_comment
from flowtable.ruleset.keywords import RESERVED
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.objects import ObjectKind
from flowtable.ruleset.parser import parse_block
from flowtable.ruleset.syntax import ConcatTerm, SetTerm, Word
from flowtable.ruleset.types import BY_NAME
from flowtable.ruleset.types.concatenation import concatenation_of
from flowtable.ruleset.values import fail

if TYPE_CHECKING:
    from flowtable.ruleset.lexer import Token
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.syntax import Term
    from flowtable.ruleset.types.base import DataType

_FLAGS = ("constant", "interval", "dynamic", "timeout")
_OBJECTS = {
    kind.value: kind
    for kind in (
        ObjectKind.COUNTER,
        ObjectKind.QUOTA,
        ObjectKind.LIMIT,
        ObjectKind.SECMARK,
        ObjectKind.SYNPROXY,
    )
}
"""What a map can map to, beside values and verdicts."""


def parse_set_block(parser: Parser, name: Token, *, is_map: bool, nested: bool = True) -> SetSyntax:
    """Read the block of a set or map."""
    declared = SetSyntax(name.text, name.span, is_map=is_map)

    def item() -> None:
        _parse_item(parser, declared)

    parse_block(parser, item, nested=nested)
    return declared


def _parse_item(parser: Parser, declared: SetSyntax) -> None:
    token = parser.token
    match token.text if token.kind is Kind.STRING else "":
        case "type":
            parser.advance()
            datatype = _parse_type(parser)
            if declared.is_map:
                parser.expect(Kind.COLON, "colon", ".")
                _parse_data_type(parser, declared)
            declared.datatype = datatype
        case "typeof":
            parser.advance()
            typeof = _parse_typeof(parser)
            if declared.is_map:
                parser.expect(Kind.COLON, "colon")
                declared.verdicts = parser.accept_word("verdict") is not None
                declared.data_typeof = None if declared.verdicts else _parse_typeof(parser)
            declared.typeof = typeof
        case "flags":
            parser.advance()
            _parse_flags(parser, declared)
        case "elements":
            parser.advance()
            parser.expect(Kind.ASSIGN, "'='")
            declared.elements = _parse_elements(parser)
            return
        case "auto-merge":
            parser.advance()
            declared.auto_merge = True
        case "size":
            parser.advance()
            declared.size = parser.number("number")
        case "policy":
            parser.advance()
            if not parser.at_word("performance", "memory"):
                raise parser.unexpected("performance", "memory")
            declared.policy = parser.advance().text
        case "comment":
            parser.advance()
            declared.comment = parse_comment(parser)
        case "timeout":
            parser.advance()
            declared.timeout = parser.time()
        case "gc-interval":
            parser.advance()
            declared.gc_interval = parser.time()
        case word if word in parser.stateful:
            declared.statements += parser.stateful_statements()
        case _:
            raise parser.unexpected()
    parser.separator()


def _parse_typeof(parser: Parser) -> Term:
    """Read the selector, or the selectors, that give a type."""
    term = parser.expression()
    for part in term.parts if isinstance(term, ConcatTerm) else (term,):
        if isinstance(part, Word):
            raise parser.error("primary expression type 'symbol' lacks typeof serialization", part.span)
    return term


def _parse_data_type(parser: Parser, declared: SetSyntax) -> None:
    """Read what a map maps to."""
    if parser.accept_word("verdict"):
        declared.verdicts = True
    elif parser.at_word(*_OBJECTS):
        declared.objects = _OBJECTS[parser.advance().text]
    else:
        declared.data = _parse_type(parser)


def _parse_type(parser: Parser) -> DataType:
    """Read a type, or the types of a concatenation."""
    start = parser.token.span
    parts = [_parse_type_name(parser, "string")]
    while parser.accept(Kind.DOT):
        if parser.at_word("verdict"):
            span = parser.advance().span
            message = "can not use variable sized data types (verdict) in concat expressions"
            raise fail(message, span, parser.since(start))
        parts.append(_parse_type_name(parser))
    return parts[0] if len(parts) == 1 else concatenation_of(*parts)


def _parse_type_name(parser: Parser, *expecting: str) -> DataType:
    name = parser.token
    if name.kind is not Kind.STRING:
        raise parser.unexpected(*expecting)
    datatype = BY_NAME.get(name.text)
    if datatype is None and name.text in RESERVED:
        raise parser.unexpected()
    parser.advance()
    if datatype is None:
        raise parser.error(f"unknown datatype {name.text}", name.span)
    return datatype


def _parse_flags(parser: Parser, declared: SetSyntax) -> None:
    while True:
        if not parser.at_word(*_FLAGS):
            raise parser.unexpected(*_FLAGS)
        declared.flags |= {parser.advance().text}
        if not parser.accept(Kind.COMMA):
            return


def _parse_elements(parser: Parser) -> SetTerm:
    if parser.at(Kind.BRACE_OPEN):
        return parser.elements(data=None)
    if parser.at(Kind.DOLLAR):
        span = parser.token.span
        term = parser.variable()
        if isinstance(term, SetTerm):
            return term
        raise parser.error("Set member cannot be anything but a set", span)
    raise parser.unexpected("'{'", "'$'")
