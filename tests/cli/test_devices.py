"""``flowtable devices``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from flowtable.cli import main
from flowtable.explain.devices import Mistake

ROOT = Path(__file__).parents[2]
BOX = ROOT / "examples" / "boxes" / "fibre-pppoe" / "box.yaml"
RULES = "table inet x {{\n flowtable f {{\n  hook ingress priority 0; devices = {{ {} }};\n }}\n}}\n"


def run(*arguments: str):
    return CliRunner().invoke(main, ["devices", "--box", str(BOX), *arguments])


def test_the_page_shows_what_it_prints():
    page = (ROOT / "docs" / "commands" / "devices.md").read_text()
    shown = re.search(r"\$ flowtable devices --box \S+\n(.*?)```", page, re.DOTALL)
    result = run()
    assert shown is not None
    assert (result.exit_code, result.stdout) == (0, shown[1])


def test_the_page_explains_every_mistake():
    page = (ROOT / "docs" / "commands" / "devices.md").read_text()
    assert re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE) == [mistake.value for mistake in Mistake]


@pytest.mark.parametrize(
    ("listed", "code", "words"),
    [
        ("eth0, lan1, lan2", 0, "flowtable inet x f: nothing to say against its list"),
        ("ppp0, lan1, lan2", 1, "list eth0 instead of ppp0"),
    ],
)
def test_a_ruleset(tmp_path, listed, code, words):
    rules = tmp_path / "ruleset.nft"
    rules.write_text(RULES.format(listed))
    result = run(str(rules))
    assert result.exit_code == code
    assert words in result.stdout
    document = json.loads(run(str(rules), "--json").stdout)
    assert bool(document["flowtables"][0]["findings"]) == bool(code)


def test_the_block_for_hardware_is_a_ruleset(tmp_path):
    block = run("--hw").stdout.partition("flowtable f {")
    rules = tmp_path / "ruleset.nft"
    rules.write_text("table inet x {\n" + block[1] + block[2] + "}\n")
    assert run(str(rules)).exit_code == 0


def test_no_box():
    assert CliRunner().invoke(main, ["devices"]).exit_code == 2
