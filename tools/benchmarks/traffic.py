"""The traffic of the home router, through boxes, in turns."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flowtable.capture import open_capture
from flowtable.clock import SECOND
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.packet.packet import TCP
from flowtable.router import Box
from flowtable.ruleset import parse
from flowtable.topology.boxfile import load
from flowtable.topology.device import Device
from flowtable.topology.topology import Topology

if TYPE_CHECKING:
    from flowtable.flows.flowtable import DatapathFactory

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "home-router"
ROUNDS = 3
SLICE = 500

Frame = tuple[str, bytes, int]
"""Device, bytes, time in nanoseconds."""


def example() -> list[Frame]:
    """The frames that the example's box receives."""
    own = {device.mac for device in topology().devices.values()}
    with (EXAMPLE / "input.pcapng").open("rb") as stream:
        return [
            (record.interface, record.data, record.time)
            for record in open_capture(stream, "input.pcapng")
            if record.data[6:12] not in own
        ]


def topology() -> Topology:
    """The example's box."""
    return load((EXAMPLE / "box.yaml").read_text(), "box.yaml")


def box(*, flowtable: bool, datapath: DatapathFactory = ReferenceDatapath) -> Box:
    """A fresh box, with its flowtable or without."""
    rules = (EXAMPLE / "ruleset.nft").read_text()
    if not flowtable:
        rules = re.sub(r"flowtable fast {[^}]*}[^}]*}|.*flow add.*", "", rules)
    return Box(topology(), parse(rules, "ruleset.nft"), transmit=lambda *_: None, datapath=datapath)


def repeated(frames: list[Frame], count: int) -> Iterator[Frame]:
    """The frames over and over, later each time, ``count`` in all."""
    length = frames[-1][2] - frames[0][2] + 600 * SECOND
    for number in range(count):
        turn, at = divmod(number, len(frames))
        device, data, moment = frames[at]
        yield device, data, moment + turn * length


def hits(frames: list[Frame], datapath: DatapathFactory = ReferenceDatapath) -> tuple[Box, list[Frame]]:
    """A box with the example's flows in its flowtable, and the frames that take the fast path.

    Closing segments are left out, so the flows stay.
    """
    warm = box(flowtable=True, datapath=datapath)
    now = frames[0][2]
    opening = [frame for frame in frames if not closing(frame[1])]
    for device, data, _ in opening:
        warm.receive(warm.topology.devices[device], data, now)
    taken = []
    for device, data, _ in opening:
        before = warm.statistics.bypass
        warm.receive(warm.topology.devices[device], data, now)
        if warm.statistics.bypass > before:
            taken.append((device, data, now))
    return warm, taken


def closing(frame: bytes) -> bool:
    """Whether it is a TCP segment with FIN or RST."""
    if frame[12:14] == b"\x08\x00":
        return frame[23] == TCP and frame[14 + (frame[14] & 15) * 4 + 13] & 5 != 0
    return frame[12:14] == b"\x86\xdd" and frame[20] == TCP and frame[67] & 5 != 0


Work = Callable[[list[Frame]], None]
"""Handles a slice of the traffic."""


def race(traffic: list[Frame], **contestants: Callable[[], Work]) -> dict[str, float]:
    """Packets per second of each contestant over the same traffic.

    They take turns slice by slice, and of each slice the best of a few rounds counts: what else
    the machine does meanwhile (which still costs cache misses) slows all of them alike.
    """
    slices = [traffic[at : at + SLICE] for at in range(0, len(traffic), SLICE)]
    best = {name: [float("inf")] * len(slices) for name in contestants}
    for _ in range(ROUNDS):
        works = {name: start() for name, start in contestants.items()}
        for number, part in enumerate(slices):
            for name, work in works.items():
                begin = time.process_time()
                work(part)
                best[name][number] = min(best[name][number], time.process_time() - begin)
    return {name: len(traffic) / sum(times) for name, times in best.items()}


def through(machine: Callable[[], Box]) -> Callable[[], Work]:
    """Put frames through a box."""

    def start() -> Work:
        target = machine()
        devices: dict[str, Device] = target.topology.devices
        receive = target.receive

        def work(part: list[Frame]) -> None:
            for device, data, moment in part:
                receive(devices[device], data, moment)

        return work

    return start
