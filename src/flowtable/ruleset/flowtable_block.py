"""Declarations of flowtables, and lists of devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.command import FlowtableSyntax
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.parser import parse_block
from flowtable.ruleset.priority import parse_priority
from flowtable.ruleset.syntax import SetTerm, Word

if TYPE_CHECKING:
    from flowtable.ruleset.lexer import Token
    from flowtable.ruleset.parser import Parser

_MEMBER = ("string", "quoted string", "'$'")


def parse_flowtable_block(parser: Parser, name: Token, *, nested: bool = True) -> FlowtableSyntax:
    """Read the block of a flowtable."""
    flowtable = FlowtableSyntax(name.text, name.span)

    def item() -> None:
        if not parser.at_word("hook"):
            _parse_item(parser, flowtable)
            return
        parser.advance()
        hook = parser.name()
        flowtable.priority = parse_priority(parser)
        parser.separator()
        if hook.text not in (known.name.lower() for known in Hook):
            raise parser.error("unknown chain hook", hook.span)
        flowtable.hook = hook.text

    parse_block(parser, item, nested=nested)
    return flowtable


def _parse_item(parser: Parser, flowtable: FlowtableSyntax) -> None:
    if parser.accept_word("counter"):
        flowtable.counter = True
        return
    if parser.accept_word("devices"):
        parser.expect(Kind.ASSIGN, "'='")
        flowtable.devices += parse_devices(parser)
    elif parser.accept_word("flags"):
        parser.expect_word("offload")
        flowtable.offload = True
    else:
        raise parser.unexpected()
    parser.separator()


def parse_device_block(parser: Parser) -> tuple[str, ...]:
    """Read a block with nothing but devices."""
    devices: list[str] = []

    def item() -> None:
        parser.expect_word("devices")
        parser.expect(Kind.ASSIGN, "'='")
        devices.extend(parse_devices(parser))
        parser.separator()

    parse_block(parser, item, nested=False)
    return tuple(devices)


def parse_devices(parser: Parser) -> tuple[str, ...]:
    """Read a list of devices, in braces or by variable."""
    if parser.at(Kind.DOLLAR):
        return _of_variable(parser)
    parser.expect(Kind.BRACE_OPEN, "'{'", "'$'")
    parser.skip_newlines()
    devices: list[str] = []
    while not devices or not parser.at(Kind.BRACE_CLOSE):
        if parser.at(Kind.DOLLAR):
            devices.extend(_of_variable(parser))
        elif parser.at(Kind.QUOTED):
            devices.append(_name(parser, parser.advance()))
        elif parser.at(Kind.STRING):
            devices.append(parser.name(*_MEMBER).text)
        else:
            raise parser.unexpected(*_MEMBER)
        parser.skip_newlines()
        if not parser.at(Kind.COMMA):
            break
        while parser.accept(Kind.COMMA):
            parser.skip_newlines()
    parser.expect(Kind.BRACE_CLOSE, "comma", "'}'")
    return tuple(devices)


def _name(parser: Parser, token: Token) -> str:
    if not token.text:
        raise parser.error("Empty string is not allowed", token.span)
    return token.text


def _of_variable(parser: Parser) -> tuple[str, ...]:
    span = parser.token.span
    term = parser.variable()
    if isinstance(term, Word):
        return (term.text,)
    if isinstance(term, SetTerm) and term.elements:
        names = [element.key for element in term.elements if isinstance(element.key, Word)]
        if len(names) == len(term.elements):
            return tuple(name.text for name in names)
    raise parser.error("a list of devices is expected here", span)
