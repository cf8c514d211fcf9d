"""Finding a point among boxes: the elements of a concatenation with intervals.

One level for each field: single values by hash, intervals by a segment tree. A segment tree
keeps an interval at the few nodes that it is made of, so that the intervals around a value are
those on the way from its leaf to the root: the cost of a search grows with the logarithm of
the number of elements, and that for each field. The kernel solves the same with bit maps
(net/netfilter/nft_set_pipapo.c).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Box = tuple[tuple[int, int], ...]
"""First and last value of each field."""
Entry = tuple[Box, int]
"""A box and its number."""


class FieldTree:
    """Boxes, given by first and last value of each field, and the number of each."""

    __slots__ = ("_depth", "_edges", "_exact", "_number", "_segments")

    def __init__(self, entries: Sequence[Entry], depth: int = 0) -> None:
        """Sort the boxes in.

        Args:
            entries: boxes with their numbers, at least one.
            depth: the field to start with; the ones before are equal or searched already.
        """
        self._depth = depth
        self._number = min(number for _, number in entries)
        self._exact: dict[int, FieldTree] = {}
        self._edges: list[int] = []
        self._segments: dict[int, FieldTree] = {}
        if depth == len(entries[0][0]):
            return
        exact: dict[int, list[Entry]] = defaultdict(list)
        spread: list[Entry] = []
        for entry in entries:
            low, high = entry[0][depth]
            if low == high:
                exact[low].append(entry)
            else:
                spread.append(entry)
        self._exact = {value: FieldTree(below, depth + 1) for value, below in exact.items()}
        if spread:
            self._spread(spread)

    def _spread(self, entries: list[Entry]) -> None:
        """Put intervals at the nodes of the segment tree over all their edges."""
        depth = self._depth
        edges = {edge for box, _ in entries for edge in (box[depth][0], box[depth][1] + 1)}
        self._edges = sorted(edges)
        place = {edge: position for position, edge in enumerate(self._edges)}
        leaves = len(self._edges)
        nodes: dict[int, list[Entry]] = defaultdict(list)
        for entry in entries:
            low, high = entry[0][depth]
            left, right = place[low] + leaves, place[high + 1] + leaves
            while left < right:
                if left & 1:
                    nodes[left].append(entry)
                    left += 1
                if right & 1:
                    right -= 1
                    nodes[right].append(entry)
                left >>= 1
                right >>= 1
        self._segments = {node: FieldTree(below, depth + 1) for node, below in nodes.items()}

    def first(self, point: Sequence[int]) -> int | None:
        """The lowest number of a box around a point, None if there is none."""
        if self._depth == len(point):
            return self._number
        value = point[self._depth]
        below = self._exact.get(value)
        best = None if below is None else below.first(point)
        if self._segments:
            position = bisect_right(self._edges, value) - 1
            node = position + len(self._edges) if position >= 0 else 0
            while node:
                below = self._segments.get(node)
                if below is not None:
                    found = below.first(point)
                    if found is not None and (best is None or found < best):
                        best = found
                node >>= 1
        return best


class GrowingTree:
    """Boxes to which others are added one by one.

    Trees of ever smaller sizes: those at the end are built again with each box that is added, the
    large ones hardly ever.
    """

    __slots__ = ("_parts",)

    def __init__(self, boxes: Sequence[Box]) -> None:
        self._parts: list[tuple[list[Entry], FieldTree]] = []
        if boxes:
            entries = [(box, 0) for box in boxes]
            self._parts.append((entries, FieldTree(entries)))

    def around(self, point: Sequence[int]) -> bool:
        """Whether there is a box around a point."""
        return any(tree.first(point) is not None for _, tree in self._parts)

    def add(self, box: Box) -> None:
        """Add a box."""
        entries: list[Entry] = [(box, 0)]
        while self._parts and len(self._parts[-1][0]) <= len(entries):
            entries += self._parts.pop()[0]
        self._parts.append((entries, FieldTree(entries)))
