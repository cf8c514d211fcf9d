"""The two ends of a conduit understand each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from flowtable.packet import dsa, dsa_switch
from flowtable.packet.dsa import Tagged
from flowtable.packet.malformed import Malformed

PACKET = IP(dst="192.0.2.1") / UDP() / (b"x" * 40)
ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
FRAMES = [
    bytes(ETHER / PACKET),
    bytes(ETHER / Dot1Q(vlan=100, prio=5, id=1) / PACKET),
    bytes(ETHER / Dot1Q(vlan=7) / PACKET),
]
Write = Callable[[bytes, int], bytes]
Read = Callable[[bytes], Tagged]
UP: list[tuple[Write, Read]] = [
    (dsa_switch.to_cpu_mtk, dsa.read_mtk),
    (dsa_switch.to_cpu_dsa, dsa.read_dsa),
    (dsa_switch.to_cpu_edsa, dsa.read_edsa),
    (dsa_switch.to_cpu_brcm, dsa.read_brcm),
]
DOWN: list[tuple[Write, Read]] = [
    (dsa.write_mtk, dsa_switch.from_cpu_mtk),
    (dsa.write_dsa, dsa_switch.from_cpu_dsa),
    (dsa.write_edsa, dsa_switch.from_cpu_edsa),
    (dsa.write_brcm, dsa_switch.from_cpu_brcm),
]


@pytest.mark.parametrize(("write", "read"), UP + DOWN)
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("port", range(6))
def test_what_one_end_writes_the_other_reads(write: Write, read: Read, frame: bytes, port: int) -> None:
    tagged = write(frame, port)
    assert len(tagged) >= len(frame)
    assert read(tagged) == (port, frame)


@pytest.mark.parametrize("read", [read for _, read in DOWN])
def test_damage(read: Read) -> None:
    for size in range(12, 17):
        with pytest.raises(Malformed):
            read(FRAMES[0][:size])


def test_tags_that_the_processor_does_not_write() -> None:
    macs, rest = FRAMES[0][:12], FRAMES[0][12:]
    for read, tag in (
        (dsa_switch.from_cpu_mtk, b"\x05\x02\0\0"),
        (dsa_switch.from_cpu_mtk, b"\0\x03\0\0"),
        (dsa_switch.from_cpu_mtk, b"\0\0\0\0"),
        (dsa_switch.from_cpu_dsa, b"\xc0\x08\0\0"),
        (dsa_switch.from_cpu_brcm, b"\x20\0\0\0"),
    ):
        with pytest.raises(Malformed):
            read(macs + tag + rest)
