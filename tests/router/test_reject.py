from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt
from scapy.layers.sctp import SCTP

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Connection, Status, TcpState, TcpTracking
from flowtable.conntrack.tuple import Tuple
from flowtable.packet.packet import IPV4, IPV6, CtInfo, Packet
from flowtable.packet.parse import dissect_ipv4, dissect_ipv6
from flowtable.ruleset.environment import RejectKind, RejectWith
from tests.router.bench import SHARED, START, Bench, address

A, B = "10.1.0.2", "10.2.0.2"
A6, B6 = "2001:db8:1::2", "2001:db8:2::2"
RESET = RejectWith(RejectKind.TCP_RESET)


def unreachable(code: int) -> RejectWith:
    return RejectWith(RejectKind.UNREACHABLE, code)


def reject(bench: Bench, packet: Any, reply: RejectWith, *, routed: bool = True) -> Any:
    bench.reject(bench.packet(packet, routed=routed), reply, bench.now)
    answers = bench.answers()
    assert len(answers) <= 1
    return answers[0] if answers else None


def test_unreachable():
    bench = Bench()
    answer = reject(bench, IP(src=A, dst=B) / UDP(sport=1, dport=2) / b"x", unreachable(13))
    assert answer is not None
    assert (answer.src, answer.dst, answer[ICMP].type, answer[ICMP].code) == ("10.1.0.1", A, 3, 13)
    answer = reject(bench, IPv6(src=A6, dst=B6) / UDP(sport=1, dport=2) / b"x", unreachable(4))
    assert answer is not None
    assert (answer.src, answer.dst, answer[ICMPv6DestUnreach].code) == ("2001:db8:1::1", A6, 4)


def test_a_packet_with_a_wrong_checksum_gets_no_answer():
    bench = Bench()
    for packet in (
        IP(src=A, dst=B) / UDP(chksum=1) / b"x",
        IP(src=A, dst=B) / TCP(chksum=1) / b"x",
        IP(src=A, dst=B) / ICMP(chksum=1) / b"x",
        IPv6(src=A6, dst=B6) / UDP(chksum=1) / b"x",
        IPv6(src=A6, dst=B6) / ICMPv6EchoRequest(cksum=1),
        # Linux takes any protocol that it does not know for one with a checksum.
        IP(src=A, dst=B, proto=253) / b"xyz",
        IPv6(src=A6, dst=B6, nh=253) / b"xyz",
        IP(src=A, dst=B, proto=253),
    ):
        assert reject(bench, packet, unreachable(3)) is None, packet
        if TCP in packet:
            assert reject(bench, packet, RESET) is None


def test_packets_without_a_checksum_do():
    bench = Bench()
    for packet in (
        IP(src=A, dst=B) / UDP(chksum=0) / b"x",
        IPv6(src=A6, dst=B6) / UDP(chksum=0) / b"x",
        *(IP(src=A, dst=B, proto=protocol) / b"xyz" for protocol in (33, 47, 50, 51, 132, 136)),
        *(IPv6(src=A6, dst=B6, nh=protocol) / b"xyz" for protocol in (33, 47, 50, 132, 136)),
        IP(src=A, dst=B) / SCTP(chksum=1),
        IP(src=A, dst=B, proto=253) / b"\xff\xff",
    ):
        bench.now += 10**9
        assert reject(bench, packet, unreachable(3)) is not None, packet


def test_fragments():
    bench = Bench()
    assert reject(bench, IP(src=A, dst=B, frag=1) / UDP(), unreachable(3)) is None
    assert reject(bench, IP(src=A, dst=B, frag=1, proto=6) / TCP(), RESET) is None


@pytest.mark.parametrize("flags", ["S", "F", "SF", "", "P", "A", "SA", "FPA"])
def test_reset(flags):
    bench = Bench()
    segment = (
        TCP(sport=1111, dport=22, flags=flags, seq=0xFFFFFFFE, ack=777, options=[("MSS", 1460)]) / b"hello"
    )
    for packet in (
        IP(src=A, dst=B, tos=0xFF, ttl=3) / segment,
        IPv6(src=A6, dst=B6, tc=0xFF, fl=5) / segment,
        IPv6(src=A6, dst=B6) / IPv6ExtHdrDestOpt() / segment,
    ):
        for routed in (True, False):
            answer = reject(bench, packet, RESET, routed=routed)
            assert answer is not None
            # In the name of its destination, without its type of service.
            assert (answer.src, answer.dst) == (packet.dst, packet.src)
            if answer.version == 4:
                assert (answer.tos, answer.ttl, answer.id, str(answer.flags)) == (0, 64, 0, "DF")
            else:
                assert (answer.tc, answer.hlim, answer.fl) == (0, 64, 0)
            reset = answer[TCP]
            assert (reset.sport, reset.dport, reset.dataofs, reset.window) == (22, 1111, 5, 0)
            if "A" in flags:
                assert (str(reset.flags), reset.seq, reset.ack) == ("R", 777, 0)
            else:
                length = 5 + ("S" in flags) + ("F" in flags)
                assert (str(reset.flags), reset.seq, reset.ack) == ("RA", 0, (0xFFFFFFFE + length) % 2**32)


def test_no_reset_for():
    bench = Bench()
    for packet in (
        IP(src=A, dst=B) / TCP(flags="R"),
        IP(src=A, dst=B) / UDP(),
        IP(src=A, dst="10.1.0.255") / TCP(flags="S"),
        IP(src="203.0.113.1", dst=B) / TCP(flags="S"),
        IP(src="10.66.0.1", dst=B) / TCP(flags="S"),
        IP(src=A, dst=B, proto=6) / bytes(16),
        IPv6(src=A6, dst="ff02::1") / TCP(flags="S"),
        IPv6(src="::", dst=B6) / TCP(flags="S"),
        IPv6(src="2001:db8:9::1", dst=B6) / TCP(flags="S"),
    ):
        assert reject(bench, packet, RESET) is None, packet


@pytest.mark.parametrize("status", [0, Status.CONFIRMED, Status.CONFIRMED | Status.FIXED_TIMEOUT])
def test_a_reset_closes_the_connection_if_it_is_in_the_table(status):
    # Ref: net/netfilter/nf_conntrack_proto_tcp.c:nf_conntrack_tcp_set_closing.
    bench = Bench()
    for family, ip in ((IPV4, IP(src=A, dst=B)), (IPV6, IPv6(src=A6, dst=B6))):
        source, destination = address(ip.src), address(ip.dst)
        connection = Connection(
            Tuple(family, 6, source, destination, 1, 2), Tuple(family, 6, destination, source)
        )
        connection.tcp = TcpTracking()
        connection.expires = 5 * 86400 * SECOND
        connection.status |= status
        if status & Status.CONFIRMED:
            bench.conntrack.insert(connection, bench.now)
        before = connection.expires
        packet = bench.packet(ip / TCP(flags="S"))
        packet.ct, packet.ctinfo = connection, CtInfo.NEW
        bench.reject(packet, RESET, bench.now)
        (answer,) = bench.sent
        bench.sent.clear()
        assert (answer.ct, answer.ctinfo) == (connection, CtInfo.RELATED_REPLY)
        assert connection.tcp.state == (TcpState.CLOSE if status else TcpState.NONE)
        closes = status == Status.CONFIRMED
        assert connection.expires == (bench.now + 10 * SECOND if closes else before)


@given(st.binary(min_size=40, max_size=120), st.sampled_from([0, 1, 6, 17, 44, 58, 60]), st.booleans())
def test_garbage_never_raises(data, protocol, reset):
    bench = Bench(topology=SHARED)
    reply = RESET if reset else unreachable(3)
    four = bytearray(data)
    four[0] = 0x45 + data[0] % 5
    four[9] = protocol
    six = bytearray(data)
    six[0] = 0x60
    six[6] = protocol
    for raw, family, dissect in ((four, IPV4, dissect_ipv4), (six, IPV6, dissect_ipv6)):
        packet = Packet(raw, family, iif=bench.a0, time=START)
        dissect(packet)
        bench.reject(packet, reply, START)
