"""One line per frame."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, GRE, Dot1AD, Dot1Q
from scapy.layers.ppp import PPP, PPPoE
from scapy.packet import Raw

from flowtable.packet.describe import describe
from tests.packet.frames import ethernet

V4 = IP(src="10.0.0.1", dst="192.0.2.2")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
MAC = "02:00:00:00:00:0a"


@pytest.mark.parametrize(
    ("layers", "line"),
    [
        (
            V4 / TCP(sport=40000, dport=80, seq=1, window=64240),
            "IP 10.0.0.1.40000 > 192.0.2.2.80: Flags [S], seq 1, win 64240, length 0",
        ),
        (
            V4 / TCP(sport=1, dport=2, flags="PA", seq=0xFFFFFFFF, ack=9, window=5) / b"abc",
            "IP 10.0.0.1.1 > 192.0.2.2.2: Flags [P.], seq 4294967295:2, ack 9, win 5, length 3",
        ),
        (
            V6 / TCP(sport=1, dport=2, flags=0, window=5),
            "IP6 2001:db8::1.1 > 2001:db8::2.2: Flags [none], seq 0, win 5, length 0",
        ),
        (V4 / UDP(sport=5353, dport=53) / b"hello", "IP 10.0.0.1.5353 > 192.0.2.2.53: UDP, length 5"),
        (
            IP(src="10.0.0.1", dst="192.0.2.2", flags="MF") / UDP(sport=1, dport=2, len=2008) / b"hello",
            "IP 10.0.0.1.1 > 192.0.2.2.2: UDP, length 2000",
        ),
        (
            V6 / IPv6ExtHdrFragment(m=1) / UDP(sport=1, dport=2, len=2008) / b"hello",
            "IP6 2001:db8::1.1 > 2001:db8::2.2: UDP, length 2000",
        ),
        (
            IP(src="10.0.0.1", dst="192.0.2.2", frag=185, proto=17) / Raw(b"x" * 24),
            "IP 10.0.0.1 > 192.0.2.2: fragment of udp at 1480, length 24",
        ),
        (
            V4 / ICMP(id=7, seq=2) / b"12345678",
            "IP 10.0.0.1 > 192.0.2.2: ICMP echo request, id 7, seq 2, length 16",
        ),
        (
            V4
            / ICMP(type=3, code=4, nexthopmtu=1400)
            / IP(src="192.0.2.2", dst="10.0.0.9")
            / UDP(sport=1, dport=2),
            "IP 10.0.0.1 > 192.0.2.2: ICMP unreachable - need to frag (mtu 1400) "
            "for udp 192.0.2.2.1 > 10.0.0.9.2, length 36",
        ),
        (
            V4 / ICMP(type=5, code=1, gw="10.0.0.3") / IP(src="192.0.2.2", dst="10.0.0.9", proto=2),
            "IP 10.0.0.1 > 192.0.2.2: ICMP redirect to host 10.0.0.3 "
            "for igmp 192.0.2.2 > 10.0.0.9, length 28",
        ),
        (
            V4 / ICMP(type=3, code=3) / b"\x45",
            "IP 10.0.0.1 > 192.0.2.2: ICMP port unreachable "
            "[IPv4 header needs 20 bytes, 1 are there], length 9",
        ),
        (V4 / ICMP(type=42), "IP 10.0.0.1 > 192.0.2.2: ICMP type 42 code 0, length 8"),
        (
            V6 / ICMPv6EchoRequest(id=1, seq=3),
            "IP6 2001:db8::1 > 2001:db8::2: ICMP6 echo request, id 1, seq 3, length 8",
        ),
        (
            V6 / ICMPv6PacketTooBig(mtu=1280) / IPv6(src="::5", dst="::6") / UDP(sport=7, dport=8),
            "IP6 2001:db8::1 > 2001:db8::2: ICMP6 packet too big (mtu 1280) for udp ::5.7 > ::6.8, length 56",
        ),
        (
            V6 / ICMPv6DestUnreach(code=0) / IPv6(src="::5", dst="::6", nh=59),
            "IP6 2001:db8::1 > 2001:db8::2: ICMP6 unreachable route for no next header ::5 > ::6, length 48",
        ),
        (
            V6 / ICMPv6ND_NS(tgt="2001:db8::9"),
            "IP6 2001:db8::1 > 2001:db8::2: ICMP6 neighbor solicitation of 2001:db8::9, length 24",
        ),
        (
            V6 / ICMPv6ND_NA(tgt="2001:db8::9"),
            "IP6 2001:db8::1 > 2001:db8::2: ICMP6 neighbor advertisement of 2001:db8::9, length 24",
        ),
        (
            V6 / IPv6ExtHdrHopByHop() / ICMPv6MLReport2(),
            "IP6 2001:db8::1 > 2001:db8::2: ICMP6 multicast listener report v2, length 8",
        ),
        (V4 / GRE(proto=0x0800), "IP 10.0.0.1 > 192.0.2.2: GREv0 of 0x0800, length 4"),
        (
            IP(src="10.0.0.1", dst="192.0.2.2", proto=50) / Raw(bytes(8)),
            "IP 10.0.0.1 > 192.0.2.2: esp, length 8",
        ),
        (
            IP(src="10.0.0.1", dst="192.0.2.2", proto=200) / Raw(bytes(8)),
            "IP 10.0.0.1 > 192.0.2.2: protocol 200, length 8",
        ),
        (
            IP(src="10.0.0.1", dst="192.0.2.2", proto=6) / Raw(bytes(8)),
            "IP 10.0.0.1 > 192.0.2.2: tcp [TCP header needs 20 bytes, 8 are there]",
        ),
        (
            IPv6(src="::5", dst="::6", nh=60) / Raw(b"\x11"),
            "IP6 ::5 > ::6: [extension headers break off]",
        ),
        (
            Dot1Q(vlan=7, prio=5) / V4 / UDP(sport=1, dport=2),
            "vlan 7 p 5, IP 10.0.0.1.1 > 192.0.2.2.2: UDP, length 0",
        ),
        (
            Dot1AD(vlan=9)
            / Dot1Q(vlan=7)
            / PPPoE(sessionid=3)
            / PPP(proto=0x21)
            / V4
            / UDP(sport=1, dport=2),
            "qinq 9, vlan 7, pppoe 3, IP 10.0.0.1.1 > 192.0.2.2.2: UDP, length 0",
        ),
        (PPPoE(sessionid=3) / PPP(proto=0xC021) / b"\1\1\0\4", "pppoe 3, ppp protocol 0xc021, length 4"),
        (
            ARP(op=1, hwsrc=MAC, psrc="10.0.0.1", pdst="10.0.0.2"),
            "ARP, Request who-has 10.0.0.2 tell 10.0.0.1",
        ),
        (ARP(op=2, hwsrc=MAC, psrc="10.0.0.1"), "ARP, Reply 10.0.0.1 is-at 02:00:00:00:00:0a"),
        (ARP(op=3, hwsrc=MAC), "ARP, operation 3"),
    ],
)
def test_describe(layers, line):
    assert describe(bytes(ethernet() / layers)) == line


def test_describe_what_is_not_ip():
    assert describe(b"123") == "[Ethernet header needs 14 bytes, 3 are there]"
    ends = "02:00:00:00:00:0a > 02:00:00:00:00:0b"
    assert describe(bytes(ethernet(type=0x88CC)) + b"12") == f"{ends}: ethertype 0x88cc, length 2"
    assert describe(bytes(ethernet(type=38)) + b"12") == f"{ends}: llc, length 2"


def test_describe_ignores_padding():
    padded = bytes(ethernet() / V4 / UDP(sport=1, dport=2)) + bytes(18)
    assert describe(padded) == "IP 10.0.0.1.1 > 192.0.2.2.2: UDP, length 0"
