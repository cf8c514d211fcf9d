"""The figure of a packet's ways through the box, with a count at every station."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flowtable.router import Statistics

_CLASSIC: Final = (
    ("ingress", "ingress"),
    ("prerouting", "prerouting"),
    ("routing decision", "routing"),
    ("forward", "forward"),
    ("postrouting", "postrouting"),
    ("egress", "egress"),
    ("transmit", "transmit"),
)
"""The stations of the middle line, and what counts their packets."""

_ARROW: Final = " --> "
_BESIDE: Final = 6
"""From the routing decision's middle to input and output above it."""


class _Canvas:
    """Rows of text that can be written to anywhere."""

    def __init__(self) -> None:
        self._rows: list[list[str]] = []

    def put(self, row: int, column: int, text: str) -> None:
        """Write text from a column on."""
        while len(self._rows) <= row:
            self._rows.append([])
        cells = self._rows[row]
        cells.extend(" " * (column + len(text) - len(cells)))
        cells[column : column + len(text)] = text

    def centre(self, row: int, column: int, text: str) -> None:
        """Write text around a column."""
        self.put(row, max(column - len(text) // 2, 0), text)

    def __str__(self) -> str:
        return "\n".join("".join(cells).rstrip() for cells in self._rows)


def draw(statistics: Statistics) -> str:
    """The figure; 95 columns wide as long as no count has more than nine digits."""
    canvas = _Canvas()
    middles: dict[str, int] = {}
    column = 0
    for label, station in _CLASSIC:
        middles[station] = column + len(label) // 2
        canvas.put(5, column, label)
        canvas.centre(6, middles[station], count(getattr(statistics, station)))
        column += len(label) + len(_ARROW)
        if station != "transmit":
            canvas.put(5, column - len(_ARROW), _ARROW)

    middle = middles["routing"]
    canvas.centre(0, middle, "local process")
    canvas.centre(1, middle, count(statistics.delivered))
    for row, (up, down) in enumerate(["^|", ("input", "output"), _local(statistics), "|v"], 1):
        canvas.centre(row, middle - _BESIDE, up)
        canvas.centre(row, middle + _BESIDE, down)

    entry, add, back = middles["ingress"], middles["forward"], middles["egress"]
    for row in range(7, 11):
        canvas.put(row, add, "|")
    canvas.put(7, entry, "|")
    canvas.put(7, back, "^")
    canvas.put(8, 0, "flowtable --hit".ljust(add, "-"))
    canvas.put(8, add + 1, "'".rjust(back - add, "-"))
    canvas.centre(8, middle, " fast path bypass ")
    canvas.centre(9, entry, count(statistics.flowtable))
    canvas.centre(9, middle, count(statistics.bypass))
    canvas.put(10, entry, f"'--miss--> {count(statistics.misses.total())} (the line above)")
    canvas.put(10, add, f"'-- flow add: {count(statistics.offloaded)} flows")
    return str(canvas)


def count(number: int) -> str:
    """A count, its digits in groups of three."""
    return f"{number:,}"


def _local(statistics: Statistics) -> tuple[str, str]:
    return count(statistics.input), count(statistics.output)
