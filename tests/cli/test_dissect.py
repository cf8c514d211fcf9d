"""Frames as fields: nothing of a frame is lost, so different frames are told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, GRE, Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE

from flowtable.cli.dissect import difference, fields

HEAD = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
FRAMES = {
    "udp": HEAD / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=5000, dport=53) / b"data",
    "tcp": HEAD / IP(options=b"\x01\x01\x01\x01") / TCP(flags="SEC", options=[("MSS", 1460)]),
    "tags": HEAD / Dot1AD(vlan=100) / Dot1Q(vlan=10, prio=5) / IP() / GRE() / b"x",
    "session": HEAD / PPPoE(sessionid=17) / PPP(proto=0x57) / IPv6() / UDP(),
    "tunnel": HEAD / IP() / IPv6() / TCP(),
    "error": HEAD / IP() / ICMP(type=3, code=1) / IP(src="10.0.0.1") / UDP(),
    "fragment": HEAD / IPv6() / IPv6ExtHdrFragment(nh=17, offset=0, m=1) / UDP() / b"xyz",
    "later fragment": HEAD / IP(frag=5, proto=17) / b"data",
    "arp": HEAD / ARP(),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_that_differ_in_any_byte_have_different_fields(name):
    frame = bytes(FRAMES[name])
    assert difference(frame, frame) == ""
    for at in range(len(frame)):
        other = bytearray(frame)
        other[at] ^= 0xFF
        assert difference(frame, bytes(other)), at
        assert difference(frame, frame[:at]), at


def test_the_first_field_that_differs_is_named():
    one, other = FRAMES["tags"].copy(), FRAMES["tags"].copy()
    other[Dot1Q].prio = 3
    assert (
        difference(bytes(one), bytes(other))
        == "vlan is id 10 priority 3 dei 0, expected id 10 priority 5 dei 0"
    )
    one, other = FRAMES["error"].copy(), FRAMES["error"].copy()
    one[ICMP].chksum = other[ICMP].chksum = 1
    other[UDP].dport = 54
    assert difference(bytes(one), bytes(other)) == "quoted udp.dstport is 54, expected 53"


@given(st.binary(max_size=80))
def test_anything_can_be_taken_apart(frame):
    assert bool(fields(frame)) is bool(frame)
