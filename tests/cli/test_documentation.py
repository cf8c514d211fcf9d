"""What docs/commands/run.md shows is what the program prints."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from flowtable.cli import main

ROOT = Path(__file__).parent.parent.parent
BLOCKS = (ROOT / "docs/commands/run.md").read_text().split("```\n")


def test_samples(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    sample = next(block for block in BLOCKS if block.startswith("$ "))
    flows = next(block for block in BLOCKS if block.startswith("udp "))
    command, summary = sample.removeprefix("$ flowtable ").replace("\\\n", "").split("\n", 1)
    listing = tmp_path / "flows"
    result = CliRunner().invoke(main, [*shlex.split(command), "--flows", str(listing), "--ended"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == summary
    assert set(flows.splitlines()) <= set(listing.read_text().splitlines())


@pytest.mark.parametrize("page", ["check", "print"])
def test_samples_of_other_commands(monkeypatch, page: str):
    monkeypatch.chdir(ROOT)
    blocks = (ROOT / f"docs/commands/{page}.md").read_text().split("```\n")
    samples = [block for block in blocks if block.startswith("$ ")]
    assert samples
    for sample in samples:
        command, output = sample.removeprefix("$ flowtable ").split("\n", 1)
        assert CliRunner().invoke(main, shlex.split(command)).stdout == output


LIVE = ("conntrack", "down", "flows", "flush", "monitor", "reload", "status", "top", "up")


@pytest.mark.parametrize("page", ["check", "fmt", "print", "run", *LIVE])
def test_every_option_is_described(page: str):
    text = (ROOT / f"docs/commands/{page}.md").read_text()
    for parameter in main.commands[page].params:
        hidden = isinstance(parameter, click.Option) and parameter.hidden
        assert hidden or parameter.opts[0] in text or not parameter.opts[0].startswith("-"), parameter.opts
