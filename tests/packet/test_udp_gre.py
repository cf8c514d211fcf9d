"""UDP and GRE headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, GRE_PPTP

from flowtable.packet import gre, udp
from flowtable.packet.gre import Gre
from flowtable.packet.malformed import Malformed
from flowtable.packet.udp import Udp

u16, u32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
V4 = bytes([10, 0, 0, 1, 10, 0, 0, 2])
V6 = bytes(15) + b"\2" + bytes(15) + b"\3"


@given(u16, u16, st.binary(max_size=30))
def test_udp(sport, dport, payload):
    ours = udp.build(sport, dport, payload, addresses=V4)
    assert ours == bytes(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=sport, dport=dport) / payload)[20:]
    ours = udp.build(sport, dport, payload, addresses=V6)
    assert ours == bytes(IPv6(src="::2", dst="::3") / UDP(sport=sport, dport=dport) / payload)[40:]
    header = Udp(b"##" + ours + b"padding", 2).check()
    assert (header.sport, header.dport, header.payload) == (sport, dport, payload)
    assert header.length == len(ours)
    assert header.checksum == int.from_bytes(ours[6:8], "big") != 0
    assert Udp(udp.build(sport, dport, payload, addresses=None)).check().checksum == 0


def test_udp_checksum_that_computes_to_zero():
    missing = int.from_bytes(udp.build(1, 2, b"\0\0", addresses=V4)[6:8], "big")
    assert Udp(udp.build(1, 2, missing.to_bytes(2, "big"), addresses=V4)).checksum == 0xFFFF


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        ("0001000200080000"[:14], "needs 8 bytes, 7 are there"),
        ("0001000200070000", "length 7"),
        ("0001000200090000", "needs 9 bytes, 8 are there"),
    ],
)
def test_malformed_udp(datagram, reason):
    with pytest.raises(Malformed, match=reason):
        Udp(bytes.fromhex(datagram)).check()


@given(u16, st.binary(max_size=20), st.none() | u32, st.none() | u32, st.booleans())
def test_gre_version_0(protocol, payload, key, sequence, with_checksum):
    packet = gre.build(protocol, payload, key=key, sequence=sequence, with_checksum=with_checksum)
    theirs = GRE(
        proto=protocol,
        key_present=int(key is not None),
        key=key,
        seqnum_present=int(sequence is not None),
        sequence_number=sequence,
        chksum_present=int(with_checksum),
    )
    assert packet == bytes(theirs / payload)
    header = Gre(b"#" + packet, 1).check()
    assert (header.version, header.protocol) == (0, protocol)
    assert (header.key, header.sequence, header.acknowledgement) == (key, sequence, None)
    assert (header.checksum is not None) == with_checksum
    assert header.payload == payload
    assert header.size == len(packet) - len(payload)


@given(u16, st.binary(max_size=20), st.none() | u32, st.none() | u32)
def test_gre_version_1(call_id, payload, sequence, acknowledgement):
    packet = gre.build_pptp(call_id, payload, sequence=sequence, acknowledgement=acknowledgement)
    theirs = GRE_PPTP(
        call_id=call_id,
        payload_len=len(payload),
        seqnum_present=int(sequence is not None),
        sequence_number=sequence,
        acknum_present=int(acknowledgement is not None),
        ack_number=acknowledgement,
    )
    assert packet == bytes(theirs) + payload
    header = Gre(packet).check()
    assert (header.version, header.protocol, header.call_id) == (1, gre.PROTOCOL_PPP, call_id)
    assert header.key == len(payload) << 16 | call_id
    assert (header.sequence, header.acknowledgement, header.checksum) == (sequence, acknowledgement, None)
    assert header.payload == payload


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        ("000008", "needs 4 bytes, 3 are there"),
        ("00020800", "version 2"),
        ("40000800", "source routing"),
        ("0001880b", "without a key"),
        ("20000800000000", "needs 8 bytes, 7 are there"),
        ("b000080000000000 00000000 000000", "needs 16 bytes, 15 are there"),
    ],
)
def test_malformed_gre(packet, reason):
    with pytest.raises(Malformed, match=reason):
        Gre(bytes.fromhex(packet)).check()
