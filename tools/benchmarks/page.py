"""Measured figures as a page: docs/performance.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from benchmarks.row import Row, figure

BAR: Final = 24
"""Characters of the longest bar."""
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
HEAD: Final = """# Performance

Written by `make bench`, in one run on one machine:
{machine}; {kernel}; Python {python};
{date}, load average {load:.1f}.

Figures are compared with those beside them in the same table, measured in the same run: such ratios
carry over to other machines, figures do not. A bar is as long as its figure, beside the largest one of
its unit in the table. An aim is for the ratio where there is one, else for the figure.

"""


def page(chapters: Mapping[str, tuple[str, Sequence[Row]]], date: str) -> str:
    """The page.

    Args:
        chapters: by title, how it was measured and the rows.
        date: of the run.
    """
    head = HEAD.format(
        machine=f"{os.cpu_count()} processors ({_processor()}, {platform.machine()})",
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        date=date,
        load=os.getloadavg()[2],
    )
    return head + "\n".join(line for title, chapter in chapters.items() for line in _chapter(title, *chapter))


def _chapter(title: str, method: str, rows: Sequence[Row]) -> Iterator[str]:
    yield f"## {title}\n"
    yield f"{method.strip()}\n"
    for subject, group in groupby(rows, key=lambda row: row.subject):
        yield f"### {subject[0].upper()}{subject[1:]}\n"
        yield from _table(list(group))
        yield ""


def _table(rows: Sequence[Row]) -> Iterator[str]:
    largest = {row.unit: max(other.value for other in rows if other.unit is row.unit) for row in rows}
    yield "| | | | beside | aim |"
    yield "| --- | ---: | --- | --- | --- |"
    for row in rows:
        bar = _bar(row.value / largest[row.unit]) if largest[row.unit] else ""
        ratio = "" if row.ratio is None else f"{row.ratio:,.2f} x {row.against}"
        aim = "" if row.aim is None else f"{row.aim}: {'met' if row.met else '**missed**'}"
        yield f"| {row.name} | {figure(row)} {row.unit.value} | `{bar}` | {ratio} | {aim} |"


def _bar(share: float) -> str:
    eighths = max(1, round(share * BAR * 8))
    whole, rest = divmod(eighths, 8)
    return "█" * whole + _EIGHTHS[rest].strip()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown")
