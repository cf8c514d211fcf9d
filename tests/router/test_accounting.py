"""Whatever comes in: nothing goes wrong, nothing is lost, and the same comes out again.

A packet leaves the box, ends in it for a reason that has a name, or waits in it. That is one equation over
the statistics, which holds after every frame; ``tools/fuzz`` looks for frames that break it for longer.
"""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import ARP, Dot1Q, Ether

from flowtable.capture import Direction, open_capture
from flowtable.packet.checksum import CHECKSUM_OFFSETS, fill_ipv4, l4_checksum
from flowtable.packet.packet import Packet
from flowtable.packet.parse import parse_ipv4, parse_ipv6
from flowtable.router import Box
from flowtable.ruleset import parse
from flowtable.ruleset.model import Ruleset
from flowtable.topology.boxfile import load
from tests.lab import (
    CLIENT,
    CLIENT6,
    CLIENT_MAC,
    LAN_MAC,
    SERVER,
    SERVER6,
    SERVER_MAC,
    START,
    WAN_MAC,
    Lab,
    Sent,
    box_with,
    udp,
    udp_reply,
)

LAN, WAN = "lan0", "wan0"
MAC = {name: bytes.fromhex(mac.replace(":", "")) for name, mac in ((LAN, LAN_MAC), (WAN, WAN_MAC))}
EXAMPLE = Path(__file__).parents[2] / "examples" / "home-router"
ROUTES = (
    "to: 10.5.0.0/16, via: 10.0.1.99",
    "to: 10.66.0.0/16, type: unreachable",
    "to: 10.68.0.0/16, type: blackhole",
    "to: 10.9.0.0/16, via: 10.0.2.50",
)
BOXES = {
    "open": box_with(*ROUTES),
    "strict": box_with(
        *ROUTES,
        services=("protocol: udp, port: 53", "protocol: tcp, port: 443"),
        net__ipv4__conf__all__rp_filter=1,
        net__ipv4__icmp_echo_ignore_broadcasts=0,
        net__netfilter__nf_conntrack_max=4,
        net__ipv4__neigh__default__unres_qlen=2,
        net__ipv4__ipfrag_high_thresh=4000,
        net__ipv4__neigh__default__base_reachable_time_ms=5000,
        net__ipv6__neigh__default__base_reachable_time_ms=5000,
    ).replace("{name: wan0,", "{name: wan0, mtu: 1280,"),
}
RULESETS = {
    "none": "",
    "all": """
        table netdev early {
            chain i { type filter hook ingress device "lan0" priority -10; udp dport 9 drop; }
            chain e {
                type filter hook egress device "wan0" priority 0
                ip ttl 9 drop
            }
        }
        table inet t {
            flowtable f { hook ingress priority 0; devices = { lan0, wan0 }; }
            chain i {
                type filter hook input priority 0
                udp dport 1000-2000 reject
                icmp type echo-request log prefix "ping "
            }
            chain f {
                type filter hook forward priority 0
                tcp dport 443 osf name "Linux"
                flow add @f
                tcp dport 81 reject with tcp reset
                ct state invalid drop
            }
            chain o {
                type filter hook output priority 0
                meta mark set 7
            }
        }
        table ip n {
            chain p {
                type nat hook prerouting priority dstnat
                tcp dport 80 redirect to :8080
                udp dport 54 dnat to 10.0.2.99:53
            }
            chain o {
                type nat hook output priority dstnat
                icmp type echo-reply dnat to 127.0.0.1
            }
            chain s {
                type nat hook postrouting priority srcnat
                oifname "wan0" masquerade
            }
        }
    """.replace("udp dport 9 drop; }", 'udp dport 9 drop\nip ttl 10 dup to "wan0"\n}'),
}
SEEDS = [
    *(udp(size=size) for size in (0, 10, 1400)),
    udp_reply(),
    *fragment(IP(src=CLIENT, dst=SERVER, id=5) / UDP(sport=5000, dport=53) / (b"x" * 2000), 800),
    *fragment(IP(src=CLIENT, dst="10.0.1.1", id=6) / ICMP() / (b"x" * 900), 400),
    *fragment6(IPv6(src=CLIENT6, dst=SERVER6) / IPv6ExtHdrFragment(id=9) / UDP() / (b"x" * 2000), 1280),
    *(IP(src=CLIENT, dst=SERVER) / TCP(sport=1, dport=port, flags="S") for port in (80, 81, 443)),
    IP(src=CLIENT, dst=SERVER, ttl=1) / UDP(),
    IP(src=CLIENT, dst=SERVER, ttl=10) / UDP(dport=8),
    IP(src=CLIENT, dst="10.0.1.1") / ICMP(),
    IP(src=CLIENT, dst="10.0.1.1") / TCP(dport=9, flags="S"),
    IP(src=CLIENT, dst="10.0.1.255") / ICMP(),
    IP(src=CLIENT, dst="10.5.0.1") / UDP(),
    IP(src=CLIENT, dst="10.66.0.1") / UDP(),
    IP(src=CLIENT, dst="10.68.0.1") / UDP(),
    IP(src=CLIENT, dst="10.9.0.1") / UDP(),
    IP(src=CLIENT, dst="10.0.2.77") / UDP(),
    IP(src=SERVER, dst=CLIENT)
    / ICMP(type=3, code=3)
    / IP(src=CLIENT, dst=SERVER)
    / UDP(sport=5000, dport=53),
    IPv6(src=CLIENT6, dst=SERVER6) / UDP(sport=5000, dport=53),
    IPv6(src=SERVER6, dst=CLIENT6) / UDP(sport=53, dport=5000),
    IPv6(src=CLIENT6, dst=SERVER6) / UDP(sport=5000, dport=53),
    IPv6(src=CLIENT6, dst="2001:db8:2::77") / UDP(),
    IPv6(src=CLIENT6, dst="2001:db8:1::1") / ICMPv6EchoRequest(),
    IPv6(src=CLIENT6, dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt="2001:db8:1::1"),
    ARP(op=1, hwsrc=CLIENT_MAC, psrc=CLIENT, pdst="10.0.1.1"),
    ARP(op=2, hwsrc=SERVER_MAC, psrc="10.0.2.77", pdst="10.0.2.1"),
    Dot1Q(vlan=0) / udp(),
]
FRAMES = [bytes(Ether(src=CLIENT_MAC, dst=LAN_MAC) / seed) for seed in SEEDS]


def repaired(frame: bytes) -> bytes:
    """The frame with checksums that are right, where there are any."""
    out = bytearray(frame)
    if out[12:14] == b"\x08\x00" and len(out) >= 34 and len(out) >= 14 + (out[14] & 15) * 4:
        fill_ipv4(out, 14)
        packet = parse_ipv4(bytes(out), 14)
    elif out[12:14] == b"\x86\xdd":
        packet = parse_ipv6(bytes(out), 14)
    else:
        return frame
    if isinstance(packet, Packet) and packet.l4proto in CHECKSUM_OFFSETS and not packet.fragoff:
        field = packet.thoff + CHECKSUM_OFFSETS[packet.l4proto]
        if field + 2 <= len(packet.data):
            out[14 + field : 16 + field] = l4_checksum(packet).to_bytes(2)
    return bytes(out)


@st.composite
def damaged(draw) -> bytes:
    """A frame of the seeds with some bytes changed, perhaps cut, perhaps with checksums that are right."""
    frame = bytearray(draw(st.sampled_from(FRAMES)))
    for _ in range(draw(st.integers(0, 3))):
        # The first bytes are the ones that matter most.
        at = draw(st.integers(12, min(len(frame), 80) - 1))
        frame[at] = draw(st.integers(0, 255) | st.sampled_from([0, 1, 4, 5, 6, 17, 44, 0x7F, 0xFF]))
    if draw(st.integers(0, 7)) == 0:
        del frame[draw(st.integers(0, len(frame))) :]
    return repaired(bytes(frame)) if draw(st.booleans()) else bytes(frame)


frames = st.one_of(damaged(), damaged(), damaged(), st.binary(max_size=100).map(lambda b: MAC[LAN] + b))
# Device, seconds since the last frame, whether the destination is a group, and the frame.
arrivals = st.lists(
    st.tuples(
        st.sampled_from([LAN, LAN, WAN]),
        st.sampled_from([0, 0, 0, 0.1, 1, 40, 700]),
        st.integers(0, 7).map(lambda n: n == 0),
        frames,
    ),
    min_size=1,
    max_size=10,
)


def run(lab: Lab, traffic: Any) -> None:
    for device, seconds, group, frame in traffic:
        lab.wait(seconds)
        balanced(lab)
        destination = b"\xff" * 6 if group else MAC[device]
        lab.receive(device, destination + frame[6:] if len(frame) >= 6 else frame)
        balanced(lab)
    lab.wait(1000)
    assert lab.statistics.unended == lab.box.waiting == 0


def balanced(lab: Lab) -> None:
    assert lab.statistics.unended == lab.box.waiting, lab.statistics
    assert lab.statistics.transmit == len(lab.sent)


@cache
def rules_named(name: str) -> Ruleset:
    return parse(RULESETS[name], "ruleset.nft")


@cache
def box_named(name: str) -> bytes:
    return pickle.dumps(load(BOXES[name], "box.yaml"))


class Prepared(Lab):
    """A laboratory that is made quickly: rules and box are read once for all tests."""

    def __init__(self, rules: str, box: str) -> None:
        self.now = START
        self.sent = []
        self.program = rules_named(rules)
        self.box = Box(
            pickle.loads(box_named(box)),
            self.program,
            transmit=lambda device, frame, time: self.sent.append(Sent(device.name, frame, time)),
        )
        self.box.advance(self.now)


@pytest.mark.parametrize("rules", RULESETS)
@pytest.mark.parametrize("box", BOXES)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(traffic=arrivals)
def test_nothing_is_lost(rules, box, traffic):
    run(Prepared(rules, box), traffic)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(traffic=arrivals)
def test_the_same_again(traffic):
    first, second = Prepared("all", "strict"), Prepared("all", "strict")
    run(first, traffic)
    run(second, traffic)
    assert second.sent == first.sent
    assert second.statistics == first.statistics


@pytest.mark.parametrize("profile", ["default", "linux-5.13"])
def test_nothing_of_the_example_is_lost(profile):
    lab = Lab(
        (EXAMPLE / "ruleset.nft").read_text(), profile=profile, box_file=(EXAMPLE / "box.yaml").read_text()
    )
    for interface, time, data in example():
        lab.now = time
        lab.receive(interface, data)
        assert lab.statistics.unended == lab.box.waiting
    assert lab.statistics.bypass > 1000
    lab.wait(1000)
    assert lab.statistics.unended == lab.box.waiting == 0


@cache
def example() -> list[tuple[str, int, bytes]]:
    with (EXAMPLE / "input.pcapng").open("rb") as file:
        records = [record for record in open_capture(file, "input") if record.direction is not Direction.OUT]
    start = records[0].time - START
    return [(record.interface, record.time - start, record.data) for record in records]


OF_STACKS = {"bridged", "copied", "encapsulated", "decapsulated", "hardware"}
"""What only devices that stand on others count; see test_stack."""


def test_every_way_through_the_box_is_taken_by_the_seeds():
    """The seeds are worth their salt: each counter and most reasons occur."""
    lab = Lab(RULESETS["all"], box_file=BOXES["strict"])
    for _ in range(3):
        for frame in FRAMES:
            device = WAN if frame[26:30] == bytes((10, 0, 2, 99)) or frame[22:38] == SERVER6_BYTES else LAN
            lab.receive(device, MAC[device] + frame[6:])
            balanced(lab)
        lab.wait(40)
    statistics = lab.statistics
    for station in set(statistics.__slots__) - OF_STACKS:
        assert getattr(statistics, station), station
    assert len(statistics.drops) >= 8


SERVER6_BYTES = bytes.fromhex("20010db8000200000000000000000099")
