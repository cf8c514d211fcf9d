"""The examples of docs/library.md run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowtable.ruleset import load

ROOT = Path(__file__).parent.parent.parent


def test_examples(monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/library.md").read_text(), re.DOTALL)
    assert len(blocks) >= 6
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/library.md", "exec"), names)


def test_what_is_no_text_or_not_there(tmp_path) -> None:
    (tmp_path / "x.nft").write_bytes(b"ab\0c")
    with pytest.raises(OSError, match="byte 2: not a text file"):
        load(tmp_path / "x.nft")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "y.nft")
