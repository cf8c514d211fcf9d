"""IPv6 headers, extension headers and their options."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    HBHOptUnknown,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    Jumbo,
    PadN,
    RouterAlert,
)

from flowtable.packet import extension, ipv6
from flowtable.packet.extension import Fragment, Options, UnknownOption, read_options
from flowtable.packet.ipv6 import Ipv6
from flowtable.packet.malformed import Malformed

addresses = st.binary(min_size=16, max_size=16)
SOURCE, DESTINATION = bytes(15) + b"\2", bytes(15) + b"\3"


@given(
    source=addresses,
    destination=addresses,
    next_header=st.sampled_from([6, 17, 58, 59, 200]),
    payload=st.binary(max_size=40),
    hop_limit=st.integers(0, 255),
    traffic_class=st.integers(0, 255),
    flow_label=st.integers(0, 0xFFFFF),
)
def test_build_as_scapy(source, destination, next_header, payload, hop_limit, traffic_class, flow_label):
    packet = ipv6.build(
        source,
        destination,
        next_header,
        payload,
        hop_limit=hop_limit,
        traffic_class=traffic_class,
        flow_label=flow_label,
    )
    theirs = IPv6(
        src=str(IPv6Address(source)),
        dst=str(IPv6Address(destination)),
        nh=next_header,
        hlim=hop_limit,
        tc=traffic_class,
        fl=flow_label,
    )
    assert packet == bytes(theirs / payload)
    header = Ipv6(b"##" + packet + b"padding", 2).check()
    assert (header.source, header.destination) == (source, destination)
    assert header.addresses == source + destination
    assert (header.next_header, header.hop_limit) == (next_header, hop_limit)
    assert (header.traffic_class, header.flow_label) == (traffic_class, flow_label)
    assert header.dscp << 2 | header.ecn == traffic_class
    assert (header.payload_length, header.payload) == (len(payload), payload)
    assert (header.payload_offset, header.payload_end) == (42, 42 + len(payload))
    assert header.transport == (next_header, 42, 0)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (bytes(39), "IPv6 header needs 40 bytes, 39 are there"),
        (bytes(40), "IP version 0"),
        (ipv6.build(SOURCE, DESTINATION, 17, bytes(9))[:-1], "needs 49 bytes, 48 are there"),
    ],
)
def test_malformed(packet, reason):
    with pytest.raises(Malformed, match=reason):
        Ipv6(packet).check()


def test_quoted_header_may_be_longer_than_the_quote():
    packet = ipv6.build(SOURCE, DESTINATION, 17, bytes(100))[:48]
    assert Ipv6(packet).check(quoted=True).payload == bytes(8)


def test_transport_behind_extension_headers():
    packet = bytes(
        IPv6(src="::2", dst="::3") / IPv6ExtHdrHopByHop() / IPv6ExtHdrFragment(offset=2, nh=17) / b"x"
    )
    assert Ipv6(b"." + packet, 1).check().transport == (17, 57, 16)


@given(st.integers(0, 255), st.integers(0, 0xFFFFFFFF), st.integers(0, 0x1FFF), st.booleans())
def test_fragment_header(next_header, ident, units, more):
    header = extension.build_fragment(next_header, ident, units * 8, more_fragments=more)
    theirs = IPv6ExtHdrFragment(nh=next_header, id=ident, offset=units, m=int(more))
    assert header == bytes(theirs)
    view = Fragment(b".." + header, 2).check()
    assert (view.next_header, view.ident) == (next_header, ident)
    assert (view.fragment_offset, view.more_fragments) == (units * 8, more)


@given(st.lists(st.tuples(st.integers(2, 255), st.binary(max_size=9)), max_size=3))
def test_build_options(options):
    header = extension.build_options(17, *options)
    assert len(header) % 8 == 0
    theirs = IPv6ExtHdrHopByHop(header)
    assert (theirs.nh, (theirs.len + 1) * 8) == (17, len(header))
    rest = header[2:]
    for kind, value in options:
        assert rest[: 2 + len(value)] == bytes([kind, len(value)]) + value
        rest = rest[2 + len(value) :]
    assert rest in (b"", b"\0") or (rest[0] == 1 and rest[1] == len(rest) - 2 and not any(rest[2:]))


def packet_with(header, destination: str = "2001:db8::3") -> bytes:
    return bytes(IPv6(src="2001:db8::2", dst=destination) / header / UDP())


def read(header, destination: str = "2001:db8::3") -> Options:
    hop_by_hop = isinstance(header, IPv6ExtHdrHopByHop)
    return read_options(packet_with(header, destination), 40, hop_by_hop=hop_by_hop)


def test_options_let_pass():
    assert read(IPv6ExtHdrHopByHop()) == Options(48, None)
    assert read(IPv6ExtHdrHopByHop(options=[RouterAlert(value=5)])) == Options(48, 5)
    assert read(IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0x1E, optdata=bytes(8))])) == Options(
        56, None
    )
    assert read(IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])) == Options(48, None)
    apart = [PadN(optdata=bytes(4)), HBHOptUnknown(otype=0x1E), PadN(optdata=bytes(4))]
    assert read(IPv6ExtHdrDestOpt(options=apart)) == Options(56, None)


@pytest.mark.parametrize(
    ("kind", "destination", "answer"),
    [
        (0x5E, "2001:db8::3", False),
        (0x9E, "2001:db8::3", True),
        (0x9E, "ff02::1", True),
        (0xDE, "2001:db8::3", True),
        (0xDE, "ff02::1", False),
    ],
)
def test_unknown_options(kind, destination, answer):
    """RFC 8200 section 4.2: the two highest bits of the type."""
    for header in (IPv6ExtHdrHopByHop, IPv6ExtHdrDestOpt):
        with pytest.raises(UnknownOption, match=f"unknown IPv6 option {kind}") as caught:
            read(header(options=[HBHOptUnknown(otype=kind, optdata=b"1234")]), destination)
        assert caught.value.answer == answer
        assert caught.value.offset == 42


def test_options_of_a_hop_by_hop_header_alone():
    """In a destination options header a router alert is unknown, but may be skipped."""
    assert read(IPv6ExtHdrDestOpt(options=[RouterAlert(value=5)])) == Options(48, None)
    with pytest.raises(UnknownOption):
        read(IPv6ExtHdrDestOpt(options=[Jumbo(jumboplen=70000)]))
    with pytest.raises(Malformed, match="jumbo payload") as caught:
        read(IPv6ExtHdrHopByHop(options=[Jumbo(jumboplen=70000)]))
    assert not isinstance(caught.value, UnknownOption)


@pytest.mark.parametrize(
    ("header", "reason", "offset"),
    [
        ("11000104000000", "ends inside", 40),
        ("1101010400000000", "ends inside", 40),
        ("1100010500000000", "runs over", 42),
        ("1100010300000001", "runs over", 47),
        ("1100010400010000", "not zero", 42),
        ("11010106000000000000 000000000000", "more than 7 bytes of padding", 42),
        ("1101000000000000000001040000 0000", "more than 7 bytes of padding", 49),
        ("1100 050100 000000", "router alert of a wrong length", 42),
        ("1102 1e00 1e00 1e00 1e00 1e00 1e00 1e00 1e00 1e00 00000000", "more than 8", 58),
    ],
)
def test_malformed_options(header, reason, offset):
    packet = ipv6.build(SOURCE, DESTINATION, 0, bytes.fromhex(header))
    with pytest.raises(Malformed, match=reason) as caught:
        read_options(packet, 40, hop_by_hop=True)
    assert caught.value.offset == offset


@given(st.binary(max_size=60), st.booleans())
def test_any_options(body, hop_by_hop):
    packet = ipv6.build(SOURCE, DESTINATION, 0, bytes([17, len(body) // 8]) + body)
    try:
        options = read_options(packet, 40, hop_by_hop=hop_by_hop)
    except Malformed as error:
        assert 40 <= error.offset < len(packet)
    else:
        assert options.end == 48 + len(body) // 8 * 8
