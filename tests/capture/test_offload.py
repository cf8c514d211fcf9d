"""What a cable without hardware leaves undone is done: checksums, segments, tags."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from flowtable.capture.offload import NEEDS_CHECKSUM, VNET_HEADER, complete

TCP4, UDP_LARGE, TCP6, ECN = 1, 5, 4, 0x80
NOTHING = VNET_HEADER.pack(0, 0, 0, 0, 0, 0)

networks = st.sampled_from(
    [IP(src="10.0.0.1", dst="10.0.0.2", id=65530), IPv6(src="2001:db8::1", dst="2001:db8::2")]
)
ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
links = st.sampled_from([ETHER, ETHER / Dot1Q(vlan=7)])


def right(frame: bytes) -> bool:
    """Whether scapy would have made the same checksums and lengths."""
    again = Ether(frame)
    for layer in (IP, IPv6, TCP, UDP):
        if layer in again:
            for field in ("chksum", "len", "plen"):
                if field in again[layer].fields:
                    del again[layer].fields[field]
    return bytes(again) == frame


@settings(deadline=None, max_examples=40)
@given(
    link=links,
    network=networks,
    payload=st.binary(min_size=1, max_size=3000),
    size=st.integers(300, 1500),
    sequence=st.sampled_from([1, 2**32 - 50]),
    options=st.sampled_from([[], [("Timestamp", (1, 2))]]),
)
def test_segments_of_tcp(link, network, payload, size, sequence, options):
    frame = bytes(link / network / TCP(seq=sequence, flags="FPAC", options=options) / Raw(payload))
    start = len(link) + len(network)
    kind = (TCP4 if IP in network else TCP6) | ECN
    header = VNET_HEADER.pack(NEEDS_CHECKSUM, kind, 0, size, start, 16)
    parts = complete(frame, header)
    assert b"".join(bytes(Ether(part)[TCP].payload) for part in parts) == payload
    at = sequence
    for number, part in enumerate(parts):
        assert right(part)
        told = Ether(part)[TCP]
        assert told.seq == at
        at = (at + len(told.payload)) % 2**32
        assert ("F" in told.flags and "P" in told.flags) is (number == len(parts) - 1)
        assert ("C" in told.flags) is (number == 0)
        assert len(told.payload) <= size
        if IP in network:
            assert Ether(part)[IP].id == (65530 + number) % 65536


@settings(deadline=None, max_examples=40)
@given(network=networks, payload=st.binary(min_size=1, max_size=3000), size=st.integers(300, 1400))
def test_segments_of_udp(network, payload, size):
    frame = bytes(ETHER / network / UDP(sport=1, dport=2) / Raw(payload))
    parts = complete(frame, VNET_HEADER.pack(NEEDS_CHECKSUM, UDP_LARGE, 0, size, 0, 0))
    assert b"".join(bytes(Ether(part)[UDP].payload) for part in parts) == payload
    assert all(right(part) for part in parts)


@settings(deadline=None)
@given(network=networks, payload=st.binary(max_size=1400), transport=st.sampled_from([TCP(), UDP()]))
def test_a_checksum_that_was_left_out(network, payload, transport):
    whole = bytes(ETHER / network / transport / Raw(payload))
    start, offset = 14 + len(network), 16 if isinstance(transport, TCP) else 6
    addresses = whole[26:34] if IP in network else whole[22:54]
    total = sum(int.from_bytes(addresses[at : at + 2]) for at in range(0, len(addresses), 2))
    total += (6 if isinstance(transport, TCP) else 17) + len(whole) - start
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    at = start + offset
    left_out = whole[:at] + total.to_bytes(2) + whole[at + 2 :]
    assert complete(left_out, VNET_HEADER.pack(NEEDS_CHECKSUM, 0, 0, 0, start, offset)) == [whole]


def test_a_tag_beside_the_frame():
    frame = bytes(ETHER / IP() / UDP() / Raw(b"x"))
    [tagged] = complete(frame, NOTHING, b"\x81\x00\x00\x07")
    assert Ether(tagged)[Dot1Q].vlan == 7
    assert complete(frame, NOTHING) == [frame]


@settings(deadline=None)
@given(frame=st.binary(min_size=60, max_size=200), header=st.binary(min_size=10, max_size=10))
def test_anything_is_some_frames(frame, header):
    assert all(isinstance(part, bytes) for part in complete(frame, header))
