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
from flowtable.ruleset.statements import limit, quota
from flowtable.ruleset.statements.counter import Counter
from flowtable.ruleset.statements.synproxy import Synproxy, parse_synproxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.ruleset.lexer import Token
    from flowtable.ruleset.objects import Body
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import RulesetError

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
    """Read the block of a named object; in a command some can be without braces.

    Args:
        parser: stands behind the name.
        kind: the kind of the object.
        name: its name.
        nested: it is a block in that of a table.
    """
    block = _Block(kind)
    before = len(parser.errors)
    if not nested and kind is ObjectKind.SYNPROXY and parser.at_word("mss"):
        block.body = parse_synproxy(parser)
    elif nested or parser.at(Kind.BRACE_OPEN) or kind not in _PLAIN:
        parse_block(parser, lambda: block.line(parser), nested=nested)
    elif not parser.at_separator() and not parser.at(Kind.END):
        block.item(parser)
    broken = len(parser.errors) > before
    return ObjectSyntax(kind, name.text, name.span, block.body, block.comment, broken)


_PLAIN: Final = (ObjectKind.COUNTER, ObjectKind.QUOTA, ObjectKind.LIMIT)
"""Objects that a command can declare without braces."""


class _Block:
    """A block being read."""

    __slots__ = ("body", "comment", "kind")

    def __init__(self, kind: ObjectKind) -> None:
        self.kind = kind
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
        match self.body:
            case CtHelper() as helper:
                _parse_helper(parser, helper)
            case CtTimeout() as timeout:
                _parse_timeout(parser, timeout)
            case CtExpectation() as expectation:
                _parse_expectation(parser, expectation)
            case Synproxy() as synproxy:
                if parser.at_word("wscale"):
                    raise _unexpected(parser)
                synproxy.read(parser)
            case _:
                self.body = _WHOLE[self.kind](parser)


_UNSEPARATED: Final = (ObjectKind.COUNTER, ObjectKind.QUOTA, ObjectKind.LIMIT, ObjectKind.SECMARK)
"""Objects whose last line needs no separator."""


def _parse_counter(parser: Parser) -> Counter:
    start = parser.token.span
    if not parser.at_word("packets"):
        raise _unexpected(parser)
    parser.advance()
    packets = parser.number("number")
    parser.expect_word("bytes")
    return Counter(parser.since(start), packets, parser.number("number"))


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
        raise _unexpected(parser)


def _unexpected(parser: Parser) -> RulesetError:
    """The error for a word in the wrong place; some are keywords here only."""
    token = parser.token
    if token.kind is Kind.STRING and token.text in _WORDS:
        return parser.error(f"syntax error, unexpected {token.text}", token.span)
    return parser.unexpected()


_WORDS: Final = ("protocol", "bytes", "wscale", "used")


def _parse_protocol(parser: Parser) -> str:
    parser.expect_word("protocol")
    if not parser.at_word("tcp", "udp"):
        raise parser.unexpected("udp", "tcp")
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
