"""Rules on real packets: what comes out of Linux, bytes and listing, comes out of the box.

Live: each run asks the kernel that it runs on (``kernel/probe.py``).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowtable.router import Box
from flowtable.ruleset import parse, print_ruleset
from flowtable.topology.boxfile import load
from tests.namespace import UNSHARE, require
from tests.ruleset.kernel.packets import CLIENT_MAC, LAN_MAC, SERVER_MAC, WAN_MAC, Send, read_packets
from tests.ruleset.kernel.table import Row, read_rows

ROOT = Path(__file__).parents[2]
ROWS = read_rows()
NEIGHBOURS = "".join(
    f'  - {{address: "{network}{host}", dev: {device}, mac: "{mac}", state: permanent}}\n'
    for device, mac, networks in (
        ("lan0", CLIENT_MAC, ("10.0.1.", "2001:db8:1::")),
        ("wan0", SERVER_MAC, ("10.0.2.", "2001:db8:2::")),
    )
    for network in networks
    for host in range(2, 10)
)
BOX = f"""
devices:
  - {{name: lan0, mac: "{LAN_MAC}", addresses: [10.0.1.1/24, "2001:db8:1::1/64"]}}
  - {{name: wan0, mac: "{WAN_MAC}", addresses: [10.0.2.1/24, "2001:db8:2::1/64"]}}
neighbours:
{NEIGHBOURS}
routes:
  - {{to: 0.0.0.0/0, via: 10.0.2.2}}
  - {{to: "::/0", via: "2001:db8:2::2"}}
sysctls:
  net.ipv4.ip_forward: 1
  net.ipv6.conf.all.forwarding: 1
  net.ipv4.icmp_ratemask: 0
  net.ipv4.icmp_msgs_burst: 10000
  net.ipv4.icmp_msgs_per_sec: 10000
  net.ipv6.icmp.ratelimit: 0
  net.netfilter.nf_conntrack_acct: 1
"""


@pytest.fixture(scope="module")
def kernel() -> dict[str, dict[str, Any]]:
    """What the kernel does with each row."""
    require("nft", "ethtool")
    probe = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.ruleset.kernel.probe"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert probe.returncode == 0, probe.stderr
    results = json.loads(probe.stdout)["results"]
    return dict(zip((row.place for row in ROWS), results, strict=True))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.place}: {row.rules[0]}")
def test_kernel(row: Row, kernel: dict[str, dict[str, Any]]) -> None:
    expected = kernel[row.place]
    assert "error" not in expected, expected["error"]
    answers: dict[str, list[str]] = {"lan0": [], "wan0": []}
    ruleset = parse(row.ruleset, "row.nft")
    box = Box(
        load(BOX, "box.yaml"),
        ruleset,
        transmit=lambda device, frame, time: answers[device.name].append(bytes(frame).hex()),
    )
    box.advance(START)
    frames = [step for step in read_packets(row.packets) if isinstance(step, Send)]
    for step, time in zip(frames, expected["times"], strict=True):
        box.receive(box.topology.devices[step.device], step.frame, START + time)
    box.advance(START + expected["listed"])
    assert masked(answers) == masked(expected["answers"])
    assert listing(print_ruleset(ruleset, now=box.now)) == listing(expected["listing"])


START = 1_000_000_000_000
"""When the box is loaded, nanoseconds."""


def masked(answers: dict[str, list[str]]) -> dict[str, list[str]]:
    """Without ARP, the identification that Linux draws for its own IPv4 packets, and the checksum over it."""
    return {
        name: [_masked(bytes.fromhex(frame)) for frame in frames if frame[24:28] != "0806"]
        for name, frames in answers.items()
    }


def _masked(frame: bytes) -> str:
    out = bytearray(frame)
    if frame[12:14] == b"\x08\x00":
        out[18:20] = out[24:26] = bytes(2)
    elif frame[12:14] == b"\x86\xdd":
        out[15] &= 0xF0
        out[16:18] = bytes(2)
    return out.hex()


def listing(text: str) -> str:
    """Without the times that go on while it is listed."""
    return re.sub(r"(expires|used) [0-9a-z]+", r"\1 TIME", text)
