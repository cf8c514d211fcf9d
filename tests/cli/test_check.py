"""``flowtable check``: errors, warnings, and how they are told."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from flowtable.cli import main

CLEAN = """\
flush ruleset
table inet t {
	flowtable f { hook ingress priority 0; devices = { lan0, wan0 }; }
	chain forward {
		type filter hook forward priority 0; policy drop;
		flow add @f
		ct state established,related accept
		iifname lan0 accept
	}
}
"""
WARNS = CLEAN.replace("iifname lan0 accept", "ct status != dnat drop")
BROKEN = CLEAN.replace("iifname lan0", "tcp dprot 22").replace("flow add @f", "udp dport 99999 flow add @f")
BOX = """
devices:
  - {name: lan0, mac: "02:00:00:00:01:01", addresses: [192.168.1.1/24]}
  - {name: wan0, mac: "02:00:00:00:02:01"}
"""


@pytest.fixture
def check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (("clean.nft", CLEAN), ("warns.nft", WARNS), ("broken.nft", BROKEN), ("box.yaml", BOX)):
        (tmp_path / name).write_text(text)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["check", *arguments])

    return run


def test_nothing_wrong(check) -> None:
    result = check("clean.nft", "--box", "box.yaml")
    assert (result.exit_code, result.output) == (0, "")


def test_a_warning_in_nfts_shape(check) -> None:
    result = check("warns.nft")
    assert result.exit_code == 0
    assert result.output == (
        "warns.nft:8:3-19: Warning: this compares the whole value, so nearly always holds;"
        " '! dnat' is none of them [whole-value-negation]\n"
        "\t\tct status != dnat drop\n"
        "\t\t^^^^^^^^^^^^^^^^^\n"
        "why: '!=' compares all flags at once; '!' says that none is set"
        " (docs/lints.md#whole-value-negation)\n"
    )
    strict = check("warns.nft", "--strict")
    assert strict.exit_code == 1
    assert strict.output == result.output.replace("Warning", "Error")


def test_errors_of_all_files(check) -> None:
    result = check("clean.nft", "broken.nft", "warns.nft")
    assert result.exit_code == 1
    heads = [line.split(": ")[0] for line in result.output.splitlines() if ".nft:" in line]
    assert heads == ["broken.nft:8:7-11", "broken.nft:6:13-17", "warns.nft:8:3-19"]


def test_devices_of_the_box(check, tmp_path) -> None:
    (tmp_path / "other.nft").write_text(CLEAN.replace("wan0", "wan9"))
    assert check("other.nft").exit_code == 0
    result = check("other.nft", "clean.nft", "--box", "box.yaml")
    assert result.exit_code == 1
    assert "other.nft:3:12-12: Error: Could not process rule: No such file or directory" in result.output
    assert "hint: flowtable 'f' is on wan9, which does not exist" in result.output
    (tmp_path / "index.nft").write_text("table ip t { chain c { iif eth7 drop; }; }\n")
    assert "Interface does not exist" in check("index.nft", "--box", "box.yaml").output


def test_as_json(check) -> None:
    content = json.loads(check("warns.nft", "--json").output)
    assert (content["errors"], content["warnings"]) == (0, 1)
    (problem,) = content["problems"]
    assert problem["id"] == "whole-value-negation"
    assert (problem["file"], problem["line"], problem["columns"]) == ("warns.nft", 8, [3, 19])
    broken = json.loads(check("broken.nft", "--json").output)
    assert broken["errors"] == 2
    assert {problem["level"] for problem in broken["problems"]} == {"error"}


def test_as_sarif(check) -> None:
    content = json.loads(check("warns.nft", "broken.nft", "--sarif").output)
    assert content["version"] == "2.1.0"
    (run,) = content["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["whole-value-negation"]
    assert [result["level"] for result in run["results"]] == ["warning", "error", "error"]
    location = run["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"] == {"uri": "warns.nft"}
    assert location["region"] == {"startLine": 8, "startColumn": 3, "endColumn": 20}


def test_variables_and_json_rulesets(check, tmp_path) -> None:
    (tmp_path / "v.nft").write_text(CLEAN.replace("iifname lan0", "iifname $lan"))
    assert check("v.nft").exit_code == 1
    assert check("v.nft", "-D", "lan={ lan0, lan1 }").exit_code == 0
    (tmp_path / "x.json").write_text(CliRunner().invoke(main, ["print", "-j", "clean.nft"]).output)
    assert (check("x.json").exit_code, check("x.json").output) == (0, "")


def test_what_cannot_be_meant(check) -> None:
    assert check("clean.nft", "--json", "--sarif").exit_code == 2
    assert check("-", "-").exit_code == 2
    assert check().exit_code == 2
    assert check("clean.nft", "--box", "clean.nft").exit_code == 1
