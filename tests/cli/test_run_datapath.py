from __future__ import annotations

from random import Random

import pytest

from flowtable.clock import SECOND
from flowtable.datapath import library
from flowtable.profile import PROFILES
from scenarios.judge import playable
from tests.cli.bench import WAN_MAC, Talk, tcp, udp

FOLDERS = [each for each in playable() if "kind: bridge" in each.text("box.yaml")][::3] + playable()[::12]
EVENTS = """
- {at: 0.1, link: {dev: lan0, mtu: 900}}
- {at: 0.2, link: {dev: wan0, mac: "02:00:00:00:02:77"}}
- {at: 0.5, link: {dev: lan0, up: false}}
- {at: 0.6, link: {dev: lan0, up: true}}
"""
OUTPUTS = ("out.pcapng", "flows", "conntrack", "ruleset")


def results(desk, *arguments, inputs=("input.pcapng",)):
    result = desk.run(
        *inputs, "--out", "out.pcapng", "--flows", "flows", "--ended", "--conntrack", "conntrack",
        "--ruleset-out", "ruleset", *arguments,
    )  # fmt: skip
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout, [(desk.folder / name).read_bytes() for name in OUTPUTS]


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_both_datapaths_give_the_same_results(desk, profile):
    talk = Talk()
    tcp(talk, 50, close=True)
    udp(talk, 50)
    desk.capture(talk.packets)
    reference = results(desk, "--profile", profile, "--datapath", "reference")
    assert results(desk, "--profile", profile, "--datapath", "native") == reference
    assert results(desk, "--profile", profile) == reference


def test_without_the_library_the_reference_forwards_and_says_so(desk, monkeypatch):
    def missing():
        raise OSError("libflowtable.so: not found")

    talk = Talk()
    udp(talk, 20)
    desk.capture(talk.packets)
    expected = desk.run("input.pcapng", "--datapath", "reference")
    monkeypatch.setattr(library, "load", missing)
    result = desk.run("input.pcapng", "--datapath", "native")
    assert (result.exit_code, result.stdout) == (0, expected.stdout)
    assert result.stderr == (
        "flowtable: no native datapath, the reference takes its place: libflowtable.so: not found\n"
    )


def both(desk, *arguments, inputs):
    native = results(desk, *arguments, "--datapath", "native", inputs=inputs)
    assert native == results(desk, *arguments, "--datapath", "reference", inputs=inputs)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_recorded_scenarios(desk, folder):
    """As captured on the router: with what it sent, which is no input, and with events."""
    for name in ("ruleset.nft", "box.yaml", "events.yaml"):
        desk.write(name, folder.text(name) or ("[]" if name == "events.yaml" else ""))
    inputs = [str(folder.path / name) for name in ("input.pcapng", "expected.pcapng")]
    for given in (inputs[:1], inputs):
        both(desk, "--events", "events.yaml", "--settle", "2", inputs=given)


def test_packets_out_of_order_and_own_ones(desk):
    talk = Talk()
    tcp(talk, 40)
    udp(talk, 300)
    random = Random(1)
    packets = []
    for interface, data, time, direction in talk.packets:
        packets.append((interface, data, time - random.choice([0, 0, 5 * SECOND]), direction))
        if random.random() < 0.3:
            own = bytes.fromhex(WAN_MAC.replace(":", ""))
            packets.append(("wan0", b"\2" * 6 + own + data[12:], time, direction))
    desk.capture(packets)
    desk.write("events.yaml", EVENTS)
    both(desk, "--events", "events.yaml", inputs=["input.pcapng"])


@pytest.mark.parametrize("tail", [b"", b"\6\0\0\0\x40\0\0\0", bytes(40)])
def test_captures_of_other_devices_and_damage(desk, tail):
    talk = Talk()
    udp(talk, 50)
    talk.put("dmz0", talk.packets[0][1])
    udp(talk, 50)
    desk.capture(talk.packets, tail=tail)
    desk.capture([packet for packet in talk.packets if packet[0] != "dmz0"], "damaged.pcapng", tail=tail)
    for name in ("input.pcapng", "damaged.pcapng"):
        for option in ([name], ["--in", f"lan0={name}"]):
            native, reference = (desk.run(*option, "--datapath", way) for way in ("native", "reference"))
            assert native.exit_code == reference.exit_code
            assert (native.stdout, native.stderr) == (reference.stdout, reference.stderr)


def test_capacity(desk):
    talk = Talk()
    tcp(talk, 50)
    udp(talk, 50)
    tcp(talk, 50)
    desk.capture(talk.packets)
    full = desk.run("input.pcapng", "--capacity", "1")
    assert "no room for another flow in the tables of the fast path" in full.stdout
    evicting = desk.run("input.pcapng", "--capacity", "1", "--evict")
    assert "another flow needed its place" in evicting.stdout
    assert "no room" not in evicting.stdout
    alone = desk.run("input.pcapng", "--evict")
    assert (alone.exit_code, "give both" in alone.stderr) == (2, True)
