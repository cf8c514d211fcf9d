"""Sets and maps as part of a rule: written in place, or by the name of one that is declared.

Ref: net/netfilter/nft_lookup.c:nft_lookup_init.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from flowtable.ruleset.json.keys import set_json
from flowtable.ruleset.lookup import Lookup
from flowtable.ruleset.syntax import ReferenceTerm
from flowtable.ruleset.types.interface import InterfaceName
from flowtable.ruleset.values import (
    Element,
    Exact,
    Interval,
    Key,
    ascending,
    bounds,
    check_disjoint,
    elements,
    fail,
    format_key,
    merge,
    mismatch,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.syntax import SetTerm
    from flowtable.ruleset.types.base import DataType, Value

T = TypeVar("T")


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
            unique = {element.key: element for element in reversed(written)}
            self.elements = ascending(unique.values(), datatype)

    @property
    def only(self) -> Key | None:
        """The one thing that is left of its elements, None if there is more."""
        return self.elements[0].key if len(self.elements) == 1 else None

    def text(self, datatype: DataType) -> str:
        """``{ 22, 80 }``."""
        return f"{{ {', '.join(format_key(element.key, datatype) for element in self.elements)} }}"

    def json(self, datatype: DataType) -> Json:
        """Its elements."""
        return set_json(self.elements, datatype)

    def lookup(self, datatype: DataType, compiler: Compiler) -> Lookup[bool]:
        """Ready to be searched."""
        return build(self.elements, datatype, compiler, lambda element: True)


class NamedSet:
    """A reference to a declared set.

    Attributes:
        name: its name.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def text(self, datatype: DataType) -> str:
        """``@name``."""
        del datatype
        return f"@{self.name}"

    def json(self, datatype: DataType) -> Json:
        """``@name``."""
        return self.text(datatype)

    def lookup(self, datatype: DataType, compiler: Compiler) -> Lookup[bool]:
        """Ready to be searched."""
        return build(compiler.sets[self.name].elements, datatype, compiler, lambda element: True)


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


def check_map_elements(found: list[Element], datatype: DataType) -> list[Element]:
    """The elements of a map in ascending order.

    Raises:
        RulesetError: one key maps to two things.
    """
    if any(isinstance(element.key, Interval) for element in found):
        check_disjoint(found)
    unique: dict[object, Element] = {}
    for element in found:
        known = unique.setdefault(element.key, element)
        if known.data != element.data:
            raise fail("Could not process rule: File exists", element.span)
    return ascending(unique.values(), datatype)


def build(
    found: Sequence[Element],
    datatype: DataType,
    compiler: Compiler,
    data: Callable[[Element], T],
) -> Lookup[T]:
    """Compile elements.

    Args:
        found: the elements, disjoint.
        datatype: the type of their keys.
        compiler: resolves names of devices.
        data: what an element maps to, ready to be used.
    """
    exact: dict[Value, T] = {}
    intervals: list[tuple[int, int, T]] = []
    prefixes: list[tuple[str, T]] = []
    default: T | None = None
    for element in found:
        match element.key:
            case None:
                default = data(element)
            case Exact(value):
                exact[compiler.value(value, datatype, element.span)] = data(element)
            case Interval() as interval if isinstance(datatype, InterfaceName):
                prefixes.append((format_key(interval, datatype)[1:-2], data(element)))
            case Interval() as interval:
                low, high = bounds(interval)
                intervals.append((low, high, data(element)))
    return Lookup(exact, intervals, prefixes, default)


def format_map(found: Sequence[Element], datatype: DataType, data: Callable[[Any], str]) -> str:
    """``{ 22 : accept, 80 : drop }``."""
    pairs = (f"{format_key(element.key, datatype)} : {data(element.data)}" for element in found)
    return f"{{ {', '.join(pairs)} }}"
