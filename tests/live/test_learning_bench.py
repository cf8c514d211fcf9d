"""``make bench`` measures how flows are learnt: here with few of them, whatever the figures."""

from __future__ import annotations

import pytest

from benchmarks import learning


def test_flows_are_learnt_by_every_datapath(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "FLOWS", 300)
    monkeypatch.setattr(learning, "ROUNDS", 1)
    monkeypatch.setattr(learning, "collect_rarely", lambda: None)
    rows = list(learning.rows())
    assert len(rows) == 2 + 2 * len(list(learning.datapaths()))
    assert all(row.value > 0 for row in rows if row.aim is not None)
