"""Files that scapy and editcap wrote."""

from __future__ import annotations

import io
import subprocess

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from scapy.utils import EDecimal, PcapNgWriter, PcapWriter

from flowtable.capture import Direction, open_capture
from tests.capture.blocks import FRAME, enhanced, flags, interface, option, records, section

NOW = 1_700_000_000_123_456_000


def packets() -> list[Packet]:
    made: list[Packet] = []
    for at in range(5):
        packet = Ether(src="02:00:00:00:01:99", dst="02:00:00:00:01:01") / IP() / UDP() / bytes(at)
        packet.time = EDecimal(NOW + at * 1_000_000) / 10**9
        made.append(packet)
    return made


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_pcap_of_scapy(tmp_path, endianness, nano):
    path = tmp_path / "scapy.pcap"
    with PcapWriter(str(path), endianness=endianness, nano=nano, linktype=1) as writer:
        for packet in packets():
            writer.write(packet)
    got = records(path.read_bytes(), "eth0")
    assert [record.data for record in got] == [bytes(packet) for packet in packets()]
    assert [record.time for record in got] == [NOW + at * 1_000_000 for at in range(5)]


def test_pcapng_of_scapy(tmp_path):
    path = tmp_path / "scapy.pcapng"
    with PcapNgWriter(str(path)) as writer:
        for at, packet in enumerate(packets()):
            packet.sniffed_on = f"eth{at % 2}"
            packet.direction = 1 + at % 2
            packet.comments = [b"of scapy"]
            writer.write(packet)
    got = records(path.read_bytes())
    assert [record.data for record in got] == [bytes(packet) for packet in packets()]
    assert [record.time for record in got] == [NOW + at * 1_000_000 for at in range(5)]
    assert [record.interface for record in got] == ["eth0", "eth1", "eth0", "eth1", "eth0"]
    assert [record.direction for record in got] == [Direction.IN, Direction.OUT] * 2 + [Direction.IN]


SOURCE = (
    section()
    + interface("<", "lan0", options=option("<", 9, b"\x09"))
    + interface("<", "wan0", options=option("<", 9, b"\x09"))
    + b"".join(
        enhanced(ident=at % 2, stamp=NOW + at, data=FRAME + bytes(at), options=flags("<", 1 + at % 2))
        for at in range(8)
    )
)


@pytest.mark.usefixtures("tshark")
@pytest.mark.parametrize(
    ("form", "unit", "named"), [("pcapng", 1, True), ("pcap", 1000, False), ("nsecpcap", 1, False)]
)
def test_files_of_editcap(tmp_path, form, unit, named):
    source, target = tmp_path / "source.pcapng", tmp_path / "target"
    source.write_bytes(SOURCE)
    subprocess.run(["editcap", "-F", form, str(source), str(target)], check=True, capture_output=True)
    expected = records(SOURCE)
    got = list(open_capture(io.BytesIO(target.read_bytes()), "target", None if named else "any"))
    assert [record.data for record in got] == [record.data for record in expected]
    assert [record.time for record in got] == [record.time // unit * unit for record in expected]
    if named:
        assert got == expected


@pytest.mark.usefixtures("tshark")
def test_a_file_that_editcap_snapped(tmp_path):
    source, target = tmp_path / "source.pcapng", tmp_path / "target.pcapng"
    source.write_bytes(SOURCE)
    subprocess.run(["editcap", "-s", "62", str(source), str(target)], check=True, capture_output=True)
    assert [record.number for record in records(target.read_bytes())] == [1, 2, 3]
