"""Which word starts what: the one place where kinds of selectors and statements are listed.

A new kind is a module of its own and one line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.command import RuleSyntax
from flowtable.ruleset.expressions import (
    ct,
    extension,
    fib,
    hashing,
    ip_option,
    kernel_only,
    meta,
    numgen,
    payload,
    raw,
    rt,
    sctp_chunk,
    tcp_option,
)
from flowtable.ruleset.expressions.headers import HEADERS
from flowtable.ruleset.keywords import RESERVED
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.objects import ObjectKind
from flowtable.ruleset.refused import similar
from flowtable.ruleset.selector import Selector
from flowtable.ruleset.source import RulesetError, Span, hinted
from flowtable.ruleset.statements import (
    counter,
    ct_count,
    duplicate,
    flow,
    last,
    limit,
    log,
    meter,
    nat,
    notrack,
    opaque,
    queue,
    quota,
    reject,
    set_update,
    strip,
    synproxy,
    tproxy,
    verdict,
)
from flowtable.ruleset.statements.assign import AssignSyntax
from flowtable.ruleset.statements.match_syntax import OPERATORS, MatchSyntax
from flowtable.ruleset.statements.reference import parse_reference
from flowtable.ruleset.statements.vmap import VerdictMapSyntax
from flowtable.ruleset.syntax import ListTerm, Word

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.ruleset.parser import Parser, ParseSelector
    from flowtable.ruleset.statement import Statement
    from flowtable.ruleset.syntax import Term

_OPTIONS: Final = {
    "tcp": ("option", tcp_option.parse),
    "ip": ("option", ip_option.parse),
    "sctp": ("chunk", sctp_chunk.parse),
}
"""Headers with parts of their own, and the word that stands in front of those."""


def _with_options(part: tuple[str, Callable[[Parser, Span], Selector]]) -> ParseSelector:
    """A function that reads a field of a header or of a part of it."""
    word, parse_part = part

    def parse(parser: Parser) -> Selector:
        token = parser.advance()
        if parser.accept_word(word):
            return parse_part(parser, token.span)
        return payload.parse_field(parser, token)

    return parse


SELECTORS: Final[dict[str, ParseSelector]] = {
    "meta": meta.parse,
    **dict.fromkeys(meta.WITHOUT_META, meta.parse),
    "ct": ct.parse,
    **dict.fromkeys(HEADERS, payload.parse),
    **{word: _with_options(parse) for word, parse in _OPTIONS.items()},
    **dict.fromkeys(("exthdr", *extension.WORDS), extension.parse),
    "rt": rt.parse,
    "fib": fib.parse,
    "numgen": numgen.parse,
    "jhash": hashing.parse_jhash,
    "symhash": hashing.parse_symhash,
    "socket": kernel_only.parse_socket,
    "osf": kernel_only.parse_osf,
    "ipsec": kernel_only.parse_ipsec,
    "@": raw.parse,
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
    "quota": quota.parse,
    "last": last.parse,
    "synproxy": synproxy.parse,
    "add": set_update.parse,
    "update": set_update.parse,
    "delete": set_update.parse,
    "set": set_update.parse,
    "meter": meter.parse_meter,
    "queue": queue.parse,
    "tproxy": tproxy.parse,
    "dup": duplicate.parse_dup,
    "fwd": duplicate.parse_fwd,
    "reset": strip.parse,
    "xt": opaque.parse_xt,
    **dict.fromkeys(("vxlan", "geneve", "gre", "gretap", "tunnel"), opaque.parse_rest),
}

STATEFUL: Final[dict[str, Callable[[Parser], Statement]]] = {
    "counter": counter.parse,
    "limit": limit.parse,
    "quota": quota.parse,
    "last": last.parse,
    "ct": ct_count.parse,
}
"""What the elements of sets can have each for itself."""

_NEVER_SET: Final = (extension.Extension, fib.Fib, rt.Rt, numgen.Numgen, hashing.Jhash, hashing.Symhash)
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
        if statements and parser.accept_word("comment"):
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
        return token.text in STATEMENTS or token.text in SELECTORS
    return token.kind in _STARTS


def _parse_statement(parser: Parser) -> Statement:
    token = parser.token
    if token.kind is Kind.STRING:
        parse = STATEMENTS.get(token.text)
        if token.text == "flow" and parser.following.text == "table":
            parser.advance()
            return meter.parse_meter(parser)
        if parse is not None and not (token.text in ("update", "last") and _is_value(parser)):
            return parse(parser)
        if token.text == "ct" and parser.following.text in _CT_STATEMENTS:
            return _CT_STATEMENTS[parser.following.text](parser)
    return _parse_match(parser)


def _is_value(parser: Parser) -> bool:
    """Whether the word is no keyword here, but what is compared."""
    return parser.following.kind in (Kind.EQ, Kind.NE)


def _parse_ct_object(parser: Parser) -> Statement:
    """Read ``ct timeout set NAME`` or ``ct expectation set NAME``."""
    start = parser.advance().span
    kind = ObjectKind(f"ct {parser.advance().text}")
    parser.expect_word("set")
    return parse_reference(parser, kind, start)


_CT_STATEMENTS: Final[dict[str, Callable[[Parser], Statement]]] = {
    "count": ct_count.parse,
    "timeout": _parse_ct_object,
    "expectation": _parse_ct_object,
}


def _parse_match(parser: Parser) -> Statement:
    """Read a match, a verdict map, or an assignment: they all start with an expression."""
    start = parser.token.span
    left = parser.expression()
    if parser.accept_word("vmap"):
        mapping = parser.mapping(verdicts=True)
        return VerdictMapSyntax(left, mapping, parser.since(start))
    if parser.at_word("set") and isinstance(left, Selector) and not isinstance(left, _NEVER_SET):
        return _parse_assignment(parser, left, start)
    operator = operator_span = None
    if parser.token.kind in OPERATORS:
        operator_span = parser.token.span
        operator = parser.advance().kind
    try:
        right = parser.right_side()
    except RulesetError as error:
        near = similar(left.text, [*STATEMENTS, *SELECTORS]) if isinstance(left, Word) else None
        raise error if near is None else hinted(error, near) from None
    return MatchSyntax(left, operator, operator_span, right, parser.since(start))


def _parse_assignment(parser: Parser, left: Selector, start: Span) -> Statement:
    parser.advance()
    if left.text() in _SET_TO_OBJECTS and not (left.text() == "meta secmark" and parser.at_word("ct")):
        return parse_reference(parser, _SET_TO_OBJECTS[left.text()], start)
    value = parser.expression(statement=True)
    if isinstance(value, Word) and value.kind is Kind.STRING and parser.at(Kind.COMMA):
        words: list[Term] = [value]
        while parser.accept(Kind.COMMA):
            token = parser.name()
            words.append(Word(token.text, token.span))
        value = ListTerm(tuple(words), parser.since(value.span))
    return AssignSyntax(left, value, parser.since(start))


_SET_TO_OBJECTS: Final = {"ct helper": ObjectKind.CT_HELPER, "meta secmark": ObjectKind.SECMARK}
