"""Queueing packets to a program.

Ref: net/netfilter/nft_queue.c:nft_queue_eval, net/netfilter/nf_queue.c:nf_queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.drop import Drop
from flowtable.ruleset.code import ACCEPTED, BREAK, DROPPED, Do
from flowtable.ruleset.expressions.assigned import (
    anonymous_maps,
    assigned_lookups,
    assigned_selectors,
    check_assigned,
    compile_assigned,
)
from flowtable.ruleset.expressions.hashing import Jhash, Symhash
from flowtable.ruleset.expressions.numgen import Numgen
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.selector import Selector
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.syntax import RangeTerm, Word
from flowtable.ruleset.types import INTEGER
from flowtable.ruleset.values import Exact, Interval, fail, key

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.expressions.assigned import Assigned
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.syntax import Term

_FLAGS: Final = ("bypass", "fanout")
_MAX: Final = 0xFFFF
_FIRST: Final = Exact(0)


class Queue(Statement):
    """``queue flags bypass to 2-3``.

    No program listens in a box: a packet that may not bypass the queue is dropped.

    Attributes:
        number: the queue or queues, or what chooses one.
        flags: ``bypass``, ``fanout``.
    """

    __slots__ = ("flags", "number")
    terminal = True

    def __init__(self, number: Assigned | Interval, flags: tuple[str, ...], span: Span) -> None:
        super().__init__(span)
        self.number = number
        self.flags = flags

    @property
    def keyword(self) -> Span:
        """The word ``queue``."""
        return self.span._replace(last=self.span.first + 4)

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What chooses the queue."""
        return () if isinstance(self.number, Interval) else assigned_selectors(self.number)

    @property
    def anonymous_sets(self) -> int:
        """The map that chooses the queue."""
        return anonymous_maps(self.number)

    def lookups(self) -> tuple[str, ...]:
        """The declared map that chooses the queue."""
        return () if isinstance(self.number, Interval) else assigned_lookups(self.number)

    def text(self, *, stateless: bool = False) -> str:
        """Flags, and the queue."""
        del stateless
        flags = f" flags {','.join(self.flags)}" if self.flags else ""
        return f"queue{flags} to {self._number}"

    @property
    def _number(self) -> str:
        match self.number:
            case Interval(low, high, _):
                return f"{low}-{high}"
            case Exact(value):
                return str(value)
            case selector:
                return selector.text()

    def json(self) -> Json:
        """The queue and the flags."""
        number: Json
        match self.number:
            case Interval(low, high, _):
                number = {"range": [low, high]}
            case Exact(value):
                number = int(str(value))
            case selector:
                number = selector.json()
        flags: Json = list(self.flags) if len(self.flags) > 1 else "".join(self.flags)
        return {"queue": {"num": number, **({"flags": flags} if flags else {})}}

    def compile(self, compiler: Compiler) -> Step:
        """Let the packet pass, or drop it."""
        load = None
        if not isinstance(self.number, Exact | Interval):
            load = compile_assigned(self.number, compiler)
        bypass = "bypass" in self.flags

        def run(packet: Packet) -> int:
            if load is not None and load(packet) is None:
                return BREAK
            if bypass:
                return ACCEPTED
            packet.drop = Drop.QUEUE
            return DROPPED

        return Do(run)


class QueueSyntax(Statement):
    """The statement as written.

    Attributes:
        number: the queue as written, None where it is left out.
        number_span: where it stands.
        flags: its flags.
    """

    __slots__ = ("flags", "number", "number_span")
    terminal = True

    def __init__(self, number: Term | None, number_span: Span, flags: tuple[str, ...], span: Span) -> None:
        super().__init__(span)
        self.number = number
        self.number_span = number_span
        self.flags = flags

    def check(self, rule: RuleContext) -> Queue:
        """The queue is a number of 16 bits."""
        number = self._check_number(rule)
        if "fanout" in self.flags and isinstance(number, Exact):
            raise rule.error("fanout requires a range to be specified", self.number_span)
        return Queue(number, self.flags, self.span)

    def _check_number(self, rule: RuleContext) -> Assigned | Interval:
        term = self.number
        match term:
            case None:
                return _FIRST
            case Word() | RangeTerm():
                covered = key(term, INTEGER[16])
                assert isinstance(covered, Exact | Interval)
                return covered
            case _:
                pass
        checked = check_assigned(term, INTEGER[16], rule, self.span, any_number=True)
        if isinstance(checked, Numgen | Jhash | Symhash) and checked.offset + checked.modulus - 1 > _MAX:
            raise fail("queue expression max value exceeds 65535", checked.span)
        return checked


def parse(parser: Parser) -> QueueSyntax:
    """Read ``queue [flags FLAGS] to QUEUE`` or ``queue [num N[-M]] [FLAGS]``."""
    start = parser.advance().span
    if parser.accept_word("flags"):
        flags = _parse_flags(parser)
        if not parser.at_word("to", "num"):
            raise parser.unexpected("comma", "to", "num")
    else:
        flags = set[str]()
    at = parser.token.span
    number: Term | None = None
    if parser.accept_word("to"):
        number = _parse_number(parser, plain=False)
    elif parser.accept_word("num"):
        number = _parse_number(parser, plain=True)
        at = parser.since(at)
        if isinstance(number, Word | RangeTerm):
            number = number._replace(span=at)
    span = parser.since(start)
    if not flags:
        while parser.at_word(*_FLAGS):
            flags |= _parse_flags(parser)
        span = start
    return QueueSyntax(number, at, tuple(flag for flag in _FLAGS if flag in flags), span)


def _parse_number(parser: Parser, *, plain: bool) -> Term:
    if plain and not (parser.at(Kind.NUMBER) or parser.at(Kind.DOLLAR)):
        raise parser.unexpected("number", "'$'")
    low = parser.expression(statement=True)
    if parser.accept(Kind.DASH):
        high = parser.expression(statement=True)
        return RangeTerm(low, high, parser.since(low.span))
    return low


def _parse_flags(parser: Parser) -> set[str]:
    flags = set()
    while True:
        if not parser.at_word(*_FLAGS):
            raise parser.unexpected(*_FLAGS)
        flags.add(parser.advance().text)
        if not parser.accept(Kind.COMMA):
            return flags
