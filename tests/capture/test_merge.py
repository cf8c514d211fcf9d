"""The order of several captures, and what becomes of the good packets beside damage."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtable.capture import CaptureError, Direction, Record, merge, open_capture
from tests.capture.blocks import enhanced, interface, section


def capture(name: str, *stamps: int, tail: bytes = b""):
    data = section() + interface("<", name) + b"".join(enhanced(stamp=stamp) for stamp in stamps) + tail
    return open_capture(io.BytesIO(data), name)


def order(*captures) -> list[tuple[str, int]]:
    return [(record.interface, record.time // 1000) for record in merge(captures)]


def test_by_time():
    assert order(capture("a", 1, 4, 5), capture("b", 2, 3, 6)) == [
        ("a", 1), ("b", 2), ("b", 3), ("a", 4), ("a", 5), ("b", 6),
    ]  # fmt: skip


def test_equal_times_in_the_order_of_the_captures():
    assert order(capture("b", 7, 7), capture("a", 7)) == [("b", 7), ("b", 7), ("a", 7)]


def test_one_and_none():
    assert order(capture("a", 2, 1)) == [("a", 2), ("a", 1)]
    assert order() == []


def test_the_order_within_a_capture_stays():
    assert order(capture("a", 5, 1, 6), capture("b", 2, 7)) == [
        ("b", 2), ("a", 5), ("a", 1), ("a", 6), ("b", 7),
    ]  # fmt: skip


@given(st.lists(st.lists(st.integers(0, 9)).map(sorted), max_size=4))
def test_it_is_a_stable_sort(times):
    sources = [
        [Record(number, str(source), time, b"x", 1, Direction.IN) for number, time in enumerate(of)]
        for source, of in enumerate(times)
    ]
    everything = [record for source in sources for record in source]
    assert list(merge(sources)) == sorted(everything, key=lambda record: record.time)


def test_the_good_packets_of_a_damaged_capture_and_of_the_others_are_given():
    damaged = capture("a", 1, 3, tail=b"junk" * 4)
    got: list[Record] = []
    with pytest.raises(CaptureError, match=r"^a: packet 3 at byte"):
        got.extend(merge([damaged, capture("b", 2, 4)]))
    assert [(record.interface, record.time // 1000) for record in got] == [
        ("a", 1), ("b", 2), ("a", 3), ("b", 4),
    ]  # fmt: skip


def test_every_damaged_capture_is_named():
    got: list[Record] = []
    with pytest.raises(ExceptionGroup) as caught:
        got.extend(merge([capture("a", 1, tail=b"junk"), capture("b", 2, tail=b"junk"), capture("c", 3)]))
    assert [record.interface for record in got] == ["a", "b", "c"]
    assert [str(error).split(":")[0] for error in caught.value.exceptions] == ["a", "b"]
