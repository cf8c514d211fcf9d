"""Quotas: so many bytes, then no more.

Ref: net/netfilter/nft_quota.c:nft_quota_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.code import BREAK, GO_ON, Do
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.objects import ObjectKind
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.statements.limit import SIZES, format_size
from flowtable.ruleset.statements.reference import parse_reference

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span


class Quota(Statement):
    """A number of bytes.

    Attributes:
        quota: bytes.
        over: the rule goes on when they are used up.
        used: bytes so far.
    """

    __slots__ = ("over", "quota", "used")
    stateful = True

    def __init__(self, span: Span, quota: int, *, over: bool, used: int = 0) -> None:
        super().__init__(span)
        self.quota = quota
        self.over = over
        self.used = used

    def fresh(self) -> Quota:
        """The same quota, used as far as was written."""
        return Quota(self.span, self.quota, over=self.over, used=self.used)

    def check(self, rule: RuleContext) -> Quota:
        """More cannot be used than there is."""
        if self.used > self.quota:
            raise rule.error("Could not process rule: Invalid argument", self.span)
        return self

    def body(self, *, stateless: bool) -> str:
        """``over 10 mbytes used 5 bytes``."""
        used = f" used {format_size(self.used)}" if self.used and not stateless else ""
        return f"{'over ' if self.over else ''}{format_size(self.quota)}{used}"

    def lines(self, *, stateless: bool) -> list[str]:
        """The lines of an object."""
        return [self.body(stateless=stateless)]

    def text(self, *, stateless: bool = False) -> str:
        """``quota over 10 mbytes``."""
        return f"quota {self.body(stateless=stateless)}"

    def json(self) -> Json:
        """Value and unit, and what is used."""
        value, unit = format_size(self.quota).split()
        written: dict[str, Json] = {"val": int(value), "val_unit": unit}
        if self.over:
            written["inv"] = True
        if self.used:
            used, unit = format_size(self.used).split()
            written.update(used=int(used), used_unit=unit)
        return {"quota": written}

    def compile(self, compiler: Compiler) -> Step:
        """Count the bytes, then compare."""
        del compiler
        within, beyond = (BREAK, GO_ON) if self.over else (GO_ON, BREAK)

        def run(packet: Packet) -> int:
            self.used += len(packet.data) + packet.header
            return beyond if self.used > self.quota else within

        return Do(run)


def parse(parser: Parser) -> Statement:
    """Read ``quota [over|until] N bytes [used M bytes]`` or ``quota name NAME``."""
    start = parser.advance().span
    if parser.at_word("name"):
        parser.advance()
        return parse_reference(parser, ObjectKind.QUOTA, start)
    return parse_body(parser, start)


def parse_body(parser: Parser, start: Span) -> Quota:
    """Read what stands behind the word ``quota``."""
    over = parser.accept_word("over", "until") == "over"
    if parser.at_word("used"):
        raise parser.error("syntax error, unexpected used, expecting number", parser.token.span)
    quota = _parse_bytes(parser, start)
    used = 0
    if parser.accept_word("used"):
        used = _parse_bytes(parser, start)
    return Quota(parser.since(start), quota, over=over, used=used)


def _parse_bytes(parser: Parser, start: Span) -> int:
    number = parser.number("number")
    if parser.token.kind is not Kind.STRING:
        raise parser.unexpected("string", "bytes")
    unit = parser.advance().text
    if unit not in SIZES:
        raise parser.error("Wrong rate format", parser.since(start))
    return number * SIZES[unit]
