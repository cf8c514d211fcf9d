"""The elements of sets and maps.

Ref: nftables src/segtree.c, src/intervals.c; net/netfilter/nft_set_pipapo.c:nft_pipapo_insert.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flowtable.clock import MILLISECOND
from flowtable.ruleset.field_tree import FieldTree
from flowtable.ruleset.syntax import SetTerm
from flowtable.ruleset.values import Exact, Fields, Interval, Key, bounds, fail, identity, key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flowtable.ruleset.code import Op
    from flowtable.ruleset.field_tree import Box
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.statement import Statement
    from flowtable.ruleset.syntax import ElementTerm, Term, VerdictTerm
    from flowtable.ruleset.types.base import DataType


@dataclass(slots=True, eq=False)
class Element:
    """One element of a set or map.

    Attributes:
        key: the values that it covers, None for the catch-all.
        span: the key in the source.
        data: what it maps to, None in a set.
        comment: its ``comment``, None without.
        timeout: its own timeout in milliseconds, None where it has that of its set.
        remaining: milliseconds that it has left when the rules start to run, None if it stays.
        deadline: when it ends, nanoseconds; None if it stays, or does not run yet.
        statements: what is counted and limited for it.
        act: the statements, ready to run.
    """

    key: Key | None
    span: Span
    data: object | None = None
    comment: str | None = None
    timeout: int | None = None
    remaining: int | None = None
    deadline: int | None = None
    statements: tuple[Statement, ...] = ()
    act: Op | None = None

    def start(self, now: int) -> None:
        """The rules start to run: from now on its time passes."""
        if self.remaining is not None and self.deadline is None:
            self.deadline = now + self.remaining * MILLISECOND

    def expired(self, now: int) -> bool:
        """Whether its time is over."""
        return self.deadline is not None and self.deadline <= now

    def left(self, now: int | None) -> int | None:
        """Milliseconds that it has left; None if it stays."""
        if now is None or self.deadline is None:
            return self.remaining
        return max(self.deadline - now, 0) // MILLISECOND


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
            raise fail("Could not process rule: Invalid argument", item.span)
        covered = None if item.key is None else key(item.key, datatype, left)
        value = data(item.data) if data is not None and item.data is not None else None
        remaining = item.timeout if item.expires is None else item.expires
        found.append(
            Element(
                covered,
                item.span,
                value,
                item.comment,
                item.timeout or None,
                remaining or None,
                statements=item.statements,
            )
        )
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


def merge(found: Iterable[Element], datatype: DataType) -> list[Element]:
    """The elements in ascending order, with those that touch or overlap made one.

    Wildcards only swallow what they cover: two that touch are not one wildcard.
    """
    gap = 1 if datatype.ranges else 0
    merged: list[Element] = []
    for element in sorted(found, key=extent):
        if merged and merged[-1].key is not None and element.key is not None:
            (low, high), (next_low, next_high) = bounds(merged[-1].key), bounds(element.key)
            if next_low <= high + gap:
                merged[-1] = replace(merged[-1], key=Interval(low, max(high, next_high)))
                continue
        merged.append(element)
    return merged


def check_disjoint(found: Iterable[Element]) -> None:
    """Raise nft's error if intervals overlap.

    Of two that begin with the same value nft puts the later one first.
    """
    placed = [(element, place) for place, element in enumerate(found) if element.key is not None]
    placed.sort(key=lambda pair: (extent(pair[0])[0], -pair[1]))
    for (before, _), (after, _) in itertools.pairwise(placed):
        if extent(after)[0] <= extent(before)[1]:
            if extent(before) == extent(after) and before.data == after.data:
                continue
            raise fail("conflicting intervals specified", after.span, before.span)


def check_fields(found: Iterable[Element]) -> None:
    """Raise the kernel's error if a concatenation begins or ends within one that was there before.

    As for the kernel, one that contains another can come after it.
    """
    keyed = [element for element in found if element.key is not None]
    if not any(isinstance(element.key, Fields) for element in keyed):
        return
    placed = [(element, field_bounds(element.key)) for element in keyed if element.key is not None]
    tree = FieldTree([(pairs, index) for index, (_, pairs) in enumerate(placed)])
    for index, (element, pairs) in enumerate(placed):
        for corner in corners(pairs):
            first = tree.first(corner)
            if first is not None and first < index:
                raise fail("Could not process rule: File exists", element.span)


def corners(box: Box) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where a box begins and ends."""
    return tuple(low for low, _ in box), tuple(high for _, high in box)


def field_bounds(covered: Key) -> Box:
    """First and last value of each part of a concatenation; a device by name has none: 0."""
    parts: Iterable[object]
    if isinstance(covered, Fields):
        return tuple(bounds(part) for part in covered.parts)
    assert isinstance(covered, Exact)
    assert isinstance(covered.value, tuple)
    parts = covered.value
    return tuple((part, part) if isinstance(part, int) else _NAME for part in parts)


_NAME: Final = (0, 0)


def unique(found: Iterable[Element]) -> dict[Key | None, Element]:
    """The elements by what they cover; of those that cover the same, the first.

    Raises:
        RulesetError: the same maps to two things.
    """
    known: dict[Key | None, Element] = {}
    for element in found:
        first = known.setdefault(identity(element.key), element)
        if first.data != element.data:
            raise fail("Could not process rule: File exists", element.span)
    return known


def ascending(found: Iterable[Element], datatype: DataType) -> list[Element]:
    """The elements in the order of listings: by value, the catch-all last.

    Concatenations with intervals stay in the order in which they were added.
    """
    found = list(found)
    if any(isinstance(element.key, Fields) for element in found):
        return sorted(found, key=lambda element: element.key is None)
    if any(isinstance(element.key, Interval) for element in found):
        return sorted(found, key=extent)

    def order(element: Element) -> tuple[int, int, str]:
        return datatype.order(element.key.value) if isinstance(element.key, Exact) else (2, 0, "")

    return sorted(found, key=order)


def extent(element: Element) -> tuple[int, int]:
    """First and last value; the catch-all comes behind all."""
    return bounds(element.key) if element.key is not None else (1 << 128, 0)
