"""Switch tags, against the layouts that the kernel's drivers document (net/dsa/tag_*.c)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtable.packet import dsa
from flowtable.packet.malformed import Malformed

MACS = bytes.fromhex("020000000101020000000199")
IP = MACS + bytes.fromhex("0800") + bytes(46)
TAGGED = MACS + bytes.fromhex("8100b00a0800") + bytes(46)
SERVICE = MACS + bytes.fromhex("88a8a0070800") + bytes(46)


def tag(frame: bytes, size: int) -> str:
    """What stands between the MAC addresses and the rest."""
    return frame[12 : 12 + size].hex()


@pytest.mark.parametrize(
    ("written", "expected", "rest"),
    [
        (dsa.write_mtk(IP, 3), "00080000", IP[12:]),
        # The tag takes the place of the VLAN's ethertype and leaves its control information.
        (dsa.write_mtk(TAGGED, 0), "0101b00a", TAGGED[16:]),
        (dsa.write_mtk(SERVICE, 5), "0220a007", SERVICE[16:]),
        (dsa.write_dsa(IP, 2), "40100000", IP[12:]),
        (dsa.write_dsa(IP, 2, dsa.BRIDGED_VID), "40100fff", IP[12:]),
        # Priority 5, DEI set: the bit moves to the end of the second byte.
        (dsa.write_dsa(TAGGED, 3), "6019a00a", TAGGED[16:]),
        (dsa.write_dsa(SERVICE, 3), "40180000", SERVICE[12:]),
        (dsa.write_edsa(IP, 2), "dada000040100000", IP[12:]),
        (dsa.write_edsa(TAGGED, 3), "dada00006019a00a", TAGGED[16:]),
        (dsa.write_brcm(IP, 4), "20000010", IP[12:] + bytes(4)),
        (dsa.write_brcm(IP, 8), "20000100", IP[12:] + bytes(4)),
        (dsa.write_brcm(IP + bytes(10), 4), "20000010", IP[12:] + bytes(10)),
    ],
)
def test_frames_to_a_port(written, expected, rest):
    size = len(expected) // 2
    assert written[:12] == MACS
    assert tag(written, size) == expected
    assert written[12 + size :] == rest


def from_switch(head: str, rest: bytes = IP[12:]) -> bytes:
    return MACS + bytes.fromhex(head) + rest


@pytest.mark.parametrize(
    ("read", "frame", "port", "expected"),
    [
        (dsa.read_mtk, from_switch("00020000"), 2, IP),
        (dsa.read_mtk, from_switch("00040000", TAGGED[12:]), 4, TAGGED),
        (dsa.read_dsa, from_switch("c0280000"), 5, IP),
        (dsa.read_dsa, from_switch("e029a00a", TAGGED[16:]), 5, TAGGED),
        # To the processor: trapped IGMP (code 2), a mirrored ARP request (4), management (0).
        (dsa.read_dsa, from_switch("000a0000"), 1, IP),
        (dsa.read_dsa, from_switch("000c0000"), 1, IP),
        (dsa.read_dsa, from_switch("00080000"), 1, IP),
        (dsa.read_edsa, from_switch("dada0000c0280000"), 5, IP),
        (dsa.read_edsa, from_switch("dada0000e029a00a", TAGGED[16:]), 5, TAGGED),
        (dsa.read_brcm, from_switch("00000003"), 3, IP),
    ],
)
def test_frames_of_a_port(read, frame, port, expected):
    assert read(frame) == (port, expected)


@pytest.mark.parametrize(
    ("read", "head"),
    [
        (dsa.read_dsa, "80000000"),  # a command of ports that mirror
        (dsa.read_dsa, "40080000"),  # from the processor: sent back by a port that loops
        (dsa.read_dsa, "c0040000"),  # of a trunk
        (dsa.read_dsa, "00081000"),  # code 1: the answer to a register access
        (dsa.read_dsa, "c1080000"),  # of a second switch
        (dsa.read_brcm, "20000001"),
        (dsa.read_brcm, "00008001"),
    ],
)
def test_frames_of_no_port(read, head):
    with pytest.raises(Malformed):
        read(from_switch(head))


READERS = [dsa.read_mtk, dsa.read_dsa, dsa.read_edsa, dsa.read_brcm]


@given(st.sampled_from(READERS), st.binary(max_size=24))
def test_whatever_comes(read, rest):
    try:
        tagged = read(MACS + rest)
    except Malformed:
        return
    assert tagged.frame[:12] == MACS
    assert len(tagged.frame) >= 14
    assert 0 <= tagged.port < 32


@given(st.sampled_from([IP, TAGGED]), st.integers(0, 31))
def test_what_the_switch_makes_of_a_frame_comes_back(frame, port):
    """A Marvell switch turns the command of a frame from the processor, and no more, when it forwards it."""
    for write, read, at in ((dsa.write_dsa, dsa.read_dsa, 12), (dsa.write_edsa, dsa.read_edsa, 16)):
        sent = bytearray(write(frame, port))
        sent[at] |= 0xC0
        assert read(bytes(sent)) == (port, frame)
