"""What is written, as our reader, scapy and tshark read it."""

from __future__ import annotations

import io
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import RawPcapNgReader, RawPcapReader

from flowtable.capture import Direction, PcapngWriter, PcapWriter, Record
from tests.capture.blocks import FRAME, records

NOW = 1_700_000_000_123_456_789
FRAMES = st.binary(min_size=1, max_size=200)
TIMES = st.integers(min_value=0, max_value=2**64 - 1)


def written(*packets: tuple[str, int, bytes, Direction]) -> bytes:
    stream = io.BytesIO()
    with PcapngWriter(stream, ["lan0", "wan0"]) as writer:
        for packet in packets:
            writer.write(*packet)
    return stream.getvalue()


@given(st.lists(st.tuples(st.sampled_from(["lan0", "wan0"]), TIMES, FRAMES, st.sampled_from(Direction))))
def test_pcapng_is_read_as_it_was_written(packets):
    assert records(written(*packets)) == [
        Record(number, name, time, data, len(data), direction)
        for number, (name, time, data, direction) in enumerate(packets, 1)
    ]


@given(st.lists(st.tuples(st.integers(0, 2**32 * 10**9 - 1), FRAMES)))
def test_pcap_is_read_as_it_was_written(packets):
    stream = io.BytesIO()
    with PcapWriter(stream) as writer:
        for time, data in packets:
            writer.write(time, data)
    assert [(record.time, record.data) for record in records(stream.getvalue(), "eth0")] == packets


def test_the_bytes_are_the_same_each_time_and_as_the_format_says():
    packet = ("wan0", NOW, FRAME[:15], Direction.OUT)
    assert written(packet) == written(packet)
    assert written(packet).hex() == (
        "0a0d0d0a" "30000000" "4d3c2b1a" "01000000" "ffffffffffffffff"
        "04000900" + b"flowtable\0\0\0".hex() + "00000000" "30000000"
        "01000000" "28000000" "01000000" "00000400"
        "02000400" + b"lan0".hex() + "09000100" "09000000" "00000000" "28000000"
        "01000000" "28000000" "01000000" "00000400"
        "02000400" + b"wan0".hex() + "09000100" "09000000" "00000000" "28000000"
        "06000000" "3c000000" "01000000" "fe9c9717" "15cd853d" "0f000000" "0f000000"
        + FRAME[:15].hex() + "00" "02000400" "02000000" "00000000" "3c000000"
    )  # fmt: skip


def test_a_frame_may_change_after_it_was_written():
    stream, frame = io.BytesIO(), bytearray(FRAME)
    with PcapngWriter(stream, ["eth0"]) as writer:
        writer.write("eth0", NOW, frame)
        frame[0] = 0xFF
    assert records(stream.getvalue())[0].data == FRAME


def test_nothing_but_flush_is_asked_at_the_end_and_the_stream_stays_open():
    stream = io.BytesIO()
    with PcapngWriter(stream, ["eth0"]):
        pass
    assert not stream.closed
    assert records(stream.getvalue()) == []


def test_scapy_reads_pcapng(tmp_path):
    path = tmp_path / "out.pcapng"
    path.write_bytes(written(("wan0", NOW, FRAME, Direction.IN)))
    with RawPcapNgReader(str(path)) as reader:
        data, info = next(iter(reader))
    assert data == FRAME
    assert info._asdict().items() >= {
        "tshigh": NOW >> 32, "tslow": NOW & 0xFFFFFFFF, "tsresol": 10**9,
        "wirelen": 60, "ifname": b"wan0", "direction": 1,
    }.items()  # fmt: skip


def test_scapy_reads_pcap(tmp_path):
    stream = io.BytesIO()
    with PcapWriter(stream) as writer:
        writer.write(NOW, FRAME)
    path = tmp_path / "out.pcap"
    path.write_bytes(stream.getvalue())
    with RawPcapReader(str(path)) as reader:
        data, info = next(reader)
        assert reader.nano
    assert (data, info.sec, info.usec, info.wirelen) == (FRAME, NOW // 10**9, NOW % 10**9, 60)


@pytest.mark.usefixtures("tshark")
def test_tshark_reads_pcapng(tmp_path):
    path = tmp_path / "out.pcapng"
    path.write_bytes(
        written(("lan0", NOW, FRAME, Direction.OUT), ("wan0", NOW + 1, FRAME[:17], Direction.IN))
    )
    fields = ["frame.interface_name", "frame.time_epoch", "frame.len", "frame.packet_flags_direction"]
    command = [
        "tshark",
        "-r",
        str(path),
        "-T",
        "fields",
        *(each for field in fields for each in ("-e", field)),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [line.split("\t") for line in shown.splitlines()] == [
        ["lan0", "1700000000.123456789", "60", "0x00000002"],
        ["wan0", "1700000000.123456790", "17", "0x00000001"],
    ]


def test_a_time_that_does_not_fit_is_an_error_and_nothing_is_written():
    plain, named = io.BytesIO(), io.BytesIO()
    with PcapWriter(plain) as writer:
        writer.write(2**32 * 10**9 - 1, FRAME)
        with pytest.raises(OverflowError, match="pcap has no times after 2106"):
            writer.write(2**32 * 10**9, FRAME)
    with PcapngWriter(named, ["lan0"]) as writer:
        writer.write("lan0", 2**64 - 1, FRAME)
        with pytest.raises(OverflowError, match="pcapng has no times after 2554"):
            writer.write("lan0", 2**64, FRAME)
    assert len(records(plain.getvalue())) == len(records(named.getvalue())) == 1
