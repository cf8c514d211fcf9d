"""A short run of ``tools/soak``: what it does works, and it says what goes wrong."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from random import Random

import pytest

from soaking import faults
from soaking.faults import Soak
from tests.live.world import Line, World, require_root


@pytest.fixture
def soak(tmp_path: Path):
    require_root()
    with World(tmp_path) as world:
        yield Soak(Line(world), tmp_path / "rules.nft", Random(1))


def test_every_fault_can_happen(soak: Soak) -> None:
    for _, fault in soak.faults():
        if fault != soak.forbid:
            fault()
    assert soak.service.status.flowtables


def test_what_rules_forbid_and_comes_through_is_noticed(soak: Soak, monkeypatch: pytest.MonkeyPatch) -> None:
    soak.forbid()
    assert len(soak.stopped_after) == 1
    arrived = count()
    monkeypatch.setattr(soak, "_arrived", lambda: next(arrived))
    monkeypatch.setattr(faults, "GRACE", 1.0)
    with pytest.raises(faults.FaultError, match=r"still came through after 1\.0 s"):
        soak.forbid()
