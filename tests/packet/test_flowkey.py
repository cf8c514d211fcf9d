"""Dissection against a slow reading of the same frames through scapy, in the kernel's order."""

from __future__ import annotations

import itertools
import struct

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, GRE, Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.packet import Packet, Raw

from flowtable.packet.flowkey import (
    VLAN_TCI_MASK,
    VLAN_VID_MASK,
    FlowKey,
    dissect,
    dissector,
    network_offset,
)
from flowtable.packet.miss import Miss
from flowtable.packet.packet import IPV4, IPV6
from tests.packet.frames import ethernet

IIF = 7
V4 = IP(src="10.0.0.1", dst="192.0.2.2", ttl=64)
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2", hlim=64)
A4, B4 = bytes([10, 0, 0, 1]), bytes([192, 0, 2, 2])
A6 = bytes.fromhex("20010db8000000000000000000000001")
B6 = bytes.fromhex("20010db8000000000000000000000002")


def frame_of(*layers) -> bytes:
    stacked = ethernet()
    for layer in layers:
        stacked = stacked / layer
    return bytes(stacked)


@pytest.mark.parametrize(
    ("layers", "key"),
    [
        ((V4, TCP(sport=1234, dport=80)), FlowKey.of(IIF, 6, A4, B4, 1234, 80)),
        ((V4, UDP(sport=1234, dport=53)), FlowKey.of(IIF, 17, A4, B4, 1234, 53)),
        ((V4, GRE()), FlowKey.of(IIF, 47, A4, B4)),
        ((V6, TCP(sport=1234, dport=80)), FlowKey.of(IIF, 6, A6, B6, 1234, 80)),
        ((V6, UDP(sport=1234, dport=53)), FlowKey.of(IIF, 17, A6, B6, 1234, 53)),
        ((V6, GRE(key_present=1, key=9)), FlowKey.of(IIF, 47, A6, B6)),
        (
            (Dot1Q(vlan=5), V4, UDP(sport=1, dport=2)),
            FlowKey.of(IIF, 17, A4, B4, 1, 2, ((5, 0x8100),)),
        ),
        (
            (Dot1AD(vlan=7), Dot1Q(vlan=5), V6, TCP(sport=1, dport=2)),
            FlowKey.of(IIF, 6, A6, B6, 1, 2, ((7, 0x88A8), (5, 0x8100))),
        ),
        (
            (PPPoE(sessionid=300), PPP(proto=0x57), V6, TCP(sport=1, dport=2)),
            FlowKey.of(IIF, 6, A6, B6, 1, 2, ((300, 0x8864),)),
        ),
        (
            (Dot1Q(vlan=7), PPPoE(sessionid=3), PPP(proto=0x21), V4, TCP(sport=1, dport=2)),
            FlowKey.of(IIF, 6, A4, B4, 1, 2, ((7, 0x8100), (3, 0x8864))),
        ),
    ],
)
def test_keys(layers, key):
    frame = frame_of(*layers)
    found = dissect(frame, IIF)
    assert found == key
    assert hash(found) == hash(key)
    assert {key: "entry"}[found] == "entry"
    assert frame[network_offset(key.encap)] >> 4 == (4 if key.l3proto == IPV4 else 6)


@pytest.mark.parametrize(
    ("layers", "miss"),
    [
        ((ARP(),), Miss.NOT_IP),
        ((PPPoE(), PPP(proto=0xC021), b"\1\1\0\4"), Miss.NOT_IP),
        ((IP(flags="MF"), UDP()), Miss.FRAGMENT),
        ((IP(frag=10), Raw(bytes(30))), Miss.FRAGMENT),
        ((IP(options=b"\1\1\1\0"), UDP()), Miss.IP_OPTIONS),
        ((IP(options=b"\1\1\1\0", flags="MF"), UDP()), Miss.FRAGMENT),
        ((V4, ICMP()), Miss.PROTOCOL),
        ((IP(ttl=1), ICMP()), Miss.PROTOCOL),
        ((IP(ttl=1), TCP()), Miss.TTL_EXPIRED),
        ((IP(ttl=0), UDP()), Miss.TTL_EXPIRED),
        ((IPv6(hlim=1), UDP()), Miss.TTL_EXPIRED),
        ((V4, GRE(version=1)), Miss.GRE_VERSION),
        ((V6, GRE(version=1)), Miss.GRE_VERSION),
        ((V6, IPv6ExtHdrFragment(), UDP()), Miss.FRAGMENT),
        ((V6, IPv6ExtHdrHopByHop(), UDP()), Miss.EXTENSION_HEADER),
        ((V6, IPv6ExtHdrDestOpt(), UDP()), Miss.EXTENSION_HEADER),
        ((V6, IPv6ExtHdrRouting(), UDP()), Miss.EXTENSION_HEADER),
        ((IPv6(nh=51), Raw(bytes(40))), Miss.EXTENSION_HEADER),
        ((IPv6(nh=50), Raw(bytes(40))), Miss.PROTOCOL),
        ((IPv6(nh=59),), Miss.PROTOCOL),
        ((Dot1Q(), Dot1Q(), Dot1Q(), V4, UDP()), Miss.ENCAPSULATION),
        ((Dot1Q(), Dot1Q(), PPPoE(), PPP(), V4, UDP()), Miss.ENCAPSULATION),
    ],
)
def test_misses(layers, miss):
    assert dissect(frame_of(*layers), IIF) is miss


TCP4 = frame_of(V4, TCP())


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        TCP4[:13],
        TCP4[:14],
        TCP4[:33],
        TCP4[:53],
        frame_of(V4, UDP())[:41],
        frame_of(V4, GRE())[:37],
        frame_of(V6, TCP())[:73],
        frame_of(V6, UDP())[:61],
        frame_of(V6, GRE())[:57],
        frame_of(Dot1Q(), V4)[:17],
        frame_of(PPPoE(), PPP())[:21],
    ],
)
def test_truncated(frame):
    assert dissect(frame, IIF) is Miss.TRUNCATED


def test_what_the_fast_path_does_not_look_at():
    """Neither a wrong header checksum, total length or data offset, nor padding matters."""
    frame = frame_of(
        IP(src="10.0.0.1", dst="192.0.2.2", chksum=1, len=9000), TCP(sport=1, dport=2, dataofs=0)
    )
    assert dissect(frame + bytes(6), IIF) == FlowKey.of(IIF, 6, A4, B4, 1, 2)


def test_family():
    v4, v6 = frame_of(V4, UDP()), frame_of(V6, UDP())
    assert dissector(ipv6=False)(v6, IIF) is Miss.FAMILY
    assert dissector(ipv4=False)(v4, IIF) is Miss.FAMILY
    assert isinstance(dissector(ipv6=False)(v4, IIF), tuple)
    assert isinstance(dissector(ipv4=False)(v6, IIF), tuple)


def test_without_gre():
    assert dissector(gre=False)(frame_of(V4, GRE()), IIF) is Miss.PROTOCOL
    assert isinstance(dissector(gre=False)(frame_of(V4, UDP()), IIF), tuple)


def test_vlan_priority():
    """The kernel compares the whole tag with a bare VLAN id (vector 16)."""
    tagged = frame_of(Dot1Q(vlan=5, prio=5), V4, UDP())
    plain = frame_of(Dot1Q(vlan=5), V4, UDP())
    assert dissector(tci_mask=VLAN_VID_MASK)(tagged, IIF) == dissect(plain, IIF)
    key = dissector(tci_mask=VLAN_TCI_MASK)(tagged, IIF)
    assert isinstance(key, tuple)
    assert key[4] == ((5 << 13 | 5, 0x8100),)
    assert dissector(tci_mask=VLAN_TCI_MASK)(plain, IIF) == dissect(plain, IIF)


def test_inner_8021ad():
    frame = frame_of(Dot1Q(vlan=2), Dot1AD(vlan=3), V4, UDP())
    assert dissector(inner_8021ad=False)(frame, IIF) is Miss.ENCAPSULATION
    key = dissector(inner_8021ad=True)(frame, IIF)
    assert isinstance(key, tuple)
    assert key[4] == ((2, 0x8100), (3, 0x88A8))
    outer = frame_of(Dot1AD(vlan=3), V4, UDP())
    assert isinstance(dissector(inner_8021ad=False)(outer, IIF), tuple)


@pytest.mark.parametrize("limit", range(4))
def test_max_encap(limit):
    for depth in range(5):
        frame = frame_of(*(Dot1Q(vlan=depth + 1) for depth in range(depth)), V4, UDP())
        found = dissector(max_encap=limit)(frame, IIF)
        assert (found is Miss.ENCAPSULATION) == (depth > limit)
        if isinstance(found, tuple):
            assert network_offset(found[4]) == 14 + 4 * depth


def test_parts_of_a_key():
    key = FlowKey.of(3, 17, A6, B6, 1024, 53, ((5, 0x8100),))
    assert (key.source, key.destination, key.sport, key.dport) == (A6, B6, 1024, 53)
    assert (key.iif, key.l3proto, key.l4proto, key.encap) == (3, IPV6, 17, ((5, 0x8100),))
    assert key.wire == A6 + B6 + struct.pack("!HH", 1024, 53)


# A slow reading of any frame that scapy builds, cut anywhere.

tags = st.builds(
    lambda cls, vlan, prio: cls(vlan=vlan, prio=prio),
    st.sampled_from([Dot1Q, Dot1AD]),
    st.integers(0, 4095),
    st.integers(0, 7),
)
v4_headers = st.builds(
    lambda src, dst, ttl, frag, flags, options: IP(
        src=src, dst=dst, ttl=ttl, frag=frag, flags=flags, options=options
    ),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=4).map(str),
    st.sampled_from([0, 1, 2, 64, 255]),
    st.sampled_from([0, 0, 0, 1, 8191]),
    st.sampled_from([0, "DF", "MF", "evil"]),
    st.sampled_from([b"", b"", b"", b"\1\1\1\0"]),
)
v6_headers = st.builds(
    lambda src, dst, hlim, tc: IPv6(src=src, dst=dst, hlim=hlim, tc=tc),
    st.ip_addresses(v=6).map(str),
    st.ip_addresses(v=6).map(str),
    st.sampled_from([0, 1, 2, 64, 255]),
    st.integers(0, 255),
)
ports = st.integers(0, 65535)
transports = st.one_of(
    st.builds(lambda sport, dport: TCP(sport=sport, dport=dport), ports, ports),
    st.builds(lambda sport, dport: UDP(sport=sport, dport=dport), ports, ports),
    st.builds(lambda version: GRE(version=version, proto=0x6558), st.sampled_from([0, 0, 1, 2])),
    st.just(ICMP()),
)
extensions = st.sampled_from(
    [(), (), (), (IPv6ExtHdrHopByHop(),), (IPv6ExtHdrFragment(),), (IPv6ExtHdrDestOpt(),)]
)


@st.composite
def frames(draw):
    layers = draw(st.lists(tags, max_size=3))
    six = draw(st.booleans())
    if draw(st.booleans()):
        layers += [PPPoE(sessionid=draw(ports)), PPP(proto=0x57 if six else 0x21)]
    layers += [draw(v6_headers), *draw(extensions)] if six else [draw(v4_headers)]
    layers += [draw(transports), Raw(draw(st.binary(max_size=8)))]
    return frame_of(*layers)


LENGTHS = {6: 20, 17: 8, 47: 4}


def slow(frame: bytes, size: int, max_encap: int, mask: int) -> FlowKey | Miss:
    """The tables of sections 2.3, 2.5 and 2.6, on the layers that scapy sees in the whole frame.

    Args:
        frame: a well-formed frame.
        size: how much of it is there to read.
        max_encap: encapsulations that are read.
        mask: which bits of a tag make the key.
    """
    encap: list[tuple[int, int]] = []
    layer: Packet = Ether(frame)
    at = 14
    if size < at:
        return Miss.TRUNCATED
    announced = layer.type
    layer = layer.payload
    while isinstance(layer, Dot1Q | PPPoE):
        if len(encap) == max_encap:
            return Miss.ENCAPSULATION
        at += 8 if isinstance(layer, PPPoE) else 4
        if size < at:
            return Miss.TRUNCATED
        if isinstance(layer, PPPoE):
            encap.append((layer.sessionid, announced))
            layer = layer.payload.payload
        else:
            tci = layer.prio << 13 | layer.id << 12 | layer.vlan
            encap.append((tci & mask, announced))
            announced = layer.type
            layer = layer.payload
    if isinstance(layer, IP):
        if size < at + 20:
            return Miss.TRUNCATED
        if layer.frag or "MF" in layer.flags:
            return Miss.FRAGMENT
        if layer.ihl != 5:
            return Miss.IP_OPTIONS
        protocol, ttl, header, l3proto = layer.proto, layer.ttl, 20, IPV4
    else:
        if size < at + 40:
            return Miss.TRUNCATED
        if layer.nh == 44:
            return Miss.FRAGMENT
        if layer.nh in (0, 60):
            return Miss.EXTENSION_HEADER
        protocol, ttl, header, l3proto = layer.nh, layer.hlim, 40, IPV6
    if protocol not in LENGTHS:
        return Miss.PROTOCOL
    if ttl <= 1:
        return Miss.TTL_EXPIRED
    if size < at + header + LENGTHS[protocol]:
        return Miss.TRUNCATED
    transport = layer.payload
    if protocol == 47 and transport.version != 0:
        return Miss.GRE_VERSION
    sport, dport = (0, 0) if protocol == 47 else (transport.sport, transport.dport)
    packed = bytes(layer)
    addresses = packed[12:20] if l3proto == IPV4 else packed[8:40]
    wire = addresses + struct.pack("!HH", sport, dport)
    return FlowKey(IIF, l3proto, protocol, wire, tuple(encap))


@given(frames(), st.data(), st.integers(0, 3), st.sampled_from([VLAN_VID_MASK, VLAN_TCI_MASK]))
def test_as_scapy_reads_it(frame, data, max_encap, mask):
    size = data.draw(st.integers(0, len(frame)) | st.just(len(frame)))
    found = dissector(max_encap=max_encap, tci_mask=mask)(frame[:size], IIF)
    assert found == slow(frame, size, max_encap, mask)


@given(
    st.builds(lambda a, b: IP(src=str(a), dst=str(b)), st.ip_addresses(v=4), st.ip_addresses(v=4))
    | st.builds(lambda a, b: IPv6(src=str(a), dst=str(b)), st.ip_addresses(v=6), st.ip_addresses(v=6)),
    st.sampled_from([TCP, UDP]),
    ports,
    ports,
)
def test_as_dpkt_reads_it(header, transport, sport, dport):
    """A second reader, for the untagged packets that take the straight way through."""
    frame = frame_of(header, transport(sport=sport, dport=dport))
    found = dissect(frame, IIF)
    assert isinstance(found, tuple)
    ip = dpkt.ethernet.Ethernet(frame).data
    assert found[3] == ip.src + ip.dst + struct.pack("!HH", ip.data.sport, ip.data.dport)
    assert found[2] == (ip.p if isinstance(ip, dpkt.ip.IP) else ip.nxt)


@given(st.one_of(frames(), st.binary(min_size=14, max_size=80)), st.data())
def test_a_tag_adds_an_encapsulation_and_nothing_else(frame, data):
    """Also on bytes that make no sense, so the straight way and the ordered one agree on them."""
    flips = data.draw(st.lists(st.tuples(st.integers(12, len(frame) - 1), st.integers(0, 255)), max_size=3))
    flipped = bytearray(frame)
    for at, value in flips:
        flipped[at] = value
    frame = bytes(flipped)
    plain = dissector(max_encap=2)(frame, IIF)
    tagged = dissector(max_encap=3)(frame[:12] + b"\x81\x00\x00\x63" + frame[12:], IIF)
    if isinstance(plain, tuple):
        assert tagged == (*plain[:4], ((99, 0x8100), *plain[4]))
    else:
        assert tagged is plain


@pytest.mark.parametrize(("ipv4", "ipv6", "gre"), list(itertools.product([False, True], repeat=3)))
@settings(max_examples=30)
@given(
    ethertype=st.sampled_from([0x0800, 0x86DD, 0x8100, 0x8864]) | st.integers(0, 65535),
    protocol=st.sampled_from([6, 17, 47]) | st.integers(0, 255),
    rest=st.binary(max_size=90),
)
def test_any_bytes_give_a_key_or_a_miss(ipv4, ipv6, gre, ethertype, protocol, rest):
    rest = rest[:9] + bytes([protocol]) + rest[10:]
    frame = bytes(12) + ethertype.to_bytes(2, "big") + rest
    found = dissector(ipv4=ipv4, ipv6=ipv6, gre=gre)(frame, IIF)
    if isinstance(found, tuple):
        assert ipv4 if found[1] == IPV4 else ipv6
        assert found[2] in LENGTHS
        assert gre or found[2] != 47
    else:
        assert isinstance(found, Miss)
