"""ICMP and ICMPv6 messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
)

from flowtable.packet import checksum, icmp, icmpv6
from flowtable.packet.icmp import Icmp
from flowtable.packet.icmpv6 import Icmpv6
from flowtable.packet.malformed import Malformed

u8, u16, u32 = st.integers(0, 255), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
V6 = bytes(15) + b"\2" + bytes(15) + b"\3"
ORIGINAL = bytes(IP(src="10.0.0.1", dst="192.0.2.9") / UDP(sport=1, dport=2) / bytes(1000))
ORIGINAL6 = bytes(IPv6(src="::5", dst="::6") / UDP(sport=1, dport=2) / bytes(2000))


@given(st.sampled_from([icmp.ECHO_REQUEST, icmp.ECHO_REPLY]), u16, u16, st.binary(max_size=30))
def test_icmp_echo(kind, ident, sequence, payload):
    message = icmp.build_echo(kind, ident, sequence, payload)
    assert message == bytes(ICMP(type=kind, id=ident, seq=sequence) / payload)
    view = Icmp(b"#" + message, 1).check()
    assert (view.kind, view.code, view.ident, view.sequence) == (kind, 0, ident, sequence)
    assert view.rest == ident << 16 | sequence
    assert view.payload == payload
    assert view.checksum_valid
    assert not view.is_error
    assert not Icmp(message[:-1] + bytes([message[-1] ^ 1])).checksum_valid


ERRORS = [
    (ICMP(type=3, code=1), 3, 1, 0),
    (ICMP(type=3, code=4, nexthopmtu=1400), 3, 4, 1400),
    (ICMP(type=4), 4, 0, 0),
    (ICMP(type=5, code=1, gw="10.9.8.7"), 5, 1, 0x0A090807),
    (ICMP(type=11), 11, 0, 0),
    (ICMP(type=12, ptr=20), 12, 0, 20 << 24),
]


@pytest.mark.parametrize(("theirs", "kind", "code", "rest"), ERRORS)
def test_icmp_error(theirs, kind, code, rest):
    message = icmp.build_error(kind, code, ORIGINAL, rest)
    assert message == bytes(theirs / ORIGINAL[:548])
    assert len(message) + 20 == 576
    view = Icmp(message).check()
    assert view.is_error
    assert (view.rest, view.mtu, view.pointer) == (rest, rest & 0xFFFF, rest >> 24)
    assert int.from_bytes(view.gateway, "big") == rest
    quoted = view.quoted.check(quoted=True)
    assert (quoted.source, quoted.total_length) == (bytes([10, 0, 0, 1]), 1028)
    assert checksum.checksum(message) == 0


def test_icmp_error_about_a_short_packet_and_with_options():
    assert icmp.build_error(3, 3, ORIGINAL[:28])[8:] == ORIGINAL[:28]
    assert len(icmp.build_error(3, 3, ORIGINAL, header=24)) + 24 == 576


@given(st.sampled_from([icmpv6.ECHO_REQUEST, icmpv6.ECHO_REPLY]), u16, u16, st.binary(max_size=30))
def test_icmpv6_echo(kind, ident, sequence, payload):
    message = icmpv6.build_echo(kind, ident, sequence, payload, addresses=V6)
    layer = ICMPv6EchoRequest if kind == icmpv6.ECHO_REQUEST else ICMPv6EchoReply
    theirs = IPv6(src="::2", dst="::3") / layer(id=ident, seq=sequence, data=payload)
    assert message == bytes(theirs)[40:]
    view = Icmpv6(b"#" + message, 1).check()
    assert (view.kind, view.code, view.ident, view.sequence) == (kind, 0, ident, sequence)
    assert view.payload == payload
    assert view.checksum == int.from_bytes(message[2:4], "big")
    assert view.checksum_valid(V6)
    assert not view.is_error
    assert not view.checksum_valid(V6[:-1] + b"\4")


ERRORS6 = [
    (ICMPv6DestUnreach(code=4), 1, 4, 0),
    (ICMPv6PacketTooBig(mtu=1400), 2, 0, 1400),
    (ICMPv6TimeExceeded(code=0), 3, 0, 0),
    (ICMPv6ParamProblem(code=1, ptr=40), 4, 1, 40),
]


@pytest.mark.parametrize(("theirs", "kind", "code", "rest"), ERRORS6)
def test_icmpv6_error(theirs, kind, code, rest):
    message = icmpv6.build_error(kind, code, ORIGINAL6, rest, addresses=V6)
    assert message == bytes(IPv6(src="::2", dst="::3") / theirs / ORIGINAL6[:1232])[40:]
    assert len(message) + 40 == 1280
    view = Icmpv6(message).check()
    assert view.is_error
    assert view.rest == view.mtu == view.pointer == rest
    quoted = view.quoted.check(quoted=True)
    assert (quoted.source, quoted.payload_length) == (bytes(15) + b"\5", 2008)


def test_malformed():
    with pytest.raises(Malformed, match="ICMP message needs 8 bytes, 7 are there"):
        Icmp(bytes(7)).check()
    with pytest.raises(Malformed, match="ICMPv6 message needs 8 bytes, 7 are there"):
        Icmpv6(bytes(7)).check()
