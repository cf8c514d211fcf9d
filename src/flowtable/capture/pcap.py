"""The pcap reader. Ref: draft-ietf-opsawg-pcap."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.capture import library
from flowtable.capture.error import CaptureError
from flowtable.capture.linktype import ETHERNET, describe
from flowtable.capture.record import Direction, Record
from flowtable.capture.skip import Skip
from flowtable.capture.stretch import Stretch

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from flowtable.capture.window import Window

MAGICS: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
"""First four bytes of a file: its byte order and the nanoseconds in a unit of its fractions."""

_HEADER: Final = 24
_LINKTYPE_MASK: Final = 0xFFFF
"""The upper bits of the link type say whether frames end in a checksum."""
_LONGEST_FRAME: Final = 1 << 18
"""As libpcap's MAXIMUM_SNAPLEN: what is longer is damage, not a frame."""


class PcapReader:
    """Reads the records of a pcap stream.

    Args:
        window: the stream, before its header.
        name: what messages call it.
        interface: name for the interface of every record; a pcap file has none.
        names: where its absence is kept, as an empty name.
        skipped: where packets that are passed over are counted.
    """

    def __init__(
        self, window: Window, name: str, interface: str | None, names: list[str], skipped: Counter[Skip]
    ) -> None:
        self._window = window
        self._name = name
        self._interface = interface or ""
        names.append("")
        self._skipped = skipped

    def records(self) -> Iterator[Record]:
        """The frames of the file, in its order.

        Raises:
            CaptureError: the rest of the file cannot be told apart into packets, or the file is
                not of Ethernet frames; every good packet before has been given.
        """
        window, interface, skipped = self._window, self._interface, self._skipped
        header, unit = self._header()
        new, unknown = tuple.__new__, Direction.UNKNOWN
        number = 0
        at = _HEADER
        while window.advance(at, 16):
            data, at = window.data, 0
            last = len(data) - 16
            while at <= last:
                seconds, fraction, captured, original = header(data, at)
                begin = at + 16
                after = begin + captured
                if after > last + 16:
                    data, at = self._whole(at, captured, number), 0
                    last = len(data) - 16
                    continue
                number += 1
                at = after
                if captured < original:
                    skipped[Skip.TRUNCATED] += 1
                elif not captured:
                    skipped[Skip.EMPTY] += 1
                else:
                    time = seconds * 1_000_000_000 + fraction * unit
                    yield new(Record, (number, interface, time, data[begin:after], original, unknown))
        if window.data:
            raise self._error(0, number, f"cut short: {len(window.data)} bytes of a packet's header")

    def stretches(self) -> Iterator[Stretch]:
        """The same as ``records``, many at once.

        Raises:
            CaptureError: as with ``records``.
            OSError: the library is not there.
        """
        window, stretch = self._window, Stretch()
        scan = library.load().ft_scan_pcap
        header, unit = self._header()
        swapped = MAGICS[window.data[:4]][0] == ">"
        stretch.names = [self._interface]
        number = 0
        at = _HEADER
        while window.advance(at, 16):
            data, at = window.data, 0
            while len(data) - at >= 16:
                at = stretch.fill(scan, data, at, swapped, unit)
                if count := stretch.burst.count:
                    stretch.number = number + 1
                    number += count
                    yield stretch
                if count == stretch.burst.room:
                    continue
                if len(data) - at < 16:
                    break
                _, _, captured, original = header(data, at)
                if at + 16 + captured > len(data):
                    data, at = self._whole(at, captured, number), 0
                    continue
                number += 1
                at += 16 + captured
                if captured < original:
                    self._skipped[Skip.TRUNCATED] += 1
                else:
                    self._skipped[Skip.EMPTY] += 1
        if window.data:
            raise self._error(0, number, f"cut short: {len(window.data)} bytes of a packet's header")

    def _whole(self, at: int, captured: int, number: int) -> bytes:
        """What is in memory with the whole of the packet at ``at`` first."""
        if captured > _LONGEST_FRAME:
            raise self._error(at, number, f"{captured} bytes captured, expected at most {_LONGEST_FRAME}")
        if not self._window.advance(at, 16 + captured):
            there = len(self._window.data) - 16
            raise self._error(0, number, f"cut short: {there} bytes of {captured} captured")
        return self._window.data

    def _header(self) -> tuple[Callable[[bytes, int], tuple[int, int, int, int]], int]:
        """How packet headers are read, and nanoseconds in a unit of their fractions."""
        if not self._window.advance(0, _HEADER):
            raise CaptureError(self._name, 0, f"cut short: {len(self._window.data)} bytes of the file header")
        data = self._window.data
        order, unit = MAGICS[data[:4]]
        major: int = Struct(order + "H").unpack_from(data, 4)[0]
        if major != 2:
            raise CaptureError(self._name, 4, f"pcap version {major}, expected 2")
        linktype: int = Struct(order + "I").unpack_from(data, 20)[0] & _LINKTYPE_MASK
        if linktype != ETHERNET:
            raise CaptureError(self._name, 20, f"no Ethernet frames, but {describe(linktype)}")
        return Struct(order + "4I").unpack_from, unit

    def _error(self, at: int, number: int, reason: str) -> CaptureError:
        return CaptureError(self._name, self._window.start + at, reason, packet=number + 1)
