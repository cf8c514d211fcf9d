"""Checksums against RFC 1071's text and against the kernel's field by field updates."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import GRE

from flowtable.packet import checksum
from flowtable.packet.drop import Drop
from flowtable.packet.packet import Packet
from flowtable.packet.parse import parse_ipv4, parse_ipv6
from tests.packet.frames import ethernet

words = st.integers(0, 0xFFFF) | st.sampled_from([0, 1, 0xFFFE, 0xFFFF])
even = st.binary(max_size=40).map(lambda data: data[: len(data) & ~1])


def rfc1071(data: bytes) -> int:
    """Section 4.1 of the RFC, word by word."""
    total = 0
    for at in range(0, len(data) - 1, 2):
        total += data[at] << 8 | data[at + 1]
    if len(data) % 2:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


# The kernel's arithmetic: include/net/checksum.h, include/asm-generic/checksum.h.


def csum16_add(csum: int, addend: int) -> int:
    result = (csum + addend) & 0xFFFF
    return result + (result < addend)


def csum16_sub(csum: int, addend: int) -> int:
    return csum16_add(csum, ~addend & 0xFFFF)


def csum_add(csum: int, addend: int) -> int:
    result = (csum + addend) & 0xFFFFFFFF
    return (result + (result < addend)) & 0xFFFFFFFF


def csum_fold(csum: int) -> int:
    csum = (csum & 0xFFFF) + (csum >> 16)
    csum = (csum & 0xFFFF) + (csum >> 16)
    return ~csum & 0xFFFF


def csum_replace2(check: int, old: int, new: int) -> int:
    return ~csum16_add(csum16_sub(~check & 0xFFFF, old), new) & 0xFFFF


def csum_replace4(check: int, old: int, new: int) -> int:
    return csum_fold(csum_add(csum_add(~check & 0xFFFF, ~old & 0xFFFFFFFF), new))


def inet_proto_csum_replace16(check: int, old: bytes, new: bytes) -> int:
    total = ~check & 0xFFFF
    for value in struct.unpack("!4L", old):
        total = csum_add(total, ~value & 0xFFFFFFFF)
    for value in struct.unpack("!4L", new):
        total = csum_add(total, value)
    return csum_fold(total)


def ip_decrease_ttl(check: int) -> int:
    check += 0x0100
    return (check + (check >= 0xFFFF)) & 0xFFFF


@given(st.binary(max_size=70))
@example(b"")
@example(bytes(20))
@example(b"\xff\xff")
@example(b"\xff\xfe\x00\x01")
@example(b"\x01")
def test_checksum_is_that_of_rfc1071(data):
    assert checksum.checksum(data) == rfc1071(data)


@given(st.binary(max_size=70), st.binary(max_size=40).map(lambda data: data[: len(data) & ~1]))
def test_a_sum_to_start_from_adds_to_the_data(data, before):
    assert checksum.checksum(data, int.from_bytes(before, "big")) == rfc1071(before + data)


def test_the_example_of_rfc1071():
    data = bytes.fromhex("0001 f203 f4f5 f6f7")
    assert checksum.checksum(data) == ~0xDDF2 & 0xFFFF


@given(st.binary(min_size=2, max_size=60).filter(any))
def test_data_with_its_checksum_sums_to_zero(data):
    data = data[: len(data) & ~1]
    check = checksum.checksum(data)
    assert checksum.checksum(data + check.to_bytes(2, "big")) == 0


@pytest.mark.parametrize("size", [4, 16])
@given(data=st.data())
def test_pseudo_header(size, data):
    addresses = data.draw(st.binary(min_size=2 * size, max_size=2 * size))
    segment = data.draw(st.binary(max_size=50))
    if size == 4:
        pseudo = addresses + struct.pack("!BBH", 0, 17, len(segment))
    else:
        pseudo = addresses + struct.pack("!L3xB", len(segment), 17)
    assert checksum.transport_checksum(addresses, 17, segment) == rfc1071(pseudo + segment)
    total = checksum.pseudo_header(addresses, 17, len(segment))
    assert checksum.checksum(segment, total) == rfc1071(pseudo + segment)


def test_icmp_has_no_pseudo_header():
    message = bytes.fromhex("0800 0000 1234 0001")
    assert checksum.transport_checksum(b"\x0a\0\0\1\x0a\0\0\2", 1, message) == rfc1071(message)


def delta16(old, new):
    return checksum.delta(old.to_bytes(2), new.to_bytes(2))


@given(words, words, words)
@example(0, 0, 0)
@example(0xFFFF, 0xFFFF, 0)
@example(0xFFFF, 0xFFFF, 0xFFFF)
def test_one_word_as_csum_replace2(check, old, new):
    assert checksum.adjust(check, delta16(old, new)) == csum_replace2(check, old, new)


@given(words)
@example(0xFEFE)
@example(0xFEFF)
@example(0xFF00)
@example(0xFFFF)
def test_ttl_as_ip_decrease_ttl(check):
    assert checksum.adjust(check, checksum.TTL_DELTA) == ip_decrease_ttl(check)


addresses4 = st.binary(min_size=4, max_size=4) | st.sampled_from([bytes(4), b"\xff" * 4])
addresses16 = st.binary(min_size=16, max_size=16) | st.sampled_from([bytes(16), b"\xff" * 16])


@given(words, addresses4, addresses4, words, words, st.booleans())
def test_summed_deltas_as_stepwise_updates_of_ipv4(check, old, new, old_port, new_port, ttl):
    """Address, port and TTL in one sum give the bits of three kernel calls."""
    stepwise = csum_replace4(check, int.from_bytes(old, "big"), int.from_bytes(new, "big"))
    # inet_proto_csum_replace2 widens its 16-bit operands and calls csum_replace4.
    stepwise = csum_replace4(stepwise, old_port, new_port)
    total = checksum.delta(old, new) + delta16(old_port, new_port)
    if ttl:
        stepwise = ip_decrease_ttl(stepwise)
        total += checksum.TTL_DELTA
    assert checksum.adjust(check, total) == stepwise


@given(words, addresses16, addresses16, addresses16, addresses16, words, words)
def test_summed_deltas_as_stepwise_updates_of_ipv6(check, source, to_source, target, to_target, old, new):
    stepwise = csum_replace4(check, old, new)
    stepwise = inet_proto_csum_replace16(stepwise, source, to_source)
    stepwise = inet_proto_csum_replace16(stepwise, target, to_target)
    total = checksum.delta(source + target, to_source + to_target) + delta16(old, new)
    assert checksum.adjust(check, total) == stepwise


@given(words, addresses4, addresses4, words, words)
@example(0, b"\x0a\0\0\1", b"\x0a\0\0\2", 1, 2)
def test_udp_as_the_flowtable_updates_it(check, old, new, old_port, new_port):
    """Ref: nf_flow_nat_port_udp, nf_flow_nat_ip_udp: each step mangles a zero."""
    stepwise = check
    if stepwise:
        stepwise = csum_replace4(stepwise, old_port, new_port) or 0xFFFF
        stepwise = csum_replace4(stepwise, int.from_bytes(old, "big"), int.from_bytes(new, "big")) or 0xFFFF
    total = delta16(old_port, new_port) + checksum.delta(old, new)
    assert checksum.adjust_udp(check, total) == stepwise


@given(words)
def test_no_change_changes_nothing(check):
    assert checksum.adjust(check, 0) == check
    assert checksum.adjust_udp(check, 0) == check


@given(even.filter(len), st.data())
def test_an_updated_checksum_is_the_checksum_of_the_updated_data(data, draws):
    at = draws.draw(st.integers(0, len(data) // 2 - 1)) * 2
    new = draws.draw(st.binary(min_size=2, max_size=2))
    changed = data[:at] + new + data[at + 2 :]
    check = checksum.adjust(checksum.checksum(data), checksum.delta(data[at : at + 2], new))
    # Equal but for the sign of zero, which only all-zero data can have.
    assert check % 0xFFFF == checksum.checksum(changed) % 0xFFFF


@pytest.mark.parametrize(("old", "new"), [(b"abc", b"abc"), (b"ab", b"abcd")])
def test_delta_of_misaligned_or_unequal_fields(old, new):
    with pytest.raises(ValueError, match="cannot replace"):
        checksum.delta(old, new)


def packets() -> list[Packet]:
    four = IP(src="10.1.2.3", dst="192.0.2.9")
    six = IPv6(src="2001:db8::1", dst="2001:db8::2")
    found: list[Packet | Drop] = []
    for payload in (b"", b"odd", b"even"):
        found += [
            parse_ipv4(bytes(ethernet() / layers), 14)
            for layers in (
                four / TCP(sport=1, dport=2, options=[("MSS", 1460)]) / payload,
                four / UDP(sport=1, dport=2) / payload,
                four / ICMP() / payload,
            )
        ]
        found += [
            parse_ipv6(bytes(ethernet() / layers), 14)
            for layers in (
                six / TCP(sport=1, dport=2) / payload,
                six / UDP(sport=1, dport=2) / payload,
                six / ICMPv6EchoRequest(data=payload),
            )
        ]
    return [packet for packet in found if isinstance(packet, Packet)]


@pytest.mark.parametrize("packet", packets(), ids=lambda packet: f"{packet.family}-{packet.l4proto}")
def test_transport_checksums_of_scapy(packet):
    at = packet.thoff + checksum.CHECKSUM_OFFSETS[packet.l4proto]
    assert checksum.l4_valid(packet)
    assert checksum.l4_checksum(packet) == int.from_bytes(packet.data[at : at + 2], "big")
    packet.data[-1] ^= 1
    assert not checksum.l4_valid(packet)
    packet.data[at : at + 2] = checksum.l4_checksum(packet).to_bytes(2, "big")
    assert checksum.l4_valid(packet)


def packet_of(layers) -> Packet:
    packet = parse_ipv4(bytes(ethernet() / layers), 14)
    assert isinstance(packet, Packet)
    return packet


def test_udp_without_checksum_is_valid():
    packet = packet_of(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(chksum=0) / b"x")
    assert checksum.l4_valid(packet)


def test_udp_checksum_that_computes_to_zero():
    """Two payload bytes make the sum 0xffff; on the wire the checksum is then 0xffff."""
    packet = packet_of(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=5, dport=6) / b"\0\0")
    packet.data[-2:] = checksum.l4_checksum(packet).to_bytes(2, "big")
    assert checksum.l4_checksum(packet) == 0xFFFF
    packet.data[packet.thoff + 6 : packet.thoff + 8] = b"\xff\xff"
    assert checksum.l4_valid(packet)


def test_what_has_no_checksum_to_check_is_valid():
    assert checksum.l4_valid(packet_of(IP(src="10.0.0.1", dst="10.0.0.2") / GRE() / b"x"))
    short = packet_of(IP(src="10.0.0.1", dst="10.0.0.2", proto=6) / b"123")
    assert checksum.l4_valid(short)
    with pytest.raises(KeyError):
        checksum.l4_checksum(packet_of(IP(src="10.0.0.1", dst="10.0.0.2") / GRE()))


def test_fill_ipv4():
    data = bytearray(bytes(IP(src="10.0.0.1", dst="10.0.0.2", options=b"\x01\x01\x01\0")))
    expected = bytes(data)
    data[10:12] = b"\x12\x34"
    checksum.fill_ipv4(data)
    assert data == expected
