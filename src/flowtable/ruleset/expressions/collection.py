"""Sets and maps as part of a rule: written in place, or by the name of one that is declared.

Ref: net/netfilter/nft_lookup.c:nft_lookup_init.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowtable.ruleset.element import (
    Element,
    ascending,
    check_disjoint,
    check_fields,
    elements,
    merge,
    unique,
)
from flowtable.ruleset.json.keys import set_json
from flowtable.ruleset.lookup import build
from flowtable.ruleset.sets import Set
from flowtable.ruleset.statements.last import text_at
from flowtable.ruleset.store import Store
from flowtable.ruleset.syntax import ReferenceTerm
from flowtable.ruleset.types import TIME
from flowtable.ruleset.values import (
    Exact,
    Fields,
    Interval,
    Key,
    fail,
    format_key,
    mismatch,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load, Predicate
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.syntax import SetTerm
    from flowtable.ruleset.types.base import DataType


class AnonymousSet:
    """A set in a rule.

    Attributes:
        written: its elements in the order of the source.
        elements: its elements in ascending order, intervals that touch made one.
    """

    __slots__ = ("elements", "written")

    def __init__(self, written: list[Element], datatype: DataType) -> None:
        self.written = written
        if any(isinstance(element.key, Interval) for element in written):
            self.elements = merge(written, datatype)
        else:
            check_fields(unique(written).values())
            self.elements = ascending(unique(written).values(), datatype)

    @property
    def only(self) -> Key | None:
        """The one value or interval that is left of its elements, None if there is more."""
        if len(self.elements) > 1 or self.elements[0].statements:
            return None
        key = self.elements[0].key
        return None if isinstance(key, Fields) or _is_tuple(key) else key

    def text(self, datatype: DataType, *, stateless: bool = False) -> str:
        """``{ 22, 80 }``."""
        shown = (format_element(element, datatype, stateless=stateless) for element in self.elements)
        return f"{{ {', '.join(shown)} }}"

    def json(self, datatype: DataType) -> Json:
        """Its elements."""
        return set_json(self.elements, datatype)

    def predicate(self, load: Load, datatype: DataType, compiler: Compiler, *, within: bool) -> Predicate:
        """Whether what is read is in the set, or is not; false where nothing can be read."""
        if any(element.statements for element in self.elements):
            counted = Set("", self.elements[0].span, datatype)
            counted.elements = {element.key: element for element in self.elements}
            store = Store(counted, compiler)
            if datatype.bits <= _BITMAP and not any(isinstance(each.key, Interval) for each in self.elements):
                for element in self.elements:
                    element.act = None if element.key is not None else element.act
            return store_predicate(store, load, within=within)
        lookup = build(self.elements, datatype, compiler, lambda element: True)
        return lookup.contains(load) if within else lookup.lacks(load)


class NamedSet:
    """A reference to a declared set.

    Attributes:
        name: its name.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def text(self, datatype: DataType, *, stateless: bool = False) -> str:
        """``@name``."""
        del datatype, stateless
        return f"@{self.name}"

    def json(self, datatype: DataType) -> Json:
        """``@name``."""
        return self.text(datatype)

    def predicate(self, load: Load, datatype: DataType, compiler: Compiler, *, within: bool) -> Predicate:
        """Whether what is read is in the set, or is not; false where nothing can be read."""
        if compiler.lives(self.name):
            return store_predicate(compiler.store(self.name), load, within=within)
        found = compiler.sets[self.name].elements.values()
        lookup = build(found, datatype, compiler, lambda element: True)
        return lookup.contains(load) if within else lookup.lacks(load)


_BITMAP: Final = 16
"""Bits of keys up to which the kernel keeps sets in rules as bitmaps, which count nothing.

Ref: net/netfilter/nft_set_bitmap.c:nft_bitmap_estimate, nft_bitmap_lookup.
"""


def _is_tuple(key: Key | None) -> bool:
    return isinstance(key, Exact) and isinstance(key.value, tuple)


def store_predicate(store: Store, load: Load, *, within: bool) -> Predicate:
    """Whether what is read is in a set that changes, or is not."""

    def contains(packet: Packet) -> bool:
        value = load(packet)
        return value is not None and store.find(packet, value) is not None

    def lacks(packet: Packet) -> bool:
        value = load(packet)
        return value is not None and not store.has(packet, value)

    return contains if within else lacks


def check_set(term: SetTerm | ReferenceTerm, left: Selector, rule: RuleContext) -> AnonymousSet | NamedSet:
    """Check the set on the right side of a match."""
    if isinstance(term, ReferenceTerm):
        find_set(term, left, rule)
        return NamedSet(term.name)
    return AnonymousSet(elements(term, left.datatype, left.span), left.datatype)


def find_set(term: ReferenceTerm, left: Selector, rule: RuleContext) -> Set:
    """The declared set that a reference means.

    Raises:
        RulesetError: there is none, or its keys are of another type.
    """
    declared = rule.sets.get(term.name)
    if declared is None:
        raise fail("No such file or directory", term.span)
    if declared.datatype is not left.datatype:
        raise mismatch(left.datatype, declared.datatype, term.span, left.span)
    return declared


def find_map(term: ReferenceTerm, left: Selector, rule: RuleContext) -> Set:
    """The declared map that a reference means.

    Raises:
        RulesetError: there is none, it is a set, or its keys are of another type.
    """
    declared = rule.sets.get(term.name)
    if declared is None:
        raise fail("No such file or directory", term.span)
    if not declared.is_map:
        raise fail("Expression is not a map", term.span)
    if declared.datatype is not left.datatype:
        raise fail(
            f"datatype mismatch, map expects {declared.datatype.description}, mapping expression has "
            f"type {left.datatype.description}",
            term.span,
            left.span,
        )
    return declared


def check_map_elements(found: list[Element], datatype: DataType) -> list[Element]:
    """The elements of a map in ascending order.

    Raises:
        RulesetError: one key maps to two things, or intervals overlap.
    """
    if any(isinstance(element.key, Interval) for element in found):
        check_disjoint(found)
    for element in found:
        if element.statements:
            raise fail("missing statement in map declaration", element.statements[0].span)
    known = unique(found).values()
    check_fields(known)
    return ascending(known, datatype)


def format_element(element: Element, datatype: DataType, *, stateless: bool, now: int | None = None) -> str:
    """An element without what it maps to, as nft prints it.

    Args:
        element: the element.
        datatype: the type of its key.
        stateless: without counts and the time that is left.
        now: the time that it is printed at, nanoseconds; None before the rules run.
    """
    parts = [format_key(element.key, datatype)]
    parts.extend(text_at(statement, now, stateless=stateless) for statement in element.statements)
    if element.timeout is not None:
        parts.append(f"timeout {TIME.format(element.timeout)}")
    left = element.left(now)
    if left is not None and not stateless:
        parts.append(f"expires {TIME.format(left)}")
    if element.comment is not None:
        parts.append(f'comment "{element.comment}"')
    return " ".join(parts)


def format_map(found: Sequence[Element], datatype: DataType, data: Callable[[Any], str]) -> str:
    """``{ 22 : accept, 80 : drop }``."""
    pairs = (
        f"{format_element(element, datatype, stateless=False)} : {data(element.data)}" for element in found
    )
    return f"{{ {', '.join(pairs)} }}"
