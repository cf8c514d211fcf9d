"""Chips on the wires of a box, and the conduit between a switch and the box."""

from __future__ import annotations

from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from flowtable.clock import SECOND
from flowtable.packet import dsa_switch
from flowtable.packet.drop import Drop
from flowtable.router import Box
from flowtable.ruleset import parse
from flowtable.topology.boxfile import load

FOLDER = Path(__file__).parents[2] / "examples" / "boxes" / "dsa-switch"
RULES = (FOLDER / "ruleset.nft").read_text()
CHIP = "\nhardware: {queue_latency_us: 0, chips: [{name: asic, ports: [wan, lan1, lan2, lan3]}]}\n"
CLIENT_MAC, GATEWAY_MAC, WAN_MAC = "02:00:00:00:02:99", "02:00:00:00:01:99", "02:00:00:00:00:02"
BRIDGE_MAC = "02:00:00:00:00:01"
START = 1000 * SECOND


class Bench:
    """The example's box, with a chip or without."""

    def __init__(self, chip: str = CHIP, rules: str = RULES, tag: str = "mtk") -> None:
        self.sent: list[tuple[str, bytes]] = []
        box_file = (FOLDER / "box.yaml").read_text().replace("tag: mtk", f"tag: {tag}") + chip
        self.box = Box(
            load(box_file, "box.yaml"),
            parse(rules, "ruleset.nft"),
            transmit=lambda device, frame, time: self.sent.append((device.name, frame)),
        )
        self.now = START

    def receive(self, device: str, frame: bytes) -> list[tuple[str, bytes]]:
        self.sent.clear()
        self.now += SECOND // 100
        self.box.receive(self.box.topology.devices[device], frame, self.now)
        return list(self.sent)


def out(number: int = 0) -> bytes:
    packet = IP(src="192.168.1.10", dst="198.51.100.1") / UDP(sport=5000, dport=53) / bytes([number] * 30)
    return bytes(Ether(dst=BRIDGE_MAC, src=CLIENT_MAC) / packet)


def back(number: int = 0) -> bytes:
    packet = IP(src="198.51.100.1", dst="198.51.100.2") / UDP(sport=53, dport=5000) / bytes([number] * 30)
    return bytes(Ether(dst=WAN_MAC, src=GATEWAY_MAC) / packet)


OFFLOADING = RULES.replace("lan3 }", "lan3 }; flags offload")


@pytest.mark.parametrize("tag", ["mtk", "dsa", "edsa", "brcm"])
def test_the_box_sees_tagged_frames_of_the_conduit_and_the_wires_see_none(tag: str) -> None:
    bench = Bench(tag=tag)
    (sent,) = bench.receive("lan3", out())
    assert sent[0] == "wan", "the port that the tag names"
    leaving = Ether(sent[1])
    assert (leaving.src, leaving.dst, leaving[IP].ttl) == (WAN_MAC, GATEWAY_MAC, 63)
    assert bench.receive("wan", back())[0][0] == "lan3"
    assert not bench.box.statistics.drops
    assert bench.box.statistics.ingress == 2


@pytest.mark.parametrize("tag", ["mtk", "dsa", "edsa", "brcm"])
def test_hardware_sends_what_the_box_sent(tag: str) -> None:
    software, hardware = Bench(tag=tag), Bench(tag=tag, rules=OFFLOADING)
    for number in range(8):
        for device, frame in (("lan3", out(number)), ("wan", back(number))):
            expected, sent = software.receive(device, frame), hardware.receive(device, frame)
            if tag == "brcm":  # whose driver pads what is shorter than 64 bytes
                sent = [(name, each.ljust(60, b"\0")) for name, each in sent]
            assert sent == expected
    assert hardware.box.statistics.hardware == 14
    assert hardware.box.statistics.ingress == 2, "the packet that adds the flow is the second"


def test_frames_that_were_captured_on_the_conduit_come_as_they_are() -> None:
    bench = Bench()
    tagged = dsa_switch.to_cpu_mtk(out(), 3)
    assert bench.receive("eth0", tagged)[0][0] == "wan"


def test_a_frame_to_a_port_that_the_chip_does_not_have() -> None:
    bench = Bench(CHIP.replace("wan, lan1", "lan1"))
    assert bench.receive("lan3", out()) == []
    assert bench.box.statistics.drops == {Drop.DSA_TAG: 1}


def test_a_port_that_is_down_takes_and_gives_nothing() -> None:
    bench = Bench(rules=OFFLOADING)
    for number in range(4):
        bench.receive("lan3", out(number))
        bench.receive("wan", back(number))
    assert bench.box.statistics.hardware
    devices = bench.box.topology.devices
    bench.box.topology.set_link(devices["wan"], up=False)
    before = bench.box.statistics.hardware
    assert {device for device, _ in bench.receive("lan3", out())} == {"lan3"}, "the router answers"
    assert bench.receive("wan", back()) == []
    assert bench.box.statistics.hardware == before


def test_nothing_is_lost_in_the_count() -> None:
    bench = Bench(rules=OFFLOADING)
    for number in range(20):
        bench.receive("lan3", out(number))
        bench.receive("wan", back(number))
        bench.receive("lan1", bytes([number] * number))
    statistics = bench.box.statistics
    assert statistics.unended == bench.box.waiting
    assert statistics.ingress + statistics.hardware == 60
