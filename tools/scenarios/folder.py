"""A scenario is a folder; docs/scenarios.md says what is in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from flowtable.capture import Direction, PcapngWriter, Record, open_capture

SCENARIOS: Final = Path(__file__).resolve().parent.parent.parent / "tests" / "scenarios"
RECORDED: Final = ("expected.pcapng", "expected.conntrack", "expected.ruleset", "about.txt")
START: Final = 1_700_000_000_000_000_000
"""Time of the first frame of every scenario, nanoseconds."""
SETTLE: Final = 1_500_000_000
"""Nanoseconds from the last frame or event to the listings: what is torn down is collected by then."""

_FLOWTABLE: Final = re.compile(r"^\s*flowtable \w", re.MULTILINE)
_NEEDS: Final = re.compile(
    r"flowtable |kind: (vlan|pppoe|bond|macvlan|ipip|ip6ip6|sit|vrf)|vlan_filtering: true|icmp_msgs|^ipsec:",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Folder:
    """One scenario on disk."""

    path: Path

    @property
    def name(self) -> str:
        """``topic/name``."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def topic(self) -> str:
        """The folder it is in."""
        return self.path.parent.name

    @property
    def title(self) -> str:
        """What it shows, in a line."""
        return self.text("box.yaml").partition("\n")[0].removeprefix("# ")

    def text(self, file: str) -> str:
        """The content of one of its files, nothing if it has none."""
        path = self.path / file
        return path.read_text() if path.exists() else ""

    @property
    def box(self) -> dict[str, Any]:
        """The box file, as YAML has it."""
        box: dict[str, Any] = yaml(self.text("box.yaml"))
        return box

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events, as YAML has them, in order of time."""
        events: list[dict[str, Any]] = yaml(self.text("events.yaml")) or []
        return sorted(events, key=lambda event: float(event["at"]))

    @property
    def oracle_only(self) -> bool:
        """Whether it needs what common kernels are built without: flowtables, VLANs, PPPoE."""
        return bool(_NEEDS.search(self.text("box.yaml") + self.text("ruleset.nft")))

    @property
    def has_flowtable(self) -> bool:
        """Whether there is a fast path in it."""
        return _FLOWTABLE.search(self.text("ruleset.nft")) is not None

    def frames(self, file: str) -> list[Record]:
        """The records of one of its captures."""
        with (self.path / file).open("rb") as stream:
            return list(open_capture(stream, file))


def yaml(text: str) -> Any:
    """The document of a YAML 1.2 text."""
    return YAML(typ="safe", pure=True).load(text)


def folders(names: Iterable[str] = ()) -> list[Folder]:
    """All scenarios, or those of the topics and ``topic/name``s given.

    Raises:
        ValueError: there is none of that name.
    """
    found = [Folder(path.parent) for path in sorted(SCENARIOS.glob("*/*/box.yaml"))]
    chosen = []
    for name in names:
        word = name.rstrip("/").removeprefix("tests/scenarios/")
        those = [folder for folder in found if word in (folder.name, folder.topic)]
        if not those:
            raise ValueError(f"no scenario {name!r} in {SCENARIOS}")
        chosen += those
    return chosen if names else found


def write_capture(
    path: Path, devices: Iterable[str], frames: Iterable[tuple[str, int, bytes, Direction]]
) -> None:
    """Write a capture: device, time in nanoseconds, frame and direction of each."""
    with path.open("wb") as stream, PcapngWriter(stream, devices) as writer:
        for device, time, frame, direction in frames:
            writer.write(device, time, frame, direction)
