"""What a run has to tell at its end, before it is put into words or JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtable.cli.comparison import Comparison
    from flowtable.cli.hardware import HardwareReport
    from flowtable.cli.inputs import Inputs
    from flowtable.cli.replay import Tally
    from flowtable.profile import Profile
    from flowtable.router import Statistics


@dataclass(frozen=True, slots=True)
class Report:
    """A finished run.

    Attributes:
        ruleset: the ruleset's file.
        box: the box file.
        profile: the behaviour profile.
        inputs: the captures that were read.
        tally: what became of their records.
        statistics: what the box counted.
        hardware: what its hardware did, None without any.
        comparison: what it sent against what the capture has, where that was asked for.
    """

    ruleset: str
    box: str
    profile: Profile
    inputs: Inputs
    tally: Tally
    statistics: Statistics
    hardware: HardwareReport | None = None
    comparison: Comparison | None = None

    @property
    def packets(self) -> int:
        """How many packets were read from the captures."""
        return self.tally.taken + self.tally.own + self.inputs.skipped.total()
