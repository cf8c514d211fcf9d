"""Matches: what is read from a packet, compared with a value.

Ref: net/netfilter/nft_cmp.c:nft_cmp_eval, nft_range.c:nft_range_eval, nft_lookup.c:nft_lookup_eval.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from flowtable.ruleset.code import Test
from flowtable.ruleset.expressions.bitwise import Bitwise, check_expression
from flowtable.ruleset.expressions.collection import AnonymousSet, NamedSet, check_set
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.syntax import (
    ConcatTerm,
    FlagsTerm,
    ListTerm,
    MapTerm,
    ReferenceTerm,
    SetTerm,
)
from flowtable.ruleset.types import TCP_FLAG
from flowtable.ruleset.types.flags import Flags
from flowtable.ruleset.values import (
    Exact,
    Interval,
    Key,
    fail,
    flags,
    format_key,
    key,
    unsupported_value,
)

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load, Predicate, Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.selector import Identity, Selector
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.syntax import Term


class Operator(Enum):
    """How the sides are compared; the value is what is printed."""

    EQ = "=="
    NE = "!="
    LT = "<"
    GT = ">"
    LE = "<="
    GE = ">="
    ANY = ""
    """One of the flags is set."""
    NONE = "!"
    """None of the flags is set."""


OPERATORS = {
    Kind.EQ: Operator.EQ,
    Kind.NE: Operator.NE,
    Kind.LT: Operator.LT,
    Kind.GT: Operator.GT,
    Kind.LE: Operator.LE,
    Kind.GE: Operator.GE,
    Kind.NOT: Operator.NONE,
}

Right = Exact | Interval | AnonymousSet | NamedSet


class Match(Statement):
    """A checked match.

    Attributes:
        left: what is read.
        operator: how it is compared.
        right: with what.
    """

    __slots__ = ("left", "operator", "right")

    def __init__(self, left: Selector, operator: Operator, right: Right, span: Span) -> None:
        super().__init__(span)
        self.left = left
        self.operator = operator
        self.right = right

    @property
    def headers(self) -> tuple[Identity, ...]:
        """The header that the left side reads."""
        header = self.left.header
        return () if header is None else (header,)

    @property
    def identity(self) -> Identity | None:
        """The one protocol that a packet has which matches."""
        if self.operator is Operator.EQ and isinstance(self.right, Exact):
            return self.left.identity(self.right.value)
        return None

    @property
    def identities(self) -> list[Identity]:
        """The protocols that a packet can have which matches, as far as the match names them."""
        if self.operator is not Operator.EQ:
            return []
        keys: list[Key | None] = []
        if isinstance(self.right, Exact):
            keys = [self.right]
        elif isinstance(self.right, AnonymousSet):
            keys = [element.key for element in self.right.written]
        return [
            identity
            for covered in keys
            if isinstance(covered, Exact) and (identity := self.left.identity(covered.value)) is not None
        ]

    def lookups(self) -> tuple[str, ...]:
        """The set on the right side, if it is a named one."""
        return (self.right.name,) if isinstance(self.right, NamedSet) else ()

    def text(self, *, stateless: bool = False) -> str:
        """``tcp dport != 22``."""
        del stateless
        left, datatype = self.left, self.left.datatype
        if isinstance(datatype, Flags) and isinstance(self.right, Exact):
            assert isinstance(self.right.value, int)
            return self._flags_text(datatype, self.right.value)
        if isinstance(self.right, AnonymousSet | NamedSet):
            right = self.right.text(datatype)
        else:
            right = _format(self.right, self)
        sign = self.operator.value
        if self.operator is Operator.EQ and (
            not isinstance(left, Bitwise) or isinstance(self.right, Interval)
        ):
            sign = ""
        return " ".join(filter(None, (left.text(), sign, right)))

    def _flags_text(self, datatype: Flags, value: int) -> str:
        left = self.left
        if self.operator in (Operator.ANY, Operator.NONE):
            names = ",".join(datatype.split(value))
            return " ".join(filter(None, (left.text(), self.operator.value, names)))
        if isinstance(left, Bitwise) and left.plain and self.operator in (Operator.EQ, Operator.NE):
            if left.mask & left.mask - 1 == 0 and value == left.mask:
                return f"{left.text()} {self.operator.value} {datatype.format(value)}"
            sign = "" if self.operator is Operator.EQ else "!= "
            names, mask = ",".join(datatype.split(value)), ",".join(datatype.split(left.mask))
            return f"{left.selector.text()} {sign}{names} / {mask}"
        if isinstance(left, Bitwise):
            return f"{left.text()} {self.operator.value} {datatype.format(value)}"
        if self.operator in (Operator.EQ, Operator.NE) and datatype is not TCP_FLAG:
            return f"{left.text()} {self.operator.value} {datatype.format(value)}"
        shown = datatype.single(value) if self.operator in (Operator.EQ, Operator.NE) else f"0x{value:x}"
        return f"{left.text()} {self.operator.value} {shown}"

    def compile(self, compiler: Compiler) -> Step:
        """A test."""
        return Test(self.predicate(compiler))

    def predicate(self, compiler: Compiler) -> Predicate:
        """Whether a packet matches."""
        left = self.left
        match self.right:
            case AnonymousSet() | NamedSet():
                lookup = self.right.lookup(left.datatype, compiler)
                load = left.load(compiler)
                return lookup.contains(load) if self.operator is Operator.EQ else lookup.lacks(load)
            case Interval(low, high, _):
                return self._interval(low, high, compiler)
            case Exact(value):
                right = compiler.value(value, left.datatype, self.span)
        if self.operator is Operator.EQ:
            return left.equal(right, compiler)
        load = left.load(compiler)
        if self.operator is Operator.NE:
            return lambda packet: load(packet) not in (None, right)
        assert isinstance(right, int)
        if self.operator is Operator.ANY:
            return left.any_bit(right, compiler)
        return _compare(load, self.operator, right)

    def _interval(self, low: int, high: int, compiler: Compiler) -> Predicate:
        left = self.left
        if not left.datatype.ranges:
            prefix = format_key(Interval(low, high), left.datatype)[1:-2]
            return _prefix(left.load(compiler), prefix, same=self.operator is Operator.EQ)
        if self.operator is Operator.EQ:
            return left.within(low, high, compiler)
        load = left.load(compiler)

        def outside(packet: Packet) -> bool:
            value = load(packet)
            return value is not None and not low <= value <= high  # type: ignore[operator]

        return outside


def _prefix(load: Load, prefix: str, *, same: bool) -> Predicate:
    def test(packet: Packet) -> bool:
        value = load(packet)
        return value is not None and value.startswith(prefix) is same  # type: ignore[union-attr]

    return test


def _compare(load: Load, operator: Operator, right: int) -> Predicate:
    """An ordered comparison, or none of some bits."""

    def less(packet: Packet) -> bool:
        value = load(packet)
        return value is not None and value < right  # type: ignore[operator]

    def less_or_equal(packet: Packet) -> bool:
        value = load(packet)
        return value is not None and value <= right  # type: ignore[operator]

    def greater(packet: Packet) -> bool:
        value = load(packet)
        return value is not None and value > right  # type: ignore[operator]

    def greater_or_equal(packet: Packet) -> bool:
        value = load(packet)
        return value is not None and value >= right  # type: ignore[operator]

    def none_of(packet: Packet) -> bool:
        value = load(packet)
        return value is not None and not value & right  # type: ignore[operator]

    match operator:
        case Operator.LT:
            return less
        case Operator.LE:
            return less_or_equal
        case Operator.GT:
            return greater
        case Operator.GE:
            return greater_or_equal
        case _:
            return none_of


def _format(right: Exact | Interval, match: Match) -> str:
    datatype = match.left.datatype
    if isinstance(right, Exact):
        return datatype.format(right.value)
    if right.prefixlen >= 0:
        return f"{datatype.format(right.low)}/{right.prefixlen}"
    if not datatype.ranges:
        return format_key(right, datatype)
    return f"{datatype.bound(right.low)}-{datatype.bound(right.high)}"


class MatchSyntax(Statement):
    """A match as written.

    Attributes:
        left: the left side.
        operator: the operator, None if none is written.
        operator_span: where the operator stands.
        right: the right side.
    """

    __slots__ = ("left", "operator", "operator_span", "right")

    def __init__(
        self, left: Term, operator: Kind | None, operator_span: Span | None, right: Term, span: Span
    ) -> None:
        super().__init__(span)
        self.left = left
        self.operator = operator
        self.operator_span = operator_span
        self.right = right

    def check(self, rule: RuleContext) -> Match:
        """Settle types and operator, and learn what the match says of the protocols."""
        if isinstance(self.left, MapTerm | ConcatTerm):
            raise unsupported_value(self.left)
        left = check_expression(self.left, rule)
        match = self._normalise(left, rule)
        identities = match.identities
        if identities:
            rule.learn(identities, left.span, certain=match.identity is not None)
        return match

    def _normalise(self, left: Selector, rule: RuleContext) -> Match:
        right = self.right
        operator = OPERATORS[self.operator] if self.operator else None
        if isinstance(right, SetTerm) and len(right.elements) == 1 and right.elements[0].key is not None:
            element = right.elements[0]
            if element.data is not None:
                raise fail("mapping outside of map context", element.span)
            assert element.key is not None
            right = element.key
        match right:
            case SetTerm() | ReferenceTerm():
                if operator not in (None, Operator.EQ, Operator.NE):
                    raise self._undefined("set", right)
                found = check_set(right, left, rule)
                if isinstance(found, AnonymousSet) and (only := found.only) is not None:
                    return _normal(left, operator or Operator.EQ, only, self.span)
                return Match(left, operator or Operator.EQ, found, self.span)
            case FlagsTerm(value, mask, _):
                masked = Bitwise(left, flags(mask, left.datatype), 0, left.span)
                wanted = flags(value, left.datatype)
                if operator not in (None, Operator.EQ, Operator.NE):
                    raise self._undefined("flag comparison", right)
                return _mask_flags(masked, operator or Operator.EQ, wanted, self.span)
            case ConcatTerm() | MapTerm():
                raise unsupported_value(right)
            case _:
                pass
        covered = key(right, left.datatype, left.span)
        if operator is Operator.NONE and not (left.datatype.bitmask and isinstance(covered, Exact)):
            raise fail("negation can only be used with singleton bitmask values", left.span, right.span)
        if isinstance(covered, Interval) and operator not in (None, Operator.EQ, Operator.NE):
            raise self._undefined("range", right)
        if isinstance(right, ListTerm) and operator is None:
            operator = Operator.ANY
        return _normal(left, operator, covered, self.span)

    def _undefined(self, what: str, right: Term) -> Exception:
        assert self.operator is not None
        sign = self.operator.value
        return fail(
            f"Relational expression ({sign}) is undefined for {what} expressions",
            right.span,
            self.operator_span,
        )


def _normal(left: Selector, operator: Operator | None, right: Key, span: Span) -> Match:
    """The one form of matches that mean the same."""
    if isinstance(right, Exact) and isinstance(right.value, int):
        if left.datatype.bitmask and not isinstance(left, Bitwise) and operator in (None, Operator.ANY):
            if right.value == left.datatype.maximum:
                return Match(left, Operator.NE, Exact(0), span)
            return Match(left, Operator.ANY, right, span)
        operator = Operator.EQ if operator in (None, Operator.ANY) else operator
        if isinstance(left, Bitwise) and operator in (Operator.EQ, Operator.NE):
            value = right.value ^ left.flip & left.mask
            left = Bitwise(left.selector, left.mask, left.flip & ~left.mask, left.span)
            if left.plain and left.mask == left.datatype.maximum:
                return Match(left.selector, operator, Exact(value), span)
            if left.datatype.bitmask and left.plain:
                return _mask_flags(left, operator, value, span)
            prefixlen = _prefixlen(left)
            if prefixlen is not None and value & ~left.mask == 0:
                return Match(
                    left.selector,
                    operator,
                    Interval(value, value | ~left.mask & left.datatype.maximum, prefixlen),
                    span,
                )
            right = Exact(value)
    return Match(left, operator or Operator.EQ, right, span)


def _prefixlen(left: Bitwise) -> int | None:
    """The length of the prefix that a mask stands for, if it is printed as one."""
    if not left.plain or not left.datatype.prefixes:
        return None
    host = left.mask ^ left.datatype.maximum
    if host & host + 1 or not left.mask:
        return None
    return left.datatype.bits - host.bit_length()


def _mask_flags(left: Bitwise, operator: Operator, value: int, span: Span) -> Match:
    if value == 0:
        operator = Operator.NONE if operator is Operator.EQ else Operator.ANY
        return Match(left.selector, operator, Exact(left.mask), span)
    return Match(left, operator, Exact(value), span)
