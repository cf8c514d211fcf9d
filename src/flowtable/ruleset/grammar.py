"""Which word starts what: the one place where kinds of selectors and statements are listed.

A new kind is a module of its own and one line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.command import RuleSyntax
from flowtable.ruleset.expressions import ct, meta, payload
from flowtable.ruleset.expressions.ct import Ct
from flowtable.ruleset.expressions.headers import HEADERS
from flowtable.ruleset.expressions.meta import Meta
from flowtable.ruleset.keywords import RESERVED
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.selector import Selector
from flowtable.ruleset.source import Span
from flowtable.ruleset.statements import counter, flow, limit, log, nat, notrack, reject, verdict
from flowtable.ruleset.statements.assign import SETTABLE, AssignSyntax
from flowtable.ruleset.statements.match_syntax import OPERATORS, MatchSyntax
from flowtable.ruleset.statements.vmap import VerdictMapSyntax

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.ruleset.parser import Parser, ParseSelector
    from flowtable.ruleset.statement import Statement

SELECTORS: Final[dict[str, ParseSelector]] = {
    "meta": meta.parse,
    **dict.fromkeys(meta.WITHOUT_META, meta.parse),
    "ct": ct.parse,
    **dict.fromkeys(HEADERS, payload.parse),
}

STATEMENTS: Final[dict[str, Callable[[Parser], Statement]]] = {
    "accept": verdict.parse,
    "drop": verdict.parse,
    "continue": verdict.parse,
    "return": verdict.parse,
    "jump": verdict.parse,
    "goto": verdict.parse,
    "counter": counter.parse,
    "log": log.parse,
    "limit": limit.parse,
    "reject": reject.parse,
    "snat": nat.parse,
    "dnat": nat.parse,
    "masquerade": nat.parse,
    "redirect": nat.parse,
    "notrack": notrack.parse,
    "flow": flow.parse,
}

_UNSUPPORTED: Final = {
    **dict.fromkeys(
        (
            *("fib", "rt", "socket", "osf", "ipsec", "numgen", "jhash", "symhash", "exthdr", "frag"),
            *("hbh", "dst", "mh", "srh", "rt0", "rt2", "ether", "vlan", "arp", "igmp", "comp"),
        ),
        "expressions",
    ),
    **dict.fromkeys(
        (
            *("tproxy", "queue", "dup", "fwd", "synproxy", "quota", "meter", "set", "add", "update"),
            *("delete", "last", "xt", "reset"),
        ),
        "statements",
    ),
}

_STARTS: Final = (
    *(Kind.STRING, Kind.QUOTED, Kind.WILDCARD, Kind.NUMBER),
    *(Kind.DOLLAR, Kind.PAREN_OPEN, Kind.AT),
)


def parse_rule(parser: Parser) -> RuleSyntax:
    """Read a rule, up to the newline or semicolon behind it."""
    start = parser.token.span
    statements: list[Statement] = []
    comment = None
    while True:
        if parser.accept_word("comment"):
            comment = parse_comment(parser)
            break
        if statements and not _continues(parser):
            break
        statements.append(_parse_statement(parser))
    return RuleSyntax(statements, comment, parser.since(start))


def parse_comment(parser: Parser) -> str:
    """Read the text of a comment."""
    token = parser.text()
    if len(token.text.encode(errors="surrogatepass")) > 128:
        raise parser.error("comment too long, 128 characters maximum allowed", token.span)
    return token.text


def _continues(parser: Parser) -> bool:
    token = parser.token
    if token.kind is Kind.STRING and token.text in RESERVED:
        return token.text in STATEMENTS or token.text in SELECTORS or token.text in _UNSUPPORTED
    return token.kind in _STARTS


def _parse_statement(parser: Parser) -> Statement:
    token = parser.token
    if token.kind is Kind.STRING:
        parse = STATEMENTS.get(token.text)
        if parse is not None:
            return parse(parser)
        if token.text in _UNSUPPORTED and not (
            token.text in ("update", "last") and parser.following.kind in (Kind.EQ, Kind.NE)
        ):
            what = _UNSUPPORTED[token.text]
            raise parser.unsupported(f"'{token.text}' {what} are", token.span)
    return _parse_match(parser)


def _parse_match(parser: Parser) -> Statement:
    """Read a match, a verdict map, or an assignment: they all start with an expression."""
    start = parser.token.span
    left = parser.expression()
    if parser.accept_word("vmap"):
        mapping = parser.mapping(verdicts=True)
        return VerdictMapSyntax(left, mapping, parser.since(start))
    if parser.at_word("set") and isinstance(left, Selector):
        return _parse_assignment(parser, left, start)
    operator = operator_span = None
    if parser.token.kind in OPERATORS:
        operator_span = parser.token.span
        operator = parser.advance().kind
    right = parser.right_side()
    return MatchSyntax(left, operator, operator_span, right, parser.since(start))


def _parse_assignment(parser: Parser, left: Selector, start: Span) -> Statement:
    if not isinstance(left, Meta | Ct) or left.text() not in SETTABLE:
        raise parser.unsupported(f"setting '{left.text()}' is", left.span)
    parser.advance()
    value = parser.expression(statement=True)
    return AssignSyntax(left, value, parser.since(start))
