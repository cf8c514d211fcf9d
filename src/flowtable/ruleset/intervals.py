"""The elements of an interval set in ascending order, so that overlaps are found at once.

Ref: nftables src/intervals.c:set_overlap, set_automerge.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from flowtable.ruleset.element import extent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowtable.ruleset.element import Element


class Intervals:
    """Disjoint elements, the catch-all left out."""

    __slots__ = ("_elements", "_lows")

    def __init__(self, elements: Iterable[Element]) -> None:
        self._elements = sorted((each for each in elements if each.key is not None), key=extent)
        self._lows = [extent(each)[0] for each in self._elements]

    def within(self, low: int, high: int) -> list[Element]:
        """The elements that have a value from ``low`` to ``high`` in common, in ascending order."""
        first = max(bisect_right(self._lows, low) - 1, 0)
        last = bisect_right(self._lows, high)
        return [each for each in self._elements[first:last] if extent(each)[1] >= low]

    def add(self, element: Element) -> None:
        """Add an element that overlaps none."""
        low = extent(element)[0]
        place = bisect_left(self._lows, low)
        self._lows.insert(place, low)
        self._elements.insert(place, element)

    def remove(self, element: Element) -> None:
        """Take an element out."""
        place = bisect_left(self._lows, extent(element)[0])
        del self._lows[place], self._elements[place]
