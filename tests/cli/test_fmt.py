"""``flowtable fmt``: files in place, and what would change."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from flowtable.cli import main

UGLY = b"table ip t { chain c { tcp dport {22,80}  accept; } ; } # caf\xe9\n"
NICE = b"table ip t {\n\tchain c {\n\t\ttcp dport { 22, 80 } accept\n\t}\n} # caf\xe9\n"


@pytest.fixture
def fmt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ugly.nft").write_bytes(UGLY)
    (tmp_path / "nice.nft").write_bytes(NICE)

    def run(*arguments: str, standard: bytes = b"") -> Result:
        return CliRunner().invoke(main, ["fmt", *arguments], input=standard)

    return run


def test_files_are_rewritten_in_place(fmt, tmp_path) -> None:
    before = (tmp_path / "nice.nft").stat().st_mtime_ns
    result = fmt("ugly.nft", "nice.nft")
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "ugly.nft").read_bytes() == NICE
    assert (tmp_path / "nice.nft").stat().st_mtime_ns == before, "what is laid out is left alone"


def test_check(fmt, tmp_path) -> None:
    result = fmt("--check", "ugly.nft", "nice.nft")
    assert (result.exit_code, result.output) == (1, "ugly.nft would change\n")
    assert fmt("--check", "nice.nft").exit_code == 0
    assert (tmp_path / "ugly.nft").read_bytes() == UGLY


def test_diff(fmt, tmp_path) -> None:
    result = fmt("--diff", "ugly.nft")
    assert result.exit_code == 0
    assert result.stdout_bytes.startswith(b"--- ugly.nft\n+++ ugly.nft\n@@ -1 +1,5 @@\n-table ip t { chain c")
    assert (tmp_path / "ugly.nft").read_bytes() == UGLY
    assert fmt("--diff", "nice.nft").output == ""


def test_standard_input(fmt) -> None:
    assert fmt("-", standard=UGLY).stdout_bytes == NICE


def test_what_cannot_be_laid_out(fmt, tmp_path) -> None:
    (tmp_path / "open.nft").write_text("table ip t {\n")
    result = fmt("open.nft")
    assert result.exit_code == 1
    assert result.output.startswith("open.nft:1:12-12: Error: this brace is never closed\n")
    assert (tmp_path / "open.nft").read_text() == "table ip t {\n"
