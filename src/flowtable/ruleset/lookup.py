"""Sets and maps, ready to be searched.

Ref: net/netfilter/nft_lookup.c:nft_lookup_eval, net/netfilter/nft_set_rbtree.c for intervals.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load, Predicate
    from flowtable.ruleset.types.base import Value

T = TypeVar("T")


class Lookup(Generic[T]):
    """The elements of a set or map.

    Attributes:
        exact: single values and what they map to.
        intervals: first and last value of each interval, and what it maps to; disjoint.
        prefixes: beginnings of texts, and what they map to.
        default: what the catch-all element maps to, None without one.
    """

    __slots__ = ("default", "exact", "intervals", "prefixes")

    def __init__(
        self,
        exact: dict[Value, T],
        intervals: Iterable[tuple[int, int, T]] = (),
        prefixes: Iterable[tuple[str, T]] = (),
        default: T | None = None,
    ) -> None:
        self.exact = exact
        self.intervals = sorted(intervals, key=lambda interval: interval[0])
        self.prefixes = list(prefixes)
        self.default = default

    def finder(self) -> Callable[[Value], T | None]:
        """A function from a value to what it maps to, None where there is nothing."""
        exact, default = self.exact, self.default
        if self.intervals:
            return self._interval_finder()
        if self.prefixes:
            return self._prefix_finder()
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
        exact, prefixes, default = self.exact, self.prefixes, self.default

        def find(value: Value) -> T | None:
            found = exact.get(value)
            if found is not None:
                return found
            assert isinstance(value, str)
            for prefix, data in prefixes:
                if value.startswith(prefix):
                    return data
            return default

        return find

    def contains(self, load: Load) -> Predicate:
        """Whether what is read is an element."""
        if not self.intervals and not self.prefixes and self.default is None:
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
