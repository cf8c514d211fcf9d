"""The neighbours that flows go to, kept fresh by the kernel for as long as a flow does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from flowtable.clock import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowtable.topology.neighbour import Neighbour, Neighbours

AGAIN: Final = 5 * SECOND
"""A kernel that does not keep a neighbour fresh is asked again after this."""


class Keeper(Protocol):
    """Who keeps neighbours fresh."""

    def manage(self, neighbour: Neighbour) -> bool:
        """Keep a neighbour fresh; False if that has to be said again."""
        ...

    def release(self, neighbour: Neighbour) -> None:
        """Stop it."""
        ...


class NextHops:
    """Which neighbours are kept fresh."""

    def __init__(self, neighbours: Neighbours, keeper: Keeper) -> None:
        """Begin with none.

        Args:
            neighbours: of the host.
            keeper: keeps them fresh.
        """
        self._neighbours = neighbours
        self._keeper = keeper
        self._kept: dict[tuple[int, bytes], int | None] = {}
        """When to say it again, None for never."""

    def keep(self, used: Iterable[tuple[int, bytes]], now: int) -> None:
        """Keep those fresh that flows go to, and no others.

        Args:
            used: device index and address of each.
            now: the time, nanoseconds.
        """
        wanted = set(used)
        for key in self._kept.keys() - wanted:
            del self._kept[key]
            neighbour = self._neighbours.table.get(key)
            if neighbour is not None:
                self._keeper.release(neighbour)
        for key in wanted:
            due = self._kept.get(key, now)
            neighbour = self._neighbours.table.get(key)
            if due is not None and due <= now and neighbour is not None:
                self._kept[key] = None if self._keeper.manage(neighbour) else now + AGAIN
