"""Every block type in both byte orders, and what is said of damage."""

from __future__ import annotations

from struct import pack

import pytest

from flowtable.capture import CaptureError, Direction, Record, Skip
from tests.capture.blocks import (
    FRAME,
    STAMP,
    Dribble,
    block,
    enhanced,
    flags,
    interface,
    obsolete,
    opened,
    option,
    records,
    section,
    simple,
)

ORDERS = pytest.mark.parametrize("order", ["<", ">"])
MICROSECONDS = STAMP * 1000


@ORDERS
def test_enhanced_packet(order):
    data = section(order) + interface(order) + enhanced(order)
    assert records(data) == [Record(1, "eth0", MICROSECONDS, FRAME, 60, Direction.UNKNOWN)]


@ORDERS
def test_a_frame_is_padded_to_words_and_given_without_padding(order):
    frames = [bytes([size]) * size for size in range(1, 10)]
    data = section(order) + interface(order) + b"".join(enhanced(order, frame) for frame in frames)
    assert [record.data for record in records(data)] == frames


@ORDERS
@pytest.mark.parametrize(
    ("value", "direction"),
    [
        (0, Direction.UNKNOWN),
        (1, Direction.IN),
        (2, Direction.OUT),
        (3, Direction.UNKNOWN),
        (0x65, Direction.IN),
    ],
)
def test_direction_flag(order, value, direction):
    packet = enhanced(order, options=flags(order, value))
    assert [record.direction for record in records(section(order) + interface(order) + packet)] == [direction]


@ORDERS
def test_direction_flag_behind_other_options(order):
    options = option(order, 1, b"a comment") + option(order, 4, bytes(8)) + flags(order, 2)
    data = section(order) + interface(order) + enhanced(order, options=options)
    assert records(data)[0].direction is Direction.OUT


@ORDERS
def test_damaged_options_cost_only_the_direction(order):
    options = pack(order + "HH", 1, 60000) + bytes(8)
    data = section(order) + interface(order) + enhanced(order, options=options)
    assert [(record.data, record.direction) for record in records(data)] == [(FRAME, Direction.UNKNOWN)]


@ORDERS
@pytest.mark.parametrize(
    ("resolution", "stamp", "time"),
    [
        (None, STAMP, STAMP * 1000),
        (6, STAMP, STAMP * 1000),
        (9, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (0, 1_700_000_000, 1_700_000_000_000_000_000),
        (12, 1_700_000_000_123_456_789, 1_700_000_000_123_456),
        (0x80 | 10, 1_700_000_000 << 10 | 512, 1_700_000_000_500_000_000),
        (0x80 | 32, 1_700_000_000 << 32 | 1 << 31, 1_700_000_000_500_000_000),
    ],
)
def test_resolution_of_times(order, resolution, stamp, time):
    options = b"" if resolution is None else option(order, 9, bytes([resolution]))
    data = section(order) + interface(order, options=options) + enhanced(order, stamp=stamp)
    assert records(data)[0].time == time


@ORDERS
def test_offset_of_times(order):
    options = option(order, 14, pack(order + "q", -3600))
    data = section(order) + interface(order, options=options) + enhanced(order) * 2
    assert [record.time for record in records(data)] == [MICROSECONDS - 3600 * 1_000_000_000] * 2


def test_upper_half_of_a_time_may_change():
    stamps = [(1 << 32) - 1, 1 << 32, (5 << 32) + 7, 3]
    data = section() + interface() + b"".join(enhanced(stamp=stamp) for stamp in stamps)
    assert [record.time for record in records(data)] == [stamp * 1000 for stamp in stamps]


@ORDERS
def test_interfaces_by_name(order):
    described = interface(order, "lan0") + interface(order, "wan0", options=option(order, 9, b"\x09"))
    data = section(order) + described + enhanced(order, ident=1, stamp=5) + enhanced(order, ident=0, stamp=5)
    assert [(record.interface, record.time) for record in records(data)] == [("wan0", 5), ("lan0", 5000)]


def test_an_interface_may_be_described_between_packets():
    data = section() + interface("<", "a") + enhanced() + interface("<", "b") + enhanced(ident=1)
    assert [record.interface for record in records(data)] == ["a", "b"]


def test_a_name_that_is_terminated_or_not_text():
    names = option("<", 2, b"eth\xff0\0")
    data = section() + interface("<", None, options=names) + enhanced()
    assert records(data)[0].interface == "eth�0"


def test_without_a_name_the_interface_is_empty_and_the_caller_can_name_it():
    data = section() + interface("<", None) + enhanced()
    assert records(data)[0].interface == ""
    assert records(data, "wan0")[0].interface == "wan0"


def test_the_callers_name_stands_for_those_in_the_file():
    assert records(section() + interface() + enhanced(), "wan0")[0].interface == "wan0"


@ORDERS
def test_simple_packet_has_the_time_of_the_packet_before(order):
    data = section(order) + interface(order) + simple(order) + enhanced(order) + simple(order)
    assert [(record.number, record.time, record.data) for record in records(data)] == [
        (1, 0, FRAME),
        (2, MICROSECONDS, FRAME),
        (3, MICROSECONDS, FRAME),
    ]


def test_simple_packet_cut_by_the_snap_length():
    capture = opened(section() + interface(snaplen=60) + simple(original=61) + simple(original=60))
    assert [record.number for record in capture] == [2]
    assert capture.skipped == {Skip.TRUNCATED: 1}


@ORDERS
def test_obsolete_packet(order):
    data = section(order) + interface(order) + obsolete(order, options=flags(order, 1))
    assert records(data) == [Record(1, "eth0", MICROSECONDS, FRAME, 60, Direction.IN)]


@ORDERS
def test_other_blocks_are_passed_over(order):
    others = [4, 5, 9, 10, 0xBAD, 0x40000BAD, 0x7FFFFFFF]
    parts = [block(order, kind, bytes(8)) + enhanced(order) for kind in others]
    data = section(order) + interface(order) + b"".join(parts) + block(order, 5, b"")
    assert [record.number for record in records(data)] == [1, 2, 3, 4, 5, 6, 7]


def test_sections_of_both_byte_orders_number_interfaces_anew_and_packets_on():
    data = b"".join(
        section(order) + interface(order, name) + enhanced(order, options=flags(order, 1)) * 2
        for order, name in [("<", "a"), (">", "b"), ("<", "c")]
    )
    assert [(record.number, record.interface, record.time) for record in records(data)] == [
        (number, name, MICROSECONDS) for number, name in zip(range(1, 7), "aabbcc", strict=True)
    ]
    assert {record.direction for record in records(data)} == {Direction.IN}


def test_the_same_packets_however_few_bytes_a_read_gives():
    frames = [bytes([size & 0xFF]) * size for size in range(1, 80)]
    data = (
        section() + interface() + b"".join(enhanced(data=frame) for frame in frames) + simple() + obsolete()
    )
    whole = records(data)
    assert len(whole) == len(frames) + 2
    for step in (1, 7, 100, 1000):
        assert list(opened(Dribble(data, step))) == whole


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (enhanced(captured=60, original=61), Skip.TRUNCATED),
        (enhanced(data=b""), Skip.EMPTY),
        (enhanced(data=b"", original=60), Skip.TRUNCATED),
        (enhanced(ident=1), Skip.LINK_TYPE),
        (enhanced(ident=9), Skip.INTERFACE),
        (enhanced(captured=4000), Skip.MALFORMED),
        (enhanced(captured=0xFFFFFFFF), Skip.MALFORMED),
        (block("<", 6, bytes(16)), Skip.MALFORMED),
        (block("<", 3, b""), Skip.MALFORMED),
        (simple(original=1000), Skip.MALFORMED),
        (block("<", 2, bytes(16)), Skip.MALFORMED),
        (obsolete(ident=1), Skip.LINK_TYPE),
    ],
)
def test_a_bad_packet_is_passed_over_with_a_reason(packet, reason):
    foreign = interface("<", "any", linktype=113)
    capture = opened(section() + interface() + foreign + enhanced() + packet + enhanced())
    assert [(record.number, record.data) for record in capture] == [(1, FRAME), (3, FRAME)]
    assert capture.skipped == {reason: 1}


def test_a_frame_longer_than_it_was_on_the_wire_is_kept():
    assert [
        (record.data, record.original_length)
        for record in records(section() + interface() + enhanced(original=59))
    ] == [(FRAME, 59)]


def test_a_simple_packet_before_any_interface():
    capture = opened(section() + simple() + interface() + enhanced())
    assert [record.number for record in capture] == [2]
    assert capture.skipped == {Skip.INTERFACE: 1}


GOOD = section() + interface() + enhanced() * 3


def damaged(data: bytes) -> tuple[int, CaptureError]:
    """How many packets were given before the error, and the error."""
    given = 0
    with pytest.raises(CaptureError) as caught:
        for _ in opened(data):
            given += 1
    return given, caught.value


@pytest.mark.parametrize("length", [0, 8, 13, 1 << 24 | 4, 0xFFFFFFFC])
@pytest.mark.parametrize("order", ["<", ">"])
def test_absurd_block_length(order, length):
    good = section(order) + interface(order) + enhanced(order) * 3
    given, error = damaged(good + pack(order + "II", 6, length) + bytes(100))
    assert given == 3
    assert (error.name, error.packet, error.offset) == ("test", 4, len(good))
    limits = "a multiple of 4 in 12..16777216"
    assert str(error) == f"test: packet 4 at byte {len(good)}: block length {length}, expected {limits}"


def test_lengths_that_differ():
    packet = enhanced()
    given, error = damaged(GOOD + packet[:-4] + pack("<I", 96) + packet)
    assert (given, error.offset) == (3, len(GOOD))
    assert error.reason == f"block length {len(packet)}, but 96 at the block's end"


@pytest.mark.parametrize("keep", [1, 11, 12, 20, 31, 32, 60, 91])
def test_last_block_cut_short(keep):
    given, error = damaged(GOOD + enhanced()[:keep])
    assert (given, error.packet, error.offset) == (3, 4, len(GOOD))
    assert error.reason.startswith(f"cut short: {keep} bytes of a block")


def test_byte_order_magic():
    given, error = damaged(GOOD + section().replace(pack("<I", 0x1A2B3C4D), b"abcd"))
    assert (given, error.offset) == (3, len(GOOD))
    assert error.reason == "byte-order magic 61626364 in a section header"


def test_version():
    given, error = damaged(section(major=2) + interface() + enhanced())
    assert (given, error.reason) == (0, "pcapng version 2, expected 1")


def test_short_section_header():
    body = pack("<II", 0x1A2B3C4D, 1)
    given, error = damaged(GOOD + block("<", 0x0A0D0D0A, body))
    assert (given, error.reason) == (3, "section header of 20 bytes, expected at least 28")


def test_short_interface_description():
    given, error = damaged(GOOD + block("<", 1, bytes(4)))
    assert (given, error.reason) == (3, "interface description of 16 bytes, expected at least 20")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (pack("<HH", 2, 400), "interface option 2 of 400 bytes"),
        (option("<", 9, b""), "interface option 9 of 0 bytes"),
        (option("<", 9, b"\x09\x09"), "interface option 9 of 2 bytes"),
        (option("<", 14, bytes(4)), "interface option 14 of 4 bytes"),
    ],
)
def test_interface_options_that_make_times_doubtful(options, reason):
    head = section() + interface() + enhanced()
    given, error = damaged(head + interface("<", None, options=options) + enhanced(ident=1))
    assert (given, error.packet, error.offset, error.reason) == (1, 2, len(head) + 16, reason)


def test_interface_options_end_where_they_say():
    options = option("<", 0, b"") + pack("<HH", 9, 400)
    assert len(records(section() + interface(options=options) + enhanced())) == 1


def test_no_ethernet_at_all():
    foreign = interface("<", "any", linktype=276) + interface("<", "raw", linktype=101)
    given, error = damaged(section() + interface() + foreign + enhanced(ident=1) + enhanced(ident=2))
    assert given == 0
    assert error.offset == len(section() + interface())
    assert error.reason == (
        "no Ethernet frames, but "
        "link type 276 (Linux cooked v2, as of tcpdump -i any), link type 101 (raw IP)"
    )


def test_the_names_of_interfaces_are_known_once_they_were_described():
    capture = opened(section() + interface("<", "a") + enhanced() + section(">") + interface(">", None))
    assert capture.interfaces == []
    assert len(list(capture)) == 1
    assert capture.interfaces == ["a", ""]


def test_a_file_without_packets():
    assert records(section() + interface()) == []
    assert records(section()) == []


@pytest.mark.parametrize(
    ("resolution", "offset", "stamp"),
    [
        (0, 0, 2**64 - 1),
        (0, 0, (2**64 - 1) // 10**9 + 1),
        (6, 0, 2**64 // 1000 + 1),
        (9, -1, 10**9 - 1),
        (0x80, 0, 2**40),
        (9, 2**62, 0),
    ],
)
@ORDERS
def test_a_time_that_is_none_is_passed_over(order, resolution, offset, stamp):
    options = option(order, 9, bytes([resolution])) + option(order, 14, pack(order + "q", offset))
    data = section(order) + interface(order, options=options) + enhanced(order, stamp=stamp)
    good = interface(order, "good") + enhanced(order, ident=1)
    capture = opened(data + good)
    assert [(record.number, record.time) for record in capture] == [(2, MICROSECONDS)]
    assert capture.skipped == {Skip.TIME: 1}


@ORDERS
def test_the_first_and_the_last_time(order):
    options = option(order, 9, b"\x09") + option(order, 14, pack(order + "q", 2))
    first = interface(order, options=option(order, 9, b"\x09"))
    late = interface(order, "late", options=options)
    last = 2**64 - 1 - 2 * 10**9
    data = section(order) + first + late + enhanced(order, stamp=0) + enhanced(order, ident=1, stamp=last)
    data += enhanced(order, ident=1, stamp=last + 1)
    capture = opened(data)
    assert [record.time for record in capture] == [0, 2**64 - 1]
    assert capture.skipped == {Skip.TIME: 1}


def test_the_names_in_the_file_are_known_where_another_stands_for_them():
    capture = opened(section() + interface("<", "a") + interface("<", "b") + enhanced(ident=1), "c")
    assert [record.interface for record in capture] == ["c"]
    assert capture.interfaces == ["a", "b"]
