"""Rate limits.

Ref: net/netfilter/nft_limit.c:nft_limit_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.ruleset.code import BREAK, GO_ON, Do
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.objects import ObjectKind
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.statements.reference import parse_reference

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span

_UNITS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
SIZES: Final = {"bytes": 1, "kbytes": 1024, "mbytes": 1024 * 1024}
_DEFAULT_BURST: Final = 5


class Limit(Statement):
    """A token bucket; tokens are nanoseconds.

    Attributes:
        rate: packets or bytes per unit.
        unit: ``second`` to ``week``.
        burst: packets or bytes beyond the rate.
        by_bytes: bytes are limited, not packets.
        over: the rule goes on when the limit is exceeded.
    """

    __slots__ = ("_last", "_tokens", "burst", "by_bytes", "over", "rate", "unit")
    stateful = True

    def __init__(self, span: Span, rate: int, unit: str, burst: int, *, by_bytes: bool, over: bool) -> None:
        super().__init__(span)
        self.rate = rate
        self.unit = unit
        self.burst = burst
        self.by_bytes = by_bytes
        self.over = over
        self._tokens = 0
        self._last: int | None = None

    def fresh(self) -> Limit:
        """The same with a full bucket."""
        return Limit(self.span, self.rate, self.unit, self.burst, by_bytes=self.by_bytes, over=self.over)

    def check(self, rule: RuleContext) -> Limit:
        """The kernel counts in 64 bits and does not divide by zero."""
        if self.rate == 0:
            raise rule.error("Could not process rule: Invalid argument", self.span)
        period = _UNITS[self.unit] * SECOND
        if max(self.rate + self.burst, period * (self.rate + self.burst) // self.rate) >= 1 << 64:
            raise rule.error("Could not process rule: Value too large for defined data type", self.span)
        return self

    def text(self, *, stateless: bool = False) -> str:
        """``limit rate 10/second``."""
        return f"limit {self.lines(stateless=stateless)[0]}"

    def lines(self, *, stateless: bool) -> list[str]:
        """The lines of an object; the default burst is left out."""
        del stateless
        over = "over " if self.over else ""
        if self.by_bytes:
            burst = f" burst {format_size(self.burst)}" if self.burst else ""
            return [f"rate {over}{format_size(self.rate)}/{self.unit}{burst}"]
        burst = f" burst {self.burst} packets" if self.burst != _DEFAULT_BURST else ""
        return [f"rate {over}{self.rate}/{self.unit}{burst}"]

    def json(self) -> Json:
        """Rate and burst with their units."""
        if self.by_bytes:
            rate, rate_unit = format_size(self.rate).split()
            burst, burst_unit = format_size(self.burst).split()
            shown: dict[str, Json] = {"rate": int(rate), "burst": int(burst), "per": self.unit}
            shown |= {"rate_unit": rate_unit, "burst_unit": burst_unit}
        else:
            shown = {"rate": self.rate, "burst": self.burst, "per": self.unit}
        return {"limit": shown | ({"inv": True} if self.over else {})}

    def compile(self, compiler: Compiler) -> Step:
        """Take tokens if there are enough."""
        del compiler
        period = _UNITS[self.unit] * SECOND
        rate = self.rate
        cost = period // rate
        if self.by_bytes:
            most = period * (rate + self.burst) // rate
        else:
            most = cost * self.burst
        by_bytes = self.by_bytes
        enough, exceeded = (BREAK, GO_ON) if self.over else (GO_ON, BREAK)
        if self._last is None:
            self._tokens = most

        def run(packet: Packet) -> int:
            now = packet.time
            last = self._last
            tokens = self._tokens
            if last is not None:
                tokens = min(tokens + now - last, most)
            self._last = now
            left = tokens - (period * (len(packet.data) + packet.header) // rate if by_bytes else cost)
            if left >= 0:
                self._tokens = left
                return enough
            self._tokens = tokens
            return exceeded

        return Do(run)


def format_size(size: int) -> str:
    """Bytes in the largest unit without a rest."""
    for name in ("mbytes", "kbytes"):
        if size and size % SIZES[name] == 0:
            return f"{size // SIZES[name]} {name}"
    return f"{size} bytes"


def parse(parser: Parser) -> Statement:
    """Read ``limit rate ...`` or ``limit name NAME``."""
    start = parser.advance().span
    if parser.at_word("name"):
        parser.advance()
        return parse_reference(parser, ObjectKind.LIMIT, start)
    return parse_body(parser, start)


def parse_body(parser: Parser, start: Span) -> Limit:
    """Read what stands behind the word: ``rate [over] N/unit [burst M packets]`` or the form in bytes."""
    parser.expect_word("rate", "name", "rate")
    over = parser.accept_word("over") is not None
    rate_span = parser.token.span
    rate = parser.number("number")
    factor, unit = _parse_unit(parser, rate_span)
    burst = _parse_burst(parser, in_bytes=factor is not None)
    return Limit(
        parser.since(start),
        rate * SIZES[factor or "bytes"],
        unit,
        burst,
        by_bytes=factor is not None,
        over=over,
    )


def _parse_unit(parser: Parser, rate_span: Span) -> tuple[str | None, str]:
    """Read ``/second``, or ``kbytes/second``, which is one word to the lexer."""
    if parser.accept(Kind.SLASH):
        if not parser.at_word(*_UNITS):
            raise parser.unexpected()
        return None, parser.advance().text
    if parser.token.kind is not Kind.STRING:
        raise parser.unexpected("/", "string", "bytes")
    factor, slash, unit = parser.advance().text.partition("/")
    if not slash:
        parser.expect(Kind.SLASH, "/")
        unit = parser.expect(Kind.STRING, "string").text
    if factor not in SIZES or unit not in _UNITS:
        raise parser.error("Wrong rate format", parser.since(rate_span))
    return factor, unit


def _parse_burst(parser: Parser, *, in_bytes: bool) -> int:
    if not parser.at_word("burst"):
        return 0 if in_bytes else _DEFAULT_BURST
    start = parser.advance().span
    burst = parser.number("number")
    if in_bytes:
        if not parser.at_word(*SIZES):
            raise _unit_error(parser, "string", "bytes")
        return burst * SIZES[parser.advance().text]
    if not parser.at_word("packets"):
        raise _unit_error(parser, "packets")
    parser.advance()
    if burst == 0:
        raise parser.error("packet limit burst must be > 0", parser.since(start))
    return burst


def _unit_error(parser: Parser, *expecting: str) -> Exception:
    error = parser.unexpected(*expecting)
    if parser.at_word("packets", "bytes"):
        return parser.error(
            f"syntax error, unexpected {parser.token.text}, expecting {' or '.join(expecting)}",
            parser.token.span,
        )
    return error
