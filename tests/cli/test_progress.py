"""The progress bar: only on a terminal, and in nobody's way."""

from __future__ import annotations

import io
import sys
from contextlib import ExitStack, redirect_stderr

import pytest

from flowtable.cli.inputs import Input, Inputs
from flowtable.cli.progress import watched
from flowtable.topology.device import Device
from tests.cli.bench import Talk, udp

SHOW_CURSOR = "\x1b[?25h"
DEVICES = {name: Device(name, index) for index, name in enumerate(("lan0", "wan0"), 2)}


class Terminal(io.StringIO):
    """Standard error, as if it were a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


@pytest.fixture
def captured(desk):
    talk = Talk()
    udp(talk, 700)
    return desk.capture(talk.packets)


def test_all_records_pass_and_rate_and_share_are_shown(terminal, captured):
    with ExitStack() as stack, redirect_stderr(terminal):
        inputs = Inputs.open([Input(str(captured))], DEVICES, stack)
        assert [record.number for record in watched(inputs)] == list(range(1, 1401))
    shown = terminal.getvalue()
    assert "1,024 packets" in shown
    assert "/s" in shown
    assert "100%" in shown
    assert SHOW_CURSOR in shown


def test_without_a_size_there_is_only_the_rate(terminal, captured, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(captured.read_bytes())))
    with ExitStack() as stack, redirect_stderr(terminal):
        inputs = Inputs.open([Input("-")], DEVICES, stack)
        assert inputs.size is None
        assert sum(1 for _ in watched(inputs)) == 1400
    assert "1,024 packets" in terminal.getvalue()
    assert "100%" not in terminal.getvalue()


def test_a_bar_that_is_left_early_is_taken_away(terminal, captured):
    with ExitStack() as stack, redirect_stderr(terminal):
        records = watched(Inputs.open([Input(str(captured))], DEVICES, stack))
        next(records)
        assert SHOW_CURSOR not in terminal.getvalue()
        records.close()
    assert SHOW_CURSOR in terminal.getvalue()


def test_position_and_size_are_those_of_all_captures(captured):
    with ExitStack() as stack:
        inputs = Inputs.open([Input(str(captured)), Input(str(captured), "lan0")], DEVICES, stack)
        assert inputs.size == 2 * captured.stat().st_size
        for _ in inputs.records():
            pass
        assert inputs.position == inputs.size
