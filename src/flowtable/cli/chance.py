"""What Linux draws at random in the frames of a router, taken out so that two runs can be compared.

Random are the identification of the router's own IPv4 packets, the flow label of its own IPv6
packets, and the identification of IPv6 packets that it cuts itself. What a router forwards keeps
them, so a value that came in with some frame is no chance. The time of day in its own answers to
ICMP timestamp requests is that of its clock.

Ref: net/ipv4/route.c:__ip_select_ident, include/net/ipv6.h:ip6_make_flowlabel,
net/ipv6/output_core.c:ipv6_select_ident.
"""

from __future__ import annotations

from typing import Final

from flowtable.packet.checksum import adjust, delta

_TAGS: Final = (b"\x81\x00", b"\x88\xa8")
_PPPOE: Final = b"\x88\x64"
_IPV4: Final = (b"\x08\x00", b"\x00\x21")
_IPV6: Final = (b"\x86\xdd", b"\x00\x57")
_FRAGMENT: Final = 44
_IN_IP: Final = (4, 41)
_ICMP: Final = 1
_TIMESTAMP_REPLY: Final = 14
_LISTENERS: Final = (b"\x83", b"\x84", b"\x8f")
"""Multicast listener report, done, and report of version 2."""


class Chance:
    """Knows what came in, and so what was drawn."""

    __slots__ = ("_identifications", "_labels")

    def __init__(self) -> None:
        self._identifications: set[bytes] = {b"\0\0", b"\0\0\0\0"}
        self._labels: set[bytes] = {bytes(3)}

    def saw(self, frame: bytes) -> None:
        """Note a frame that came in."""
        data = bytes(frame)
        for family, at in _headers(data):
            if family == 4:
                self._identifications.add(data[at + 4 : at + 6])
            else:
                self._labels.add(_label(data, at))
                if data[at + 6] == _FRAGMENT:
                    self._identifications.add(data[at + 44 : at + 48])

    def without(self, frame: bytes) -> bytes:
        """A frame that went out, with zeros for what was drawn; a header checksum follows suit."""
        data = bytearray(frame)
        for family, at in _headers(bytes(frame)):
            if family == 4:
                drawn = bytes(data[at + 4 : at + 6])
                if drawn not in self._identifications:
                    _clear(data, at + 4, 2, at + 10)
                    message = at + (data[at] & 15) * 4
                    if data[at + 9] == _ICMP and data[message : message + 1] == bytes([_TIMESTAMP_REPLY]):
                        _clear(data, message + 12, 8, message + 2)
                continue
            if _label(data, at) not in self._labels:
                data[at + 1] &= 0xF0
                data[at + 2 : at + 4] = b"\0\0"
            if data[at + 6] == _FRAGMENT and bytes(data[at + 44 : at + 48]) not in self._identifications:
                data[at + 44 : at + 48] = bytes(4)
        return bytes(data)


def _clear(data: bytearray, at: int, size: int, checksum: int) -> None:
    """Put zeros in the place of some bytes, and put the checksum over them right."""
    end = checksum + 2
    if len(data) < max(at + size, end):
        return
    blank = bytes(size)
    change = delta(bytes(data[at : at + size]), blank)
    data[checksum:end] = adjust(int.from_bytes(data[checksum:end]), change).to_bytes(2)
    data[at : at + size] = blank


def _label(data: bytes | bytearray, at: int) -> bytes:
    return bytes((data[at + 1] & 0x0F, data[at + 2], data[at + 3]))


def _headers(frame: bytes) -> list[tuple[int, int]]:
    """Version and offset of the IP headers of a frame, the outermost first."""
    at = 12
    while frame[at : at + 2] in _TAGS:
        at += 4
    kind = frame[at : at + 2]
    at += 2
    if kind == _PPPOE:
        kind = frame[at + 6 : at + 8]
        at += 8
    found = []
    while True:
        if kind in _IPV4 and len(frame) >= at + 20:
            found.append((4, at))
            following, at = frame[at + 9], at + (frame[at] & 15) * 4
        elif kind in _IPV6 and len(frame) >= at + 48:
            found.append((6, at))
            following, at = frame[at + 6], at + 40
        else:
            return found
        if following not in _IN_IP:
            return found
        kind = _IPV4[0] if following == 4 else _IPV6[0]


def is_listener_report(frame: bytes) -> bool:
    """Whether a frame tells of multicast groups that its sender joins or leaves (RFC 3810)."""
    return any(
        family == 6 and frame[at + 6] == 0 and frame[at + 48 : at + 49] in _LISTENERS
        for family, at in _headers(bytes(frame))
    )
