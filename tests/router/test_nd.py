import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)

from flowtable.packet.checksum import l4_checksum
from flowtable.packet.packet import ICMPV6, IPV6, Packet
from flowtable.router.nd import TYPES, Outcome
from flowtable.topology.neighbour import NeighbourState
from flowtable.topology.route import RouteType
from tests.router.bench import A_MAC, BOX, C_MAC, R_MAC, SHARED, START, Bench, address, dissect

A, ROUTER, FAR = "2001:db8:1::2", "2001:db8:1::1", "2001:db8:2::1"
ROUTER_LL = "fe80::ff:fe00:101"
GROUP = "ff02::1:ff00:1"
STALE, REACHABLE = NeighbourState.STALE, NeighbourState.REACHABLE
SOURCE = ICMPv6NDOptSrcLLAddr(lladdr=A_MAC.hex(":"))
TARGET = ICMPv6NDOptDstLLAddr(lladdr=A_MAC.hex(":"))


def hear(bench: Bench, message, src: str = A, dst: str = GROUP, hlim: int = 255) -> Outcome:
    packet = bench.packet(IPv6(src=src, dst=dst, hlim=hlim) / message)
    outcome = bench.nd.receive(packet, bench.a0, bench.now)
    assert bench.nd.outcomes[outcome]
    return outcome


def advertised(bench: Bench) -> tuple[str, str, str, tuple[int, int, int], str | None]:
    """Source, destination, target, flags and MAC address of the one advertisement sent."""
    (packet,) = bench.sent
    bench.sent.clear()
    assert packet.dst is not None
    assert packet.dst.device is packet.oif is bench.a0
    assert packet.dst.gateway is None
    many = packet.data[24] == 0xFF
    assert packet.dst.type is (RouteType.MULTICAST if many else RouteType.UNICAST)
    seen = dissect(packet)
    assert seen.hlim == 255
    na = seen[ICMPv6ND_NA]
    mac = na[ICMPv6NDOptDstLLAddr].lladdr if ICMPv6NDOptDstLLAddr in na else None
    return seen.src, seen.dst, na.tgt, (na.R, na.S, na.O), mac


def known(bench: Bench, host: str = A):
    entry = bench.topology.neighbours.get(bench.a0, address(host))
    return entry and (entry.mac, entry.state, entry.router)


def test_a_solicitation_by_multicast():
    bench = Bench()
    assert hear(bench, ICMPv6ND_NS(tgt=ROUTER) / SOURCE) is Outcome.ADVERTISED
    assert advertised(bench) == (ROUTER, A, ROUTER, (1, 1, 1), R_MAC.hex(":"))
    assert known(bench) == (A_MAC, STALE, False)


def test_a_solicitation_by_unicast():
    bench = Bench()
    assert hear(bench, ICMPv6ND_NS(tgt=ROUTER) / SOURCE, dst=ROUTER) is Outcome.ADVERTISED
    assert advertised(bench) == (ROUTER, A, ROUTER, (1, 1, 0), None)


def test_a_solicitation_that_does_not_say_where_to_answer():
    bench = Bench()
    assert hear(bench, ICMPv6ND_NS(tgt=ROUTER)) is Outcome.NOT_OURS
    assert not bench.sent
    assert hear(bench, ICMPv6ND_NS(tgt=ROUTER), dst=ROUTER) is Outcome.ADVERTISED
    assert advertised(bench)[1] == A
    assert known(bench) is None
    bench.topology.neighbours.set(bench.a0, address(A), C_MAC, REACHABLE)
    assert hear(bench, ICMPv6ND_NS(tgt=ROUTER)) is Outcome.ADVERTISED
    assert known(bench) == (C_MAC, REACHABLE, False)


def test_a_host_does_not_say_that_it_is_a_router():
    bench = Bench(BOX.replace("forwarding: 1", "forwarding: 0"))
    hear(bench, ICMPv6ND_NS(tgt=ROUTER) / SOURCE)
    assert advertised(bench)[3] == (0, 1, 1)


def test_duplicate_address_detection_of_others():
    bench = Bench()
    assert hear(bench, ICMPv6ND_NS(tgt=ROUTER), src="::") is Outcome.ADVERTISED
    assert advertised(bench) == (ROUTER, "ff02::1", ROUTER, (1, 0, 1), R_MAC.hex(":"))
    assert len(bench.topology.neighbours) == 0
    # RFC 4861 section 7.1.1.
    assert hear(bench, ICMPv6ND_NS(tgt=ROUTER) / SOURCE, src="::") is Outcome.MALFORMED
    assert hear(bench, ICMPv6ND_NS(tgt=ROUTER), src="::", dst=ROUTER) is Outcome.MALFORMED


def test_the_subnet_router_anycast_address():
    # RFC 4861 section 7.2.7: never overrides, and comes from an address of the link.
    bench = Bench()
    assert hear(bench, ICMPv6ND_NS(tgt="2001:db8:1::") / SOURCE, dst="ff02::1:ff00:0") is Outcome.ADVERTISED
    assert advertised(bench) == (ROUTER, A, "2001:db8:1::", (1, 1, 0), R_MAC.hex(":"))


@pytest.mark.parametrize("target", [FAR, "2001:db8:1::44", "2001:db8:2::"])
def test_addresses_that_are_not_on_this_device(target):
    bench = Bench()
    assert hear(bench, ICMPv6ND_NS(tgt=target) / SOURCE) is Outcome.NOT_OURS
    assert not bench.sent
    assert known(bench) is None


def test_what_does_not_count():
    bench = Bench()
    good = ICMPv6ND_NS(tgt=ROUTER) / SOURCE
    assert hear(bench, good, hlim=254) is Outcome.MALFORMED
    assert hear(bench, ICMPv6ND_NS(tgt=ROUTER, code=1) / SOURCE) is Outcome.MALFORMED
    assert hear(bench, ICMPv6ND_NS(tgt=ROUTER, cksum=1) / SOURCE) is Outcome.MALFORMED
    assert hear(bench, ICMPv6ND_NS(tgt="ff02::1") / SOURCE) is Outcome.MALFORMED
    for option in (b"\x01\x00" + bytes(6), b"\x01\x02" + bytes(14), b"\x01\x01" + bytes(5), b"\x01"):
        assert hear(bench, ICMPv6ND_NS(tgt=ROUTER) / option) is Outcome.MALFORMED
    packet = bench.packet(IPv6(src=A, dst=GROUP, hlim=255) / good)
    packet.frag_max_size = 1280
    assert bench.nd.receive(packet, bench.a0, START) is Outcome.MALFORMED
    packet.frag_max_size = 0
    assert bench.nd.receive(packet, bench.a0, START) is Outcome.ADVERTISED
    assert len(bench.sent) == 1


def test_an_advertisement_is_for_those_who_asked():
    bench = Bench()
    answer = ICMPv6ND_NA(tgt=A, R=0, S=1, O=1) / TARGET
    assert hear(bench, answer, dst=ROUTER_LL) is Outcome.NOT_OURS
    assert known(bench) is None
    bench.topology.neighbours.set(bench.a0, address(A), None, NeighbourState.FAILED)
    assert hear(bench, answer, dst=ROUTER_LL) is Outcome.NOT_OURS
    bench.topology.neighbours.set(bench.a0, address(A), None, NeighbourState.INCOMPLETE)
    assert hear(bench, answer, dst=ROUTER_LL) is Outcome.LEARNT
    assert known(bench) == (A_MAC, REACHABLE, False)


def test_advertisements_nobody_asked_for():
    bench = Bench()
    bench.topology.neighbours.set(bench.a0, address(A), C_MAC, REACHABLE)
    assert hear(bench, ICMPv6ND_NA(tgt=A, R=1, S=0, O=0) / TARGET, dst="ff02::1") is Outcome.LEARNT
    # Without the override flag the other MAC address is doubted, not replaced.
    assert known(bench) == (C_MAC, STALE, False)
    assert hear(bench, ICMPv6ND_NA(tgt=A, R=1, S=0, O=1) / TARGET, dst="ff02::1") is Outcome.LEARNT
    assert known(bench) == (A_MAC, STALE, True)
    assert hear(bench, ICMPv6ND_NA(tgt=A, R=0, S=1, O=0), dst=ROUTER) is Outcome.LEARNT
    assert known(bench) == (A_MAC, REACHABLE, False)


def test_advertisements_that_cannot_be():
    bench = Bench()
    for message, destination in (
        (ICMPv6ND_NA(tgt=ROUTER, S=1), A),
        (ICMPv6ND_NA(tgt="ff02::1"), ROUTER),
        (ICMPv6ND_NA(tgt=A, S=1), "ff02::1"),
        (ICMPv6ND_NA(tgt=A) / (b"\x02\x02" + bytes(14)), ROUTER),
    ):
        assert hear(bench, message, dst=destination) is Outcome.MALFORMED


def test_what_a_router_makes_of_the_rest():
    bench = Bench()
    link_local = "fe80::1:2"
    assert hear(bench, ICMPv6ND_RS() / SOURCE, dst="ff02::2") is Outcome.ROUTER_SOLICITATION
    assert known(bench) == (A_MAC, STALE, False)
    assert hear(bench, ICMPv6ND_RS(), src="::", dst="ff02::2") is Outcome.ROUTER_SOLICITATION
    assert hear(bench, ICMPv6ND_RA() / SOURCE, link_local, "ff02::1") is Outcome.ROUTER_ADVERTISEMENT
    assert known(bench, link_local) == (A_MAC, STALE, True)
    assert hear(bench, ICMPv6ND_RA() / SOURCE, A, "ff02::1") is Outcome.MALFORMED
    redirect = ICMPv6ND_Redirect(tgt=A, dst="2001:db8:9::1")
    assert hear(bench, redirect, link_local, ROUTER) is Outcome.REDIRECT
    assert hear(bench, redirect, A, ROUTER) is Outcome.MALFORMED
    assert len(bench.topology.neighbours) == 2
    assert not bench.sent
    assert len(bench.topology.fib6) == len(Bench().topology.fib6)


def solicited(bench: Bench, source: str | None, unicast: bool = False):
    neighbour = bench.topology.neighbours.set(bench.a0, address(A), A_MAC, NeighbourState.PROBE)
    packet = bench.packet(IPv6(src=source, dst=A) / b"") if source else None
    bench.nd.solicit(neighbour, packet, unicast, bench.now)
    seen = dissect(bench.sent.pop())
    ns = seen[ICMPv6ND_NS]
    assert (seen.hlim, ns.tgt, ns[ICMPv6NDOptSrcLLAddr].lladdr) == (255, A, R_MAC.hex(":"))
    return seen.src, seen.dst


def test_solicitations():
    bench = Bench()
    assert solicited(bench, None) == (ROUTER_LL, "ff02::1:ff00:2")
    assert solicited(bench, "2001:db8:9::1") == (ROUTER_LL, "ff02::1:ff00:2")
    assert solicited(bench, FAR) == (ROUTER_LL, "ff02::1:ff00:2")
    assert solicited(bench, ROUTER) == (ROUTER, "ff02::1:ff00:2")
    assert solicited(bench, None, unicast=True) == (ROUTER_LL, A)


def test_a_device_without_a_link_local_address_cannot_ask():
    bench = Bench(BOX.replace("{name: a0,", "{name: a0, addrgenmode: none,"))
    neighbour = bench.topology.neighbours.set(bench.a0, address(A), None, NeighbourState.INCOMPLETE)
    bench.nd.solicit(neighbour, None, False, bench.now)
    assert not bench.sent


@given(
    st.sampled_from(sorted(TYPES)),
    st.binary(max_size=80),
    st.sampled_from([A, "::", "fe80::1:2"]),
    st.sampled_from([GROUP, ROUTER, "ff02::1"]),
)
def test_garbage_never_raises(kind, body, src, dst):
    bench = Bench(topology=SHARED)
    raw = bytes(IPv6(src=src, dst=dst, hlim=255, nh=58)) + bytes((kind, 0, 0, 0)) + body
    packet = Packet(bytearray(raw), IPV6, iif=bench.a0, time=START, thoff=40, l4proto=ICMPV6)
    packet.data[4:6] = (len(raw) - 40).to_bytes(2)
    if len(raw) >= 48:
        packet.data[42:44] = l4_checksum(packet).to_bytes(2)
    assert bench.nd.receive(packet, bench.a0, START) in Outcome
    assert len(bench.sent) <= 1
