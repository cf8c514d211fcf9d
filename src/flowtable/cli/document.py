"""A report as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from flowtable.cli.reason import documented

if TYPE_CHECKING:
    from flowtable.cli.report import Report

_STATIONS: Final = (
    "ingress",
    "flowtable",
    "bypass",
    "bridged",
    "prerouting",
    "routing",
    "input",
    "delivered",
    "decapsulated",
    "output",
    "encapsulated",
    "forward",
    "postrouting",
    "egress",
    "transmit",
)


def document(report: Report) -> str:
    """One JSON object with all that the summary says, and more; docs/commands/run.md describes it."""
    statistics, tally = report.statistics, report.tally
    content: dict[str, object] = {
        "ruleset": report.ruleset,
        "box": report.box,
        "profile": report.profile.name,
        "inputs": [capture.name for capture in report.inputs.captures],
        "errors": report.inputs.errors,
        "time": {"first": tally.first, "last": tally.last if tally.first is not None else None},
        "records": {
            "read": report.packets,
            "taken": tally.taken,
            "own": tally.own,
            "late": tally.late,
            "skipped": documented(report.inputs.skipped),
        },
        "stations": {station: getattr(statistics, station) for station in _STATIONS},
        "fast_path": {
            "hits": statistics.bypass,
            "forwarded": statistics.bypass + statistics.offloadable,
            "hit_rate": statistics.hit_rate,
        },
        "offloaded": statistics.offloaded,
        "misses": documented(statistics.misses),
        "refusals": documented(statistics.refusals),
        "drops": documented(statistics.drops),
        "teardowns": documented(statistics.teardowns),
        "opaque": dict(statistics.opaque.most_common()),
    }
    if report.hardware is not None:
        content["hardware"] = {
            "packets": statistics.hardware,
            "chips": [chip._asdict() for chip in report.hardware.chips],
            "work": report.hardware.work,
            "dropped": report.hardware.dropped,
            "deepest": report.hardware.deepest,
            "failures": documented(report.hardware.failures),
            "left_to_software": [{"device": device, "why": why} for device, why in report.hardware.left],
        }
    if report.comparison is not None:
        found = report.comparison.differences()
        content["comparison"] = {
            "expected": report.comparison.expected,
            "identical": report.comparison.identical,
            "differences": [each._asdict() for each in found],
        }
    return json.dumps(content, indent=2, ensure_ascii=True) + "\n"
