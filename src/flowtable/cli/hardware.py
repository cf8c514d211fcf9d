"""What the hardware of a box did in a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.flows.hardware import Command

if TYPE_CHECKING:
    from collections import Counter

    from flowtable.flows.hardware import OffloadFailure
    from flowtable.router import Box

COMMANDS: Final = {Command.REPLACE: "add", Command.DESTROY: "delete", Command.STATS: "stats"}
"""What the kernel calls its queues. Ref: /proc/net/stat/nf_flowtable."""


class ChipReport(NamedTuple):
    """A chip at the end.

    Attributes:
        name: its name in the box file.
        entries: rules that it holds.
        rules: rules that it has.
        evictions: rules that made room for others.
        aged: rules that it forgot.
    """

    name: str
    entries: int
    rules: int
    evictions: int
    aged: int


@dataclass(frozen=True, slots=True)
class HardwareReport:
    """What the hardware did.

    Attributes:
        chips: the chips.
        work: how often the workers did what.
        dropped: requests that were dropped since another was pending for the flow.
        deepest: the most items that waited at a time.
        failures: how often hardware did not do something for a direction of a flow, and why.
        left: devices that were left to software, and why.
    """

    chips: list[ChipReport]
    work: dict[str, int]
    dropped: int
    deepest: int
    failures: Counter[OffloadFailure]
    left: list[tuple[str, str]]

    @classmethod
    def of(cls, box: Box) -> HardwareReport | None:
        """The report of a box; None if it has no hardware and no flowtable that wants any."""
        if box.chips is None and not box.bindings.refused and not box.flowtables.work.done:
            return None
        switches = () if box.chips is None else box.chips.switches
        work = box.flowtables.work
        return cls(
            [
                ChipReport(each.name, each.chip.model.entries, len(each), each.evictions, each.aged)
                for each in switches
            ],
            {name: work.done[command] for command, name in COMMANDS.items()},
            work.dropped,
            work.deepest,
            work.failures,
            [(each.device, str(each.failure)) for each in box.bindings.refused],
        )
