"""A timeline as a drawing: SVG, without scripts, the same for the same run."""

from __future__ import annotations

import itertools
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.clock import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flowtable.explain.timeline import Sample

_WIDTH: Final = 860
_HEIGHT: Final = 220
_LEFT: Final = 70
_TOP: Final = 34
_BELOW: Final = 28
_STEPS: Final = (1, 2, 5)


class _Series(NamedTuple):
    """A line or an area.

    Attributes:
        name: in the legend.
        colour: of SVG.
        value: of the samples at the ends of an interval.
    """

    name: str
    colour: str
    value: Callable[[Sample, Sample], float]


def _seconds(before: Sample, after: Sample) -> float:
    return max(after.time - before.time, 1) / SECOND


_PATHS: Final = (
    _Series("hardware", "#1b7837", lambda a, b: (b.hardware - a.hardware) / _seconds(a, b)),
    _Series("fast path in software", "#4393c3", lambda a, b: (b.software - a.software) / _seconds(a, b)),
    _Series("classic path", "#d6604d", lambda a, b: (b.classic - a.classic) / _seconds(a, b)),
)
_ENTRIES: Final = (
    _Series("flow entries", "#4393c3", lambda a, b: b.flows),
    _Series("rules in hardware", "#1b7837", lambda a, b: b.rules),
    _Series("items in the work queues", "#777777", lambda a, b: b.waiting),
)


def draw(samples: Sequence[Sample]) -> str:
    """Two drawings: packets per second by the way they took, stacked; and how full tables were."""
    if len(samples) < 2:
        return ""
    height = 2 * (_TOP + _HEIGHT + _BELOW)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 20} {height}"'
        ' font-family="sans-serif" font-size="12">',
        *_chart(samples, _PATHS, 0, "packets per second", stacked=True),
        *_chart(samples, _ENTRIES, _TOP + _HEIGHT + _BELOW, "entries", stacked=False),
        "</svg>",
    ]
    return "\n".join(lines)


def _chart(
    samples: Sequence[Sample], series: Sequence[_Series], top: int, unit: str, *, stacked: bool
) -> Iterator[str]:
    pairs = list(itertools.pairwise(samples))
    rows = [[each.value(a, b) for a, b in pairs] for each in series]
    if stacked:
        for lower, upper in itertools.pairwise(rows):
            upper[:] = [one + other for one, other in zip(lower, upper, strict=True)]
    most = _round(max(max(row) for row in rows) or 1)
    duration = samples[-1].time or 1
    base = top + _TOP + _HEIGHT

    def point(time: int, value: float) -> str:
        return f"{_LEFT + _WIDTH * time / duration:.1f},{base - _HEIGHT * value / most:.1f}"

    yield from _legend(series, top, unit)
    for number in range(5):
        value = most * number / 4
        y = base - _HEIGHT * number / 4
        yield f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:,.10g}</text>'
    for number in range(5):
        x = _LEFT + _WIDTH * number / 4
        seconds = duration / SECOND * number / 4
        yield f'<text x="{x:.1f}" y="{base + 16}" text-anchor="middle">{seconds:.4g} s</text>'
    for each, row in reversed(list(zip(series, rows, strict=True))):
        steps = [
            point(time, value) for (a, b), value in zip(pairs, row, strict=True) for time in (a.time, b.time)
        ]
        if stacked:
            outline = " ".join([point(0, 0), *steps, point(duration, 0)])
            yield f'<polygon points="{outline}" fill="{each.colour}"/>'
        else:
            yield f'<polyline points="{" ".join(steps)}" fill="none" stroke="{each.colour}"/>'


def _legend(series: Sequence[_Series], top: int, unit: str) -> Iterator[str]:
    yield f'<text x="{_LEFT}" y="{top + 20}" font-weight="bold">{unit}</text>'
    x = _LEFT + 170
    for each in series:
        yield f'<rect x="{x}" y="{top + 11}" width="10" height="10" fill="{each.colour}"/>'
        yield f'<text x="{x + 15}" y="{top + 20}">{each.name}</text>'
        x += 200


def _round(value: float) -> float:
    """The least of 1, 2, 5, 10, 20 ... that is no less."""
    scale = 1.0
    while scale * 10 < value:
        scale *= 10
    return next((step * scale for step in _STEPS if step * scale >= value), 10 * scale)


def page(title: str, samples: Sequence[Sample], summary: str) -> str:
    """A page of HTML: the drawings, and the summary of the run below them."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f"<title>{escape(title)}</title></head>\n"
        '<body style="max-width: 960px; margin: 2em auto; font-family: sans-serif">\n'
        f"<h1>{escape(title)}</h1>\n{draw(samples)}\n<pre>\n{escape(summary)}</pre>\n</body>\n</html>\n"
    )
