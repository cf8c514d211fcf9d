"""Bad input ends in exit code 1 with a message that names the place."""

from __future__ import annotations

import json
import subprocess
import sys

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


def test_binary_ruleset(desk, talk):
    desk.capture(talk.packets)
    (desk.folder / "ruleset.nft").write_bytes(b"\x7fELF\x02\x01\x01\x00\x1b[2J" * 100)
    result = desk.run("input.pcapng")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "ruleset.nft: byte 7: not a text file\n"
    desk.write("ruleset.nft", 'include "part.nft"\n')
    (desk.folder / "part.nft").write_bytes(b"table\0")
    result = desk.run("input.pcapng")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == "ruleset.nft:1:1-19: Error: part.nft: byte 5: not a text file"


@pytest.mark.parametrize("included", [False, True])
def test_what_a_terminal_cannot_show_is_escaped(desk, talk, included):
    """The carets stay below what they are about. An included file is read as the ruleset itself is."""
    desk.capture(talk.packets)
    text = b"table inet x {\n\tchain \x1b[2J\xff\r { nonsense; }\n}\n"
    (desk.folder / "text.nft").write_bytes(text)
    desk.write("ruleset.nft", 'include "text.nft"\n') if included else (
        desk.folder / "ruleset.nft"
    ).write_bytes(text)
    lines = desk.run("input.pcapng").stderr.split("\n")
    name = "text.nft" if included else "ruleset.nft"
    assert lines[included].startswith(f"{name}:2:8-8: Error: ")
    assert lines[included + 1] == "\tchain \\x1b[2J\\xff\\x0d { nonsense; }"
    assert lines[included + 2] == "\t      ^^^^"


@pytest.mark.parametrize(
    ("family", "rules", "hint"),
    [
        (
            "inet",
            "flowtable f { hook ingress priority 0; devices = { eth0 }; }",
            "hint: flowtable 'f' is on eth0",
        ),
        ("netdev", "chain c { type filter hook ingress device eth0 priority 0; }", "eth0"),
    ],
)
def test_ruleset_of_another_box(desk, talk, family, rules, hint):
    desk.capture(talk.packets)
    desk.write("ruleset.nft", f"table {family} x {{ {rules}; }}\n")
    desk.write("out", "kept")
    result = desk.run("input.pcapng", "--conntrack", "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("ruleset.nft:1:")
    assert "Error: Could not process rule: No such file or directory" in result.stderr
    assert hint in result.stderr
    assert (desk.folder / "out").read_text() == "kept"


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
    """It ends its capture, as damage does, and costs nothing else."""
    desk.capture(talk.packets[::2], "good.pcapng")
    other = [*talk.packets[1::2], ("eth7", talk.packets[0][1], START + 10**9, Direction.IN)]
    desk.capture(other, "other.pcapng")
    desk.capture([("eth7", *packet[1:]) for packet in talk.packets], "single.pcapng")
    result = desk.run("good.pcapng", "other.pcapng", "single.pcapng", "--out", "out.pcapng", "--json")
    assert result.exit_code == 1
    unknown = "interface eth7 is no device of the box, which has lo, lan0, wan0"
    assert sorted(result.stderr.splitlines()) == [
        f"other.pcapng: packet 4: {unknown}; --in DEV=FILE says which it is, of a capture of one interface",
        f"single.pcapng: packet 1: {unknown}; --in DEV=single.pcapng says which it is",
    ]
    report = json.loads(result.stdout)
    assert report["errors"] == result.stderr.splitlines()
    assert report["stations"]["transmit"] == 6
    assert (desk.folder / "out.pcapng").stat().st_size > 6 * 60


def test_several_interfaces_are_not_one_device(desk, talk):
    desk.capture(talk.packets, "both.pcapng")
    desk.capture(talk.packets[::2], "good.pcapng")
    result = desk.run("good.pcapng", "--in", "wan0=both.pcapng", "--json")
    assert result.exit_code == 1
    assert result.stderr == (
        "both.pcapng: packet 1: captured on several interfaces (lan0, wan0);"
        " --in wan0=FILE takes a capture of one\n"
    )
    assert json.loads(result.stdout)["records"]["taken"] == 3


def test_interface_without_a_name(desk, talk):
    (desk.folder / "input.pcapng").write_bytes(section() + interface("<", None) + enhanced())
    (desk.folder / "input.pcap").write_bytes(pcap("<", True, (1, 0, talk.packets[0][1])))
    for name in ("input.pcapng", "input.pcap"):
        result = desk.run(name)
        assert result.exit_code == 1
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


@pytest.mark.parametrize("option", ["--out", "--conntrack", "--flows", "--ruleset-out"])
def test_a_full_disk(desk, talk, option):
    desk.capture(talk.packets)
    result = desk.run("input.pcapng", option, "/dev/full")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "/dev/full: No space left on device\n"


def test_a_full_disk_in_the_middle_of_a_run(desk):
    talk = Talk()
    udp(talk, 1200)
    desk.capture(talk.packets)
    result = desk.run("input.pcapng", "--conntrack", "listing", "--out", "/dev/full")
    assert (result.exit_code, result.stderr) == (1, "/dev/full: No space left on device\n")


@pytest.mark.parametrize("arguments", [[], ["--json"], ["--conntrack", "-"], ["--out", "-"]])
def test_standard_output_that_is_full(desk, talk, arguments):
    desk.capture(talk.packets)
    command = [sys.executable, "-m", "flowtable", "run", "ruleset.nft", "--box", "box.yaml", "input.pcapng"]
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        result = subprocess.run([*command, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (1, "standard output: No space left on device\n")


def test_a_time_that_is_none(desk, talk):
    late = interface("<", "lan0", options=b"\x09\0\1\0\0\0\0\0")
    frame = talk.packets[0][1]
    data = section() + late + enhanced("<", frame, stamp=1 << 62) + enhanced("<", frame, stamp=1 << 32)
    (desk.folder / "input.pcapng").write_bytes(data)
    result = desk.run("input.pcapng", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["records"]["skipped"] == [
        {"reason": "TIME", "count": 1, "text": "its time is before 1970 or after 2554"}
    ]
    assert report["time"]["last"] == 10**9 << 32
    result = desk.run("input.pcapng", "--out", "out.pcap")
    assert (result.exit_code, result.stderr) == (1, "out.pcap: pcap has no times after 2106\n")
