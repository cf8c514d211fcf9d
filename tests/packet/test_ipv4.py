"""IPv4 headers and options."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import (
    IP,
    IPOption_LSRR,
    IPOption_NOP,
    IPOption_Router_Alert,
    IPOption_RR,
    IPOption_SSRR,
    IPOption_Timestamp,
)

from flowtable.packet import checksum, ipv4
from flowtable.packet.ipv4 import NO_OPTIONS, Ipv4
from flowtable.packet.malformed import Malformed

SOURCE, DESTINATION = bytes([10, 0, 0, 1]), bytes([192, 0, 2, 9])
OURS = bytes([203, 0, 113, 1])

addresses = st.binary(min_size=4, max_size=4)


@given(
    source=addresses,
    destination=addresses,
    protocol=st.integers(0, 255),
    payload=st.binary(max_size=40),
    ttl=st.integers(0, 255),
    tos=st.integers(0, 255),
    ident=st.integers(0, 0xFFFF),
    flags=st.integers(0, 3),
    fragment=st.integers(0, 0x1FFF),
    options=st.binary(max_size=10).map(lambda data: b"\1" * len(data)),
)
def test_build_as_scapy(source, destination, protocol, payload, ttl, tos, ident, flags, fragment, options):
    packet = ipv4.build(
        source,
        destination,
        protocol,
        payload,
        ttl=ttl,
        tos=tos,
        ident=ident,
        dont_fragment=bool(flags & 2),
        more_fragments=bool(flags & 1),
        fragment_offset=fragment * 8,
        options=options,
    )
    padded = options + bytes(-len(options) % 4)
    theirs = bytes(
        IP(
            src=str(IPv4Address(source)),
            dst=str(IPv4Address(destination)),
            proto=protocol,
            ttl=ttl,
            tos=tos,
            id=ident,
            flags=flags,
            frag=fragment,
            options=[bytes([1])] * len(options) + [bytes(len(padded) - len(options))],
        )
        / payload
    )
    assert packet == theirs
    header = Ipv4(b"##" + packet + b"padding", 2).check()
    assert (header.source, header.destination, header.protocol) == (source, destination, protocol)
    assert header.addresses == source + destination
    assert (header.ttl, header.tos, header.ident) == (ttl, tos, ident)
    assert header.dscp << 2 | header.ecn == tos
    assert (header.dont_fragment, header.more_fragments) == (bool(flags & 2), bool(flags & 1))
    assert header.fragment_offset == fragment * 8
    assert header.options == padded
    assert header.header_length == 20 + len(padded)
    assert header.total_length == len(packet)
    assert (header.payload, header.payload_offset) == (payload, 2 + header.header_length)
    assert header.payload_end == 2 + len(packet)
    assert header.checksum_valid
    assert header.checksum == int.from_bytes(packet[10:12], "big")


def test_wrong_checksum():
    packet = bytearray(ipv4.build(SOURCE, DESTINATION, 17))
    packet[8] -= 1
    assert not Ipv4(packet).check().checksum_valid


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        ({0: 0x55}, "IP version 5"),
        ({0: 0x44}, "header length 16"),
        ({0: 0x4F}, "needs 60 bytes, 28 are there"),
        ({3: 19}, "total length 19"),
        ({3: 29}, "needs 29 bytes, 28 are there"),
    ],
)
def test_malformed(patch, reason):
    packet = bytearray(ipv4.build(SOURCE, DESTINATION, 17, bytes(8)))
    for at, value in patch.items():
        packet[at] = value
    with pytest.raises(Malformed, match=reason):
        Ipv4(packet).check()


def test_quoted_header_may_be_longer_than_the_quote():
    packet = ipv4.build(SOURCE, DESTINATION, 17, bytes(100))[:28]
    with pytest.raises(Malformed):
        Ipv4(packet).check()
    header = Ipv4(packet).check(quoted=True)
    assert header.payload == bytes(8)


def options_of(*options) -> bytes:
    return bytes(IP(src="10.0.0.1", dst="192.0.2.9", options=list(options)))


def test_read_options_of_scapy():
    nop = IPOption_NOP()
    assert ipv4.read_options(options_of()) == NO_OPTIONS
    assert ipv4.read_options(options_of(IPOption_Router_Alert())).router_alert == 20
    assert ipv4.read_options(options_of(nop, IPOption_Router_Alert())).router_alert == 21
    assert ipv4.read_options(options_of(IPOption_Router_Alert(alert=1))).router_alert == 0
    loose = ipv4.read_options(options_of(IPOption_LSRR(routers=["10.9.9.9"])))
    assert (loose.source_route, loose.strict) == (20, False)
    strict = ipv4.read_options(options_of(nop, IPOption_SSRR(routers=["10.9.9.9"])))
    assert (strict.source_route, strict.strict) == (21, True)
    both = ipv4.read_options(options_of(IPOption_RR(routers=["0.0.0.0"]), IPOption_Timestamp(pointer=5)))
    assert (both.record_route, both.timestamp) == (20, 27)


def raw(options: bytes) -> bytearray:
    return bytearray(ipv4.build(SOURCE, DESTINATION, 1, options=options))


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ("01010107", 23),  # no length
        ("94010101", 20),  # shorter than its own header
        ("94050000", 20),  # longer than the header
        ("07020101", 21),  # record route without pointer
        ("0707030000000001", 22),  # pointer into its own header
        ("0707050000000001", 22),  # no room for a whole address
        ("07070400000000070704000000000001", 27),  # twice
        ("83020101", 21),  # source route without pointer
        ("8307030a0000010a", 22),
        ("8307040a000001 8907040a00000101", 27),  # loose, then strict
        ("4403050001010101", 21),  # timestamp without flags
        ("4408040000000000", 22),
        ("4408060000000000", 22),
        ("4408050100000000", 22),  # no room for address and time
        ("440809f000000000", 23),  # fifteen overflows
        ("440c050000000000000000004408050000000000", 32),  # twice
        ("94030001", 21),  # router alert too short
    ],
)
def test_malformed_options(options, pointer):
    with pytest.raises(Malformed) as caught:
        ipv4.read_options(raw(bytes.fromhex(options)))
    assert caught.value.offset == pointer


@pytest.mark.parametrize(
    "options",
    [
        "0703040000000000",  # a full record route
        "0707080a00000100",
        "4408050700000000",  # a mode that nobody knows
        "440809e000000000",
        "8304050100000000",
        "82040101",  # security, which the box does not read
        "0000ff07",  # anything may follow the end of options
    ],
)
def test_options_let_pass(options):
    ipv4.read_options(raw(bytes.fromhex(options)))


def recorded(options: str, address: bytes = OURS, local: tuple[bytes, ...] = ()) -> str:
    data = raw(bytes.fromhex(options))
    ipv4.record(data, ipv4.read_options(data), address, 0x01020304, local.__contains__)
    assert checksum.checksum(data[: (data[0] & 15) * 4]) == 0
    return bytes(data[20:]).hex()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("01010101", "01010101"),
        ("070b04000000000000000000", "070b08cb0071010000000000"),
        ("070b080a00000100000000 00", "070b0c0a000001cb00710100"),
        ("0707080a00000100", "0707080a00000100"),
        ("4408050000000000", "4408090001020304"),
        ("440c05010000000000000000", "440c0d01cb00710101020304"),
        ("4408090000000001", "4408091000000001"),
        ("440809e000000001", "440809f000000001"),
        ("44080903000000 01", "4408090300000001"),
        ("440c0503cb00710100000000", "440c0d03cb00710101020304"),
        ("440c0503c000020100000000", "440c0503c000020100000000"),
        ("4408050700000000", "4408050700000000"),
        ("0000ff07", "00000000"),
    ],
)
def test_record(before, after):
    assert recorded(before, local=(OURS,)) == after


@given(st.binary(max_size=40), st.binary(min_size=4, max_size=4), st.booleans())
def test_any_options_can_be_recorded_once_read(options, address, local):
    data = raw(options)
    size = len(data)
    try:
        found = ipv4.read_options(data)
    except Malformed as error:
        assert 20 <= error.offset < size
        return
    ipv4.record(data, found, address, 7, lambda _: local)
    assert len(data) == size
    assert checksum.checksum(data) == 0
    assert struct.unpack_from("!B", data)[0] == 0x40 | size // 4
