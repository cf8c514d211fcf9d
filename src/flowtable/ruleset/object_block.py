"""Declarations of named objects: counters, quotas, limits, and what connections are set to.

Ref: nftables src/parser_bison.y:counter_block to synproxy_block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.command import ObjectSyntax
from flowtable.ruleset.connection_objects import CtExpectation, CtHelper, CtTimeout, Secmark
from flowtable.ruleset.grammar import parse_comment
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.objects import ObjectKind
from flowtable.ruleset.parser import parse_block
from flowtable.ruleset.statements import counter, limit, quota
from flowtable.ruleset.statements.counter import Counter
from flowtable.ruleset.statements.synproxy import Synproxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.ruleset.lexer import Token
    from flowtable.ruleset.objects import Body
    from flowtable.ruleset.parser import Parser

CT_KINDS: Final = {
    "helper": ObjectKind.CT_HELPER,
    "timeout": ObjectKind.CT_TIMEOUT,
    "expectation": ObjectKind.CT_EXPECTATION,
}
_FAMILIES: Final = ("ip", "ip6", "inet", "bridge", "arp", "netdev")


def parse_object_kind(parser: Parser) -> ObjectKind:
    """Read the keywords of an object's kind."""
    word = parser.advance().text
    if word != "ct":
        return ObjectKind(word)
    if not parser.at_word(*CT_KINDS):
        raise parser.unexpected()
    return CT_KINDS[parser.advance().text]


def parse_object_block(parser: Parser, kind: ObjectKind, name: Token, *, nested: bool = True) -> ObjectSyntax:
    """Read the block of a named object, which a counter can do without."""
    block = _Block(kind, name)
    if kind is ObjectKind.COUNTER and not parser.at(Kind.BRACE_OPEN):
        if parser.at_word("packets", "bytes"):
            block.body = counter.parse_body(parser, name.span)
        return ObjectSyntax(kind, name.text, name.span, block.finished(parser), None)
    if not nested and kind in _PLAIN and not parser.at(Kind.BRACE_OPEN):
        block.item(parser)
        return ObjectSyntax(kind, name.text, name.span, block.finished(parser), None)
    parse_block(parser, lambda: block.line(parser), nested=nested)
    return ObjectSyntax(kind, name.text, name.span, block.finished(parser), block.comment)


_PLAIN: Final = (ObjectKind.QUOTA, ObjectKind.LIMIT)
"""Objects that a command can declare without braces."""


class _Block:
    """A block being read."""

    __slots__ = ("body", "comment", "kind", "name")

    def __init__(self, kind: ObjectKind, name: Token) -> None:
        self.kind = kind
        self.name = name
        self.comment: str | None = None
        self.body: Body | None = _EMPTY[kind]() if kind in _EMPTY else None

    def line(self, parser: Parser) -> None:
        """Read one line."""
        start = parser.token.span
        if parser.accept_word("comment"):
            text = parse_comment(parser)
            if self.comment is not None:
                raise parser.error(
                    "You can only specify this once. This statement is duplicated.", parser.since(start)
                )
            self.comment = text
            parser.separator()
            return
        self.item(parser)
        if not parser.at(Kind.BRACE_CLOSE) or self.kind not in _UNSEPARATED:
            parser.separator()

    def item(self, parser: Parser) -> None:
        """Read what the object is, or a part of it."""
        start = parser.token.span
        match self.body:
            case CtHelper() as helper:
                _parse_helper(parser, helper)
            case CtTimeout() as timeout:
                _parse_timeout(parser, timeout)
            case CtExpectation() as expectation:
                _parse_expectation(parser, expectation)
            case Synproxy() as synproxy:
                synproxy.read(parser)
            case _:
                self.body = _WHOLE[self.kind](parser)
                del start

    def finished(self, parser: Parser) -> Body:
        """The object, once its block is read."""
        body = self.body
        if body is None:
            if self.kind is ObjectKind.COUNTER:
                return Counter(self.name.span)
            raise parser.error("missing options", self.name.span)
        return body


_UNSEPARATED: Final = (ObjectKind.COUNTER, ObjectKind.QUOTA, ObjectKind.LIMIT, ObjectKind.SECMARK)
"""Objects whose last line needs no separator."""


def _parse_counter(parser: Parser) -> Counter:
    if not parser.at_word("packets"):
        raise parser.unexpected()
    return counter.parse_body(parser, parser.token.span)


def _parse_quota(parser: Parser) -> quota.Quota:
    return quota.parse_body(parser, parser.token.span)


def _parse_limit(parser: Parser) -> limit.Limit:
    return limit.parse_body(parser, parser.token.span)


def _parse_secmark(parser: Parser) -> Secmark:
    return Secmark(parser.expect(Kind.QUOTED, "quoted string").text)


_WHOLE: Final[dict[ObjectKind, Callable[[Parser], Body]]] = {
    ObjectKind.COUNTER: _parse_counter,
    ObjectKind.QUOTA: _parse_quota,
    ObjectKind.LIMIT: _parse_limit,
    ObjectKind.SECMARK: _parse_secmark,
}
_EMPTY: Final[dict[ObjectKind, Callable[[], Body]]] = {
    ObjectKind.CT_HELPER: CtHelper,
    ObjectKind.CT_TIMEOUT: CtTimeout,
    ObjectKind.CT_EXPECTATION: CtExpectation,
    ObjectKind.SYNPROXY: Synproxy,
}


def _parse_helper(parser: Parser, helper: CtHelper) -> None:
    if parser.accept_word("type"):
        helper.type = parser.expect(Kind.QUOTED, "quoted string").text
        helper.protocol = _parse_protocol(parser)
    elif parser.accept_word("l3proto"):
        helper.l3proto = _parse_family(parser)
    else:
        raise parser.unexpected()


def _parse_protocol(parser: Parser) -> str:
    parser.expect_word("protocol")
    if not parser.at_word("tcp", "udp"):
        raise parser.unexpected("tcp", "udp")
    return parser.advance().text


def _parse_family(parser: Parser) -> str:
    if not parser.at_word(*_FAMILIES):
        raise parser.unexpected()
    return parser.advance().text


def _parse_timeout(parser: Parser, timeout: CtTimeout) -> None:
    if parser.at_word("protocol"):
        timeout.protocol = _parse_protocol(parser)
    elif parser.accept_word("l3proto"):
        timeout.l3proto = _parse_family(parser)
    elif parser.accept_word("policy"):
        parser.expect(Kind.ASSIGN, "'='")
        parser.expect(Kind.BRACE_OPEN, "'{'")
        _parse_policy(parser, timeout)
    else:
        raise parser.unexpected()


def _parse_policy(parser: Parser, timeout: CtTimeout) -> None:
    parser.skip_newlines()
    while True:
        state = parser.expect(Kind.STRING, "string")
        parser.expect(Kind.COLON, "colon")
        timeout.policy[state.text] = (parser.number("number"), state.span)
        parser.skip_newlines()
        if not parser.accept(Kind.COMMA):
            break
        parser.skip_newlines()
    parser.expect(Kind.BRACE_CLOSE, "comma", "'}'")


def _parse_expectation(parser: Parser, expectation: CtExpectation) -> None:
    if parser.at_word("protocol"):
        expectation.protocol = _parse_protocol(parser)
    elif parser.accept_word("dport"):
        expectation.dport = parser.number("number")
    elif parser.accept_word("timeout"):
        expectation.timeout = parser.time()
    elif parser.accept_word("size"):
        expectation.size = parser.number("number")
    elif parser.accept_word("l3proto"):
        expectation.l3proto = _parse_family(parser)
    else:
        raise parser.unexpected()
