"""The tags of ``packet.dsa`` from the other end of the conduit: as a switch chip writes and reads them.

Each format has a writer for frames from a port to the processor, and a reader for those from the
processor to a port. They are the counterparts of the drivers' functions in ``packet.dsa``.
"""

from __future__ import annotations

from typing import Final

from flowtable.packet.dsa import ETHERTYPE_EDSA, Tagged
from flowtable.packet.malformed import Malformed
from flowtable.packet.packet import ETHERTYPE_QINQ, ETHERTYPE_VLAN

_MACS: Final = 12
_VLAN: Final = ETHERTYPE_VLAN.to_bytes(2)
_FROM_CPU: Final = 1
_FORWARD: Final = 3
_TAGGED: Final = 0x20
_DEI: Final = 0x10
_MTK_TAGS: Final = {0: b"", 1: _VLAN, 2: ETHERTYPE_QINQ.to_bytes(2)}
_EDSA: Final = ETHERTYPE_EDSA.to_bytes(2) + b"\0\0"


def to_cpu_mtk(frame: bytes, port: int) -> bytes:
    """Tag a frame that came in on a port, MediaTek's way."""
    return frame[:_MACS] + bytes((0, port, 0, 0)) + frame[_MACS:]


def to_cpu_dsa(frame: bytes, port: int) -> bytes:
    """Tag a frame that came in on a port, Marvell's way; an 802.1Q tag becomes part of it."""
    return frame[:_MACS] + _forwarded(frame, port)


def to_cpu_edsa(frame: bytes, port: int) -> bytes:
    """Tag a frame that came in on a port, Marvell's way with an ethertype."""
    return frame[:_MACS] + _EDSA + _forwarded(frame, port)


def to_cpu_brcm(frame: bytes, port: int) -> bytes:
    """Tag a frame that came in on a port, Broadcom's way."""
    return frame[:_MACS] + bytes((0, 0, 0, port)) + frame[_MACS:]


def from_cpu_mtk(frame: bytes) -> Tagged:
    """Take a MediaTek tag off a frame of the processor.

    Raises:
        Malformed: the frame ends inside the tag, or it names no port.
    """
    _require(frame, 4)
    tag = _MTK_TAGS.get(frame[12])
    if tag is None:
        raise Malformed(f"MediaTek tag of kind {frame[12]}", _MACS)
    rest = tag + frame[14:] if tag else frame[16:]
    return Tagged(_port(frame[13]), frame[:_MACS] + rest)


def from_cpu_dsa(frame: bytes) -> Tagged:
    """Take a Marvell tag off a frame of the processor.

    Raises:
        Malformed: the frame ends inside the tag, or it is none to a port.
    """
    return _from_marvell(frame, 0)


def from_cpu_edsa(frame: bytes) -> Tagged:
    """Take a Marvell tag with an ethertype off a frame of the processor.

    Raises:
        Malformed: the frame ends inside the tag, or it is none to a port.
    """
    return _from_marvell(frame, 4)


def from_cpu_brcm(frame: bytes) -> Tagged:
    """Take a Broadcom tag off a frame of the processor.

    Raises:
        Malformed: the frame ends inside the tag, or it names no port.
    """
    _require(frame, 4)
    return Tagged(_port((frame[14] & 1) << 8 | frame[15]), frame[:_MACS] + frame[16:])


def _port(mask: int) -> int:
    if not mask or mask & (mask - 1):
        raise Malformed(f"switch tag to ports {mask:#x}", _MACS)
    return mask.bit_length() - 1


def _forwarded(frame: bytes, port: int) -> bytes:
    """Ref: net/dsa/tag_dsa.c:dsa_rcv_ll, DSA_CMD_FORWARD."""
    if frame[_MACS : _MACS + 2] == _VLAN and len(frame) >= 16:
        dei = frame[14] >> 4 & 1
        return bytes((_FORWARD << 6 | _TAGGED, port << 3 | dei, frame[14] & ~_DEI, frame[15])) + frame[16:]
    return bytes((_FORWARD << 6, port << 3, 0, 0)) + frame[_MACS:]


def _from_marvell(frame: bytes, extra: int) -> Tagged:
    _require(frame, extra + 4)
    at = _MACS + extra
    first, second, third, fourth = frame[at : at + 4]
    if first >> 6 != _FROM_CPU:
        raise Malformed(f"DSA tag with command {first >> 6} to the switch", at)
    tag = _VLAN + bytes((third | (second & 1) << 4, fourth)) if first & _TAGGED else b""
    return Tagged(second >> 3, frame[:_MACS] + tag + frame[at + 4 :])


def _require(frame: bytes, size: int) -> None:
    if len(frame) < _MACS + size + 2:
        raise Malformed(f"switch tag: {len(frame) - _MACS} of {size + 2} bytes", _MACS)
