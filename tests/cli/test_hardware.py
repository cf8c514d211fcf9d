"""Hardware at the command line: ``--offload``, the summary, the listing, ``check`` and ``devices``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flowtable.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples"
PLAIN, ENGINE = EXAMPLES / "home-router", EXAMPLES / "packet-engine"
PAGE = (Path(__file__).parents[2] / "docs" / "hardware.md").read_text()


def run(rules: Path, box: Path, *options: str):
    command = ["run", str(rules / "ruleset.nft"), "--box", str(box / "box.yaml")]
    return CliRunner().invoke(main, [*command, str(PLAIN / "input.pcapng"), *options])


def test_the_summary_and_the_document():
    text = run(ENGINE, ENGINE).stdout
    assert "hardware: 2,201 of 3,129 forwarded packets (70.3%), which never reached the box\n" in text
    assert "ppe: 54 of 16,384 entries in use, 0 evicted, 0 aged\n" in text
    assert "work queues: " in text
    assert max(map(len, text.splitlines())) <= 100
    hardware = json.loads(run(ENGINE, ENGINE, "--json").stdout)["hardware"]
    assert hardware["packets"] == 2201
    assert hardware["chips"] == [{"name": "ppe", "entries": 16384, "rules": 54, "evictions": 0, "aged": 0}]
    assert hardware["left_to_software"] == hardware["failures"] == []
    assert set(hardware["work"]) == {"add", "delete", "stats"}


def test_a_box_without_chips_refuses_the_ruleset():
    result = run(ENGINE, PLAIN)
    assert result.exit_code == 1
    assert "Error: Could not process rule: Operation not supported" in result.stderr
    assert "hint: 'lan0', 'wan0' have no hardware that takes flows" in result.stderr


@pytest.mark.parametrize("policy", ["prefer", "off"])
def test_or_software_forwards(policy: str):
    text = run(ENGINE, PLAIN, "--offload", policy).stdout
    assert "hardware: " not in text if policy == "off" else "hardware: 0 of 3,129" in text
    assert ("left to software: lan0" in text) is (policy == "prefer")
    assert "fast path: 2,958 of 3,129" in text


def test_flows_that_ended_tell_where_they_were():
    lines = run(ENGINE, ENGINE, "--flows", "-", "--ended", "--quiet").stdout.splitlines()
    ended = [line for line in lines if "reason=FIN" in line]
    assert ended
    assert all("in=ppe" in line and "hw_packets=" in line for line in ended)


def test_check_holds_a_ruleset_against_the_chips_that_a_box_file_names(tmp_path: Path):
    rules = str(ENGINE / "ruleset.nft")
    check = ["check", rules, "--box"]
    assert CliRunner().invoke(main, [*check, str(ENGINE / "box.yaml")]).exit_code == 0
    assert CliRunner().invoke(main, [*check, str(PLAIN / "box.yaml")]).exit_code == 0
    one = tmp_path / "box.yaml"
    one.write_text((ENGINE / "box.yaml").read_text().replace("ports: [lan0, wan0]", "ports: [lan0]"))
    result = CliRunner().invoke(main, [*check, str(one)])
    assert result.exit_code == 1
    assert "Operation not supported" in result.stdout
    assert (
        "'wan0' has no hardware that takes flows (the other devices of the flowtable have)" in result.stdout
    )


def test_devices_tells_what_a_chip_can_do():
    command = ["devices", "--box", str(ENGINE / "box.yaml")]
    text = CliRunner().invoke(main, [*command, "--hw"]).stdout
    assert "chip ppe on lan0, wan0\n  16,384 entries; 4 places for a hash; eviction none;" in text
    assert "forwards a flow from 30 packets/s on" in text
    assert "  lacks ipv6-nat, 802.1ad, gre\n" in text
    (chip,) = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)["chips"]
    assert (chip["name"], chip["ports"], chip["entries"]) == ("ppe", ["lan0", "wan0"], 16384)


def test_devices_offers_only_ports_of_chips(tmp_path: Path):
    one = tmp_path / "box.yaml"
    one.write_text((ENGINE / "box.yaml").read_text().replace("ports: [lan0, wan0]", "ports: [lan0]"))
    result = CliRunner().invoke(main, ["devices", "--box", str(one), str(ENGINE / "ruleset.nft"), "--hw"])
    assert result.exit_code == 1
    assert "wan0 is no port of a chip that takes flows: the kernel refuses the whole ruleset" in result.stdout
    assert "devices = { lan0 }" in result.stdout
