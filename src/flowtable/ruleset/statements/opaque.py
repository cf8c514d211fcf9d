"""What nobody but a kernel can run, kept as it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.statement import Statement

if TYPE_CHECKING:
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span


class Opaque(Statement):
    """A statement, or all that follows in the rule where the end of it cannot be told.

    Attributes:
        written: its text.
    """

    __slots__ = ("written",)

    def __init__(self, written: str, span: Span) -> None:
        super().__init__(span)
        self.written = written

    @property
    def opaque(self) -> bool:
        """It is."""
        return True

    def text(self, *, stateless: bool = False) -> str:
        """As written."""
        del stateless
        return self.written


def parse_xt(parser: Parser) -> Opaque:
    """Read ``xt match|target NAME``: an extension of iptables."""
    start = parser.advance().span
    kind = parser.expect(Kind.STRING, "string").text
    token = parser.token
    if token.kind not in (Kind.STRING, Kind.QUOTED):
        raise parser.unexpected("string")
    parser.advance()
    return Opaque(f'xt {kind} "{token.text}"', parser.since(start))


def parse_rest(parser: Parser) -> Opaque:
    """Read everything up to the end of the rule."""
    start = parser.token.span
    written, depth = "", 0
    end: Span | None = None
    while not parser.at(Kind.END) and (depth or not _ends_rule(parser)):
        token = parser.advance()
        depth += {Kind.BRACE_OPEN: 1, Kind.BRACE_CLOSE: -1}.get(token.kind, 0)
        if token.kind is Kind.NEWLINE:
            continue
        span = token.span
        apart = end is not None and (span.line != end.line or span.first > end.last + 1)
        written += " " * apart + span.source.line(span.line)[span.first - 1 : span.last]
        end = span
    return Opaque(written, parser.since(start))


def _ends_rule(parser: Parser) -> bool:
    return parser.at_separator() or parser.at(Kind.BRACE_CLOSE) or parser.at_word("comment")
