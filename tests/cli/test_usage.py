"""What cannot be meant is refused with exit code 2, before anything is written."""

from __future__ import annotations

import re

import pytest

from tests.cli.bench import RULESET, Talk, udp


@pytest.fixture
def talked(desk):
    talk = Talk()
    udp(talk, 1)
    desk.capture(talk.packets)
    desk.write("ruleset.nft", 'include "part.nft"\n')
    desk.write("part.nft", RULESET)
    (desk.folder / "link").hardlink_to(desk.write("out", ""))
    return desk


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "No captures: give INPUT... or --in DEV=FILE."),
        (["missing.pcapng"], "File 'missing.pcapng' does not exist."),
        (["input.pcapng", "--profile", "linux-2.4"], "'linux-2.4' is not one of 'default', 'linux-5.13'"),
        (["input.pcapng", "--settle", "-1"], "-1.0 is not in the range"),
        (["input.pcapng", "--settle", "nan"], "nan is no number of seconds."),
        (["input.pcapng", "--settle", "inf"], "inf is not in the range"),
        (["--in", "lan0"], "expected DEV=FILE, got 'lan0'."),
        (["--in", "=input.pcapng"], "expected DEV=FILE, got '=input.pcapng'."),
        (["--in", "lan0=missing.pcap"], "File 'missing.pcap' does not exist."),
        (
            ["--in", "eth9=input.pcapng"],
            "--in eth9=input.pcapng: the box has no device eth9, but lo, lan0, wan0.",
        ),
        (["input.pcapng", "--ended"], "--ended says what --flows lists; give both."),
        (["-", "-"], "Only one of RULESET, BOX and INPUT can be standard input."),
        (["input.pcapng", "--out", "-", "--json"], "--out - and --json cannot share standard output."),
        (
            ["input.pcapng", "--json", "--conntrack", "-", "--flows", "-"],
            "--flows - and --conntrack - and --json cannot share standard output.",
        ),
        (
            ["input.pcapng", "--out", "-", "--ruleset-out", "-"],
            "--out - and --ruleset-out - cannot share standard output.",
        ),
        (
            ["input.pcapng", "--out", "input.pcapng"],
            "--out input.pcapng would overwrite a file that is read.",
        ),
        (
            ["input.pcapng", "--ruleset-out", "./ruleset.nft"],
            "--ruleset-out ./ruleset.nft would overwrite a file that is read.",
        ),
        (
            ["input.pcapng", "--out", "new", "--flows", "./new"],
            "--out new and --flows ./new are the same file.",
        ),
        (
            ["input.pcapng", "--conntrack", "out", "--ruleset-out", "link"],
            "--ruleset-out link and --conntrack out are the same file.",
        ),
        (
            ["input.pcapng", "--flows", "part.nft"],
            "--flows part.nft would overwrite a file that is read.",
        ),
        (["input.pcapng", "--conntrack", "."], "File '.' is a directory."),
    ],
)
def test_usage(talked, arguments, message):
    before = {path.name: path.read_bytes() for path in talked.folder.iterdir()}
    result = talked.run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert {path.name: path.read_bytes() for path in talked.folder.iterdir()} == before


def test_the_box_is_needed(talked):
    result = talked.command("run", "ruleset.nft", "input.pcapng")
    assert result.exit_code == 2
    assert "Missing option '--box'" in result.stderr


def test_version_and_help(desk):
    version = desk.command("--version")
    assert (version.exit_code, version.stdout) == (0, "flowtable 0.1.0\n")
    listed = desk.command("--help").stdout
    for command, summary in (
        ("print", "Print RULESET as nft"),
        ("run", "Send captured packets"),
        ("check", "Check rulesets"),
    ):
        assert re.search(rf"^  {command} +{summary}", listed, re.MULTILINE)
    shown = desk.command("run", "--help").stdout
    assert "Usage: flowtable run [OPTIONS] RULESET INPUT..." in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_an_unknown_command(desk):
    assert desk.command("walk").exit_code == 2
