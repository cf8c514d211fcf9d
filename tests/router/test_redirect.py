from itertools import pairwise

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_Redirect,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptRedirectedHdr,
    IPv6,
)

from flowtable.clock import MILLISECOND, SECOND
from flowtable.router.redirect import LOAD, NUMBER, SILENCE
from flowtable.topology.neighbour import NeighbourState
from tests.router.bench import BOX, C_MAC, Bench, address

A, A6 = "10.1.0.2", "2001:db8:1::2"
DATA = bytes(range(256)) * 8


def redirect(bench: Bench, dst: str = "10.5.0.1", src: str = A) -> bool:
    packet = bench.packet(IP(src=src, dst=dst) / UDP(sport=1, dport=2) / b"x")
    assert packet.dst is not None
    return bench.redirects.ipv4(packet, packet.dst, bench.now)


def redirect6(bench: Bench, dst: str = "2001:db8:5::1", src: str = A6, data: bytes = b"x") -> bool:
    packet = bench.packet(IPv6(src=src, dst=dst) / UDP(sport=1, dport=2) / data)
    assert packet.dst is not None
    return bench.redirects.ipv6(packet, packet.dst, bench.now)


def test_to_the_gateway_or_to_the_destination_itself():
    bench = Bench()
    assert redirect(bench)
    (answer,) = bench.answers()
    assert (answer.src, answer.dst) == ("10.1.0.1", A)
    assert (answer[ICMP].type, answer[ICMP].code, answer[ICMP].gw) == (5, 1, "10.1.0.9")
    bench.now += SECOND
    assert redirect(bench, "10.1.0.44")
    (answer,) = bench.answers()
    assert answer[ICMP].gw == "10.1.0.44"


def test_nine_redirects_further_and_further_apart_then_silence():
    bench = Bench()
    start = bench.now
    packet = bench.packet(IP(src=A, dst="10.5.0.1") / UDP())
    assert packet.dst is not None
    times = []
    while bench.now < start + 30 * SECOND:
        if bench.redirects.ipv4(packet, packet.dst, bench.now):
            times.append(bench.now - start)
        bench.now += 10 * MILLISECOND
    assert (LOAD, NUMBER, SILENCE) == (20 * MILLISECOND, 9, 20_480 * MILLISECOND)
    # 20 ms, doubled with each: the first gap is 40 ms.
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == [(LOAD << n) + 10 * MILLISECOND for n in range(1, NUMBER)]
    # It goes on not to heed them, so it stays silent for as long as packets come.
    assert len(times) == NUMBER
    bench.now += SILENCE
    assert redirect(bench)
    assert len(bench.sent) == NUMBER + 1


def test_others_are_redirected_on_their_own_account():
    bench = Bench()
    assert redirect(bench)
    assert not redirect(bench)
    assert not redirect(bench, "10.1.0.44")
    assert redirect(bench, src="10.1.0.3")


def test_ipv6():
    bench = Bench()
    bench.topology.neighbours.set(bench.a0, address("fe80::1:9"), C_MAC, NeighbourState.STALE)
    assert redirect6(bench, data=DATA[:41])
    (answer,) = bench.answers()
    assert (answer.src, answer.dst, answer.hlim) == ("fe80::ff:fe00:101", A6, 255)
    message = answer[ICMPv6ND_Redirect]
    assert (message.tgt, message.dst) == ("fe80::1:9", "2001:db8:5::1")
    assert message[ICMPv6NDOptDstLLAddr].lladdr == C_MAC.hex(":")
    quoted = message[ICMPv6NDOptRedirectedHdr]
    original = bytes(IPv6(src=A6, dst="2001:db8:5::1") / UDP(sport=1, dport=2) / DATA[:41])
    assert quoted.len * 8 == (len(original) + 8) & ~7
    assert answer.original[40 + 40 + 8 + 8 :] == original[: quoted.len * 8 - 8]


def test_ipv6_on_the_link_with_an_unknown_neighbour():
    bench = Bench()
    assert redirect6(bench, "2001:db8:1::44", data=DATA[:1400])
    (answer,) = bench.answers()
    assert (answer[ICMPv6ND_Redirect].tgt, answer[ICMPv6ND_Redirect].dst) == ("2001:db8:1::44",) * 2
    assert ICMPv6NDOptDstLLAddr not in answer
    assert len(answer.original) == 1280
    bench.topology.neighbours.set(bench.a0, address("2001:db8:1::45"), C_MAC, NeighbourState.STALE)
    assert redirect6(bench, "2001:db8:1::45", data=DATA[:1400])
    (answer,) = bench.answers()
    assert len(answer.original) == 1280


def test_ipv6_of_a_sender_on_another_link():
    # Recorded in tests/scenarios/drawn/mixed-none-7.
    bench = Bench()
    assert redirect6(bench, src="2001:db8:2::2")
    (answer,) = bench.answers()
    assert (answer.src, answer.dst) == ("fe80::ff:fe00:101", "2001:db8:2::2")


def test_ipv6_is_limited_by_destination_and_by_sender():
    bench = Bench()
    assert [redirect6(bench) for _ in range(8)] == [True] * 6 + [False] * 2
    # The sender's bucket is empty as well.
    assert not redirect6(bench, "2001:db8:5::2")
    assert redirect6(bench, "2001:db8:5::3", "2001:db8:1::3")
    bench.now += SECOND
    assert redirect6(bench)


def test_when_ipv6_keeps_silent():
    # The sender is behind a gateway.
    assert not redirect6(Bench(), src="2001:db8:5::2")
    # Nobody knows how to name the gateway: it has no link-local address here.
    bench = Bench(BOX.replace('"fe80::1:9", dev: a0', '"2001:db8:1::9"'))
    assert not redirect6(bench)
    bench = Bench(BOX.replace("{name: a0,", "{name: a0, addrgenmode: none,"))
    assert not redirect6(bench, "2001:db8:1::44")
    packet = bench.packet(IPv6(src=A6, dst="2001:db8:5::1") / UDP())
    packet.iif = None
    assert packet.dst is not None
    assert not bench.redirects.ipv6(packet, packet.dst, bench.now)
    assert not bench.sent
