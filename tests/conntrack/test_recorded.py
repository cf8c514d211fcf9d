"""Recorded truth: what Linux 6.18 made of the same packets (see record.py)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from flowtable.clock import MILLISECOND, SECOND
from flowtable.conntrack.listing import conntrack_line, live
from flowtable.packet.packet import IPV4, Packet
from flowtable.ruleset.hook import Hook
from tests.conntrack.rulesets import install
from tests.conntrack.wire import Lab, addr, packet, state

STATES = ("", "new", "established", "related", "invalid", "untracked")
_OWN = {addr(text) for text in ("10.0.1.1", "10.0.2.1", "fd01::1", "fd02::1")}
_TIMEOUT = re.compile(r"^(ipv\d +\d+ \S+ +\d+) (\d+) ")


def plain(raw: bytes) -> bytes:
    """A packet without what routers change: DSCP, TTL, and the header checksum over them."""
    if raw[0] >> 4 == 4:
        total = int.from_bytes(raw[2:4])
        return raw[:1] + b"\0" + raw[2:8] + b"\0" + raw[9:10] + b"\0\0" + raw[12:total]
    return b"\x60\0\0\0" + raw[4:7] + b"\0" + raw[8 : 40 + int.from_bytes(raw[4:6])]


def through(lab: Lab, side: str, raw: bytes) -> tuple[str, Packet] | None:
    """The side a packet comes out on, and what it is there; None if it does not."""
    p = packet(raw, lab.now)
    p.iif = lab.eth1 if side == "b" else lab.eth0
    if not lab.stations(p, Hook.PREROUTING, lab.conntrack.incoming):
        return None
    ends = bytes(p.data[12:20] if p.family == IPV4 else p.data[8:40])
    source, destination = ends[: len(ends) // 2], ends[len(ends) // 2 :]
    martian = p.family == IPV4 and source in _OWN
    if martian or destination in _OWN:
        # What is delivered, the router's own rules drop.
        return None
    far = destination[2 if p.family == IPV4 else 1] == 2
    p.oif = lab.eth1 if far else lab.eth0
    return ("b" if far else "a", p) if lab.stations(p, Hook.POSTROUTING) else None


def parts(line: str) -> tuple[str, int]:
    """A line without its timeout, and the timeout."""
    match = _TIMEOUT.match(line)
    assert match
    return _TIMEOUT.sub(r"\1 ", line), int(match[2])


RUNS = [
    pytest.param(json.loads(line), id=f"{path.stem}-{number}")
    for path in sorted((Path(__file__).parent / "recorded").glob("*.jsonl"))
    for number, line in enumerate(path.read_text().splitlines())
]


@pytest.mark.parametrize("run", RUNS)
def test_as_linux(run):
    lab = Lab()
    lab.topology.sysctls.nf_conntrack_acct = 1
    lab.follow_sysctls()
    install(lab, run["rules"])
    start = 1000 * SECOND
    for number, (milliseconds, side, raw, came) in enumerate(run["packets"]):
        lab.now = start + milliseconds * MILLISECOND
        result = through(lab, side, bytes.fromhex(raw))
        ours = None if result is None else [result[0], plain(bytes(result[1].data)).hex(), state(result[1])]
        assert ours == came, f"packet {number}: {raw}"

    now = start + run["end"] * MILLISECOND
    listed = sorted(parts(conntrack_line(c, now, extended=True)) for c in live(lab.conntrack, now))
    recorded = sorted(parts(line) for line in run["connections"])
    assert [line for line, _ in listed] == [line for line, _ in recorded]
    for (line, left), (_, theirs) in zip(listed, recorded, strict=True):
        # The kernel counts in jiffies, and its list takes a moment.
        assert abs(left - theirs) <= 1, line
