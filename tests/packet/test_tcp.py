"""TCP headers and options."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP

from flowtable.packet import tcp
from flowtable.packet.malformed import Malformed
from flowtable.packet.tcp import Tcp

u16, u32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
ADDRESSES = bytes([10, 0, 0, 1, 10, 0, 0, 2])


@given(
    sport=u16,
    dport=u16,
    payload=st.binary(max_size=20),
    sequence=u32,
    acknowledgement=u32,
    flags=st.integers(0, 255),
    window=u16,
    urgent=u16,
    options=st.binary(max_size=10).map(lambda data: b"\1" * len(data)),
)
def test_build_as_scapy(sport, dport, payload, sequence, acknowledgement, flags, window, urgent, options):
    segment = tcp.build(
        sport,
        dport,
        payload,
        addresses=ADDRESSES,
        sequence=sequence,
        acknowledgement=acknowledgement,
        flags=flags,
        window=window,
        urgent=urgent,
        options=options,
    )
    size = 20 + len(options) + -len(options) % 4
    theirs = IP(src=str(IPv4Address(ADDRESSES[:4])), dst=str(IPv4Address(ADDRESSES[4:]))) / TCP(
        sport=sport,
        dport=dport,
        seq=sequence,
        ack=acknowledgement,
        flags=flags,
        window=window,
        urgptr=urgent,
        dataofs=size // 4,
        options=[("NOP", None)] * len(options),
    )
    assert segment == bytes(theirs / payload)[20:]
    header = Tcp(b"#" + segment, 1).check()
    assert (header.sport, header.dport, header.flags) == (sport, dport, flags)
    assert (header.sequence, header.acknowledgement) == (sequence, acknowledgement)
    assert (header.window, header.urgent) == (window, urgent)
    assert (header.header_length, header.payload) == (size, payload)
    assert header.payload_offset == 1 + size
    assert header.checksum == int.from_bytes(segment[16:18], "big")
    assert header.options == []


def with_options(*options) -> Tcp:
    return Tcp(bytes(TCP(options=list(options)))).check()


def test_options_of_scapy():
    syn = with_options(("MSS", 1460), ("SAckOK", b""), ("Timestamp", (77, 88)), ("NOP", None), ("WScale", 7))
    assert (syn.mss, syn.window_scale, syn.sack_permitted) == (1460, 7, True)
    assert syn.timestamps == (77, 88)
    assert syn.sack_blocks == []
    assert [kind for kind, _ in syn.options] == [
        tcp.MSS,
        tcp.SACK_PERMITTED,
        tcp.TIMESTAMPS,
        tcp.WINDOW_SCALE,
    ]
    ack = with_options(("NOP", None), ("NOP", None), ("SAck", (1, 2, 0xFFFFFFF0, 5)))
    assert ack.sack_blocks == [(1, 2), (0xFFFFFFF0, 5)]
    assert (ack.mss, ack.window_scale, ack.sack_permitted, ack.timestamps) == (None, None, False, None)


def test_build_option():
    options = tcp.build_option(tcp.MSS, b"\x05\xb4") + tcp.build_option(tcp.SACK_PERMITTED)
    segment = tcp.build(1, 2, addresses=ADDRESSES, options=options)
    assert TCP(segment).options[:2] == [("MSS", 1460), ("SAckOK", b"")]


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ("", []),
        ("0101", []),
        ("00020405b4", []),
        ("020405b4", [2]),
        ("0402 02", [4]),
        ("0402 0201", [4]),
        ("0402 0205b4", [4]),
        ("0402 0800", [4]),
        ("1e04aaaa 0402", [30, 4]),
    ],
)
def test_walk_ends_where_options_make_no_sense(options, kinds):
    """As the kernel, which reads what stands in front and ignores the rest."""
    data = b"##" + bytes.fromhex(options) + b"\x04\x02"
    assert [kind for kind, _, _ in tcp.options(data, 2, len(data) - 2)] == kinds


@given(st.binary(max_size=40))
def test_any_options_stay_inside(data):
    for _, at, length in tcp.options(data, 0, len(data)):
        assert 2 <= at <= at + length <= len(data)


@pytest.mark.parametrize(
    ("patch", "reason"),
    [({12: 0x40}, "header length 16"), ({12: 0x60}, "needs 24 bytes, 20 are there")],
)
def test_malformed(patch, reason):
    segment = bytearray(tcp.build(1, 2, addresses=ADDRESSES))
    for at, value in patch.items():
        segment[at] = value
    with pytest.raises(Malformed, match=reason):
        Tcp(segment).check()
    with pytest.raises(Malformed, match="needs 20 bytes, 19 are there"):
        Tcp(bytes(19)).check()
