"""What docs/commands/run.md shows is what the program prints."""

from __future__ import annotations

import shlex
from pathlib import Path

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
