"""What ip_rcv and ipv6_rcv accept, cut off and refuse."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    Jumbo,
    PadN,
    RouterAlert,
)
from scapy.layers.ipsec import AH
from scapy.packet import Raw

from flowtable.packet.drop import Drop
from flowtable.packet.extension import NO_TRANSPORT, find_transport
from flowtable.packet.packet import IPV4, IPV6, Packet
from flowtable.packet.parse import dissect_ipv4, dissect_ipv6, parse_ipv4, parse_ipv6
from tests.packet.frames import ethernet

V4 = IP(src="10.0.0.1", dst="192.0.2.2")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")


def received(layers) -> Packet:
    frame = bytes(ethernet() / layers)
    packet = parse_ipv4(frame, 14) if layers.version == 4 else parse_ipv6(frame, 14)
    assert isinstance(packet, Packet)
    return packet


def test_ipv4_packet():
    layers = V4 / UDP(sport=1, dport=2) / b"hello"
    frame = bytes(ethernet() / layers)
    packet = parse_ipv4(frame + bytes(9), 14, None, 5, 3)
    assert isinstance(packet, Packet)
    assert packet.data == bytes(layers)
    assert packet.link == frame[:14]
    assert (packet.family, packet.thoff, packet.l4proto, packet.fragoff) == (IPV4, 20, 17, 0)
    assert (packet.time, packet.pkttype, packet.iif) == (5, 3, None)


def test_ipv6_packet():
    layers = V6 / TCP(sport=1, dport=2) / b"hello"
    frame = bytes(ethernet() / layers)
    packet = parse_ipv6(frame + bytes(9), 14, None, 5, 3)
    assert isinstance(packet, Packet)
    assert packet.data == bytes(layers)
    assert packet.link == frame[:14]
    assert (packet.family, packet.thoff, packet.l4proto, packet.fragoff) == (IPV6, 40, 6, 0)
    assert (packet.time, packet.pkttype, packet.iif) == (5, 3, None)


@pytest.mark.parametrize(
    ("header", "drop"),
    [
        (IP(version=5), Drop.IP_HEADER),
        (IP(version=6), Drop.IP_HEADER),
        (IP(ihl=4), Drop.IP_HEADER),
        (IP(ihl=15), Drop.IP_HEADER),
        (IP(chksum=0x1234), Drop.IP_CHECKSUM),
        (IP(len=29), Drop.IP_TRUNCATED),
        (IP(len=19), Drop.IP_HEADER),
        (IP(len=0), Drop.IP_HEADER),
    ],
)
def test_ipv4_refused(header, drop):
    header.src, header.dst = "10.0.0.1", "10.0.0.2"
    frame = bytes(ethernet() / header / Raw(bytes(8)))
    assert parse_ipv4(frame, 14) is drop


def test_ipv4_header_cut():
    frame = bytes(ethernet() / V4)
    assert parse_ipv4(frame[:33], 14) is Drop.IP_HEADER
    assert isinstance(parse_ipv4(frame, 14), Packet)


def test_ipv4_options_and_fragment():
    packet = received(
        IP(src="10.0.0.1", dst="10.0.0.2", options=b"\1\1\1\0", frag=3, flags="MF") / b"12345678"
    )
    assert (packet.thoff, packet.fragoff) == (24, 24)


@pytest.mark.parametrize(
    ("fields", "drop"),
    [
        ({"version": 4}, Drop.IP_HEADER),
        ({"src": "ff02::1"}, Drop.MARTIAN_SOURCE),
        ({"src": "::1"}, Drop.MARTIAN_SOURCE),
        ({"dst": "::1"}, Drop.IP_HEADER),
        ({"dst": "ff00::1"}, Drop.IP_HEADER),
        ({"dst": "ff01::1"}, Drop.IP_HEADER),
        ({"plen": 9}, Drop.IP_TRUNCATED),
        ({"nh": 0, "plen": 0}, Drop.IP_HEADER),
    ],
)
def test_ipv6_refused(fields, drop):
    header = IPv6(**{"src": "2001:db8::1", "dst": "2001:db8::2", **fields})
    assert parse_ipv6(bytes(ethernet() / header / Raw(bytes(8))), 14) is drop


def test_ipv6_accepted_by_a_hair():
    for destination in ("ff02::1", "::2", "::1:0:0:1"):
        assert isinstance(parse_ipv6(bytes(ethernet() / IPv6(src="fe80::1", dst=destination)), 14), Packet)
    empty = bytes(ethernet() / IPv6(src="fe80::1", dst="fe80::2", nh=59, plen=0))
    assert isinstance(parse_ipv6(empty, 14), Packet)
    assert parse_ipv6(empty[:53], 14) is Drop.IP_HEADER


@pytest.mark.parametrize("destination", ["::1", "ff01::1"])
def test_ipv6_on_the_loopback_device(destination):
    frame = bytes(ethernet() / IPv6(src="::1", dst=destination) / UDP(sport=1, dport=2))
    assert isinstance(parse_ipv6(frame, 14, loopback=True), Packet)


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        (V6 / UDP(), (17, 40, 0)),
        (V6 / IPv6ExtHdrHopByHop(options=[RouterAlert()]) / UDP(), (17, 48, 0)),
        (V6 / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(20))]) / UDP(), (17, 64, 0)),
        (V6 / IPv6ExtHdrRouting(addresses=["2001:db8::3"]) / TCP(), (6, 64, 0)),
        (V6 / IPv6ExtHdrFragment(m=1) / UDP(), (17, 48, 0)),
        (V6 / IPv6ExtHdrFragment(offset=3, nh=17) / Raw(bytes(8)), (17, 48, 24)),
        (V6 / IPv6ExtHdrFragment(offset=3, nh=60) / Raw(bytes(8)), (NO_TRANSPORT, 48, 24)),
        (V6 / AH(icv=bytes(12), payloadlen=4, nh=6) / TCP(), (6, 64, 0)),
        (
            V6
            / IPv6ExtHdrHopByHop()
            / IPv6ExtHdrDestOpt()
            / IPv6ExtHdrRouting()
            / IPv6ExtHdrFragment()
            / TCP(),
            (6, 72, 0),
        ),
        (V6 / IPv6ExtHdrHopByHop(nh=59), (59, 48, 0)),
        (IPv6(src="fe80::1", dst="fe80::2", nh=50) / Raw(bytes(16)), (50, 40, 0)),
        (IPv6(src="fe80::1", dst="fe80::2", nh=60), (NO_TRANSPORT, 40, 0)),
        (IPv6(src="fe80::1", dst="fe80::2", nh=60) / Raw(b"\x11"), (NO_TRANSPORT, 40, 0)),
        (IPv6(src="fe80::1", dst="fe80::2", nh=44) / Raw(b"\x11\0\0"), (NO_TRANSPORT, 40, 0)),
    ],
    ids=lambda value: value.summary() if isinstance(value, IPv6) else None,
)
def test_extension_headers(layers, found):
    packet = received(layers)
    assert (packet.l4proto, packet.thoff, packet.fragoff) == found


def test_header_that_runs_out_of_the_packet():
    """An extension header longer than the packet: the transport header lies outside."""
    data = bytes([17, 4, 0, 0, 0, 0, 0, 0])
    assert find_transport(data, 60, 0) == (17, 40, 0)
    data = bytes([60, 4, 0, 0, 0, 0, 0, 0])
    assert find_transport(data, 60, 0) == (NO_TRANSPORT, 40, 0)


headers = st.lists(
    st.sampled_from(
        [
            IPv6ExtHdrHopByHop(options=[RouterAlert()]),
            IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(10))]),
            IPv6ExtHdrRouting(addresses=["2001:db8::9", "2001:db8::a"]),
            IPv6ExtHdrFragment(m=1, offset=0),
        ]
    ),
    max_size=5,
)


@given(headers, st.sampled_from([UDP(sport=1, dport=2), TCP(sport=1, dport=2), ICMPv6EchoRequest()]))
def test_the_transport_header_is_where_scapy_put_it(chain, transport):
    layers = V6
    for header in chain:
        layers = layers / header.copy()
    packet = received(layers / transport)
    assert packet.thoff == len(layers)
    assert packet.l4proto == {UDP: 17, TCP: 6, ICMPv6EchoRequest: 58}[type(transport)]


def test_dissect_again_after_a_change():
    packet = received(V4 / UDP())
    packet.data[:] = bytes(IP(src="10.0.0.1", dst="10.0.0.2", options=b"\1\1\1\0", proto=99, frag=2) / b"x")
    dissect_ipv4(packet)
    assert (packet.l4proto, packet.thoff, packet.fragoff) == (99, 24, 16)
    packet = received(V6 / UDP())
    packet.data[:] = bytes(V6 / IPv6ExtHdrFragment(offset=1, nh=6) / Raw(bytes(8)))
    dissect_ipv6(packet)
    assert (packet.l4proto, packet.thoff, packet.fragoff) == (6, 48, 8)
    packet.data[:] = bytes(V6 / UDP())
    dissect_ipv6(packet)
    assert (packet.l4proto, packet.thoff, packet.fragoff) == (17, 40, 0)


def test_jumbogram():
    frame = bytes(
        ethernet() / IPv6(plen=0, src="fe80::1", dst="fe80::2") / IPv6ExtHdrHopByHop(options=[Jumbo()])
    )
    assert parse_ipv6(frame, 14) is Drop.IP_HEADER


@given(st.binary(max_size=100), st.integers(0, 20), st.booleans())
def test_any_bytes_give_a_packet_or_a_drop(rest, offset, loopback):
    for first, parse in ((0x45, parse_ipv4), (0x60, parse_ipv6)):
        packet = parse(bytes(offset) + bytes([first]) + rest, offset)
        if isinstance(packet, Packet):
            assert len(packet.data) <= len(rest) + 1
            assert packet.link == bytes(offset)
        else:
            assert isinstance(packet, Drop)


@given(st.binary(min_size=40, max_size=100), st.integers(0, 255))
def test_any_bytes_behind_a_good_ipv6_header(rest, nexthdr):
    header = struct.pack("!LHBB", 6 << 28, len(rest), nexthdr, 64) + bytes(15) + b"\2" + bytes(15) + b"\3"
    packet = parse_ipv6(header + rest, 0)
    assert isinstance(packet, Packet)
    assert packet.thoff >= 40
    assert packet.fragoff % 8 == 0
