"""pcap in both byte orders and both resolutions, and what opening a file says."""

from __future__ import annotations

from struct import pack

import pytest

from flowtable.capture import CaptureError, Direction, Record, Skip
from tests.capture.blocks import FRAME, Dribble, opened, pcap, records

SECOND = 1_700_000_000


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("nano", "unit"), [(False, 1000), (True, 1)])
def test_packets(order, nano, unit):
    data = pcap(order, nano, (SECOND, 123456, FRAME), (SECOND + 1, 0, FRAME[:14]))
    assert records(data, "eth0") == [
        Record(1, "eth0", SECOND * 1_000_000_000 + 123456 * unit, FRAME, 60, Direction.UNKNOWN),
        Record(2, "eth0", (SECOND + 1) * 1_000_000_000, FRAME[:14], 14, Direction.UNKNOWN),
    ]


def test_without_the_callers_name_the_interface_is_empty():
    assert records(pcap("<", True, (1, 0, FRAME)))[0].interface == ""


def test_the_same_packets_however_few_bytes_a_read_gives():
    data = pcap("<", True, *((at, at, FRAME[: at + 1]) for at in range(50)))
    whole = records(data)
    assert len(whole) == 50
    for step in (1, 9, 1000):
        assert list(opened(Dribble(data, step))) == whole


def test_a_frame_checksum_flag_is_no_other_link_type():
    assert len(records(pcap("<", False, (1, 0, FRAME), linktype=0x24000001))) == 1


def test_truncated_and_empty_packets_are_passed_over():
    cut = pack("<IIII", 1, 0, 60, 1500) + FRAME
    data = pcap("<", False, (1, 0, FRAME), (1, 0, b"")) + cut + pack("<IIII", 2, 0, 60, 60) + FRAME
    capture = opened(data)
    assert [record.number for record in capture] == [1, 4]
    assert capture.skipped == {Skip.TRUNCATED: 1, Skip.EMPTY: 1}


@pytest.mark.parametrize("keep", [1, 15, 16, 17, 75])
def test_last_packet_cut_short(keep):
    good = pcap("<", False, (1, 0, FRAME), (2, 0, FRAME))
    given = 0
    with pytest.raises(CaptureError) as caught:
        for _ in opened(good + good[24 : 24 + keep]):
            given += 1
    assert (given, caught.value.packet, caught.value.offset) == (2, 3, len(good))
    assert caught.value.reason.startswith("cut short: ")


def test_absurd_length():
    good = pcap(">", False, (1, 0, FRAME))
    given = 0
    with pytest.raises(CaptureError) as caught:
        for _ in opened(good + pack(">IIII", 2, 0, 0x7FFFFFFF, 60) + FRAME):
            given += 1
    assert given == 1
    assert str(caught.value) == (
        f"test: packet 2 at byte {len(good)}: 2147483647 bytes captured, expected at most 262144"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "test: byte 0: neither pcapng nor pcap: 0 bytes in all"),
        (b"\xd4\xc3", "test: byte 0: neither pcapng nor pcap: 2 bytes in all"),
        (b"table inet x {}", "test: byte 0: neither pcapng nor pcap: it begins with 74 61 62 6c"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "test: byte 0: compressed by gzip: unpack it first"),
        (pcap("<", False)[:20], "test: byte 0: cut short: 20 bytes of the file header"),
        (pcap("<", False, linktype=276), (
            "test: byte 20: no Ethernet frames, but link type 276 (Linux cooked v2, as of tcpdump -i any)"
        )),
        (pcap("<", False, linktype=147), "test: byte 20: no Ethernet frames, but link type 147"),
        (pcap("<", False)[:4] + b"\x03\0" + bytes(18), "test: byte 4: pcap version 3, expected 2"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read(data, message):
    with pytest.raises(CaptureError) as caught:
        records(data)
    assert str(caught.value) == message
