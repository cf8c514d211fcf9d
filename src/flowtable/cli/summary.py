"""A report in words: the figure, the hit rate, and tables of reasons with counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.cli.figure import count, draw
from flowtable.cli.reason import ranked, text
from flowtable.clock import MILLISECOND, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flowtable.cli.reason import Reason
    from flowtable.cli.report import Report
    from flowtable.router import Statistics

_COUNT: Final = 11
"""Columns for a count in a table."""


def summarise(report: Report) -> str:
    """The summary, plain text of at most 100 columns; the same for the same run."""
    return joined(
        _headline(report),
        *whole(report.statistics),
        _hardware(report),
        _table("what hardware did not do", _refused(report)),
        _table("packets that are no input", _passed_over(report)),
        *reasons(report.statistics),
        report.comparison.summary() if report.comparison else "",
    )


def joined(*parts: str) -> str:
    """Parts with an empty line between them, without those that have nothing to say."""
    return "\n\n".join(part for part in parts if part) + "\n"


def whole(statistics: Statistics) -> Iterator[str]:
    """How many packets went which way."""
    yield draw(statistics)
    yield _fast_path(statistics) + _stacks(statistics)


def reasons(statistics: Statistics) -> Iterator[str]:
    """Why some did not go on, and what ended flows."""
    yield _table("packets that the flowtable let up the classic path", _rows(ranked(statistics.misses)))
    yield _table("packets that flow add did not offload", _rows(ranked(statistics.refusals)))
    yield _table("packets that were dropped", _rows(ranked(statistics.drops)))
    yield _table("packets that reached a rule that cannot be evaluated", _places(statistics))
    yield _table("flows that ended", _rows(ranked(statistics.teardowns)))


def _headline(report: Report) -> str:
    tally = report.tally
    seconds = f"{tally.duration // SECOND:,}.{tally.duration % SECOND // MILLISECOND:03}"
    line = f"{count(report.packets)} packets in {seconds} s of capture, profile {report.profile.name}"
    if tally.late:
        line += f"\n{count(tally.late)} of them out of order, taken at the time of the one before"
    return line


def _fast_path(statistics: Statistics) -> str:
    hits = statistics.bypass
    return (
        f"fast path: {count(hits)} of {count(hits + statistics.offloadable)} forwarded TCP/UDP/GRE packets"
        f" ({statistics.hit_rate:.1%}), {count(statistics.offloaded)} flows offloaded"
    )


def _stacks(statistics: Statistics) -> str:
    """What the figure has no place for: what bridges and tunnels did."""
    lines = ""
    if statistics.bridged:
        lines += f"\nbridged: {count(statistics.bridged)} frames from one port of a bridge to others"
        lines += ", past all IP stations; flow add never sees them"
    if statistics.encapsulated or statistics.decapsulated:
        lines += f"\ntunnels: {count(statistics.encapsulated)} packets sent inside of others,"
        lines += f" {count(statistics.decapsulated)} received so"
    return lines


def _hardware(report: Report) -> str:
    """Where flows were, and how busy the way there was."""
    hardware, statistics = report.hardware, report.statistics
    if hardware is None:
        return ""
    forwarded = statistics.hardware + statistics.bypass + statistics.offloadable
    share = statistics.hardware / forwarded if forwarded else 0.0
    lines = [
        f"hardware: {count(statistics.hardware)} of {count(forwarded)} forwarded packets ({share:.1%}),"
        " which never reached the box"
    ]
    lines += [
        f"{chip.name}: {count(chip.rules)} of {count(chip.entries)} entries in use,"
        f" {count(chip.evictions)} evicted, {count(chip.aged)} aged"
        for chip in hardware.chips
    ]
    work = ", ".join(f"{count(number)} {name}" for name, number in hardware.work.items())
    lines.append(f"work queues: {work}; {count(hardware.deepest)} items at most at a time")
    lines += [f"left to software: {device} ({why})" for device, why in hardware.left]
    return "\n".join(lines)


def _refused(report: Report) -> list[tuple[int, str]]:
    return _rows(ranked(report.hardware.failures)) if report.hardware else []


def _passed_over(report: Report) -> list[tuple[int, str]]:
    own = [(report.tally.own, "sent by the box itself")] if report.tally.own else []
    return own + _rows(ranked(report.inputs.skipped))


def _rows(counted: Iterable[tuple[Reason, int]]) -> list[tuple[int, str]]:
    return [(number, text(reason)) for reason, number in counted]


def _places(statistics: Statistics) -> list[tuple[int, str]]:
    """Rules that cannot be evaluated, by file and line, the ones reached most often first."""
    return [(number, place) for place, number in statistics.opaque.most_common()]


def _table(title: str, rows: Iterable[tuple[int, str]]) -> str:
    lines = [f"{count(number):>{_COUNT}}  {what}" for number, what in rows]
    return "\n".join([f"{title}:", *lines]) if lines else ""
