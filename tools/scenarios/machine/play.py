"""Playing a scenario on a real box, and writing down what the box did."""

from __future__ import annotations

import datetime
import platform
import re
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from flowtable.capture import Direction
from flowtable.cli.chance import Chance
from flowtable.cli.dissect import fields
from flowtable.clock import SECOND
from scenarios.folder import SETTLE, START, Folder, write_capture
from scenarios.machine.change import happen
from scenarios.machine.machine import Machine, cables
from scenarios.machine.wire import Heard
from scenarios.outcome import Outcome, Sent

SPONTANEOUS: Final = 0.5
"""Seconds after which a frame of the box's own is no answer to what came before it, but a timer's."""
_ROUNDED: Final = 0.1


class Stimulus(NamedTuple):
    """What happens to the box: a frame on one of its devices, or an event."""

    at: int
    device: str = ""
    frame: bytes = b""
    event: dict[str, Any] | None = None


def stimuli(folder: Folder) -> list[Stimulus]:
    """Frames and events in their order; an event comes before the frames of the same time."""
    frames = [
        Stimulus(record.time, record.interface, record.data) for record in folder.frames("input.pcapng")
    ]
    events = [Stimulus(START + round(float(event["at"]) * SECOND), event=event) for event in folder.events]
    return sorted(events + frames, key=lambda each: each.at)


def play(folder: Folder, quiet: float) -> Outcome:
    """Build the box and play the scenario.

    Every stimulus waits until the time after the one before it has passed, and until the box is
    quiet. A frame gets the time of the stimulus that it answers.

    Args:
        folder: the scenario.
        quiet: after how many seconds without a frame the box is quiet.
    """
    box = folder.box
    own = _own_addresses(box)
    chance = Chance()
    sent: list[Sent] = []
    with Machine(box, folder.text("ruleset.nft")) as machine:
        machine.wire.listen(0.05, time.monotonic() + 0.1)
        steps = stimuli(folder)
        for step in steps:
            if step.event is None:
                chance.saw(step.frame)
        started = time.monotonic()
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            begun = time.monotonic()
            if step.event is not None:
                happen(machine, step.event)
            else:
                machine.wire.send(step.device, step.frame)
            gap = (following.at - step.at if following else SETTLE) / SECOND
            sent += (
                Sent(heard.device, step.at + _late(heard, begun, own), chance.without(heard.frame))
                for heard in machine.wire.listen(quiet, begun + gap)
            )
        connections = machine.connections()
        scheduled = (steps[-1].at - steps[0].at + SETTLE) / SECOND if steps else 0.0
        late = time.monotonic() - started - scheduled
        return Outcome(sent, connections, machine.ruleset(), late)


def _late(heard: Heard, begun: float, own: frozenset[str]) -> int:
    """How much later than the stimulus a frame is due: what is forwarded is never a timer's."""
    late = heard.time - begun
    if late < SPONTANEOUS or not _is_own(heard.frame, own):
        return 0
    return round(round(late / _ROUNDED) * _ROUNDED * SECOND)


def _own_addresses(box: dict[str, Any]) -> frozenset[str]:
    """The addresses that the box file gives to the box."""
    given = [address for device in box["devices"] for address in device.get("addresses", ())]
    texts = [address["address"] if isinstance(address, dict) else address for address in given]
    return frozenset(text.partition("/")[0] for text in texts)


def _is_own(frame: bytes, own: frozenset[str]) -> bool:
    """Whether the box itself made a frame: it comes from an address of its own, or a link-local one."""
    sources = {value for name, value in fields(frame) if name in ("ip.src", "ipv6.src", "arp.src.proto_ipv4")}
    return any(source in own or source.startswith("fe80:") for source in sources)


def write(folder: Folder, outcome: Outcome, path: Path | None = None) -> None:
    """Write what the kernel did into the scenario's folder, or another."""
    path = path or folder.path
    frames = [(device, at, frame, Direction.OUT) for device, at, frame in outcome.frames]
    write_capture(path / "expected.pcapng", cables(folder.box["devices"]), frames)
    (path / "expected.conntrack").write_text("".join(f"{line}\n" for line in outcome.connections))
    (path / "expected.ruleset").write_text(outcome.ruleset)
    (path / "about.txt").write_text(f"{kernel()}, {datetime.datetime.now(datetime.UTC):%Y-%m-%d}\n")


def kernel() -> str:
    """The running kernel, ``Linux 6.12.100``."""
    found = re.match(r"\d+\.\d+(\.\d+)?", platform.release())
    return f"Linux {found[0] if found else platform.release()}"
