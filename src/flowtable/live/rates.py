"""How fast flows are: the difference between two looks at their counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.clock import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowtable.flows.entry import FlowEntry

SHORTEST: Final = SECOND // 2
"""Two looks that are nearer tell nothing."""


class Rate(NamedTuple):
    """Packets and bits a second."""

    packets: float
    bits: float


class _Look(NamedTuple):
    time: int
    counts: tuple[tuple[int, int], ...]


class Rates:
    """The rates of flows, for as long as somebody asks for them."""

    def __init__(self) -> None:
        self._last: dict[FlowEntry, _Look] = {}
        self._rates: dict[FlowEntry, tuple[Rate, ...]] = {}

    def look(self, entries: Iterable[FlowEntry], now: int) -> None:
        """Look at the flows that there are, whose counts are up to date."""
        last, self._last = self._last, {}
        rates, self._rates = self._rates, {}
        for entry in entries:
            counts = tuple((direction.packets, direction.bytes) for direction in entry.directions)
            before = last.get(entry)
            if before is not None and now - before.time < SHORTEST:
                self._last[entry] = before
                if entry in rates:
                    self._rates[entry] = rates[entry]
                continue
            if before is None:
                if now - entry.created < SHORTEST:
                    self._last[entry] = _Look(entry.created, ((0, 0), (0, 0)))
                    continue
                before = _Look(entry.created, ((0, 0), (0, 0)))
            self._last[entry] = _Look(now, counts)
            seconds = (now - before.time) / SECOND
            self._rates[entry] = tuple(
                Rate((packets - packets_before) / seconds, (size - size_before) * 8 / seconds)
                for (packets, size), (packets_before, size_before) in zip(counts, before.counts, strict=True)
            )

    def of(self, entry: FlowEntry) -> tuple[Rate | None, Rate | None]:
        """The rates of the original and of the reply direction, None where they are not known."""
        known = self._rates.get(entry)
        return (None, None) if known is None else (known[0], known[1])

    def forget(self) -> None:
        """Nobody asks any more."""
        self._last.clear()
        self._rates.clear()
