"""Reassembly, both families.

What holds whatever comes in: each fragment handed in comes out once, as part of a whole
packet, refused with a reason, or discarded with one.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrRouting
from scapy.utils import checksum

from flowtable.clock import SECOND, Alarm
from flowtable.packet.drop import Drop
from flowtable.packet.packet import IPV4, IPV6, Packet
from flowtable.packet.parse import dissect_ipv4, dissect_ipv6
from flowtable.router import fragment
from flowtable.router.ident import Identifiers
from flowtable.router.reassembly import Reassembly4
from flowtable.ruleset.verdict import Verdict
from tests.router.bench import SHARED, START, Bench, merged

DROP, ACCEPT, STOLEN = Verdict.DROP, Verdict.ACCEPT, Verdict.STOLEN
DATA = bytes(range(256)) * 8


def piece(
    bench: Bench, offset: int, size: int, *, more: bool = True, data: bytes = DATA, **fields: Any
) -> Packet:
    fields = merged(fields, src="10.1.0.2", dst="10.2.0.2", id=7, proto=253)
    flags = (1 if more else 0) | fields.pop("flags", 0)
    return bench.packet(IP(frag=offset // 8, flags=flags, **fields) / data[offset : offset + size])


def gather(bench: Bench, *pieces: Packet) -> list[int]:
    return [bench.reassembly4.gather(packet) for packet in pieces]


def test_whole_packets_pass():
    bench = Bench()
    assert gather(bench, bench.packet(IP(src="10.1.0.2", dst="10.2.0.2") / UDP() / b"x")) == [ACCEPT]
    assert len(bench.reassembly4) == 0


def test_three_fragments_in_any_order():
    bench = Bench()
    first = piece(bench, 0, 800, tos=4, ttl=9)
    last = piece(bench, 1600, 400, more=False, ttl=8)
    middle = piece(bench, 800, 800, ttl=7)
    first.mark, middle.mark = 5, 6
    assert gather(bench, last, first) == [STOLEN, STOLEN]
    bench.now += SECOND
    middle.time = bench.now
    assert gather(bench, middle) == [ACCEPT]
    whole = IP(bytes(middle.data))
    assert bytes(whole.payload) == DATA[:2000]
    assert (whole.len, whole.flags, whole.frag, whole.ttl, whole.tos, whole.id) == (2020, 0, 0, 9, 4, 7)
    assert checksum(bytes(middle.data[:20])) == 0
    # What rules noted is the first fragment's, the time the last one's.
    assert (middle.mark, middle.time, middle.iif) == (5, bench.now, bench.a0)
    assert (middle.frag_max_size, middle.frag_df, middle.frag_sizes) == (820, False, (800, 800, 400))
    assert (middle.thoff, middle.fragoff) == (20, 0)
    assert bench.joined == [3]
    assert len(bench.reassembly4) == bench.reassembly4.waiting == 0
    assert bench.reassembly4.next_due is None


@pytest.mark.parametrize(
    "other",
    [{"src": "10.1.0.3"}, {"dst": "10.2.0.3"}, {"id": 8}, {"proto": 17}],
)
def test_fragments_of_other_packets_are_kept_apart(other):
    bench = Bench()
    assert gather(bench, piece(bench, 0, 800), piece(bench, 800, 8, more=False, **other)) == [STOLEN] * 2
    assert len(bench.reassembly4) == 2


def test_received_and_own_fragments_are_kept_apart():
    bench = Bench()
    own = piece(bench, 800, 8, more=False)
    own.iif = None
    assert gather(bench, piece(bench, 0, 800), own) == [STOLEN] * 2


def test_a_duplicate_is_refused_and_the_rest_stays():
    bench = Bench()
    pieces = [
        piece(bench, 0, 800),
        piece(bench, 0, 800),
        piece(bench, 80, 80),
        piece(bench, 800, 8, more=False),
    ]
    assert gather(bench, *pieces) == [STOLEN, DROP, DROP, ACCEPT]
    assert pieces[1].drop is pieces[2].drop is Drop.FRAGMENT_DUPLICATE
    assert bytes(pieces[3].data[20:]) == DATA[:808]


@pytest.mark.parametrize(
    ("offset", "size"), [(0, 808), (72, 80), (152, 16), (792, 800), (200, 1000), (400, 320)]
)
def test_an_overlap_takes_the_whole_packet_with_it(offset, size):
    bench = Bench()
    pieces = [piece(bench, 80, 80), piece(bench, 480, 160), piece(bench, 640, 160)]
    assert gather(bench, *pieces) == [STOLEN] * 3
    bad = piece(bench, offset, size)
    assert gather(bench, bad) == [DROP]
    assert bad.drop is Drop.FRAGMENT_INVALID
    assert bench.discarded == pieces
    assert {packet.drop for packet in pieces} == {Drop.FRAGMENT_INVALID}
    assert len(bench.reassembly4) == 0


def test_two_ends():
    bench = Bench()
    pieces = [piece(bench, 800, 80, more=False), piece(bench, 880, 80, more=False)]
    assert gather(bench, *pieces) == [STOLEN, DROP]
    pieces = [piece(bench, 800, 80, more=False), piece(bench, 880, 80)]
    assert gather(bench, *pieces) == [STOLEN, DROP]
    pieces = [piece(bench, 800, 80), piece(bench, 400, 80, more=False)]
    assert gather(bench, *pieces) == [STOLEN, DROP]


def test_a_fragment_of_nothing():
    bench = Bench()
    assert gather(bench, piece(bench, 800, 0, more=False)) == [DROP]
    assert gather(bench, piece(bench, 800, 7)) == [DROP]


def test_the_odd_end_of_a_fragment_that_is_not_the_last_is_cut_off():
    bench = Bench()
    pieces = [piece(bench, 0, 805), piece(bench, 800, 8, more=False)]
    assert gather(bench, *pieces) == [STOLEN, ACCEPT]
    assert bytes(pieces[1].data[20:]) == DATA[:808]


def test_oversized():
    bench = Bench()
    body = bytes(1480)
    at = 0
    while at < 65120:
        fragment_ = bench.packet(
            IP(src="10.1.0.2", dst="10.2.0.2", id=7, proto=253, frag=at // 8, flags=1) / body
        )
        assert gather(bench, fragment_) == [STOLEN]
        at += 1480
    last = bench.packet(IP(src="10.1.0.2", dst="10.2.0.2", id=7, proto=253, frag=at // 8) / bytes(500))
    assert gather(bench, last) == [DROP]
    assert last.drop is Drop.FRAGMENT_INVALID
    assert len(bench.discarded) == 44


def test_dont_fragment_counts_if_the_largest_fragment_has_it():
    bench = Bench()
    pieces = [piece(bench, 0, 800, flags=2), piece(bench, 800, 8, more=False)]
    assert gather(bench, *pieces) == [STOLEN, ACCEPT]
    assert pieces[1].frag_df
    assert IP(bytes(pieces[1].data)).flags == "DF"
    pieces = [piece(bench, 0, 800), piece(bench, 800, 8, more=False, flags=2)]
    assert gather(bench, *pieces) == [STOLEN, ACCEPT]
    assert not pieces[1].frag_df
    assert IP(bytes(pieces[1].data)).flags == 0


@pytest.mark.parametrize(
    ("one", "other", "whole"),
    [(0, 0, 0), (1, 1, 1), (2, 1, 2), (2, 3, 3), (3, 1, 3), (3, 3, 3), (0, 1, None), (0, 3, None)],
)
def test_congestion_experienced_by_one_fragment_is_experienced_by_the_packet(one, other, whole):
    # RFC 3168 section 5.3.
    bench = Bench()
    pieces = [piece(bench, 0, 800, tos=one), piece(bench, 800, 8, more=False, tos=other)]
    verdicts = gather(bench, *pieces)
    if whole is None:
        assert verdicts == [STOLEN, DROP]
        assert bench.discarded == [pieces[0]]
    else:
        assert verdicts == [STOLEN, ACCEPT]
        assert IP(bytes(pieces[1].data)).tos == whole


def test_fragments_time_out_and_all_are_reported():
    bench = Bench(ipfrag_time=30)
    passing = piece(bench, 0, 800)
    assert gather(bench, passing) == [STOLEN]
    bench.wait(1)
    local = piece(bench, 0, 800, dst="10.1.0.1")
    later = piece(bench, 800, 80, dst="10.1.0.1", id=9)
    assert gather(bench, local, later) == [STOLEN] * 2
    assert bench.reassembly4.next_due == START + 30 * SECOND
    bench.wait(28.999)
    assert not bench.discarded
    bench.wait(0.001)
    assert bench.discarded == [passing]
    # Only the destination tells the sender, and only about a first fragment (ip_expire).
    assert not bench.expired
    bench.wait(5)
    assert bench.discarded == [passing, local, later]
    assert {packet.drop for packet in bench.discarded} == {Drop.FRAGMENT_TIMEOUT}
    assert bench.expired == [(local, local.time + 30 * SECOND)]
    assert local.dst is not None
    assert local.dst.local


def test_the_box_is_told_when_time_is_up():
    alarm = Alarm()
    bench = Bench(ipfrag_time=30)
    reassembly = Reassembly4(
        bench.topology,
        bench.peers,
        discard=bench._discard,
        time_exceeded=bench._expired,
        joined=bench._joined,
        alarm=alarm,
    )
    assert reassembly.gather(piece(bench, 0, 800)) == STOLEN
    assert alarm.due == START + 30 * SECOND


def test_memory_is_limited():
    bench = Bench(ipfrag_high_thresh=2048)
    verdicts = gather(bench, *(piece(bench, 0, 800, id=n) for n in range(5)))
    assert verdicts == [STOLEN, STOLEN, DROP, DROP, DROP]
    refused = piece(bench, 800, 8, more=False, id=0)
    assert gather(bench, refused) == [DROP]
    assert refused.drop is Drop.FRAGMENT_LIMIT
    bench.wait(31)
    # All of it is given back.
    assert gather(bench, *(piece(bench, 0, 800, id=n) for n in range(2))) == [STOLEN] * 2
    assert gather(bench, piece(bench, 0, 800, id=3)) == [DROP]


def test_memory_is_given_back_by_whole_packets():
    bench = Bench(ipfrag_high_thresh=2048)
    for n in range(100):
        assert gather(bench, piece(bench, 0, 800, id=n), piece(bench, 800, 8, more=False, id=n)) == [
            STOLEN,
            ACCEPT,
        ]


def test_no_memory_at_all():
    bench = Bench(ipfrag_high_thresh=0)
    assert gather(bench, piece(bench, 0, 800)) == [DROP]


def test_an_identification_used_again():
    # Ref: net/ipv4/ip_fragment.c:ip_frag_too_far.
    bench = Bench(ipfrag_max_dist=4)
    old = piece(bench, 0, 800)
    assert gather(bench, old) == [STOLEN]
    for n in range(5):
        gather(bench, piece(bench, 0, 80, id=100 + n))
    new = [piece(bench, 0, 80, data=DATA[1:]), piece(bench, 80, 8, more=False, data=DATA[1:])]
    assert gather(bench, *new) == [STOLEN, ACCEPT]
    assert bench.discarded == [old]
    assert bytes(new[1].data[20:]) == DATA[1:89]


# IPv6


def piece6(
    bench: Bench, offset: int, size: int, *, more: bool = True, nh: int = 253, **fields: Any
) -> Packet:
    fields = merged(fields, src="2001:db8:1::2", dst="2001:db8:2::2", ident=7)
    header = IPv6ExtHdrFragment(nh=nh, offset=offset // 8, m=int(more), id=fields.pop("ident"))
    before = fields.pop("before", None)
    packet = IPv6(**fields) / (before / header if before else header) / DATA[offset : offset + size]
    return bench.packet(packet)


def gather6(bench: Bench, *pieces: Packet) -> list[int]:
    return [bench.reassembly6.gather(packet) for packet in pieces]


def test_ipv6_fragments_in_any_order():
    bench = Bench()
    pieces = [
        piece6(bench, 1600, 401, more=False, hlim=3),
        piece6(bench, 0, 800, hlim=4, tc=1),
        piece6(bench, 800, 800, hlim=5, tc=1),
    ]
    # ECN fields of all must go together.
    pieces[0].data[1] |= 1 << 4
    assert gather6(bench, *pieces) == [STOLEN, STOLEN, ACCEPT]
    whole = IPv6(bytes(pieces[2].data))
    assert bytes(whole.payload) == DATA[:2001]
    assert (whole.plen, whole.nh, whole.hlim, whole.tc) == (2001, 253, 4, 1)
    assert (pieces[2].thoff, pieces[2].l4proto, pieces[2].fragoff) == (40, 253, 0)
    assert (pieces[2].frag_max_size, pieces[2].frag_sizes) == (848, (800, 800, 401))


def test_headers_in_front_of_the_fragment_header_stay():
    bench = Bench()
    before = IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(segleft=0, addresses=["2001:db8::9"])
    pieces = [piece6(bench, 0, 800, before=before), piece6(bench, 800, 8, more=False, before=before)]
    assert gather6(bench, *pieces) == [STOLEN, ACCEPT]
    whole = IPv6(bytes(pieces[1].data))
    assert whole[IPv6ExtHdrRouting].nh == 253
    assert bytes(whole[IPv6ExtHdrRouting].payload) == DATA[:808]
    assert pieces[1].thoff == 40 + 8 + 24


def test_an_atomic_fragment_loses_its_header():
    # RFC 6946.
    bench = Bench()
    packet = bench.packet(
        IPv6(src="2001:db8:1::2", dst="2001:db8:2::2")
        / IPv6ExtHdrFragment(nh=17, id=7)
        / UDP(sport=1, dport=2)
        / b"abc"
    )
    assert gather6(bench, packet) == [ACCEPT]
    assert (packet.data[6], len(packet.data), packet.frag_max_size) == (17, 51, 59)


def test_ipv6_duplicates_and_overlaps():
    bench = Bench()
    pieces = [piece6(bench, 0, 800), piece6(bench, 0, 800), piece6(bench, 800, 8, more=False)]
    assert gather6(bench, *pieces) == [STOLEN, DROP, ACCEPT]
    assert pieces[1].drop is Drop.FRAGMENT_DUPLICATE
    pieces = [piece6(bench, 0, 800), piece6(bench, 792, 80)]
    assert gather6(bench, *pieces) == [STOLEN, DROP]
    assert pieces[1].drop is pieces[0].drop is Drop.FRAGMENT_INVALID
    assert len(bench.reassembly6) == 0


def test_what_ipv6_refuses_without_giving_up_the_rest():
    bench = Bench()
    kept = piece6(bench, 800, 80, more=False)
    assert gather6(bench, kept) == [STOLEN]
    refused = [piece6(bench, 880, 80), piece6(bench, 880, 80, more=False), piece6(bench, 400, 0)]
    assert gather6(bench, *refused) == [DROP] * 3
    assert {packet.drop for packet in refused} == {Drop.FRAGMENT_INVALID}
    assert gather6(bench, piece6(bench, 0, 800)) == [ACCEPT]


def test_an_ipv6_fragment_of_no_multiple_of_8_goes_on_alone():
    # Ref: nf_ct_frag6_queue, -EPROTO.
    bench = Bench()
    kept, odd = piece6(bench, 800, 80), piece6(bench, 0, 13)
    assert gather6(bench, kept, odd) == [STOLEN, ACCEPT]
    assert bench.discarded == [kept]
    assert odd.data[6] == 44


def test_an_ipv6_first_fragment_without_its_transport_header_goes_on_alone():
    # RFC 8200 section 4.5.
    bench = Bench()
    for protocol, needed in ((6, 20), (17, 8), (58, 8)):
        short = piece6(bench, 0, needed - 4, nh=protocol)
        enough = piece6(bench, 0, (needed + 7) & ~7, nh=protocol, ident=protocol)
        assert gather6(bench, short, enough) == [ACCEPT, STOLEN]
    assert len(bench.reassembly6) == 3


@pytest.mark.parametrize("dst", ["ff02::1", "ff05::2", "fe80::1:1", "febf::1"])
def test_ipv6_fragments_on_a_link_are_kept_apart_by_link(dst):
    bench = Bench()
    one, other = piece6(bench, 0, 8, dst=dst), piece6(bench, 8, 8, dst=dst, more=False)
    other.iif = bench.b0
    assert gather6(bench, one, other) == [STOLEN] * 2


@pytest.mark.parametrize("dst", ["2001:db8:2::2", "fec0::1"])
def test_other_ipv6_fragments_come_by_any_way(dst):
    bench = Bench()
    one, other = piece6(bench, 0, 8, dst=dst), piece6(bench, 8, 8, dst=dst, more=False)
    other.iif = bench.b0
    assert gather6(bench, one, other) == [STOLEN, ACCEPT]


def test_congestion_experienced_by_one_ipv6_fragment_is_experienced_by_the_packet():
    bench = Bench()
    pieces = [piece6(bench, 0, 8, tc=0xB2), piece6(bench, 8, 8, tc=0xB3, more=False)]
    assert gather6(bench, *pieces) == [STOLEN, ACCEPT]
    assert IPv6(bytes(pieces[1].data)).tc == 0xB3
    pieces = [piece6(bench, 0, 8, tc=0), piece6(bench, 8, 8, tc=3, more=False)]
    assert gather6(bench, *pieces) == [STOLEN, DROP]


def test_ipv6_fragments_time_out():
    bench = Bench(nf_conntrack_frag6_timeout=60)
    first, later = piece6(bench, 0, 800), piece6(bench, 800, 800, ident=8)
    assert gather6(bench, first, later) == [STOLEN] * 2
    bench.wait(60)
    assert bench.discarded == [first, later]
    # A router says so as well: include/net/ipv6_frag.h.
    assert bench.expired == [(first, START + 60 * SECOND)]


def test_which_sysctls_ipv6_obeys():
    bench = Bench(nf_conntrack_frag6_high_thresh=0, ip6frag_high_thresh=4096)
    assert gather6(bench, piece6(bench, 0, 800)) == [DROP]
    local = type(bench.reassembly6)(
        bench.topology,
        conntrack=False,
        discard=bench._discard,
        time_exceeded=bench._expired,
        joined=bench._joined,
    )
    assert local.gather(piece6(bench, 0, 800)) == STOLEN
    assert local.next_due == START + 60 * SECOND


# What holds for all


@st.composite
def shuffled(draw, family: int):
    size = draw(st.integers(40, 4000))
    mtu = draw(st.integers(68, 1500)) if family == IPV4 else draw(st.integers(1280, 1500))
    order = draw(st.randoms(use_true_random=False))
    twice = draw(st.booleans())
    return size, mtu, order, twice


def pieces_of(packet: Packet, mtu: int, order, twice: bool) -> list[Packet]:
    cut = fragment.ipv4(packet, mtu) if packet.family == IPV4 else fragment.ipv6(packet, mtu, Identifiers())
    assert cut is not None
    pieces = [*cut]
    order.shuffle(pieces)
    if twice:
        copies = [Packet(bytearray(p.data), p.family, iif=p.iif, time=p.time) for p in pieces[:-1]]
        pieces[-1:-1] = copies
    for part in pieces:
        (dissect_ipv4 if part.family == IPV4 else dissect_ipv6)(part)
    return pieces


@given(shuffled(IPV4))
def test_fragments_make_the_packet_that_was_cut(case):
    size, mtu, order, twice = case
    bench = Bench(topology=SHARED)
    raw = bytes(IP(src="10.1.0.2", dst="10.2.0.2", id=7) / UDP(sport=1, dport=2) / (DATA * 2)[: size - 28])
    pieces = pieces_of(bench.packet(raw), mtu, order, twice)
    verdicts = gather(bench, *pieces)
    assert verdicts[-1] == ACCEPT
    assert set(verdicts[:-1]) <= {STOLEN, DROP}
    assert bytes(pieces[-1].data) == raw
    # A duplicate is refused, but nothing else is lost.
    assert verdicts.count(DROP) == len(pieces) // 2 * twice
    assert not bench.discarded
    # And it leaves in the same pieces.
    again = fragment.ipv4(pieces[-1], mtu)
    assert {bytes(p.data) for p in again or ()} == {
        bytes(p.data) for p in pieces_of(bench.packet(raw), mtu, order, False)
    }


@given(shuffled(IPV6))
def test_ipv6_fragments_make_the_packet_that_was_cut(case):
    size, mtu, order, twice = case
    bench = Bench(topology=SHARED)
    raw = bytes(IPv6(src="2001:db8:1::2", dst="2001:db8:2::2") / UDP(sport=1, dport=2) / (DATA * 2)[:size])
    packet = bench.packet(raw)
    packet.frag_max_size = mtu
    pieces = pieces_of(packet, mtu, order, twice)
    verdicts = gather6(bench, *pieces)
    assert verdicts[-1] == ACCEPT
    assert bytes(pieces[-1].data) == raw
    assert verdicts.count(DROP) == len(pieces) // 2 * twice
    assert not bench.discarded


fragments4 = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 60), st.booleans(), st.booleans(), st.integers(0, 3)),
    max_size=12,
)


@given(fragments4, st.booleans())
def test_every_fragment_comes_out_once(cases, six):
    bench = Bench(topology=SHARED)
    handed, out = [], []
    for offset, size, more, df, tos in cases:
        if six:
            packet = piece6(bench, offset * 8, size, more=more, tc=tos)
            verdict = bench.reassembly6.gather(packet)
        else:
            packet = piece(bench, offset * 8, size, more=more, flags=2 * df, tos=tos)
            verdict = bench.reassembly4.gather(packet)
        handed.append(packet)
        if verdict == DROP:
            assert packet.drop is not None
            out.append(packet)
        elif verdict == ACCEPT:
            # The fragments that it was made of left with it.
            out.append(packet)
    whole = sum(len(packet.frag_sizes) - 1 for packet in out if packet.frag_sizes)
    bench.wait(100)
    assert len(out) + len(bench.discarded) + whole == len(handed)
    assert len({id(packet) for packet in [*out, *bench.discarded]}) == len(out) + len(bench.discarded)
    assert len(bench.reassembly4) == len(bench.reassembly6) == 0


@given(st.lists(st.binary(min_size=40, max_size=120), max_size=6))
def test_garbage_never_raises(datas):
    bench = Bench(topology=SHARED)
    for data in datas:
        six = bytearray(data)
        six[0] = 0x60
        six[6] = (0, 43, 44, 44, 44, 51, 60)[data[6] % 7]
        packet = Packet(six, IPV6, iif=bench.a0, time=START)
        dissect_ipv6(packet)
        bench.reassembly6.gather(packet)
        four = bytearray(data)
        four[0] = 0x45 + data[0] % 5
        packet = Packet(four, IPV4, iif=bench.a0, time=START)
        dissect_ipv4(packet)
        bench.reassembly4.gather(packet)
    bench.wait(100)
