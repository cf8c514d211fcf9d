from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
)

from flowtable.clock import MILLISECOND
from flowtable.packet.drop import Drop
from flowtable.packet.packet import IPV6, Packet, PacketType
from flowtable.packet.parse import dissect_ipv6
from flowtable.router.icmp import Silence
from tests.router.bench import BOX, SHARED, START, Bench, address, merged

A, B = "2001:db8:1::2", "2001:db8:2::2"
ROUTER, FAR, ROUTER_LL = "2001:db8:1::1", "2001:db8:2::1", "fe80::ff:fe00:101"
UNREACHABLE, TOO_BIG, TIME_EXCEEDED, PARAMETER = 1, 2, 3, 4
DATA = bytes(range(256)) * 8


def passing(**fields: Any) -> IPv6:
    return IPv6(**merged(fields, src=A, dst=B)) / UDP(sport=1, dport=2) / DATA[:100]


def tell(bench: Bench, packet, kind=TIME_EXCEEDED, code=0, rest=0, **how) -> Silence | None:
    if not isinstance(packet, Packet):
        packet = bench.packet(packet, **how)
    silence = bench.icmpv6.error(packet, kind, code, rest, now=bench.now)
    assert (bench.icmpv6.sent if silence is None else bench.icmpv6.silences).total()
    return silence


def told(bench: Bench) -> Any:
    (answer,) = bench.answers()
    return answer


def test_an_error():
    bench = Bench()
    about = passing(tc=0xFF, hlim=1, fl=0xABCDE)
    assert tell(bench, about) is None
    assert bench.sent[0].oif is bench.a0
    answer = told(bench)
    assert (answer.src, answer.dst, answer.hlim, answer.tc, answer.fl) == (ROUTER, A, 64, 0, 0)
    assert answer[ICMPv6TimeExceeded].code == 0
    assert answer.original[48:] == bytes(about)
    tell(bench, passing(), TOO_BIG, 0, 1400)
    assert told(bench)[ICMPv6PacketTooBig].mtu == 1400
    tell(bench, passing(), PARAMETER, 1, 6)
    assert told(bench)[ICMPv6ParamProblem].ptr == 6


def test_at_most_1280_bytes():
    bench = Bench()
    about = IPv6(src=A, dst=B) / UDP() / DATA[:1400]
    tell(bench, about)
    answer = told(bench)
    assert len(answer.original) == 1280
    assert answer.original[48:] == bytes(about)[:1232]


def test_the_source():
    bench = Bench()
    # An address of the box that the packet was sent to.
    for dst in (FAR, ROUTER, "2001:db8:1::"):
        tell(bench, passing(dst=dst), UNREACHABLE, 4)
        assert told(bench).src == dst
    # Else one of the device that it came in on.
    tell(bench, passing(src="2001:db8:2::9"))
    assert told(bench).src == ROUTER
    # To a link-local address, a link-local one.
    tell(bench, passing(src="fe80::1:2"), UNREACHABLE, 2)
    assert bench.sent[0].oif is bench.a0
    assert told(bench).src == ROUTER_LL


def test_a_route_s_preferred_source():
    bench = Bench(
        BOX.replace(
            "routes:",
            'routes:\n  - {to: "2001:db8:9::/48", via: "fe80::1:9", dev: a0, src: "FAR"}'.replace("FAR", FAR),
        )
    )
    tell(bench, passing(src="2001:db8:9::1"))
    assert told(bench).src == FAR


def test_hop_limit_of_the_device():
    bench = Bench(BOX + "  net.ipv6.conf.a0.hop_limit: 99\n")
    tell(bench, passing())
    assert told(bench).hlim == 99


@pytest.mark.parametrize(
    ("dst", "pkttype", "silence"),
    [
        ("ff02::1", PacketType.MULTICAST, Silence.TO_MANY),
        (B, PacketType.MULTICAST, Silence.NOT_ADDRESSED),
        (B, PacketType.OTHERHOST, Silence.NOT_ADDRESSED),
    ],
)
def test_about_packets_to_many_only_what_everybody_must_know(dst, pkttype, silence):
    # RFC 4443 section 2.4 e.3 and e.4.
    bench = Bench()
    how = {"pkttype": int(pkttype)}
    assert tell(bench, passing(dst=dst), TIME_EXCEEDED, **how) is silence
    assert tell(bench, passing(dst=dst), PARAMETER, 1, 6, **how) is silence
    assert tell(bench, passing(dst=dst), TOO_BIG, 0, 1280, **how) is None
    assert told(bench).src == ROUTER
    about = (
        IPv6(src=A, dst=dst) / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x9E, optdata=b"abcd")]) / UDP()
    )
    assert tell(bench, about, PARAMETER, 2, 42, **how) is None
    about = (
        IPv6(src=A, dst=dst) / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0xDE, optdata=b"abcd")]) / UDP()
    )
    assert tell(bench, about, PARAMETER, 2, 42, **how) is silence


def test_never_to_nobody_in_particular():
    bench = Bench()
    assert tell(bench, passing(src="::")) is Silence.NOBODY
    packet = bench.packet(passing())
    packet.data[8:24] = address("ff02::1")
    assert tell(bench, packet) is Silence.NOBODY
    assert tell(bench, passing(src="2001:db8:1::")) is Silence.NOBODY
    assert tell(bench, passing(src="2001:db8:9::1")) is Silence.NO_ROUTE
    assert tell(bench, passing(src="2001:db8:66::1")) is Silence.NO_ROUTE
    assert not bench.sent


def test_never_about_an_error():
    bench = Bench()
    about = IPv6(src=A, dst=B) / ICMPv6TimeExceeded() / passing(src=B, dst=A)
    assert tell(bench, about) is Silence.ABOUT_ERROR
    behind = IPv6(src=A, dst=B) / IPv6ExtHdrDestOpt() / ICMPv6DestUnreach()
    assert tell(bench, behind) is Silence.ABOUT_ERROR
    assert tell(bench, IPv6(src=A, dst=B, nh=58)) is Silence.ABOUT_ERROR
    assert tell(bench, IPv6(src=A, dst=B) / ICMPv6EchoRequest()) is None
    # What a later fragment belongs to nobody knows.
    later = IPv6(src=A, dst=B) / IPv6ExtHdrFragment(nh=58, offset=1) / b"\3"
    assert tell(bench, later) is None


def test_limits_by_the_width_of_the_route_back():
    bench = Bench(BOX.replace("routes:", 'routes:\n  - {to: "::/0", via: "fe80::1:9", dev: a0}'))
    for host, interval in ((A, 250), ("2001:db8:5::1", 250), ("2001:db8:7::1", 62.5)):
        assert [tell(bench, passing(src=host)) for _ in range(7)] == [None] * 6 + [Silence.HOST_LIMIT]
        bench.now += int(interval * MILLISECOND) - 1
        assert tell(bench, passing(src=host)) is Silence.HOST_LIMIT
        bench.now += 1
        assert tell(bench, passing(src=host)) is None
        bench.now += 100 * MILLISECOND
    assert all(tell(bench, passing(), TOO_BIG, 0, 1280) is None for _ in range(100))


def test_limit_of_the_box():
    bench = Bench(icmp_msgs_burst=10)
    outcomes = [tell(bench, passing(src=f"2001:db8:1::{n:x}")) for n in range(2, 14)]
    assert outcomes == [None] * 10 + [Silence.GLOBAL_LIMIT] * 2


def test_the_loopback_device_is_not_limited():
    bench = Bench(icmp_msgs_burst=1, icmp_msgs_per_sec=1)
    for _ in range(20):
        packet = bench.packet(passing(src=ROUTER, dst=ROUTER))
        packet.iif = bench.topology.lo
        assert tell(bench, packet, UNREACHABLE, 4) is None
    # Nor is what goes back through it; but that is taken from the budget.
    bench = Bench(icmp_msgs_burst=10)
    assert all(tell(bench, passing(src=ROUTER, dst=ROUTER), UNREACHABLE, 4) is None for _ in range(10))
    assert tell(bench, passing(src=ROUTER, dst=ROUTER), UNREACHABLE, 4) is Silence.GLOBAL_LIMIT


def ping(bench: Bench, dst: str = ROUTER, src: str = A, **fields: Any) -> Drop | None:
    message = ICMPv6EchoRequest(**merged(fields, id=5, seq=6, data=DATA[:56]))
    packet = bench.packet(IPv6(src=src, dst=dst, tc=0x2E, hlim=3) / message)
    return bench.icmpv6.receive(packet, bench.now)


def test_echo():
    bench = Bench()
    assert ping(bench, code=3) is None
    answer = told(bench)
    assert (answer.src, answer.dst, answer.hlim, answer.tc, answer.fl) == (ROUTER, A, 64, 0x2E, 0)
    reply = answer[ICMPv6EchoReply]
    assert (reply.code, reply.id, reply.seq, reply.data) == (3, 5, 6, DATA[:56])
    for _ in range(100):
        ping(bench)
    assert len(bench.sent) == 100


def test_echo_to_a_group_or_anycast_address_is_answered_by_an_address():
    bench = Bench()
    for dst in ("ff02::1", "2001:db8:1::"):
        ping(bench, dst)
        assert told(bench).src == ROUTER
    ping(bench, "ff02::1", "fe80::1:2")
    assert told(bench).src == ROUTER_LL


def test_echo_ignore_all():
    bench = Bench(icmp6_echo_ignore_all=1)
    assert ping(bench) is None
    assert not bench.sent


def test_what_is_not_answered():
    bench = Bench()
    assert ping(bench, cksum=1) is Drop.LOCAL_DELIVERY
    assert ping(bench, src="2001:db8:9::1") is None
    packet = bench.packet(IPv6(src=A, dst=ROUTER, nh=58) / bytes(7))
    assert bench.icmpv6.receive(packet, bench.now) is Drop.LOCAL_DELIVERY
    error = bench.packet(IPv6(src=A, dst=ROUTER) / ICMPv6DestUnreach() / passing(src=ROUTER, dst=A))
    assert bench.icmpv6.receive(error, bench.now) is None
    assert not bench.sent


@given(
    st.binary(min_size=0, max_size=100),
    st.sampled_from([0, 17, 43, 44, 51, 58, 59, 60]),
    st.integers(1, 4),
    st.integers(0, 2),
    st.integers(0, 200),
    st.sampled_from([B, ROUTER, "ff02::1"]),
)
def test_garbage_never_raises(body, nexthdr, kind, code, rest, dst):
    bench = Bench(topology=SHARED)
    raw = bytes(IPv6(src=A, dst=dst, nh=nexthdr, plen=len(body))) + body
    packet = Packet(bytearray(raw), IPV6, iif=bench.a0, time=START)
    dissect_ipv6(packet)
    bench.icmpv6.error(packet, kind, code, rest, now=START)
    bench.icmpv6.receive(packet, START)
    assert len(bench.sent) <= 2
