"""Declarations of sets and maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.command import SetSyntax
from flowtable.ruleset.grammar import parse_comment
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.parser import parse_block
from flowtable.ruleset.syntax import SetTerm
from flowtable.ruleset.types import BY_NAME

if TYPE_CHECKING:
    from flowtable.ruleset.lexer import Token
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.types.base import DataType

_FLAGS = ("constant", "interval", "dynamic", "timeout")
_UNSUPPORTED = ("timeout", "gc-interval", "counter", "limit", "quota", "ct", "last")


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
                declared.verdicts = parser.accept_word("verdict") is not None
                declared.data = None if declared.verdicts else _parse_type(parser)
            declared.datatype = datatype
        case "typeof":
            parser.advance()
            declared.typeof = parser.expression()
            if declared.is_map:
                parser.expect(Kind.COLON, "colon")
                declared.verdicts = parser.accept_word("verdict") is not None
                declared.data_typeof = None if declared.verdicts else parser.expression()
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
        case word if word in _UNSUPPORTED:
            raise parser.unsupported(f"'{word}' of a set is", token.span)
        case _:
            raise parser.unexpected()
    parser.separator()


def _parse_type(parser: Parser) -> DataType:
    name = parser.token
    if name.kind is not Kind.STRING:
        raise parser.unexpected("string")
    parser.advance()
    datatype = BY_NAME.get(name.text)
    if datatype is None:
        raise parser.error(f"unknown datatype {name.text}", name.span)
    if parser.at(Kind.DOT):
        raise parser.unsupported("concatenations are", parser.token.span)
    return datatype


def _parse_flags(parser: Parser, declared: SetSyntax) -> None:
    while True:
        if not parser.at_word(*_FLAGS):
            raise parser.unexpected(*_FLAGS)
        flag = parser.advance()
        if flag.text in ("dynamic", "timeout"):
            raise parser.unsupported(f"the set flag '{flag.text}' is", flag.span)
        declared.flags |= {flag.text}
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
