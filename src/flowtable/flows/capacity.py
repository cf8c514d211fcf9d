"""For how many flows a flowtable has room, and who goes when there is none left."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from flowtable.flows.entry import FlowEntry


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many flows a flowtable takes. The kernel's takes any number.

    Attributes:
        flows: the most, those included that are torn down and not freed yet.
        evicts: a flow too many ends the one that has been idle for longest; otherwise it is refused.
    """

    flows: int
    evicts: bool = False


class Recency:
    """Which flow has been idle for longest.

    Flows stand in the order of their last packets as far as these are known. Only the first is ever
    looked at: as long as it had packets since, it goes back to where it belongs.
    """

    __slots__ = ("_number", "_order")

    def __init__(self) -> None:
        self._number = 0
        self._order: list[tuple[int, int, FlowEntry]] = []

    def add(self, entry: FlowEntry) -> None:
        """Take in a new flow."""
        self._number += 1
        heappush(self._order, (entry.created, self._number, entry))

    def idlest(self, flows: Collection[FlowEntry], look: Callable[[FlowEntry], None]) -> FlowEntry | None:
        """The flow without a packet for longest, of equal ones the oldest; None without any.

        Args:
            flows: those that there are, quick to ask for one; others that were taken in are forgotten.
            look: brings the times of a flow's last packets up to date.
        """
        if len(self._order) > 2 * len(flows) + 1:
            self._order = [each for each in self._order if each[2] in flows]
            heapify(self._order)
        while self._order:
            known, number, entry = self._order[0]
            if entry not in flows or entry.torn_down:
                heappop(self._order)
                continue
            look(entry)
            last = max(entry.created, *entry.used)
            if last == known:
                return entry
            heapreplace(self._order, (last, number, entry))
        return None
