"""Stacks as a whole: whatever comes in, nothing goes wrong and nothing is lost."""

from __future__ import annotations

import pickle
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE

from flowtable.packet import dsa
from flowtable.profile import PROFILES
from flowtable.router import Box
from flowtable.ruleset import parse
from flowtable.topology.boxfile import load
from tests.lab import START, Lab, Sent
from tests.router.stacks import BROADCAST, HOST_A, HOST_B, box

PEER = "02:00:00:00:09:09"
MAC = {
    name: f"02:00:00:00:01:{number:02x}"
    for number, name in enumerate(("wan0", "eth0", "eth1", "eth2", "eth3"))
}
DEVICES = [
    f'name: wan0, mac: "{MAC["wan0"]}", addresses: [203.0.113.1/24]',
    "name: wan0.7, kind: vlan, parent: wan0, id: 7",
    f'name: ppp0, kind: pppoe, parent: wan0.7, session: 17, peer: "{PEER}", addresses: [10.9.0.1/32]',
    f'name: eth0, mac: "{MAC["eth0"]}"',
    'name: lan1, kind: dsa, parent: eth0, port: 1, tag: mtk, mac: "02:00:00:00:02:01", master: br0, '
    "vlans: [{id: 1, pvid: true, untagged: true}, {id: 5}]",
    'name: lan2, kind: dsa, parent: eth0, port: 2, tag: mtk, mac: "02:00:00:00:02:02", master: br0',
    f'name: eth1, mac: "{MAC["eth1"]}", master: bond0',
    f'name: eth2, mac: "{MAC["eth2"]}", master: bond0',
    'name: bond0, kind: bond, mac: "02:00:00:00:03:00", mode: balance-xor, xmit_hash_policy: layer3+4',
    "name: bond0.5, kind: vlan, parent: bond0, id: 5, protocol: 802.1ad, master: br0",
    'name: br0, kind: bridge, mac: "02:00:00:00:04:00", vlan_filtering: true, addresses: [192.168.1.1/24], '
    "vlans: [{id: 1, pvid: true, untagged: true}, {id: 5}]",
    "name: br0.5, kind: vlan, parent: br0, id: 5, addresses: [192.168.5.1/24]",
    f'name: eth3, mac: "{MAC["eth3"]}", addresses: [172.16.0.1/24, "2001:db8:16::1/64"]',
    "name: mac0, kind: macvlan, parent: eth3, mac: '02:00:00:00:05:00', mode: bridge, "
    "addresses: [172.17.0.1/24]",
    "name: mac1, kind: macvlan, parent: eth3, mac: '02:00:00:00:05:01', mode: bridge, "
    "addresses: [172.18.0.1/24]",
    "name: tun0, kind: ipip, local: 172.16.0.1, remote: 172.16.0.9, addresses: [10.8.0.1/24]",
    "name: sit1, kind: sit, local: 172.16.0.1, remote: 172.16.0.9, addresses: ['2001:db8:8::1/64']",
    "name: tun6, kind: ip6ip6, local: '2001:db8:16::1', remote: '2001:db8:16::9'",
]
BOX = box(
    *DEVICES,
    routes=["to: 0.0.0.0/0, dev: ppp0", "to: '2001:db8:77::/48', dev: tun6"],
    neighbours=[
        f'address: {address}, dev: {device}, mac: "{HOST_A}"'
        for address, device in (
            ("192.168.1.9", "br0"),
            ("192.168.5.9", "br0.5"),
            ("172.16.0.9", "eth3"),
            ("'2001:db8:16::9'", "eth3"),
        )
    ],
)
RULES = """
table inet t {
    flowtable f {
        hook ingress priority 0
        devices = { lan1, lan2, wan0, eth3 }
    }
    chain f {
        type filter hook forward priority 0
        flow add @f
    }
}
table ip n {
    chain s {
        type nat hook postrouting priority srcnat
        oifname "ppp0" masquerade
    }
}
table netdev early {
    chain i { type filter hook ingress device "br0" priority 0; udp dport 9 drop
    }
    chain e { type filter hook egress device "bond0" priority 0; udp dport 10 drop
    }
}
"""
BR_MAC, MACVLAN = "02:00:00:00:04:00", "02:00:00:00:05:00"


def mtk(port, frame):
    raw = bytes(frame)
    return raw[:12] + bytes((0, port, 0, 0)) + raw[12:]


def session(packet):
    return Ether(src=PEER, dst=MAC["wan0"]) / Dot1Q(vlan=7) / PPPoE(sessionid=17) / PPP(proto=0x21) / packet


OUT = IP(src="192.168.1.9", dst="198.51.100.1") / UDP(sport=5000, dport=53) / b"query"
LAN = Ether(src=HOST_A, dst=BR_MAC)
SEEDS = [
    ("eth0", mtk(1, LAN / OUT)),
    ("lan1", LAN / OUT),
    ("eth0", mtk(2, LAN / Dot1Q(vlan=1) / OUT)),
    ("lan1", LAN / Dot1Q(vlan=5) / IP(src="192.168.5.9", dst="192.168.5.1") / ICMP()),
    ("lan1", Ether(src=HOST_A, dst=HOST_B) / OUT),
    (
        "lan1",
        Ether(src=HOST_A, dst=BROADCAST) / ARP(op=1, hwsrc=HOST_A, psrc="192.168.1.9", pdst="192.168.1.1"),
    ),
    (
        "eth1",
        Ether(src=HOST_B, dst=BROADCAST) / Dot1AD(vlan=5) / ARP(op=1, psrc="192.168.1.8", pdst="192.168.1.1"),
    ),
    (
        "eth2",
        Ether(src=HOST_B, dst=HOST_A) / Dot1AD(vlan=5) / IP(src="192.168.1.8", dst="192.168.1.9") / UDP(),
    ),
    (
        "eth2",
        Ether(src=HOST_B, dst=BR_MAC) / Dot1AD(vlan=5) / IP(src="192.168.1.8", dst="192.168.1.1") / ICMP(),
    ),
    ("wan0", session(IP(src="198.51.100.1", dst="10.9.0.1") / UDP(sport=53, dport=5000) / b"answer")),
    ("wan0", session(IP(src="198.51.100.1", dst="10.9.0.1") / ICMP())),
    ("wan0", session(b"\xc0\x21\x09")),
    (
        "eth3",
        Ether(src=HOST_A, dst=MAC["eth3"])
        / IP(src="172.16.0.9", dst="172.16.0.1")
        / IP(src="10.8.0.9", dst="10.8.0.1")
        / ICMP(),
    ),
    (
        "eth3",
        Ether(src=HOST_A, dst=MAC["eth3"])
        / IP(src="172.16.0.9", dst="172.16.0.1", proto=41)
        / bytes(IPv6(src="2001:db8:8::9", dst="2001:db8:77::1") / UDP()),
    ),
    (
        "eth3",
        Ether(src=HOST_A, dst=MAC["eth3"])
        / IPv6(src="2001:db8:16::9", dst="2001:db8:16::1", nh=41)
        / bytes(IPv6(src="2001:db8:77::9", dst="2001:db8:8::9") / UDP()),
    ),
    ("eth3", Ether(src=HOST_A, dst=MAC["eth3"]) / IP(src="172.16.0.9", dst="10.8.0.9") / UDP()),
    ("eth3", Ether(src=HOST_A, dst=MACVLAN) / IP(src="172.17.0.9", dst="172.17.0.1") / ICMP()),
    ("eth3", Ether(src=HOST_A, dst=BROADCAST) / ARP(op=1, psrc="172.18.0.9", pdst="172.18.0.1")),
]
FRAMES = [(device, bytes(frame)) for device, frame in SEEDS]


@cache
def prepared() -> bytes:
    return pickle.dumps(load(BOX, "box.yaml"))


class Stacked(Lab):
    """The box of all kinds of devices."""

    def __init__(self, rules: str = RULES, profile: str = "default") -> None:
        self.now = START
        self.sent = []
        self.program = parse(rules, "ruleset.nft")
        self.box = Box(
            pickle.loads(prepared()),
            self.program,
            profile=PROFILES[profile],
            transmit=lambda device, frame, time: self.sent.append(Sent(device.name, frame, time)),
        )
        self.box.advance(self.now)

    def balanced(self) -> None:
        """All frames are accounted for, and left by devices that have a wire."""
        assert self.statistics.unended == self.box.waiting, self.statistics
        assert self.statistics.transmit == len(self.sent)
        assert {each.device for each in self.sent} <= {"wan0", "eth0", "eth1", "eth2", "eth3"}


def test_the_seeds_take_all_ways():
    bench = Stacked()
    for _ in range(3):
        for device, frame in FRAMES:
            bench.receive(device, frame)
            bench.balanced()
    counted = bench.statistics
    for station in (
        "bridged",
        "copied",
        "encapsulated",
        "decapsulated",
        "arp",
        "arp_sent",
        "forward",
        "bypass",
    ):
        assert getattr(counted, station), station
    for stacked in bench.box.topology.devices.values():
        if stacked.kind.value not in ("ethernet", "loopback"):
            assert stacked.statistics.rx_packets, stacked
            assert stacked.statistics.tx_packets or stacked.name in ("lan2", "tun6", "mac1"), stacked


def test_a_flow_between_the_bridge_and_the_session_is_offloaded():
    bench = Stacked()
    answer = session(IP(src="198.51.100.1", dst="10.9.0.1") / UDP(sport=53, dport=5000) / b"answer")
    bench.receive("lan1", LAN / OUT)
    bench.receive("wan0", answer)
    bench.receive("lan1", LAN / OUT)
    assert (bench.statistics.forward, bench.statistics.bypass) == (2, 1)
    for device, frame in (("lan1", LAN / OUT), ("wan0", answer)):
        bench.receive(device, frame)
    assert (bench.statistics.forward, bench.statistics.bypass) == (2, 3)
    first, last = bench.sent[-2:]
    assert first.ether[PPPoE].sessionid == 17
    assert last.device == "eth0"
    assert last.frame == dsa.write_mtk(last.frame[:12] + last.frame[16:], 1)


@st.composite
def damaged(draw) -> tuple[str, bytes]:
    device, seed = draw(st.sampled_from(FRAMES))
    frame = bytearray(seed)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, min(len(frame), 70) - 1))
        frame[at] = draw(st.integers(0, 255) | st.sampled_from([0, 1, 4, 5, 7, 0x81, 0x88, 0xFF]))
    if draw(st.integers(0, 7)) == 0:
        del frame[draw(st.integers(0, len(frame))) :]
    if draw(st.integers(0, 15)) == 0:
        device = draw(st.sampled_from([*MAC, "lan1", "lan2"]))
    return device, bytes(frame)


@st.composite
def changes(draw) -> tuple[str, str]:
    what: tuple[str, str] = draw(
        st.tuples(
            st.sampled_from(["down", "up", "remove", "release"]),
            st.sampled_from(
                ["wan0.7", "ppp0", "lan1", "bond0", "eth1", "bond0.5", "br0", "br0.5", "mac0", "tun0", "eth3"]
            ),
        )
    )
    return what


def change(bench: Stacked, what: str, name: str) -> None:
    """Something happens to a device that may be gone already."""
    topology = bench.box.topology
    device = topology.devices.get(name)
    if device is None:
        return
    if what == "remove" and not device.on_wire:
        topology.remove_device(device)
    elif what == "release" and device.master is not None:
        topology.release(device)
    elif what in ("up", "down"):
        topology.set_link(device, up=what == "up")


@pytest.mark.parametrize("profile", ["default", "linux-6.12"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    arrivals=st.lists(
        st.tuples(damaged(), st.sampled_from([0, 0, 0, 1, 301])) | changes(), min_size=1, max_size=12
    )
)
def test_nothing_is_lost(profile, arrivals):
    bench = Stacked(profile=profile)
    for first, second in arrivals:
        if isinstance(second, str):
            change(bench, first, second)
        else:
            bench.wait(second)
            bench.receive(*first)
        bench.balanced()
    bench.wait(1000)
    assert bench.statistics.unended == bench.box.waiting == 0
