"""The box against recorded truth: what Linux 6.18 answered to the frames of ``kernel/cases.py``.

One box lives through all cases, as the recorded router did, so that what a case leaves behind
(half a packet, an empty bucket) is there in the next. Compared are devices, bytes and times.
What Linux draws at random is masked: identifications and flow labels; so are its clock in a
timestamp reply and the checksums over these.
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from flowtable.clock import SECOND
from flowtable.router import Box
from flowtable.ruleset import parse
from flowtable.topology.boxfile import load
from tests.router.kernel.rulesets import RULESETS, phase

RECORDED: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("kernel").joinpath("answers.json").read_text()
)["cases"]
LISTENED = 4.4
"""Seconds for which the recorder waited for slow answers."""
TICK = 0.08
"""Timers of the recorded kernel are late by up to this, a few hundredths of a second."""

BOX = """
devices:
  - {name: a0, mac: "02:00:00:00:01:01", addresses: [10.1.0.1/24, "2001:db8:1::1/64"]}
  - {name: b0, mac: "02:00:00:00:02:01", mtu: 1400, addresses: [10.2.0.1/24, "2001:db8:2::1/64"]}
neighbours:
  - {address: 10.1.0.2, dev: a0, mac: "02:00:00:00:01:02", state: permanent}
  - {address: 10.1.0.9, dev: a0, mac: "02:00:00:00:01:09", state: permanent}
  - {address: 10.2.0.2, dev: b0, mac: "02:00:00:00:02:02", state: permanent}
  - {address: "2001:db8:1::2", dev: a0, mac: "02:00:00:00:01:02", state: permanent}
  - {address: "2001:db8:1::9", dev: a0, mac: "02:00:00:00:01:09", state: permanent}
  - {address: "fe80::1:2", dev: a0, mac: "02:00:00:00:01:02", state: permanent}
  - {address: "fe80::1:9", dev: a0, mac: "02:00:00:00:01:09", state: permanent}
  - {address: "2001:db8:2::2", dev: b0, mac: "02:00:00:00:02:02", state: permanent}
routes:
  - {to: 10.5.0.0/16, via: 10.1.0.9}
  - {to: 10.6.0.0/16, via: 10.2.0.2, mtu: 1000}
  - {to: 10.66.0.0/16, type: unreachable}
  - {to: 10.67.0.0/16, type: prohibit}
  - {to: 10.68.0.0/16, type: blackhole}
  - {to: "2001:db8:5::/48", via: "fe80::1:9", dev: a0}
  - {to: "2001:db8:66::/48", type: unreachable}
  - {to: "2001:db8:67::/48", type: prohibit}
  - {to: "2001:db8:68::/48", type: blackhole}
sysctls:
  net.ipv4.ip_forward: 1
  net.ipv6.conf.all.forwarding: 1
  net.ipv4.icmp_ratemask: 0
  net.ipv4.icmp_msgs_burst: 10000
  net.ipv4.icmp_msgs_per_sec: 10000
  net.ipv6.icmp.ratelimit: 0
  net.ipv4.ipfrag_time: 2
  net.netfilter.nf_conntrack_frag6_timeout: 2
"""
Answer = tuple[str, bytes, float]


def replay(ruleset: str, cases: list[dict[str, Any]]) -> dict[str, list[Answer]]:
    """What a box answers in each case, with seconds since the case began."""
    sent: list[tuple[str, bytes, int]] = []
    box = Box(
        load(BOX, "box.yaml"),
        parse(ruleset, "ruleset.nft"),
        transmit=lambda device, frame, time: sent.append((device.name, bytes(frame), time)),
    )
    answers: dict[str, list[Answer]] = {}
    for case in cases:
        sent.clear()
        begin = end = 0
        for device, seconds, frame in case["sent"]:
            end = round(seconds * SECOND)
            begin = begin or end
            box.receive(box.topology.devices[device], bytes.fromhex(frame), end)
        if any(word in case["case"] for word in ("answers", "alone")):
            box.advance(end + round(LISTENED * SECOND))
        answers[case["case"]] = [(name, frame, (time - begin) / SECOND) for name, frame, time in sent]
    return answers


@pytest.fixture(scope="module")
def answered() -> dict[str, list[Answer]]:
    answers: dict[str, list[Answer]] = {}
    for word, cases in groupby(RECORDED, lambda case: phase(case["case"])):
        answers |= replay(RULESETS[word], list(cases))
    return answers


def masked(frame: bytes) -> bytes:
    """The frame without what Linux draws at random or takes from its clock."""
    out = bytearray(frame)
    if frame[12:14] == b"\x08\x00":
        out[18:20] = bytes(2)
        out[24:26] = bytes(2)
        if frame[23] == 1 and frame[34] == 14:
            out[36:38] = bytes(2)
            out[46:54] = bytes(8)
    elif frame[12:14] == b"\x86\xdd":
        out[15] &= 0xF0
        out[16:18] = bytes(2)
        if frame[20] == 44:
            out[58:62] = bytes(4)
    return bytes(out)


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["case"])
def test_answers(case, answered):
    expected = [(device, masked(bytes.fromhex(frame)).hex()) for device, _, frame in case["answers"]]
    got = answered[case["case"]]
    assert [(device, masked(frame).hex()) for device, frame, _ in got] == expected
    begin = case["sent"][0][1]
    for (_, _, seconds), (_, late, _) in zip(got, case["answers"], strict=True):
        assert seconds == pytest.approx(late - begin, abs=TICK)


def test_the_same_frames_get_the_same_bytes(answered):
    """Nothing is drawn at random."""
    again = replay("", [case for case in RECORDED if not phase(case["case"])])
    assert again == {name: answered[name] for name in again}
