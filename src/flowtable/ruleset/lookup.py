"""Sets and maps, ready to be searched at a cost that does not grow with them.

Ref: net/netfilter/nft_lookup.c:nft_lookup_eval; nft_set_hash.c for single values,
nft_set_rbtree.c for intervals, nft_set_pipapo.c for concatenations with intervals.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Generic, TypeVar

from flowtable.ruleset.element import field_bounds
from flowtable.ruleset.field_tree import FieldTree
from flowtable.ruleset.types.concatenation import Concatenation
from flowtable.ruleset.types.interface import InterfaceIndex, InterfaceName
from flowtable.ruleset.values import Exact, Fields, Interval, bounds, format_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load, Predicate
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.element import Element
    from flowtable.ruleset.types.base import DataType, Scalar, Value

T = TypeVar("T")


class Lookup(Generic[T]):
    """The elements of a set or map.

    Attributes:
        exact: single values and what they map to.
        intervals: first and last value of each interval, and what it maps to; disjoint.
        prefixes: beginnings of texts, and what they map to.
        boxes: concatenations with intervals, and what they map to.
        numbers: makes numbers of the fields of a concatenation, to be found in ``boxes``.
        default: what the catch-all element maps to, None without one.
    """

    __slots__ = ("boxes", "default", "exact", "intervals", "numbers", "prefixes")

    def __init__(
        self,
        exact: dict[Value, T],
        intervals: Iterable[tuple[int, int, T]] = (),
        prefixes: Iterable[tuple[str, T]] = (),
        boxes: Iterable[tuple[tuple[tuple[int, int], ...], T]] = (),
        numbers: Callable[[tuple[Scalar, ...]], Sequence[int]] | None = None,
        default: T | None = None,
    ) -> None:
        self.exact = exact
        self.intervals = sorted(intervals, key=lambda interval: interval[0])
        self.prefixes = list(prefixes)
        self.boxes = list(boxes)
        self.numbers = numbers
        self.default = default

    def finder(self) -> Callable[[Value], T | None]:
        """A function from a value to what it maps to, None where there is nothing."""
        exact, default = self.exact, self.default
        if self.intervals:
            return self._interval_finder()
        if self.prefixes:
            return self._prefix_finder()
        if self.boxes:
            return self._box_finder()
        if default is None:
            return exact.get
        return lambda value: exact.get(value, default)

    def _interval_finder(self) -> Callable[[Value], T | None]:
        exact, default = self.exact, self.default
        lows = [low for low, _, _ in self.intervals]
        highs = [high for _, high, _ in self.intervals]
        data = [found for _, _, found in self.intervals]

        def find(value: Value) -> T | None:
            found = exact.get(value)
            if found is not None:
                return found
            assert isinstance(value, int)
            index = bisect_right(lows, value) - 1
            if index >= 0 and value <= highs[index]:
                return data[index]
            return default

        return find

    def _prefix_finder(self) -> Callable[[Value], T | None]:
        exact, default = self.exact, self.default
        prefixes = {length: dict[str, T]() for length in sorted({len(prefix) for prefix, _ in self.prefixes})}
        for prefix, data in self.prefixes:
            prefixes[len(prefix)][prefix] = data

        def find(value: Value) -> T | None:
            found = exact.get(value)
            if found is not None:
                return found
            assert isinstance(value, str)
            for length, names in prefixes.items():
                found = names.get(value[:length])
                if found is not None:
                    return found
            return default

        return find

    def _box_finder(self) -> Callable[[Value], T | None]:
        exact, default, numbers = self.exact, self.default, self.numbers
        assert numbers is not None
        tree = FieldTree([(box, number) for number, (box, _) in enumerate(self.boxes)])
        data = [found for _, found in self.boxes]

        def find(value: Value) -> T | None:
            found = exact.get(value)
            if found is not None:
                return found
            assert isinstance(value, tuple)
            number = tree.first(numbers(value))
            return default if number is None else data[number]

        return find

    def contains(self, load: Load) -> Predicate:
        """Whether what is read is an element."""
        if not self.intervals and not self.prefixes and not self.boxes and self.default is None:
            members = frozenset(self.exact)
            return lambda packet: load(packet) in members
        find = self.finder()

        def test(packet: Packet) -> bool:
            value = load(packet)
            return value is not None and find(value) is not None

        return test

    def lacks(self, load: Load) -> Predicate:
        """Whether what is read is no element; false where nothing can be read."""
        find = self.finder()

        def test(packet: Packet) -> bool:
            value = load(packet)
            return value is not None and find(value) is None

        return test


def build(
    found: Iterable[Element],
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
    boxes: list[tuple[tuple[tuple[int, int], ...], T]] = []
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
            case Fields() as fields:
                boxes.append((_box(fields, datatype, compiler, element), data(element)))
    numbers = datatype.numbers if isinstance(datatype, Concatenation) else None
    return Lookup(exact, intervals, prefixes, boxes, numbers, default)


def _box(
    fields: Fields, datatype: DataType, compiler: Compiler, element: Element
) -> tuple[tuple[int, int], ...]:
    """First and last value of each field; devices by their index."""
    assert isinstance(datatype, Concatenation)
    box = []
    for part, one, pair in zip(fields.parts, datatype.parts, field_bounds(fields), strict=True):
        if isinstance(one, InterfaceIndex) and isinstance(part, Exact):
            index = compiler.value(part.value, one, element.span)
            assert isinstance(index, int)
            box.append((index, index))
        else:
            box.append(pair)
    return tuple(box)
