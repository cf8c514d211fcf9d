"""``flowtable run --opaque``: packets that reach a rule that cannot be evaluated."""

from __future__ import annotations

import json

import pytest

from tests.cli.bench import Talk, tcp

RULES = """\
table ip t {
	chain c {
		type filter hook forward priority 0
		osf name "Linux" drop
	}
}
"""


@pytest.mark.parametrize(("option", "passes"), [((), False), (("--opaque", "skip"), True)])
def test_they_stop_or_pass(desk, option: tuple[str, ...], passes: bool) -> None:
    talk = Talk()
    tcp(talk, 5)
    packets = [packet for packet in talk.packets if packet[0] == "lan0"]
    desk.capture(packets)
    (desk.folder / "ruleset.nft").write_text(RULES)
    result = desk.run("input.pcapng", *option, "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    ((place, count),) = document["opaque"].items()
    assert place.endswith("ruleset.nft:4")
    assert count == len(packets)
    assert (document["stations"]["transmit"] > 0) is passes
    text = desk.run("input.pcapng", *option).stdout
    assert f"packets that reached a rule that cannot be evaluated:\n{count:>11}  " in text
