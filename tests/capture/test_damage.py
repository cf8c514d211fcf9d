"""Damage is told by a CaptureError or a counted reason, and costs no good packet before it."""

from __future__ import annotations

import io
import tracemalloc
from collections import deque
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtable.capture import CaptureError, PcapngWriter, Record, open_capture
from tests.capture.blocks import block, enhanced, flags, interface, obsolete, pcap, records, section, simple

FRAMES = [bytes([at]) * (14 + 7 * at) for at in range(12)]


def pcapng(order: str) -> tuple[bytes, list[int]]:
    """A capture with every type of block, and where each of its packets ends."""
    parts = [section(order), interface(order, "lan0"), block(order, 4, bytes(8)), interface(order, "wan0")]
    ends = []
    for at, frame in enumerate(FRAMES):
        match at % 4:
            case 0:
                parts.append(simple(order, frame))
            case 1:
                parts.append(obsolete(order, frame))
            case _:
                parts.append(enhanced(order, frame, ident=at % 2, options=flags(order, 1) if at % 3 else b""))
        ends.append(sum(map(len, parts)))
    return b"".join(parts), ends


def plain(order: str) -> tuple[bytes, list[int]]:
    packets = [(1000 + at, at, frame) for at, frame in enumerate(FRAMES)]
    ends = [len(pcap(order, True, *packets[: at + 1])) for at in range(len(packets))]
    return pcap(order, True, *packets), ends


FILES = [pcapng("<"), pcapng(">"), plain("<"), plain(">")]


def read(data: bytes) -> list[Record]:
    """What can be had; any error but CaptureError fails the test."""
    got: list[Record] = []
    try:
        got.extend(open_capture(io.BytesIO(data), "test", "eth0"))
    except CaptureError as error:
        assert 0 <= error.offset <= len(data)
        assert str(error).startswith("test: ")
    return got


@given(st.sampled_from(FILES), st.data())
def test_cut_anywhere(file, draw):
    data, ends = file
    keep = draw.draw(st.integers(0, len(data)))
    whole = sum(end <= keep for end in ends)
    assert read(data[:keep]) == records(data, "eth0")[:whole]


@settings(max_examples=300)
@given(st.sampled_from(FILES), st.data())
def test_flipped_bits(file, draw):
    data, ends = file
    flips = draw.draw(st.sets(st.integers(0, len(data) * 8 - 1), min_size=1, max_size=4))
    bent = bytearray(data)
    for flip in flips:
        bent[flip // 8] ^= 1 << flip % 8
    whole = sum(end <= min(flips) // 8 for end in ends)
    assert read(bytes(bent))[:whole] == records(data, "eth0")[:whole]


@given(st.sampled_from(FILES), st.binary(max_size=80), st.data())
def test_bytes_put_in(file, junk, draw):
    data, ends = file
    at = draw.draw(st.integers(0, len(data)))
    whole = sum(end <= at for end in ends)
    assert read(data[:at] + junk + data[at:])[:whole] == records(data, "eth0")[:whole]


@given(st.sampled_from([section("<"), section(">"), pcap("<", True)]), st.binary(max_size=400))
def test_anything_behind_a_good_header(head, rest):
    read(head + rest)


@given(st.binary(max_size=100))
def test_anything(data):
    read(data)


class Endless(io.BytesIO):
    """A large capture that is made as it is read."""

    def __init__(self, head: bytes, packets: bytes, times: int) -> None:
        super().__init__()
        self._head, self._packets, self._times = head, packets, times

    def read(self, size: int | None = -1) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        self._times -= 1
        return self._packets if self._times >= 0 else b""


def traced_peak(head: bytes, packets: bytes, times: int, last: int) -> int:
    """Peak of the memory in bytes while ``packets`` are read ``times`` over."""
    tracemalloc.start()
    try:
        stream = Endless(head, packets, times)
        assert [record.number for record in deque(open_capture(stream, "test", "eth0"), 1)] == [last]
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


LARGE = bytes(1400)


@pytest.mark.parametrize(
    ("head", "packets"),
    [
        (section() + interface(), b"".join(enhanced(data=LARGE[: 900 + at * 17]) for at in range(30)) * 8),
        (pcap("<", True), pcap("<", True, *((1, 0, LARGE[: 900 + at * 17]) for at in range(30)))[24:] * 8),
    ],
    ids=["pcapng", "pcap"],
)
def test_memory_does_not_grow_with_the_file(head, packets):
    few = traced_peak(head, packets, 4, 240 * 4)
    many = traced_peak(head, packets, 200, 240 * 200)
    assert len(packets) * 200 > 50_000_000
    assert many < few + 100_000
    assert many < 3_000_000


class Sink(io.BytesIO):
    """Counts what is written and keeps nothing."""

    written = 0

    def write(self, data) -> int:
        self.written += len(data)
        return len(data)


def test_memory_does_not_grow_with_what_is_written():
    sink = Sink()
    tracemalloc.start()
    try:
        with PcapngWriter(sink, ["eth0"]) as writer:
            for at in range(40_000):
                writer.write("eth0", at, LARGE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sink.written > 50_000_000
    assert peak < 5_000_000


def test_a_reader_is_lazy():
    stream = Endless(section() + interface(), enhanced(), 10**9)
    assert len(list(islice(open_capture(stream, "test"), 1000))) == 1000
