"""What tc and ethtool say, understood; ``make oracle-hardware`` has them say it themselves."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from flowtable.live.tc import TcError, TcProgram
from flowtable.offload.tcflower.driver import FilterStats

SAID = """\
RTNETLINK answers: Operation not supported
We have an error talking to the kernel
Command failed -:1
Error: Cannot find specified filter chain.
We have an error talking to the kernel
Command failed -:3
Command failed -:4
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def program(folder: Path, name: str, said: str, status: int = 0, *, error: str = "") -> None:
    (folder / "said").write_text(said)
    (folder / "error").write_text(error)
    script = f'#!/bin/sh\ncat >{folder}/read\necho "$@" >{folder}/called\n'
    (folder / name).write_text(f"{script}cat {folder}/said\ncat {folder}/error >&2\nexit {status}\n")
    (folder / name).chmod(0o755)


def test_errors_by_command(programs: Path) -> None:
    program(programs, "tc", "", 1, error=SAID)
    commands = ["filter add dev a", "filter add dev b", "filter del dev a", "qdisc add"]
    assert TcProgram().batch(commands) == {
        0: "Operation not supported",
        2: "Cannot find specified filter chain",
        3: "tc says no more",
    }
    assert (programs / "read").read_text().splitlines() == commands
    assert (programs / "called").read_text() == "-force -batch -\n"


def test_counters(programs: Path) -> None:
    mirred = {"kind": "mirred", "last_used": 7, "stats": {"bytes": 900, "packets": 3}}
    actions = [{"kind": "pedit", "last_used": 1, "stats": {"bytes": 1, "packets": 1}}, mirred]
    listed = [
        {"protocol": "ip", "pref": 2, "kind": "flower"},
        {"kind": "flower", "options": {"handle": 18, "in_hw": True, "actions": actions}},
        {"kind": "flower", "options": {"handle": 19, "not_in_hw": True, "actions": actions}},
    ]
    program(programs, "tc", json.dumps(listed))
    assert TcProgram().filters("eth0", 7) == {
        18: FilterStats(3, 900, 7, True),
        19: FilterStats(3, 900, 7, False),
    }
    assert (programs / "called").read_text() == "-s -j filter show dev eth0 ingress chain 7\n"


@pytest.mark.parametrize(
    "said", ["no JSON", '[{"options": {"handle": 1}}]', '[{"options": {"handle": 1, "actions": []}}]']
)
def test_nonsense(programs: Path, said: str) -> None:
    program(programs, "tc", said)
    with pytest.raises(TcError, match="tc filter show"):
        TcProgram().filters("eth0", 7)


def test_a_device_that_is_gone_has_no_filters(programs: Path) -> None:
    program(programs, "tc", "", 1, error="Cannot find device\n")
    assert TcProgram().filters("eth0", 7) == {}


@pytest.mark.parametrize(
    ("said", "status", "error", "expected"),
    [
        ("Features:\nhw-tc-offload: on\n", 0, "", None),
        ("Features:\nhw-tc-offload: off [fixed]\n", 0, "", "hw-tc-offload: off [fixed]"),
        ("Features:\n", 0, "", "no feature hw-tc-offload"),
        (
            "",
            71,
            "Cannot get device features: No such device\n",
            "Cannot get device features: No such device",
        ),
    ],
)
def test_devices(programs: Path, said: str, status: int, error: str, expected: str | None) -> None:
    program(programs, "ethtool", said, status, error=error)
    assert TcProgram().refuses("eth0") == expected


def test_a_machine_without_tc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TcError, match="tc is not installed"):
        TcProgram().batch(["qdisc show"])
