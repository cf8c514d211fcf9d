"""What came of a scenario: on a real kernel, or here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from typing import Final, NamedTuple

from flowtable.cli.dissect import difference, summary
from flowtable.clock import SECOND
from scenarios.folder import START, Folder

LATE: Final = SECOND // 4
"""A timer's frame may come by so much later or earlier."""
TOLERANCE: Final = 4
"""Seconds by which what is left of a connection may differ: a real box takes its time to play."""

_TIMEOUT: Final = re.compile(r"^(\S+ +\d+) (\d+) ")


class Sent(NamedTuple):
    """A frame that left the box on a device; time in nanoseconds."""

    device: str
    time: int
    frame: bytes


class Outcome(NamedTuple):
    """What a box made of a scenario.

    Attributes:
        frames: in their order.
        connections: as ``conntrack -L`` prints them, sorted.
        ruleset: with its counters.
        late: seconds that it took longer than the scenario says: what timeouts ran on meanwhile.
    """

    frames: list[Sent]
    connections: list[str]
    ruleset: str
    late: float = 0.0


def recorded(folder: Folder) -> Outcome:
    """What the kernel made of a scenario."""
    return Outcome(
        [Sent(each.interface, each.time, each.data) for each in folder.frames("expected.pcapng")],
        folder.text("expected.conntrack").splitlines(),
        folder.text("expected.ruleset"),
    )


def differences(expected: Outcome, got: Outcome) -> list[str]:
    """What is different, in words; nothing if the outcomes are the same."""
    found: list[str] = []
    for device in dict.fromkeys(each.device for each in (*expected.frames, *got.frames)):
        found += _frames(
            device,
            [each for each in expected.frames if each.device == device],
            [each for each in got.frames if each.device == device],
        )
    found += _connections(expected.connections, got.connections, TOLERANCE + got.late)
    for one, other in zip_longest(expected.ruleset.splitlines(), got.ruleset.splitlines(), fillvalue=""):
        if one != other:
            found.append(f"ruleset: {other.strip()!r}, expected {one.strip()!r}")
    return found


def _frames(device: str, expected: list[Sent], got: list[Sent]) -> Iterator[str]:
    for number, (one, other) in enumerate(zip_longest(expected, got), 1):
        where = f"{device}: frame {number}"
        if one is None or other is None:
            which, frame = ("not expected", other) if one is None else ("missing", one)
            assert frame is not None
            yield f"{where} {which}, at {_seconds(frame.time)}: {summary(frame.frame)}"
        elif one.frame != other.frame:
            yield f"{where} at {_seconds(one.time)}: {difference(one.frame, other.frame)}"
            yield f"  expected {summary(one.frame)}"
            yield f"  got      {summary(other.frame)}"
        elif abs(one.time - other.time) > LATE:
            yield f"{where}: at {_seconds(other.time)}, expected at {_seconds(one.time)}"


def _seconds(time: int) -> str:
    return f"{(time - START) / SECOND:.3f} s"


def _connections(expected: list[str], got: list[str], tolerance: float) -> Iterator[str]:
    missing = Counter(map(_timeless, expected)) - Counter(map(_timeless, got))
    spurious = Counter(map(_timeless, got)) - Counter(map(_timeless, expected))
    yield from (f"connection missing: {line}" for line in missing.elements())
    yield from (f"connection not expected: {line}" for line in spurious.elements())
    if not missing and not spurious:
        for one, other in zip(sorted(expected, key=_timeless), sorted(got, key=_timeless), strict=True):
            if abs(_left(one) - _left(other)) > tolerance:
                yield f"connection: {_left(other)} s left, expected {_left(one)} s: {one}"


def _timeless(line: str) -> str:
    return _TIMEOUT.sub(r"\1 ", line)


def _left(line: str) -> int:
    found = _TIMEOUT.match(line)
    return int(found[2]) if found else 0
