from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6ParamProblem,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    IPv6ExtHdrSegmentRouting,
)

from flowtable.conntrack.connection import Connection
from flowtable.conntrack.tuple import Tuple
from flowtable.packet.drop import Drop
from flowtable.packet.packet import IPV4, IPV6, Packet, PacketType
from flowtable.packet.parse import dissect_ipv4, dissect_ipv6
from tests.router.bench import SHARED, START, Bench, merged

A, ROUTER, FAR = "10.1.0.2", "10.1.0.1", "10.2.0.1"
A6, ROUTER6 = "2001:db8:1::2", "2001:db8:1::1"


def four(bench: Bench, payload, *, pkttype: int = 0, **fields: Any) -> Drop | None:
    packet = bench.packet(IP(**merged(fields, src=A, dst=ROUTER)) / payload, pkttype=pkttype)
    return bench.local.ipv4(packet, bench.now)


def six(bench: Bench, payload, *, pkttype: int = 0, **fields: Any) -> Drop | None:
    packet = bench.packet(IPv6(**merged(fields, src=A6, dst=ROUTER6)) / payload, pkttype=pkttype)
    return bench.local.ipv6(packet, bench.now)


def told(bench: Bench):
    (answer,) = bench.answers()
    return answer


def test_services_take_what_comes():
    bench = Bench()
    assert four(bench, TCP(dport=22, flags="S")) is None
    assert four(bench, UDP(dport=53) / b"x") is None
    assert six(bench, TCP(dport=22, flags="S")) is None
    assert bench.local.delivered == {(6, 22): 2, (17, 53): 1}
    assert not bench.sent
    # This one listens on one address only.
    assert four(bench, UDP(dport=53) / b"x", dst=FAR) is Drop.NO_SOCKET
    assert six(bench, UDP(dport=53) / b"x") is Drop.NO_SOCKET


def test_udp_to_a_closed_port():
    bench = Bench()
    assert four(bench, UDP(dport=54) / b"x") is Drop.NO_SOCKET
    answer = told(bench)
    assert (answer.src, answer[ICMP].type, answer[ICMP].code) == (ROUTER, 3, 3)
    assert six(bench, UDP(dport=54) / b"x") is Drop.NO_SOCKET
    assert told(bench)[ICMPv6DestUnreach].code == 4
    assert not bench.local.delivered


def test_udp_to_many_gets_no_answer():
    bench = Bench()
    broadcast = int(PacketType.BROADCAST)
    assert four(bench, UDP(dport=54) / b"x", dst="10.1.0.255", pkttype=broadcast) is Drop.NO_SOCKET
    assert six(bench, UDP(dport=54) / b"x", dst="ff02::1", pkttype=2) is Drop.NO_SOCKET
    assert not bench.sent


def test_udp_that_is_not():
    bench = Bench()
    for payload in (
        UDP(dport=53, chksum=1) / b"x",
        UDP(dport=53, len=7) / b"x",
        UDP(dport=53, len=10) / b"x",
        bytes(7),
    ):
        assert four(bench, payload, proto=17) is Drop.LOCAL_DELIVERY
        assert six(bench, payload, nh=17) is Drop.LOCAL_DELIVERY
    assert four(bench, UDP(dport=53, chksum=0) / b"x") is None
    # RFC 8200 section 8.1.
    assert six(bench, UDP(dport=53, chksum=0) / b"x") is Drop.LOCAL_DELIVERY


def test_bytes_behind_a_udp_datagram_do_not_count():
    bench = Bench()
    inner = bytes(IP(src=A, dst=ROUTER) / UDP(dport=53) / b"abc")[20:]
    assert four(bench, inner + b"more", proto=17) is None
    inner = bytes(IP(src=A, dst=ROUTER) / UDP(dport=54) / b"abc")[20:]
    assert four(bench, inner + b"more", proto=17) is Drop.NO_SOCKET
    assert told(bench).original[-3:] == b"abc"


def test_tcp_to_a_closed_port():
    bench = Bench()
    assert four(bench, TCP(sport=1111, dport=23, flags="S", seq=5), tos=0xFF) is Drop.NO_SOCKET
    answer = told(bench)
    assert (answer.src, answer.dst, answer.ttl, answer.id, str(answer.flags)) == (ROUTER, A, 64, 0, "DF")
    # Without the ECN bits: RFC 3168 section 6.1.5.
    assert answer.tos == 0xFC
    reset = answer[TCP]
    assert (reset.sport, reset.dport, str(reset.flags), reset.seq, reset.ack) == (23, 1111, "RA", 0, 6)
    assert six(bench, TCP(sport=1111, dport=23, flags="A", ack=9), tc=0xFF) is Drop.NO_SOCKET
    answer = told(bench)
    assert (answer.src, answer.tc, answer[TCP].seq, str(answer[TCP].flags)) == (ROUTER6, 0xFC, 9, "R")


def test_no_reset():
    bench = Bench()
    assert four(bench, TCP(dport=23, flags="R")) is Drop.NO_SOCKET
    assert four(bench, TCP(dport=23, flags="S"), dst="10.1.0.255") is Drop.NO_SOCKET
    assert four(bench, TCP(dport=23, flags="S"), src="203.0.113.1") is Drop.NO_SOCKET
    assert six(bench, TCP(dport=23, flags="S"), src="2001:db8:9::1") is Drop.NO_SOCKET
    for payload in (TCP(dport=23, chksum=1), TCP(dport=23, dataofs=4), TCP(dport=23, dataofs=6), bytes(19)):
        assert four(bench, payload, proto=6) is Drop.LOCAL_DELIVERY
        assert six(bench, payload, nh=6) is Drop.LOCAL_DELIVERY
    assert four(bench, TCP(dport=22), pkttype=1) is Drop.LOCAL_DELIVERY
    assert not bench.sent


def test_a_reset_echoes_the_record_route():
    bench = Bench()
    option = IPOption_RR(length=11, pointer=4, routers=["0.0.0.0", "0.0.0.0"])
    assert four(bench, TCP(dport=23, flags="S"), options=[option]) is Drop.NO_SOCKET
    # The box is there twice: on receipt and on the way back.
    assert told(bench).options[0].routers == [ROUTER, ROUTER]


def test_wrong_options():
    bench = Bench()
    packet = bench.packet(IP(src=A, dst=ROUTER, options=[b"\x07\x07\x03\x00\x00\x00\x00"]) / TCP(dport=23))
    assert bench.local.ipv4(packet, bench.now) is Drop.IP_OPTIONS


def test_other_protocols():
    bench = Bench()
    assert four(bench, b"xyz", proto=2) is None
    for protocol in (4, 47, 50, 253):
        assert four(bench, b"xyz", proto=protocol) is Drop.NO_SOCKET
        answer = told(bench)
        assert (answer[ICMP].type, answer[ICMP].code) == (3, 2)
    for protocol in (4, 47, 50, 51, 253):
        assert six(bench, bytes(8), nh=protocol) is Drop.NO_SOCKET
        assert (told(bench)[ICMPv6ParamProblem].code, bench.icmpv6.sent[4, 1]) == (
            1,
            bench.icmpv6.sent.total(),
        )
        bench.now += 10**9
    assert six(bench, b"", nh=59) is None
    assert not bench.sent


def test_icmp_is_taken():
    bench = Bench()
    assert four(bench, ICMP(type=8)) is None
    assert told(bench)[ICMP].type == 0
    assert six(bench, ICMPv6EchoRequest()) is None
    assert ICMPv6EchoReply in told(bench)
    assert six(bench, ICMPv6ND_NS(tgt=ROUTER6), hlim=255) is None
    assert six(bench, ICMPv6ND_NS(tgt=ROUTER6), hlim=254) is Drop.LOCAL_DELIVERY
    assert bench.local.delivered == {(1, 0): 1, (58, 0): 2}
    assert four(bench, ICMP(type=8, chksum=1)) is Drop.LOCAL_DELIVERY
    assert six(bench, b"", nh=58) is Drop.LOCAL_DELIVERY


def test_the_connection_ends_with_delivery():
    # nf_reset_ct: what the box answers is tracked anew.
    bench = Bench()
    for payload in (UDP(dport=54), TCP(dport=23)):
        packet = bench.packet(IP(src=A, dst=ROUTER) / payload)
        packet.ct = Connection(Tuple(IPV4, 17, bytes(4), bytes(4)), Tuple(IPV4, 17, bytes(4), bytes(4)))
        bench.local.ipv4(packet, bench.now)
        assert packet.ct is None


def unknown(kind: int):
    return IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=kind, optdata=b"abcd")])


PING = ICMPv6EchoRequest()


@pytest.mark.parametrize(
    "headers",
    [
        IPv6ExtHdrDestOpt(),
        IPv6ExtHdrHopByHop(),
        IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0x1E, optdata=bytes(9))]),
        # A router alert means nothing to a destination, not even with a wrong length.
        unknown(0x05),
        IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(segleft=0, addresses=[A6]),
        unknown(0x1E),
        IPv6ExtHdrFragment(id=3),
    ],
)
def test_extension_headers_that_the_destination_reads(headers):
    bench = Bench()
    assert six(bench, headers / PING) is None
    assert ICMPv6EchoReply in told(bench)


@pytest.mark.parametrize(
    ("headers", "code", "pointer"),
    [
        (unknown(0x9E), 2, 42),
        (unknown(0xDE), 2, 42),
        (IPv6ExtHdrDestOpt() / unknown(0x9E), 2, 50),
        (IPv6ExtHdrRouting(segleft=1, addresses=[A6]), 0, 42),
        (IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(type=2, segleft=1, addresses=[A6]), 0, 50),
        (IPv6ExtHdrDestOpt() / IPv6ExtHdrHopByHop(), 1, 40),
        (IPv6ExtHdrDestOpt(nh=253), 1, 40),
    ],
)
def test_extension_headers_that_it_reports(headers, code, pointer):
    bench = Bench()
    drop = six(bench, headers / PING)
    assert drop is (Drop.NO_SOCKET if code == 1 else Drop.LOCAL_DELIVERY)
    problem = told(bench)[ICMPv6ParamProblem]
    assert (problem.code, problem.ptr) == (code, pointer)


@pytest.mark.parametrize(
    ("headers", "drop"),
    [
        (unknown(0x5E), Drop.LOCAL_DELIVERY),
        (IPv6ExtHdrSegmentRouting(addresses=[A6]), Drop.LOCAL_DELIVERY),
        (IPv6ExtHdrFragment(id=3, m=1), Drop.FRAGMENT_INVALID),
        (IPv6ExtHdrFragment(id=3, offset=1), Drop.FRAGMENT_INVALID),
        (IPv6ExtHdrDestOpt(len=200), Drop.LOCAL_DELIVERY),
    ],
)
def test_extension_headers_that_end_the_packet_silently(headers, drop):
    bench = Bench()
    assert six(bench, headers / PING) is drop
    assert not bench.sent


def test_extension_headers_that_break_off():
    bench = Bench()
    assert six(bench, b"\x3a\x00\x01\x04", nh=60) is Drop.LOCAL_DELIVERY
    assert six(bench, b"\x3c\x00\x01\x04\x00\x00\x00\x00\x3a", nh=60) is Drop.LOCAL_DELIVERY


def test_source_routed_packets_to_a_group():
    bench = Bench()
    packet = IPv6ExtHdrRouting(segleft=0, addresses=[A6]) / PING
    assert six(bench, packet, dst="ff02::1", pkttype=2) is Drop.LOCAL_DELIVERY
    assert six(bench, packet, pkttype=2) is Drop.LOCAL_DELIVERY


@given(st.binary(min_size=0, max_size=120), st.sampled_from([0, 1, 2, 6, 17, 43, 44, 51, 58, 59, 60, 253]))
def test_garbage_never_raises(body, protocol):
    bench = Bench(topology=SHARED)
    raw = bytes(IPv6(src=A6, dst=ROUTER6, nh=protocol, plen=len(body))) + body
    packet = Packet(bytearray(raw), IPV6, iif=bench.a0, time=START)
    dissect_ipv6(packet)
    bench.local.ipv6(packet, START)
    raw = bytes(IP(src=A, dst=ROUTER, proto=protocol, len=20 + len(body))) + body
    packet = Packet(bytearray(raw), IPV4, iif=bench.a0, time=START)
    packet.data[0] += min(body[0] % 11, len(body) // 4) if body else 0
    dissect_ipv4(packet)
    bench.local.ipv4(packet, START)
    assert len(bench.sent) <= 2
