import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.utils import checksum

from flowtable.packet.packet import IPV4, IPV6, Packet
from flowtable.packet.parse import dissect_ipv4, dissect_ipv6
from flowtable.router import fragment
from flowtable.router.ident import Identifiers
from flowtable.topology.device import Device

DATA = bytes(range(256)) * 16
ETH0 = Device("eth0", 2)


def packet4(size: int = 4000, *, iif: Device | None = ETH0, **fields) -> Packet:
    raw = bytes(
        IP(src="10.0.0.1", dst="10.0.0.2", id=7, **fields) / UDP(sport=1, dport=2) / DATA[: size - 28]
    )
    packet = Packet(bytearray(raw), IPV4, iif=iif)
    dissect_ipv4(packet)
    return packet


def packet6(payload, **notes) -> Packet:
    packet = Packet(bytearray(bytes(IPv6(src="2001:db8::1", dst="2001:db8::2") / payload)), IPV6, iif=ETH0)
    dissect_ipv6(packet)
    for name, value in notes.items():
        setattr(packet, name, value)
    return packet


def cut4(packet: Packet, mtu: int) -> list[IP]:
    pieces = fragment.ipv4(packet, mtu)
    assert pieces is not None
    seen = [IP(bytes(piece.data)) for piece in pieces]
    for piece, ip in zip(pieces, seen, strict=True):
        assert checksum(bytes(piece.data[: ip.ihl * 4])) == 0
        assert ip.len == len(piece.data)
        assert piece.fragoff == ip.frag * 8
        assert piece.thoff == ip.ihl * 4
    return seen


def test_layout():
    pieces = cut4(packet4(), 1500)
    assert [(p.frag * 8, p.len, str(p.flags)) for p in pieces] == [
        (0, 1500, "MF"),
        (1480, 1500, "MF"),
        (2960, 1040, ""),
    ]
    assert b"".join(bytes(p.payload) for p in pieces) == bytes(packet4().data[20:])
    assert {(p.id, p.proto, p.src, p.dst, p.ttl) for p in pieces} == {(7, 17, "10.0.0.1", "10.0.0.2", 64)}


def test_payload_sizes_are_multiples_of_8():
    assert [p.len - 20 for p in cut4(packet4(), 1006)] == [984] * 4 + [4000 - 20 - 4 * 984]


def test_a_fragment_is_cut_in_its_place():
    pieces = cut4(packet4(frag=100, flags="MF"), 1500)
    assert [(p.frag, str(p.flags)) for p in pieces] == [(100, "MF"), (285, "MF"), (470, "MF")]
    pieces = cut4(packet4(frag=100), 1500)
    assert [str(p.flags) for p in pieces] == ["MF", "MF", ""]


def test_notes_go_with_every_fragment():
    packet = packet4()
    packet.mark, packet.priority, packet.oif, packet.ctinfo = 5, 6, ETH0, 2
    pieces = fragment.ipv4(packet, 1500)
    assert pieces is not None
    assert {(p.mark, p.priority, p.oif, p.iif, p.ctinfo) for p in pieces} == {(5, 6, ETH0, ETH0, 2)}


def test_options_that_are_not_to_be_copied_are_blanked():
    # Record route is not copied, router alert is; then a no-operation.
    options = bytes.fromhex("0707040000000094040000 01".replace(" ", ""))
    raw = bytearray(bytes(packet4().data))
    raw[20:20] = options
    raw[0] = 0x48
    raw[2:4] = len(raw).to_bytes(2)
    packet = Packet(raw, IPV4, iif=ETH0)
    dissect_ipv4(packet)
    pieces = fragment.ipv4(packet, 1500)
    assert pieces is not None
    assert bytes(pieces[0].data[20:32]) == options
    assert {bytes(p.data[20:32]) for p in pieces[1:]} == {bytes.fromhex("01010101010101 94040000 01")}
    for piece in pieces:
        assert checksum(bytes(piece.data[:32])) == 0


@pytest.mark.parametrize("options", ["07ff0400", "00010203", "0701ffff", "010107"])
def test_broken_options_are_left_alone(options):
    raw = bytearray(bytes(packet4().data))
    raw[20:20] = bytes.fromhex(options).ljust(4, b"\1")
    raw[0] = 0x46
    packet = Packet(raw, IPV4, iif=ETH0, thoff=24)
    pieces = fragment.ipv4(packet, 1500)
    assert pieces is not None
    assert bytes(pieces[1].data[20:24])[0] == raw[20]


def test_dont_fragment():
    assert fragment.ipv4(packet4(flags="DF"), 1500) is None
    # The box's own may be cut (ignore_df).
    assert fragment.ipv4(packet4(flags="DF", iif=None), 1500) is not None


def test_a_reassembled_packet_is_judged_by_its_fragments():
    packet = packet4(flags="DF")
    packet.frag_max_size, packet.frag_df = 1400, True
    assert fragment.ipv4(packet, 1300) is None
    pieces = cut4(packet, 1500)
    assert [(p.len, str(p.flags)) for p in pieces] == [(1396, "MF+DF"), (1396, "MF+DF"), (1248, "DF")]


def test_a_reassembled_packet_leaves_as_it_came():
    packet = packet4(2028)
    packet.frag_max_size, packet.frag_sizes = 1020, (800, 1000, 208)
    assert [p.len - 20 for p in cut4(packet, 1500)] == [800, 1000, 208]
    # One of them does not fit: cut anew, and no larger than they came.
    assert [p.len - 20 for p in cut4(packet, 1010)] == [984, 984, 40]
    # Somebody changed its size.
    packet.frag_sizes = (800, 1000, 200)
    assert [p.len - 20 for p in cut4(packet, 1500)] == [1000, 1000, 8]


def test_fragments_with_df_lose_it_where_they_leave_as_they_came():
    # Ref: net/ipv4/ip_output.c:ip_fraglist_prepare; recorded in tests/scenarios/errors/reassembly.
    packet = packet4(2028, flags="DF")
    packet.frag_max_size, packet.frag_sizes, packet.frag_df = 1020, (1000, 1000, 8), True
    assert [str(p.flags) for p in cut4(packet, 1500)] == ["MF", "MF", ""]


def test_no_room_for_a_header_and_8_bytes():
    assert fragment.ipv4(packet4(), 27) is None
    assert fragment.ipv4(packet4(), 28) is not None


@given(st.integers(29, 4000), st.integers(68, 1500))
def test_ipv4_fragments_cover_the_packet(size, mtu):
    packet = packet4(size)
    body = bytes(packet.data[20:])
    at = 0
    pieces = fragment.ipv4(packet, mtu)
    assert pieces is not None
    for piece in pieces:
        assert len(piece.data) <= mtu
        assert piece.fragoff == at
        assert bytes(piece.data[20:]) == body[at : at + len(piece.data) - 20]
        at += len(piece.data) - 20
        assert bool(piece.data[6] & 0x20) is (at < len(body))
    assert at == len(body)


def test_ipv6_layout():
    packet = packet6(UDP(sport=1, dport=2) / DATA[:2992], frag_max_size=1500)
    pieces = fragment.ipv6(packet, 1500, Identifiers())
    assert pieces is not None
    seen = [IPv6(bytes(piece.data)) for piece in pieces]
    headers = [ip[IPv6ExtHdrFragment] for ip in seen]
    assert [ip.plen for ip in seen] == [1456, 1456, 112]
    assert [(h.offset * 8, h.m, h.nh, h.id) for h in headers] == [
        (0, 1, 17, 1),
        (1448, 1, 17, 1),
        (2896, 0, 17, 1),
    ]
    assert b"".join(bytes(h.payload) for h in headers) == bytes(packet.data[40:])


def test_ipv6_of_others_is_never_cut():
    assert fragment.ipv6(packet6(UDP() / DATA[:2000]), 1500, Identifiers()) is None
    own = packet6(UDP() / DATA[:2000], iif=None)
    assert len(fragment.ipv6(own, 1500, Identifiers()) or ()) == 2


def test_ipv6_fragments_that_do_not_fit_any_more():
    packet = packet6(UDP() / DATA[:2000], frag_max_size=1500)
    assert fragment.ipv6(packet, 1400, Identifiers()) is None


def test_ipv6_fragments_smaller_than_the_minimum_mtu():
    packet = packet6(UDP() / DATA[:2000], frag_max_size=900)
    pieces = fragment.ipv6(packet, 1500, Identifiers())
    assert [len(p.data) for p in pieces or ()] == [1280, 824]
    packet.frag_sizes = (800, 800, 408)
    pieces = fragment.ipv6(packet, 1500, Identifiers())
    assert [len(p.data) - 48 for p in pieces or ()] == [800, 800, 408]


def test_the_fragment_header_goes_behind_what_routers_read():
    hop, routing = IPv6ExtHdrHopByHop(), IPv6ExtHdrRouting(segleft=0, addresses=["2001:db8::9"])
    behind = IPv6ExtHdrDestOpt()
    packet = packet6(hop / IPv6ExtHdrDestOpt() / routing / behind / UDP() / DATA[:2000], frag_max_size=1500)
    pieces = fragment.ipv6(packet, 1500, Identifiers())
    assert pieces is not None
    for piece in pieces:
        seen = IPv6(bytes(piece.data))
        chain = [layer.__name__ for layer in seen.layers()][1:5]
        assert chain == ["IPv6ExtHdrHopByHop", "IPv6ExtHdrDestOpt", "IPv6ExtHdrRouting", "IPv6ExtHdrFragment"]
        assert seen[IPv6ExtHdrFragment].nh == 60
        assert piece.thoff == 40 + 8 + 8 + 24 + 8


@given(st.binary(min_size=40, max_size=200), st.integers(0, 1500), st.booleans())
def test_garbage_never_raises(data, mtu, own):
    packet = Packet(bytearray(data), IPV6, iif=None if own else ETH0)
    fragment.ipv6(packet, mtu, Identifiers())
    four = bytearray(data)
    four[0] = 0x45 + data[0] % 5
    fragment.ipv4(Packet(four, IPV4, iif=None if own else ETH0), mtu)
