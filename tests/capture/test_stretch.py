"""Captures in stretches are what they are record by record, good or damaged."""

from __future__ import annotations

import io
from array import array
from collections.abc import Callable
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtable.capture import CaptureError, Direction, PcapngWriter, PcapWriter, Sieve, Stretch, open_capture
from flowtable.packet.burst import Burst
from tests.capture.blocks import (
    STAMP,
    Dribble,
    block,
    enhanced,
    flags,
    interface,
    obsolete,
    option,
    pcap,
    section,
    simple,
)

Told = tuple[list[tuple[int, str, int, bytes, bool]], dict[str, int], str]
"""Number, interface, time, frame and whether it went out of each; what was skipped; the error."""


def by_record(data: bytes, stream: Callable[[bytes], io.BytesIO] = io.BytesIO) -> Told:
    capture = open_capture(stream(data), "test")
    found, error = [], ""
    try:
        for each in capture:
            out = each.direction is Direction.OUT
            found.append((each.number, each.interface, each.time, each.data, out))
    except CaptureError as damage:
        error = str(damage)
    return found, {skip.name: count for skip, count in capture.skipped.items() if count}, error


def by_stretch(data: bytes, stream: Callable[[bytes], io.BytesIO] = io.BytesIO) -> Told:
    capture = open_capture(stream(data), "test")
    found, error = [], ""
    try:
        for stretch in capture.stretches():
            burst = stretch.burst
            for place in range(burst.count):
                name = stretch.names[burst.devices[place]]
                out = stretch.outgoing[place] == 1
                found.append((stretch.number + place, name, burst.times[place], burst.frame(place), out))
    except CaptureError as damage:
        error = str(damage)
    return found, {skip.name: count for skip, count in capture.skipped.items() if count}, error


def resolution(order: str, exponent: int, seconds: int = 0) -> bytes:
    return option(order, 9, bytes([exponent])) + option(order, 14, pack(order + "q", seconds))


frames = st.binary(min_size=1, max_size=90)
options = st.sampled_from(
    [
        lambda order: b"",
        lambda order: flags(order, 1),
        lambda order: flags(order, 2),
        lambda order: option(order, 1, b"a comment") + flags(order, 2),
        lambda order: option(order, 0, b"") + flags(order, 2),
        lambda order: option(order, 2, b"xy"),
        lambda order: option(order, 1, b"")[:3],
    ]
)


@st.composite
def blocks(draw: st.DrawFn, order: str) -> bytes:
    stamp = draw(st.sampled_from([STAMP, STAMP + 1, 0, 1 << 63, (1 << 64) - 1, 1 << 32]))
    ident = draw(st.integers(0, 3))
    match draw(st.integers(0, 11)):
        case 0:
            return simple(order, draw(frames))
        case 1:
            return obsolete(order, draw(frames), ident=ident)
        case 2:
            return block(order, 4, bytes(8))
        case 3:
            return interface(
                order, draw(st.sampled_from(["lan0", "", None])), linktype=draw(st.sampled_from([1, 9]))
            )
        case 4:
            exponent = draw(st.sampled_from([0, 3, 6, 9, 12, 0x80, 0x8A, 255]))
            seconds = draw(st.sampled_from([0, -1, 5, -(1 << 33), -(1 << 63)]))
            return interface(order, "wan0", options=resolution(order, exponent, seconds))
        case 5:
            return enhanced(order, draw(frames), original=draw(st.integers(0, 200)))
        case 6:
            return enhanced(order, draw(frames), captured=draw(st.integers(0, 200)))
        case 7:
            return section(draw(st.sampled_from("<>")))
        case _:
            return enhanced(order, draw(frames), ident=ident, stamp=stamp, options=draw(options)(order))


@st.composite
def pcapngs(draw: st.DrawFn) -> bytes:
    order = draw(st.sampled_from("<>"))
    parts = [section(order), interface(order, "lan0"), interface(order, "wan0", options=resolution(order, 9))]
    return b"".join(parts + draw(st.lists(blocks(order), max_size=25)))


@st.composite
def pcaps(draw: st.DrawFn) -> bytes:
    packets = draw(
        st.lists(st.tuples(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF), st.binary(max_size=70)))
    )
    return pcap(draw(st.sampled_from("<>")), draw(st.booleans()), *packets)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(pcapngs() | pcaps()))
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        data[draw(st.integers(4, len(data) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(data[: draw(st.sampled_from([len(data), draw(st.integers(4, len(data)))]))])


@settings(max_examples=600, deadline=None)
@given(damaged(), st.booleans())
def test_the_same_packets_skips_and_errors(data, dribbled):
    stream = (lambda each: Dribble(each, 7)) if dribbled else io.BytesIO
    assert by_stretch(data, stream) == by_record(data, stream)


@pytest.mark.parametrize("count", [4095, 4096, 4097, 20_000])
def test_more_packets_than_fit_a_stretch(count):
    data = section() + interface() + enhanced() * count
    assert by_stretch(data) == by_record(data)
    plain = pcap("<", True, *[(1, number, b"x" * 60) for number in range(count)])
    assert by_stretch(plain) == by_record(plain)


sent = st.lists(
    st.tuples(st.integers(0, 3), st.binary(max_size=100), st.integers(0, (1 << 64) - 1)), max_size=40
)


def bursts(packets: list[tuple[int, bytes, int]]) -> list[Burst]:
    """Some of bytes, some of a bytearray."""
    first, second = Burst.of(packets[::2]), Burst.of(packets[1::2])
    second.frames = bytearray(second.frames)
    return [first, second]


@given(sent)
def test_written_many_at_once(packets):
    names = ["a", "b", "c", "d"]
    one, many = io.BytesIO(), io.BytesIO()
    with PcapngWriter(one, names) as writer:
        for device, frame, time in packets[::2] + packets[1::2]:
            writer.write(names[device], time, frame)
    with PcapngWriter(many, names) as writer:
        for burst in bursts(packets):
            writer.write_many(burst, array("I", range(4)))
    assert many.getvalue() == one.getvalue()


@given(sent)
def test_written_many_at_once_as_pcap(packets):
    packets.sort(key=lambda packet: packet[2])
    one, many = io.BytesIO(), io.BytesIO()
    errors = []
    for stream, write in (
        (one, lambda writer: [writer.write(time, frame) for _, frame, time in packets]),
        (many, lambda writer: writer.write_many(Burst.of(packets))),
    ):
        try:
            with PcapWriter(stream) as writer:
                write(writer)
        except OverflowError as error:
            errors.append(str(error))
    assert len(errors) in (0, 2)
    assert errors or many.getvalue() == one.getvalue()


OWN = b"\x02\0\0\0\0\1"
STRANGER = b"\x02\0\0\0\0\2"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["lo", "lan0"]),
            st.sampled_from([bytes(6) + OWN, bytes(6) + STRANGER, bytes(12), b"short", bytes(6) + OWN[:5]]),
            st.integers(0, 20),
            st.sampled_from(Direction),
        )
    ),
    st.lists(st.integers(1, 25)),
)
def test_a_sieve_picks_what_the_box_did_not_send(packets, pauses):
    data = io.BytesIO()
    with PcapngWriter(data, ["lo", "lan0"]) as writer:
        for name, frame, time, direction in packets:
            writer.write(name, time, frame, direction)
    expected, own, late, now = [], 0, 0, 0
    for name, frame, time, direction in packets:
        late += time < now
        now = max(now, time)
        source = frame[6:12]
        if direction is Direction.OUT or source == OWN or (name == "lo" and source == bytes(6)):
            own += 1
        else:
            expected.append(({"lo": 7, "lan0": 9}[name], frame, now))
    sieve = Sieve()
    sieve.know({"lo": 7, "lan0": 9}, [OWN], ["lo"])
    picked = []
    stops = sorted(pauses)
    for stretch in open_capture(io.BytesIO(data.getvalue()), "test").stretches():
        at = 0
        while at < stretch.burst.count:
            while stops and stops[0] <= max(sieve.now, stretch.burst.times[at]):
                stops.pop(0)
            burst, after = sieve.pick(stretch, at, stops[0] if stops else 1 << 80)
            assert after > at
            at = after
            picked += [
                (burst.devices[place], burst.frame(place), burst.times[place]) for place in range(burst.count)
            ]
    assert picked == expected
    assert (sieve.picked, sieve.own, sieve.late) == (len(expected), own, late)


def test_a_stretch_of_records_is_cut_where_it_is_told():
    data = section() + interface() + enhanced() * 3
    stretch = Stretch(8)
    stretch.put(open_capture(io.BytesIO(data), "test"))
    stretch.cut(2)
    sieve = Sieve()
    sieve.know({"eth0": 1}, [], [])
    burst, at = sieve.pick(stretch, 0, 1 << 80)
    assert (burst.count, at, sieve.picked) == (2, 2, 2)
