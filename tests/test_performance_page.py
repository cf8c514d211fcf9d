"""Measured figures as lines and as a page."""

from __future__ import annotations

from benchmarks.page import page
from benchmarks.row import Aim, Row, Unit, tables

ROWS = [
    Row("a race", "hare", 2_000_000.0, Unit.PACKETS_PER_SECOND),
    Row("a race", "tortoise", 500_000.0, Unit.PACKETS_PER_SECOND, "hare", 0.25, aim=Aim(">=", 1)),
    Row("a race", "rest", 12.34, Unit.SECONDS, aim=Aim("<=", 20)),
    Row("another", "none", 0.0, Unit.FLOWS),
]


def test_a_page_has_a_table_for_each_subject():
    text = page({"Races": ("As in the fable.\n", ROWS)}, "2026-12-01")
    assert "2026-12-01" in text
    assert text[text.index("## Races") :].splitlines() == [
        "## Races",
        "",
        "As in the fable.",
        "",
        "### A race",
        "",
        "| | | | beside | aim |",
        "| --- | ---: | --- | --- | --- |",
        f"| hare | 2,000,000 packets/s | `{'█' * 24}` |  |  |",
        f"| tortoise | 500,000 packets/s | `{'█' * 6}` | 0.25 x hare | >= 1: **missed** |",
        f"| rest | 12.3 s | `{'█' * 24}` |  | <= 20: met |",
        "",
        "### Another",
        "",
        "| | | | beside | aim |",
        "| --- | ---: | --- | --- | --- |",
        "| none | 0 flows | `` |  |  |",
    ]


def test_lines_say_what_was_missed():
    lines = list(tables(ROWS))
    assert [line.split()[-1] for line in lines if "MISSED" in line or "met" in line] == ["MISSED", "met"]
