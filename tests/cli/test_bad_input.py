"""Bad input ends in exit code 1 with a message that names the place."""

from __future__ import annotations

import json

import pytest

from flowtable.capture import Direction
from flowtable.ruleset import RulesetError, parse
from tests.capture.blocks import enhanced, interface, pcap, section
from tests.cli.bench import START, Talk, udp


@pytest.fixture
def talk():
    talk = Talk()
    udp(talk, 3)
    return talk


def test_ruleset(desk, talk):
    desk.capture(talk.packets)
    text = "table inet x {\n\tchain y {\n\t\tmeta nonsense 1 accept\n\t}\n}\n"
    desk.write("ruleset.nft", text)
    with pytest.raises(RulesetError) as caught:
        parse(text, "ruleset.nft")
    result = desk.run("input.pcapng", "--out", "out.pcapng")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"{caught.value}\n"
    assert result.stderr.startswith("ruleset.nft:3:")
    assert not (desk.folder / "out.pcapng").exists()


def test_ruleset_that_is_no_text(desk, talk):
    desk.capture(talk.packets)
    (desk.folder / "ruleset.nft").write_bytes(b"table \xff\xfe {}\n")
    result = desk.run("input.pcapng")
    assert result.exit_code == 1
    assert result.stderr.startswith("ruleset.nft:1:7-")


def test_include_that_is_missing(desk, talk):
    desk.capture(talk.packets)
    desk.write("ruleset.nft", 'include "missing.nft"\n')
    result = desk.run("input.pcapng")
    assert result.exit_code == 1
    assert result.stderr.startswith("ruleset.nft:1:")


def test_box(desk, talk):
    desk.capture(talk.packets)
    desk.write("box.yaml", "devices:\n  - name: lan0\n    mtu: 20\n  - name: lan0\n")
    result = desk.run("input.pcapng")
    assert result.exit_code == 1
    assert "box.yaml:3:10: devices[0].mtu: expected 68..65535, got 20\n" in result.stderr
    assert "box.yaml:4:11: devices[1].name: " in result.stderr


def test_no_capture(desk):
    desk.write("input.pcapng", "not a capture")
    result = desk.run("input.pcapng")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "input.pcapng: byte 0: neither pcapng nor pcap: it begins with 6e 6f 74 20\n"


def test_damage_ends_the_run_after_the_good_packets(desk, talk):
    path = desk.capture(talk.packets, tail=bytes(range(60)))
    place = path.stat().st_size - 60
    result = desk.run("input.pcapng", "--out", "out.pcapng", "--json")
    assert result.exit_code == 1
    limits = "expected a multiple of 4 in 12..16777216"
    error = f"input.pcapng: packet 7 at byte {place}: block length 117835012, {limits}"
    assert result.stderr == f"{error}\n"
    report = json.loads(result.stdout)
    assert report["records"]["taken"] == 6
    assert report["errors"] == [error]
    assert report["stations"]["transmit"] == 6
    assert (desk.folder / "out.pcapng").stat().st_size > 6 * 60


def test_every_damaged_capture_is_named(desk, talk):
    desk.capture(talk.packets[::2], "a.pcapng", tail=b"damage")
    desk.capture(talk.packets[1::2], "b.pcapng", tail=b"damage")
    result = desk.run("a.pcapng", "b.pcapng", "--json")
    assert result.exit_code == 1
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["a.pcapng", "b.pcapng"]
    assert json.loads(result.stdout)["stations"]["transmit"] == 6


def test_unknown_interface(desk, talk):
    talk.packets.append(("eth7", talk.packets[0][1], START + 10**9, Direction.IN))
    desk.capture(talk.packets)
    result = desk.run("input.pcapng")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "input.pcapng: packet 7: interface eth7 is no device of the box, which has lo, lan0, wan0;"
        " --in DEV=input.pcapng says which it is\n"
    )


def test_interface_without_a_name(desk, talk):
    (desk.folder / "input.pcapng").write_bytes(section() + interface("<", None) + enhanced())
    (desk.folder / "input.pcap").write_bytes(pcap("<", True, (1, 0, talk.packets[0][1])))
    for name in ("input.pcapng", "input.pcap"):
        result = desk.run(name)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == (
            f"{name}: packet 1: an interface without a name is no device of the box, which has lo, lan0,"
            f" wan0; --in DEV={name} says which it is\n"
        )


def test_no_ethernet(desk):
    data = section() + interface("<", "any", linktype=276) + enhanced() * 2
    (desk.folder / "input.pcapng").write_bytes(data)
    result = desk.run("input.pcapng")
    assert result.exit_code == 1
    assert "no Ethernet frames, but link type 276 (Linux cooked v2, as of tcpdump -i any)" in result.stderr


def test_a_result_that_cannot_be_written(desk, talk):
    desk.capture(talk.packets)
    for option in ("--out", "--conntrack", "--flows", "--ruleset-out"):
        result = desk.run("input.pcapng", option, "nowhere/out")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == "nowhere/out: No such file or directory\n"
