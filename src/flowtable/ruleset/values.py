"""From terms to values, once their type is known.

Ref: nftables src/evaluate.c:expr_evaluate.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.source import Diagnostic, RulesetError
from flowtable.ruleset.syntax import (
    BinaryTerm,
    ConcatTerm,
    ElementTerm,
    FlagsTerm,
    ListTerm,
    Literal,
    MapTerm,
    PrefixTerm,
    RangeTerm,
    ReferenceTerm,
    SetTerm,
    VerdictTerm,
    Word,
)
from flowtable.ruleset.types import ICMP_TYPE
from flowtable.ruleset.types.interface import SURROGATES, InterfaceName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flowtable.ruleset.source import Span
    from flowtable.ruleset.syntax import Term
    from flowtable.ruleset.types.base import DataType, Value


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


Key = Exact | Interval
WILDCARD = -2


class Element(NamedTuple):
    """One element of a set or map.

    Attributes:
        key: the values that it covers, None for the catch-all.
        span: the key in the source.
        data: what it maps to, None in a set.
        comment: its ``comment``, None without.
    """

    key: Key | None
    span: Span
    data: object | None = None
    comment: str | None = None


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
    match term:
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


def elements(
    term: SetTerm,
    datatype: DataType,
    left: Span | None = None,
    data: Callable[[Term | VerdictTerm], object] | None = None,
) -> list[Element]:
    """The elements of a set or map as written, nested sets resolved.

    Args:
        term: the set.
        datatype: the type of its keys.
        left: what is looked up in it, for messages.
        data: reads what an element maps to; None for a set.
    """
    found: list[Element] = []
    for item in _flatten(term):
        if item.data is not None and data is None:
            raise fail("mapping outside of map context", item.span)
        if item.data is None and data is not None:
            raise fail("the element maps to nothing", item.span)
        if item.key is None:
            covered = None
        elif isinstance(item.key, ConcatTerm):
            raise fail("concatenations are not supported", item.span, left)
        else:
            covered = key(item.key, datatype, left)
        value = data(item.data) if data is not None and item.data is not None else None
        found.append(Element(covered, item.span, value, item.comment))
    if not found:
        raise fail("Set is empty", term.span)
    return found


def _flatten(term: SetTerm) -> Iterator[ElementTerm]:
    """Elements of the set and of the sets in it."""
    for item in term.elements:
        if isinstance(item.key, SetTerm):
            yield from _flatten(item.key)
        else:
            yield item


def merge(found: list[Element], datatype: DataType) -> list[Element]:
    """The elements in ascending order, with those that touch or overlap made one.

    Wildcards only swallow what they cover: two that touch are not one wildcard.
    """
    gap = 1 if datatype.ranges else 0
    merged: list[Element] = []
    for element in sorted(found, key=_extent):
        if merged and merged[-1].key is not None and element.key is not None:
            (low, high), (next_low, next_high) = bounds(merged[-1].key), bounds(element.key)
            if next_low <= high + gap:
                merged[-1] = merged[-1]._replace(key=Interval(low, max(high, next_high)))
                continue
        merged.append(element)
    return merged


def check_disjoint(found: list[Element]) -> None:
    """Raise nft's error if intervals overlap."""
    ordered = sorted((element for element in found if element.key is not None), key=_extent)
    for before, after in itertools.pairwise(ordered):
        assert before.key is not None
        assert after.key is not None
        if bounds(after.key)[0] <= bounds(before.key)[1]:
            first, second = sorted((before, after), key=found.index)
            if first.key == second.key and first.data == second.data:
                continue
            raise fail("conflicting intervals specified", second.span, first.span)


def bounds(covered: Key) -> tuple[int, int]:
    """First and last value."""
    if isinstance(covered, Interval):
        return covered.low, covered.high
    assert isinstance(covered.value, int)
    return covered.value, covered.value


def ascending(found: Iterable[Element], datatype: DataType) -> list[Element]:
    """The elements in the order of listings: by value, the catch-all last."""
    found = list(found)
    if any(isinstance(element.key, Interval) for element in found):
        return sorted(found, key=_extent)

    def order(element: Element) -> tuple[int, int, str]:
        return datatype.order(element.key.value) if isinstance(element.key, Exact) else (2, 0, "")

    return sorted(found, key=order)


def _extent(element: Element) -> tuple[int, int]:
    return bounds(element.key) if element.key is not None else (1 << 128, 0)


def format_key(covered: Key | None, datatype: DataType) -> str:
    """A key as a set shows it."""
    match covered:
        case None:
            return "*"
        case Exact(value):
            return datatype.format(value)
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
            return fail("concatenations are not supported", term.span)
        case MapTerm():
            return fail("maps are not supported here", term.span)
        case ReferenceTerm() | SetTerm() | FlagsTerm():
            return fail("sets are not supported here", term.span)
        case _:
            return fail("this value is not supported here", term.span)
