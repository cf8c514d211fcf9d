"""A measured figure, as benchmarks hand it to tables, plots and pages."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from typing import Final


class Unit(Enum):
    """What a figure counts; the value is how it is written behind it."""

    PACKETS_PER_SECOND = "packets/s"
    EVENTS_PER_SECOND = "events/s"
    FLOWS_PER_SECOND = "flows/s"
    MEGABITS_PER_SECOND = "Mbit/s"
    NANOSECONDS = "ns"
    MICROSECONDS = "us"
    MILLISECONDS = "ms"
    SECONDS = "s"
    BYTES = "bytes"
    MEGABYTES = "MB"
    FLOWS = "flows"
    TIMES = "x"


_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure should be.

    Attributes:
        comparison: ``<=`` or ``>=``.
        value: in the unit of the row; where the row has a ratio, of the ratio.
    """

    comparison: str
    value: float

    def met(self, figure: float) -> bool:
        """Whether a figure is as it should be."""
        return _COMPARISONS[self.comparison](figure, self.value)

    def __str__(self) -> str:
        return f"{self.comparison} {self.value:,g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure.

    Attributes:
        subject: the table that it belongs to, as its heading.
        name: what was measured.
        value: the figure.
        unit: of ``value``.
        against: the ``name`` of the row it is compared with, None for none.
        ratio: ``value`` over the value of that row, measured side by side.
        size: how large what it was measured on was (flows, rules ...), the x of a plot.
        aim: what ``ratio``, or without one ``value``, should be.
    """

    subject: str
    name: str
    value: float
    unit: Unit
    against: str | None = None
    ratio: float | None = None
    size: int | None = None
    aim: Aim | None = None

    @property
    def met(self) -> bool | None:
        """Whether the aim is reached; None without one."""
        if self.aim is None:
            return None
        return self.aim.met(self.value if self.ratio is None else self.ratio)


def tables(rows: Iterable[Row]) -> Iterator[str]:
    """Rows as lines of text, a table for each subject."""
    for subject, group in groupby(rows, key=lambda row: row.subject):
        yield ""
        yield f"{subject}:"
        for row in group:
            yield _line(row).rstrip()


def figure(row: Row) -> str:
    """The figure of a row, as it is written."""
    return f"{row.value:,.0f}" if row.value >= 100 else f"{row.value:,.3g}"


def _line(row: Row) -> str:
    ratio = "" if row.ratio is None else f"{row.ratio:,.2f} x {row.against}"
    aim = "" if row.aim is None else f"{row.aim} {'met' if row.met else 'MISSED'}"
    return f"{row.name:56} {figure(row):>12} {row.unit.value:10} {ratio:28} {aim}"
