"""From terms to values, once their type is known.

Ref: nftables src/evaluate.c:expr_evaluate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.source import Diagnostic, RulesetError
from flowtable.ruleset.syntax import (
    BinaryTerm,
    ConcatTerm,
    FlagsTerm,
    ListTerm,
    Literal,
    MapTerm,
    PrefixTerm,
    RangeTerm,
    ReferenceTerm,
    SetTerm,
    Word,
)
from flowtable.ruleset.types import ICMP_TYPE
from flowtable.ruleset.types.concatenation import Concatenation, concatenation_of
from flowtable.ruleset.types.interface import SURROGATES, InterfaceName

if TYPE_CHECKING:
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.syntax import Term
    from flowtable.ruleset.types.base import DataType, Scalar, Value


class Exact(NamedTuple):
    """One value."""

    value: Value


class Interval(NamedTuple):
    """All values from ``low`` to ``high``.

    Attributes:
        low: the first value.
        high: the last value.
        prefixlen: the length of the prefix that it was written as, -1 for a range, -2 for a
            wildcard.
    """

    low: int
    high: int
    prefixlen: int = -1


class Fields(NamedTuple):
    """Values of a concatenation of which some are intervals.

    Attributes:
        parts: what each part covers.
    """

    parts: tuple[Exact | Interval, ...]


Key = Exact | Interval | Fields
WILDCARD = -2


def fail(message: str, span: Span, *related: Span | None) -> RulesetError:
    """An error at that place, to be raised."""
    return RulesetError([Diagnostic(message, span, tuple(place for place in related if place))])


def scalar(term: Term, datatype: DataType, left: Span | None = None) -> Value:
    """The one value that a term stands for.

    Args:
        term: how it is written.
        datatype: the type it has to be of.
        left: what it is compared with, for the message.

    Raises:
        RulesetError: it is no single value of that type.
    """
    match term:
        case Word():
            return _word(term, datatype)
        case Literal(other, value, span):
            if other is not datatype:
                raise mismatch(datatype, other, span, left)
            return value
        case BinaryTerm():
            return _fold(term, datatype, left)
        case ListTerm():
            return flags(term, datatype)
        case _:
            raise fail(f"a single {datatype.description} is expected here", term.span, left)


def mismatch(expected: DataType, got: DataType, span: Span, left: Span | None) -> RulesetError:
    """The error for a value of another type, to be raised."""
    return fail(
        f"datatype mismatch, expected {expected.description}, expression has type {got.description}",
        span,
        left,
    )


def _word(word: Word, datatype: DataType) -> Value:
    if word.text == "redirect" and datatype is not ICMP_TYPE and word.kind is Kind.STRING:
        raise mismatch(datatype, ICMP_TYPE, word.span, None)
    try:
        value = datatype.parse(word)
    except ValueError as error:
        raise fail(str(error), word.span) from None
    if isinstance(value, int) and value > datatype.maximum:
        raise fail(f"Value {value} exceeds valid range 0-{datatype.maximum}", word.span)
    return value


def _fold(term: BinaryTerm, datatype: DataType, left: Span | None) -> Value:
    a = scalar(term.left, datatype, left)
    b = scalar(term.right, datatype, left)
    if not isinstance(a, int) or not isinstance(b, int):
        raise fail(f"a single {datatype.description} is expected here", term.span, left)
    match term.operator:
        case Kind.AND:
            return a & b
        case Kind.OR:
            return a | b
        case Kind.XOR:
            return a ^ b
        case Kind.SHIFT_LEFT if b <= datatype.bits:
            return a << b & datatype.maximum
        case Kind.SHIFT_RIGHT if b <= datatype.bits:
            return a >> b
        case _:
            raise fail("Shift beyond the width of the value", term.right.span, left)


def flags(term: Term, datatype: DataType) -> int:
    """The flags of a list."""
    items = term.items if isinstance(term, ListTerm) else (term,)
    if not datatype.bitmask:
        raise fail(f"Basetype of type {datatype.description} is not bitmask", items[0].span)
    mask = 0
    for item in items:
        value = scalar(item, datatype)
        assert isinstance(value, int)
        mask |= value
    return mask


def key(term: Term, datatype: DataType, left: Span | None = None) -> Key:
    """The value, prefix, range or wildcard that a term stands for.

    Raises:
        RulesetError: it is none, or not of that type.
    """
    if isinstance(datatype, Concatenation):
        return _concatenated(term, datatype, left)
    match term:
        case ConcatTerm(parts, _):
            raise fail("Can't parse symbolic invalid expressions", parts[0].span)
        case PrefixTerm(base, length, span):
            value = scalar(base, datatype, left)
            if not datatype.ranges or not isinstance(value, int):
                raise fail(f"Prefix expression is undefined for {datatype.description} types", span, left)
            if length > datatype.bits:
                raise fail(f"Prefix length {length} is invalid for type of {datatype.bits} bits width", span)
            if length == datatype.bits:
                return Exact(value)
            host = (1 << datatype.bits - length) - 1
            return Interval(value & ~host, value | host, length)
        case RangeTerm(low_term, high_term, span):
            if not datatype.ranges:
                raise fail(
                    f"Range expression is undefined for {datatype.description} types", low_term.span, span
                )
            low = scalar(low_term, datatype, left)
            high = scalar(high_term, datatype, left)
            if not isinstance(low, int) or not isinstance(high, int):
                raise fail(
                    f"Range expression is undefined for {datatype.description} types", low_term.span, span
                )
            if low > high:
                raise fail("Range has zero or negative size", span)
            return Interval(low, high)
        case Word(text, span, kind) if isinstance(datatype, InterfaceName):
            if kind is not Kind.NUMBER and text.endswith("*") and not text.endswith("\\*"):
                try:
                    return Interval(*datatype.wildcard(text[:-1]), WILDCARD)
                except ValueError as error:
                    raise fail(str(error), span) from None
            return Exact(scalar(term, datatype, left))
        case _:
            return Exact(scalar(term, datatype, left))


def _concatenated(term: Term, datatype: Concatenation, left: Span | None) -> Key:
    types = datatype.parts
    if not isinstance(term, ConcatTerm):
        raise fail(f"invalid data type, expected {datatype.description}", term.span)
    if len(term.parts) > len(types):
        raise fail("too many concatenation components", term.span, left)
    if len(term.parts) < len(types):
        got = concatenation_of(*types[: len(term.parts)])
        raise mismatch(datatype, got, term.span, None)
    parts = tuple(_part(part, one) for part, one in zip(term.parts, types, strict=True))
    return joined(parts)


def _part(term: Term, datatype: DataType) -> Exact | Interval:
    covered = key(term, datatype)
    assert not isinstance(covered, Fields)
    return covered


def joined(parts: tuple[Exact | Interval, ...]) -> Exact | Fields:
    """What the parts of a concatenation cover together."""
    single = [part.value if isinstance(part, Exact) else None for part in map(plain, parts)]
    if None in single:
        return Fields(parts)
    return Exact(tuple(cast("Scalar", value) for value in single))


def plain(covered: Exact | Interval) -> Exact | Interval:
    """A single value as such, also where it is written as an interval."""
    if isinstance(covered, Interval) and covered.low == covered.high and covered.prefixlen != WILDCARD:
        return Exact(covered.low)
    return covered


def identity(covered: Key | None) -> Key | None:
    """The same for all keys that cover the same, however they are written."""
    match covered:
        case Interval(low, high, _):
            return Interval(low, high) if low != high else Exact(low)
        case Fields(parts):
            return Fields(tuple(cast("Exact | Interval", identity(part)) for part in parts))
        case _:
            return covered


def bounds(covered: Key) -> tuple[int, int]:
    """First and last value."""
    if isinstance(covered, Interval):
        return covered.low, covered.high
    assert isinstance(covered, Exact)
    assert isinstance(covered.value, int)
    return covered.value, covered.value


def format_key(covered: Key | None, datatype: DataType) -> str:
    """A key as a set shows it."""
    match covered:
        case None:
            return "*"
        case Exact(value):
            return datatype.format(value)
        case Fields(parts):
            assert isinstance(datatype, Concatenation)
            return " . ".join(format_key(part, one) for part, one in zip(parts, datatype.parts, strict=True))
        case Interval(low, high, _) if isinstance(datatype, InterfaceName):
            length = (low ^ high).bit_length() // 8
            return '"' + low.to_bytes(16, "big")[: 16 - length].decode(errors=SURROGATES) + '*"'
        case Interval(low, high, _):
            span = low ^ high
            if low == high:
                return datatype.format(low)
            if datatype.prefixes and span & span + 1 == 0 and low & span == 0:
                return f"{datatype.format(low)}/{datatype.bits - span.bit_length()}"
            return f"{datatype.bound(low)}-{datatype.bound(high)}"


def unsupported_value(term: Term) -> RulesetError:
    """The error for a form of value that is not understood, to be raised."""
    match term:
        case ConcatTerm():
            return fail("Can't parse symbolic invalid expressions", term.parts[0].span)
        case MapTerm():
            return fail("maps are not supported here", term.span)
        case ReferenceTerm() | SetTerm() | FlagsTerm():
            return fail("sets are not supported here", term.span)
        case _:
            return fail("this value is not supported here", term.span)
