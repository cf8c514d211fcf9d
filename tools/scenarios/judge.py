"""Judging the box by recorded truth: the same, or different, or different on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Final

from flowtable.datapath.reference import ReferenceDatapath
from flowtable.events import EventError
from flowtable.profile import PROFILES
from flowtable.ruleset import RulesetError
from flowtable.topology.boxfile import BoxError
from scenarios.folder import SCENARIOS, Folder, folders, yaml
from scenarios.outcome import Outcome, differences, recorded
from scenarios.replay import replay

if TYPE_CHECKING:
    from flowtable.flows.flowtable import DatapathFactory

KERNEL: Final = "linux-6.12"
"""The profile that has to do what the recorded kernel did, without exception."""
DEFAULT: Final = "default"
"""The profile that may differ on purpose: where it has none of the kernel's known limitations."""


class Verdict(Enum):
    """What came of holding a scenario against its recording."""

    IDENTICAL = "identical"
    DIFFERENT = "different"
    INTENDED = "intended"
    NOT_MODELLED = "not modelled"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and what is different, in words."""

    verdict: Verdict
    found: list[str]


@cache
def intended() -> dict[str, str]:
    """Scenarios in which the default profile differs on purpose, and why."""
    reasons: dict[str, str] = yaml((SCENARIOS / "intended.yaml").read_text()) or {}
    return reasons


@cache
def not_modelled() -> dict[str, str]:
    """Scenarios in which the box does not do yet what the kernel did, and what it lacks."""
    reasons: dict[str, str] = yaml((SCENARIOS / "not-modelled.yaml").read_text()) or {}
    return reasons


def playable() -> list[Folder]:
    """All scenarios that can be replayed."""
    return [folder for folder in folders() if folder.name not in not_modelled()]


@cache
def outcome(folder: Folder, profile: str, datapath: DatapathFactory) -> Outcome:
    """What the box makes of a scenario."""
    return replay(folder, PROFILES[profile], datapath)


@cache
def judge(folder: Folder, profile: str = KERNEL, datapath: DatapathFactory = ReferenceDatapath) -> Judgement:
    """Replay a scenario and hold it against its recording."""
    try:
        found = differences(recorded(folder), outcome(folder, profile, datapath))
    except (BoxError, RulesetError, EventError) as error:
        found = [f"cannot be replayed: {error}"]
    if folder.name in not_modelled():
        return _expected(Verdict.NOT_MODELLED, found)
    if profile == DEFAULT and folder.name in intended():
        return _expected(Verdict.INTENDED, found)
    return Judgement(Verdict.DIFFERENT if found else Verdict.IDENTICAL, found)


def _expected(verdict: Verdict, found: list[str]) -> Judgement:
    """A difference that is known of; it is wrong as well if there is none any more."""
    if found:
        return Judgement(verdict, found)
    return Judgement(Verdict.DIFFERENT, [f"is said to differ ({verdict.value}), and does not"])
