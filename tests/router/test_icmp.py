from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP, IPOption_RR, IPOption_Timestamp

from flowtable.clock import MILLISECOND, SECOND
from flowtable.conntrack.connection import Connection
from flowtable.conntrack.tuple import Tuple
from flowtable.packet.drop import Drop
from flowtable.packet.packet import IPV4, CtInfo, Packet, PacketType
from flowtable.packet.parse import dissect_ipv4
from flowtable.router.icmp import Silence
from tests.router.bench import BOX, SHARED, START, Bench, address, merged

A, B, ROUTER, FAR = "10.1.0.2", "10.2.0.2", "10.1.0.1", "10.2.0.1"
UNREACHABLE, TIME_EXCEEDED, REDIRECT, PARAMETER = 3, 11, 5, 12
DATA = bytes(range(256)) * 8


def passing(**fields: Any) -> IP:
    return IP(**merged(fields, src=A, dst=B, id=7)) / UDP(sport=1, dport=2) / DATA[:100]


def tell(bench: Bench, packet: IP | Packet, kind=TIME_EXCEEDED, code=0, rest=0, **how) -> Silence | None:
    if not isinstance(packet, Packet):
        packet = bench.packet(packet, **how)
    silence = bench.icmp.error(packet, kind, code, rest, now=bench.now)
    if silence is None:
        assert bench.icmp.sent[kind, code]
    else:
        assert bench.icmp.silences[silence]
    return silence


def told(bench: Bench) -> Any:
    (answer,) = bench.answers()
    return answer


def quoted(answer: IP) -> bytes:
    return answer.original[answer.ihl * 4 + 8 :]


def test_an_error():
    bench = Bench()
    about = passing(tos=0x9B, ttl=1)
    assert tell(bench, about) is None
    assert bench.sent[0].dst is bench.topology.fib4.lookup(address(A))
    assert bench.sent[0].oif is bench.a0
    answer = told(bench)
    assert (answer.src, answer.dst, answer.ttl, answer.proto) == (ROUTER, A, 64, 1)
    # RFC 1812 section 4.3.2.5: precedence 6; the low bits are the packet's.
    assert answer.tos == 0xC0 | 0x1A
    assert (answer.flags, answer.id) == (0, 1)
    assert (answer[ICMP].type, answer[ICMP].code, answer[ICMP].unused) == (11, 0, 0)
    assert quoted(answer) == bytes(about)
    tell(bench, about)
    assert told(bench).id == 2


def test_the_second_word():
    bench = Bench()
    tell(bench, passing(), UNREACHABLE, 4, 1400)
    assert told(bench)[ICMP].nexthopmtu == 1400
    tell(bench, passing(), REDIRECT, 1, int.from_bytes(address("10.1.0.9")))
    assert told(bench)[ICMP].gw == "10.1.0.9"
    tell(bench, passing(), PARAMETER, 0, 20 << 24)
    assert told(bench)[ICMP].ptr == 20


def test_at_most_576_bytes():
    bench = Bench()
    about = IP(src=A, dst=B) / UDP() / DATA[:1400]
    tell(bench, about)
    answer = told(bench)
    assert answer.len == 576
    assert quoted(answer) == bytes(about)[:548]


def test_at_most_what_the_way_back_holds():
    bench = Bench(BOX.replace("routes:", "routes:\n  - {to: 10.9.0.0/16, via: 10.1.0.9, mtu: 300}"))
    tell(bench, IP(src="10.9.0.1", dst=B) / UDP() / DATA[:1400])
    assert told(bench).len == 300
    bench = Bench(BOX.replace("mtu: 1400", "mtu: 68").replace(', "2001:db8:2::1/64"', ""))
    assert tell(bench, passing(src=B, dst=A)) is None
    assert len(bench.sent[0].data) == 68


def test_the_source_is_the_destination_if_that_is_the_box():
    bench = Bench()
    tell(bench, passing(dst=FAR), UNREACHABLE, 3)
    assert told(bench).src == FAR


def test_the_source_is_otherwise_that_of_the_way_back():
    bench = Bench()
    packet = bench.packet(passing(src="10.2.0.9"))
    tell(bench, packet)
    assert told(bench).src == FAR


def test_icmp_errors_use_inbound_ifaddr():
    bench = Bench(icmp_errors_use_inbound_ifaddr=1)
    tell(bench, passing(src="10.2.0.9"))
    assert told(bench).src == ROUTER
    tell(bench, passing(src="10.1.7.9"))
    assert told(bench).src == "10.1.7.1"
    tell(bench, passing(dst=FAR), UNREACHABLE, 3)
    assert told(bench).src == FAR


def test_a_box_without_addresses():
    bench = Bench(
        "devices:\n  - {name: a0, mac: '02:00:00:00:01:01'}\n  - {name: b0, mac: '02:00:00:00:02:01'}\n"
        "routes:\n  - {to: 10.0.0.0/8, dev: a0}\n"
    )
    tell(bench, passing())
    # RFC 7600 section 4.8.
    assert told(bench).src == "192.0.0.8"


def test_ttl_of_the_box():
    bench = Bench(ip_default_ttl=200)
    tell(bench, passing())
    assert told(bench).ttl == 200


@pytest.mark.parametrize(
    ("pkttype", "silence"),
    [
        (PacketType.HOST, None),
        (PacketType.BROADCAST, Silence.NOT_ADDRESSED),
        (PacketType.MULTICAST, Silence.NOT_ADDRESSED),
        (PacketType.OTHERHOST, Silence.NOT_ADDRESSED),
    ],
)
def test_never_about_a_frame_to_many(pkttype, silence):
    assert tell(Bench(), passing(), pkttype=int(pkttype)) is silence


@pytest.mark.parametrize("dst", ["224.0.0.1", "255.255.255.255", "10.1.0.255"])
def test_never_about_a_packet_to_many(dst):
    bench = Bench()
    assert tell(bench, passing(dst=dst)) is Silence.TO_MANY
    if dst != "10.1.0.255":
        assert tell(bench, passing(dst=dst), routed=False) is Silence.TO_MANY
    assert not bench.sent


def test_never_about_a_later_fragment():
    bench = Bench()
    assert tell(bench, passing(frag=1)) is Silence.FRAGMENT
    assert tell(bench, passing(flags="MF")) is None


def test_never_about_an_error():
    bench = Bench()
    silent = set()
    for kind in range(256):
        bench.now += SECOND
        if tell(bench, IP(src=A, dst=B) / ICMP(type=kind) / b"") is Silence.ABOUT_ERROR:
            silent.add(kind)
    assert silent == {1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, *range(19, 256)}
    assert tell(bench, IP(src=A, dst=B, proto=1)) is Silence.ABOUT_ERROR


def test_never_without_a_way_back():
    bench = Bench()
    for source in ("203.0.113.1", "10.66.0.1"):
        assert tell(bench, passing(src=source)) is Silence.NO_ROUTE
    assert not bench.sent


def test_limits_per_host():
    bench = Bench()
    outcomes = [tell(bench, passing()) for _ in range(8)]
    assert outcomes == [None] * 6 + [Silence.HOST_LIMIT] * 2
    assert tell(bench, passing(src="10.1.0.3")) is None
    bench.now += SECOND
    assert tell(bench, passing()) is None
    # PMTU discovery is not limited (icmpv4_mask_allow), nor are redirects (icmp_ratemask).
    assert all(tell(bench, passing(), UNREACHABLE, 4) is None for _ in range(100))
    assert all(tell(bench, passing(), REDIRECT, 1) is None for _ in range(100))
    assert tell(bench, passing()) is Silence.HOST_LIMIT


def test_icmp_ratemask_and_ratelimit():
    bench = Bench(icmp_ratemask=1 << REDIRECT, icmp_ratelimit=500)
    assert all(tell(bench, passing()) is None for _ in range(100))
    assert [tell(bench, passing(), REDIRECT, 1) for _ in range(7)] == [None] * 6 + [Silence.HOST_LIMIT]
    bench.now += 500 * MILLISECOND
    assert tell(bench, passing(), REDIRECT, 1) is None


def test_limit_of_the_box():
    bench = Bench(icmp_msgs_burst=10)
    hosts = [passing(src=f"10.1.0.{n}") for n in range(2, 14)]
    outcomes = [tell(bench, host) for host in hosts]
    assert outcomes == [None] * 10 + [Silence.GLOBAL_LIMIT] * 2
    bench.now += 20 * MILLISECOND
    assert tell(bench, hosts[11]) is None
    # A message that a host may not have is not taken from the budget.
    bench = Bench(icmp_msgs_burst=7, icmp_msgs_per_sec=7)
    for _ in range(20):
        tell(bench, hosts[0])
    assert tell(bench, hosts[1]) is None


def test_packets_of_the_loopback_device_are_not_limited():
    bench = Bench(icmp_msgs_burst=1, icmp_msgs_per_sec=1)
    for _ in range(20):
        packet = bench.packet(passing(src="10.1.0.1", dst="10.1.0.1"))
        packet.iif = bench.topology.lo
        assert tell(bench, packet, UNREACHABLE, 3) is None


def test_an_error_belongs_to_the_connection_of_its_packet():
    connection = Connection(
        Tuple(IPV4, 17, address(A), address(B), 1, 2), Tuple(IPV4, 17, address(B), address(A), 2, 1)
    )
    for ctinfo, related in (
        (CtInfo.NEW, CtInfo.RELATED_REPLY),
        (CtInfo.ESTABLISHED, CtInfo.RELATED_REPLY),
        (CtInfo.ESTABLISHED_REPLY, CtInfo.RELATED),
    ):
        bench = Bench()
        packet = bench.packet(passing())
        packet.ct, packet.ctinfo = connection, ctinfo
        tell(bench, packet)
        assert (bench.sent[0].ct, bench.sent[0].ctinfo) == (connection, related)


def test_route_errors_have_a_limit_of_their_own():
    bench = Bench()
    packet = bench.packet(passing())
    assert [bench.icmp.allow_route_error(packet, START) for _ in range(6)] == [True] * 5 + [False]


# Questions


def ask(bench: Bench, message, **fields) -> Drop | None:
    packet = bench.packet(IP(**merged(fields, src=A, dst=ROUTER)) / message)
    return bench.icmp.receive(packet, bench.now)


def test_echo():
    bench = Bench()
    assert ask(bench, ICMP(type=8, code=3, id=5, seq=6) / DATA, tos=0x2F, ttl=2) is None
    answer = told(bench)
    assert (answer.src, answer.dst, answer.ttl, answer.tos, answer.flags) == (ROUTER, A, 64, 0x2F, 0)
    assert (answer[ICMP].type, answer[ICMP].code, answer[ICMP].id, answer[ICMP].seq) == (0, 3, 5, 6)
    assert bytes(answer[ICMP].payload) == DATA
    for _ in range(100):
        ask(bench, ICMP(type=8))
    assert len(bench.sent) == 100


def test_timestamp():
    bench = Bench()
    bench.now = (3 * 86400 + 7) * SECOND + 5 * MILLISECOND
    message = ICMP(type=13, id=5, seq=6, ts_ori=99, ts_rx=1, ts_tx=2)
    assert ask(bench, message / b"more") is None
    answer = told(bench)[ICMP]
    assert (answer.type, answer.id, answer.seq, answer.ts_ori, answer.ts_rx, answer.ts_tx) == (
        14,
        5,
        6,
        99,
        7005,
        7005,
    )
    assert len(bytes(answer)) == 20
    assert ask(bench, bytes(ICMP(type=13, chksum=0xF2FF))[:8] + b"abc") is Drop.LOCAL_DELIVERY


def test_what_is_taken_silently():
    bench = Bench()
    for kind in (0, 3, 4, 5, 9, 10, 11, 12, 14, 15, 16, 17, 18, 42, 43):
        assert ask(bench, ICMP(type=kind)) is None
    assert not bench.sent


def test_what_is_not_icmp():
    bench = Bench()
    for kind in (19, 41, 44, 255):
        assert ask(bench, ICMP(type=kind)) is Drop.LOCAL_DELIVERY
    assert ask(bench, ICMP(type=8, chksum=1)) is Drop.LOCAL_DELIVERY
    assert ask(bench, bytes(7), proto=1) is Drop.LOCAL_DELIVERY
    assert not bench.sent


def test_broadcasts_are_answered_only_if_wanted():
    for ignored in (1, 0):
        bench = Bench(icmp_echo_ignore_broadcasts=ignored)
        for kind in (8, 13):
            drop = ask(bench, ICMP(type=kind), dst="10.1.0.255")
            assert drop is (Drop.LOCAL_DELIVERY if ignored else None)
        assert [answer.src for answer in bench.answers()] == ([] if ignored else [ROUTER, ROUTER])
        assert ask(bench, ICMP(type=0), dst="10.1.0.255") is Drop.LOCAL_DELIVERY
        assert ask(bench, ICMP(type=17), dst="10.1.0.255") is None


def test_icmp_echo_ignore_all():
    bench = Bench(icmp_echo_ignore_all=1)
    assert ask(bench, ICMP(type=8)) is None
    assert not bench.sent


def test_nobody_to_answer():
    bench = Bench()
    assert ask(bench, ICMP(type=8), src="203.0.113.1") is None
    assert not bench.sent


def test_answers_are_limited_if_wanted():
    bench = Bench(icmp_ratemask=1 << 0)
    for _ in range(10):
        ask(bench, ICMP(type=8))
    assert len(bench.sent) == 6


# Options


def test_record_route_is_echoed():
    bench = Bench()
    option = IPOption_RR(length=15, pointer=8, routers=["10.9.9.9", "0.0.0.0", "0.0.0.0"])
    tell(bench, passing(options=[option]))
    answer = told(bench)
    (echoed,) = (o for o in answer.options if isinstance(o, IPOption_RR))
    assert (echoed.pointer, echoed.routers) == (12, ["10.9.9.9", ROUTER, "0.0.0.0"])
    assert quoted(answer) == bytes(passing(options=[option]))
    full = IPOption_RR(length=7, pointer=8, routers=["10.9.9.9"])
    tell(bench, passing(options=[full]))
    assert told(bench).options[0].routers == ["10.9.9.9"]


def test_timestamps_are_echoed():
    bench = Bench()
    bench.now = 5 * SECOND
    option = IPOption_Timestamp(length=12, pointer=5, flg=1, internet_address="0.0.0.0", timestamp=0)
    ask(bench, ICMP(type=8), options=[option])
    (echoed,) = (o for o in told(bench).options if isinstance(o, IPOption_Timestamp))
    assert (echoed.pointer, echoed.internet_address, echoed.timestamp) == (13, ROUTER, 5000)


def test_other_options_are_not_echoed():
    bench = Bench()
    tell(bench, passing(options=[b"\x94\x04\x00\x00"]))
    assert told(bench).ihl == 5


def test_wrong_options_are_not_echoed():
    bench = Bench()
    packet = bench.packet(passing(options=[b"\x07\x04\x04\x00"]))
    packet.data[21] = 60
    assert tell(bench, packet) is None
    assert told(bench).ihl == 5
    bench.icmp.receive(packet, bench.now)
    assert not bench.sent


@given(
    st.binary(min_size=20, max_size=100), st.integers(0, 18), st.integers(0, 15), st.integers(0, 2**32 - 1)
)
def test_garbage_never_raises(data, kind, code, rest):
    bench = Bench(topology=SHARED)
    raw = bytearray(data)
    raw[0] = 0x45 + min(data[0] % 11, (len(data) - 20) // 4)
    raw[9] = (1, 17)[data[9] % 2]
    raw[12:14] = address(A)[:2]
    packet = Packet(raw, IPV4, iif=bench.a0, time=START)
    dissect_ipv4(packet)
    bench.icmp.error(packet, kind, code, rest, now=START)
    bench.icmp.receive(packet, START)
