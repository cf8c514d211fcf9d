"""Tags by which a switch chip and its driver name the port of a frame on the conduit.

Each format has a reader, which takes the tag off a frame from the switch, and a writer, which
puts one on a frame to a port. They stand behind the MAC addresses. Where a format tells the
VLAN in its own tag, the reader gives it back as an 802.1Q tag.

Ref: net/dsa/tag_mtk.c, tag_dsa.c, tag_brcm.c.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from flowtable.packet.malformed import Malformed
from flowtable.packet.packet import ETHERTYPE_QINQ, ETHERTYPE_VLAN

_MACS: Final = 12
_VLAN: Final = ETHERTYPE_VLAN.to_bytes(2)

_MTK_UNTAGGED: Final = 0
_MTK_TAGGED: Final = {ETHERTYPE_VLAN.to_bytes(2): 1, ETHERTYPE_QINQ.to_bytes(2): 2}
"""What the tag begins with, so that the switch finds the VLAN tag that it is one with."""

ETHERTYPE_EDSA: Final = 0xDADA
_TO_CPU: Final = 0
_FROM_CPU: Final = 1
_FORWARD: Final = 3
"""Commands of a Marvell tag. Ref: net/dsa/tag_dsa.c:enum dsa_cmd."""
_TRAPS: Final = frozenset({0, 2, 3, 4, 5})
"""Why a frame came to the processor that the driver takes; code 1 answers a register access.

Ref: net/dsa/tag_dsa.c:enum dsa_code.
"""
STANDALONE_VID: Final = 0
BRIDGED_VID: Final = 4095
"""VLAN of untagged frames to a port that is in a bridge. Ref: include/linux/dsa/mv88e6xxx.h."""

_BRCM_MINIMUM: Final = 64
"""Shortest frame to the switch before its tag, without the checksum."""


class Tagged(NamedTuple):
    """A frame from the switch.

    Attributes:
        port: number of the port it came in on.
        frame: the frame as it was on that port.
    """

    port: int
    frame: bytes


def read_mtk(frame: bytes) -> Tagged:
    """Take a MediaTek tag off.

    Raises:
        Malformed: the frame ends inside the tag.
    """
    _require(frame, 4)
    return Tagged(frame[13] & 0x07, frame[:_MACS] + frame[_MACS + 4 :])


def write_mtk(frame: bytes, port: int) -> bytes:
    """Put a MediaTek tag on; of a VLAN tag it takes the place of the ethertype."""
    kind = _MTK_TAGGED.get(frame[12:14])
    if kind is None:
        return frame[:_MACS] + bytes((_MTK_UNTAGGED, 1 << port, 0, 0)) + frame[_MACS:]
    return frame[:_MACS] + bytes((kind, 1 << port)) + frame[14:]


def read_dsa(frame: bytes) -> Tagged:
    """Take a Marvell DSA tag off.

    Raises:
        Malformed: the frame ends inside the tag, or is none that a port received.
    """
    return _read_marvell(frame, 0)


def write_dsa(frame: bytes, port: int, vid: int = STANDALONE_VID) -> bytes:
    """Put a Marvell DSA tag on, in place of an 802.1Q tag if there is one.

    Args:
        frame: the frame.
        port: number of the port.
        vid: the switch's VLAN for a frame without a tag.
    """
    return frame[:_MACS] + _marvell(frame, port, vid)


def read_edsa(frame: bytes) -> Tagged:
    """Take a Marvell tag with an ethertype of its own off.

    Raises:
        Malformed: the frame ends inside the tag, or is none that a port received.
    """
    return _read_marvell(frame, 4)


def write_edsa(frame: bytes, port: int, vid: int = STANDALONE_VID) -> bytes:
    """Put a Marvell tag with an ethertype of its own on; see ``write_dsa``."""
    return frame[:_MACS] + ETHERTYPE_EDSA.to_bytes(2) + b"\0\0" + _marvell(frame, port, vid)


def read_brcm(frame: bytes) -> Tagged:
    """Take a Broadcom tag off.

    Raises:
        Malformed: the frame ends inside the tag, or it is not that of a received frame.
    """
    _require(frame, 4)
    if frame[12] >> 5:
        raise Malformed(f"Broadcom tag with opcode {frame[12] >> 5}", _MACS)
    if frame[14] & 0xC0:
        raise Malformed("Broadcom tag with a reserved reason code", _MACS + 2)
    return Tagged(frame[15] & 0x1F, frame[:_MACS] + frame[_MACS + 4 :])


def write_brcm(frame: bytes, port: int) -> bytes:
    """Put a Broadcom tag on; a short frame is padded, for the switch checks it without the tag."""
    tag = bytes((1 << 5, 0, port == 8, 1 << port & 0xFF))
    return frame[:_MACS] + tag + frame[_MACS:].ljust(_BRCM_MINIMUM - _MACS, b"\0")


def _require(frame: bytes, size: int) -> None:
    if len(frame) < _MACS + size + 2:
        raise Malformed(f"switch tag: {len(frame) - _MACS} of {size + 2} bytes", _MACS)


def _read_marvell(frame: bytes, extra: int) -> Tagged:
    """Ref: net/dsa/tag_dsa.c:dsa_rcv_ll."""
    _require(frame, extra + 4)
    at = _MACS + extra
    first, second, third, fourth = frame[at : at + 4]
    command = first >> 6
    if command == _FORWARD:
        if second & 0x04:
            raise Malformed("DSA tag of a link aggregation", at + 1)
    elif command == _TO_CPU:
        code = second & 0x06 | third >> 4 & 1
        if code not in _TRAPS:
            raise Malformed(f"DSA tag with code {code} to the processor", at + 1)
    else:
        raise Malformed(f"DSA tag with command {command} from the switch", at)
    if first & 0x1F:
        raise Malformed(f"DSA tag of switch {first & 0x1F}", at)
    tag = b""
    if first & 0x20:
        tag = _VLAN + bytes((third & ~0x10 | (second & 1) << 4, fourth))
    return Tagged(second >> 3, frame[:_MACS] + tag + frame[at + 4 :])


def _marvell(frame: bytes, port: int, vid: int) -> bytes:
    """A tag and what follows it. Ref: net/dsa/tag_dsa.c:dsa_xmit_ll."""
    if frame[12:14] == _VLAN and len(frame) >= 16:
        dei = frame[14] >> 4 & 1
        return bytes((_FROM_CPU << 6 | 0x20, port << 3 | dei, frame[14] & ~0x10, frame[15])) + frame[16:]
    return bytes((_FROM_CPU << 6, port << 3)) + vid.to_bytes(2) + frame[_MACS:]
