"""``flowtable run`` of stacked devices: where captures are taken, and what is input."""

from __future__ import annotations

import json

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from flowtable.capture import Direction, open_capture
from tests.cli.bench import START, Desk

HOST_A, HOST_B, BR = "02:00:00:00:0a:0a", "02:00:00:00:0b:0b", "02:00:00:00:01:00"
BOX = f"""\
devices:
  - {{name: br0, kind: bridge, mac: "{BR}", addresses: [10.0.1.1/24]}}
  - {{name: lan1, mac: "02:00:00:00:01:01", master: br0}}
  - {{name: lan2, mac: "02:00:00:00:01:02", master: br0}}
  - {{name: wan0, mac: "02:00:00:00:02:01"}}
  - {{name: wan0.7, kind: vlan, parent: wan0, id: 7, addresses: [10.0.2.1/24]}}
  - {{name: dum0, kind: bridge, mac: "02:00:00:00:03:01"}}
"""


@pytest.fixture
def stacked(desk: Desk) -> Desk:
    (desk.folder / "box.yaml").write_text(BOX)
    (desk.folder / "ruleset.nft").write_text("")
    return desk


def bridged(
    number: int, device: str = "lan1", direction: Direction = Direction.UNKNOWN, millisecond: int = 0
):
    frame = Ether(src=HOST_A, dst=HOST_B) / IP(src="10.0.1.8", dst="10.0.1.9", id=number) / UDP() / b"x"
    return device, bytes(frame), START + millisecond * 1_000_000, direction


def told(desk: Desk, *arguments: str):
    return json.loads(desk.run("--json", *arguments).stdout)


def test_what_a_bridge_passed_on_is_no_input(stacked):
    """Captured without directions, each frame is there twice: coming, and going with the sender's address."""
    stacked.capture(
        [
            bridged(1),
            bridged(1, "lan2"),
            bridged(2, millisecond=10),
            bridged(2, "lan2", Direction.OUT, 10),
            # The same frame again, much later: somebody else sends it.
            bridged(1, "lan2", millisecond=5000),
        ]
    )
    report = told(stacked, "input.pcapng")
    assert report["records"]["own"] == 2
    assert report["records"]["taken"] == report["stations"]["ingress"] == 3
    assert report["stations"]["bridged"] == report["stations"]["transmit"] == 3
    line = "bridged: 3 frames from one port of a bridge to others, past all IP stations"
    assert line in stacked.run("input.pcapng").stdout


def test_equal_frames_are_told_apart_by_their_number(stacked):
    stacked.capture([bridged(1), bridged(1), bridged(1, "lan2"), bridged(1, "lan2"), bridged(1, "lan2")])
    records = told(stacked, "input.pcapng")["records"]
    assert (records["taken"], records["own"]) == (3, 2)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("br0", "br0 is a bridge device: frames come in on what it stands on, lan1, lan2"),
        ("wan0.7", "wan0.7 is a vlan device: frames come in on what it stands on, wan0"),
        ("dum0", "dum0 is a bridge device: no frames come in on it"),
    ],
)
def test_captures_are_of_devices_with_a_wire(stacked, device, message):
    stacked.capture([(device, *bridged(1)[1:])])
    result = stacked.run("input.pcapng")
    assert result.exit_code == 1
    assert f"input.pcapng: packet 1: {message}\n" in result.stderr
    result = stacked.run("--in", f"{device}=input.pcapng")
    assert result.exit_code == 2
    assert f"--in {device}=input.pcapng: {message}." in result.stderr.replace("\n", " ")


def test_frames_leave_by_the_device_below(stacked):
    (stacked.folder / "box.yaml").write_text(
        BOX + f'neighbours:\n  - {{address: 10.0.2.9, dev: wan0.7, mac: "{HOST_B}"}}\n'
        "sysctls:\n  net.ipv4.ip_forward: 1\n"
    )
    packet = IP(src="10.0.1.8", dst="10.0.2.9") / UDP() / b"x"
    stacked.capture([("lan1", bytes(Ether(src=HOST_A, dst=BR) / packet), START, Direction.UNKNOWN)])
    stacked.run("input.pcapng", "--out", "out.pcapng")
    with (stacked.folder / "out.pcapng").open("rb") as stream:
        (record,) = open_capture(stream, "out")
    assert (record.interface, Ether(record.data)[Dot1Q].vlan) == ("wan0", 7)
