"""Packets of a capture by the hundred, found in memory by code in C."""

from __future__ import annotations

from ctypes import byref, c_uint32, c_uint64
from typing import TYPE_CHECKING, Any, Final

from flowtable.capture import library
from flowtable.capture.library import address, packets
from flowtable.capture.record import LAST_TIME, Direction
from flowtable.packet.burst import Burst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from flowtable.capture.record import Record

ROOM: Final = 4096
"""The most packets in a stretch."""


class Stretch:
    """Successive packets of a capture. It is used again for the next ones.

    Attributes:
        burst: the packets, in the order of the capture, whatever their times. The devices are places
            in ``names``.
        names: names of interfaces.
        number: the place of the first packet among those of its file, from 1.
        outgoing: of each packet 1 if the capture says that it went out, else 0.
    """

    __slots__ = ("_packets", "burst", "names", "number", "outgoing")

    def __init__(self, room: int = ROOM) -> None:
        """Begin without packets.

        Args:
            room: how many there may be.
        """
        self.burst = Burst(b"", room)
        self.names: Sequence[str] = ()
        self.number = 1
        self.outgoing = bytearray(room)
        self._packets = packets(self.burst, self.outgoing)

    def fill(self, scan: Callable[..., int], data: bytes, at: int, *arguments: object) -> int:
        """Take packets that C finds in memory.

        Args:
            scan: a function of the library.
            data: the memory.
            at: where to begin.
            arguments: what else the function wants to know.

        Returns:
            Where what it did not take begins.
        """
        found = self._packets
        found.count = 0
        end = scan(data, len(data), at, *arguments, byref(found))
        self.burst.frames = data
        self.cut(found.count)
        return end

    def put(self, records: Iterable[Record]) -> None:
        """Take records, up to as many as there is room for."""
        burst = self.burst
        names: dict[str, int] = {}
        pieces = []
        at = count = 0
        for count, record in enumerate(records, 1):
            data = record.data
            pieces.append(data)
            place = count - 1
            burst.offsets[place] = at
            burst.lengths[place] = len(data)
            burst.devices[place] = names.setdefault(record.interface, len(names))
            burst.times[place] = record.time
            self.outgoing[place] = record.direction is Direction.OUT
            at += len(data)
        burst.frames = b"".join(pieces)
        self.names = list(names)
        self.cut(count)

    def cut(self, count: int) -> None:
        """Keep the first packets only."""
        self.burst.count = self._packets.count = count


class Sieve:
    """Picks packets that are input to a box, and keeps its time.

    Attributes:
        now: the latest time so far, nanoseconds.
        picked: how many packets were input.
        own: how many the box had sent itself.
        late: how many of all had an earlier time than one before them.
    """

    def __init__(self) -> None:
        self.now = self.picked = self.own = self.late = 0
        self._burst = Burst(b"", ROOM)
        self._packets = packets(self._burst)
        self._sift: Any = library.load().ft_sift
        self._devices: Mapping[str, int] = {}
        self._unaddressed: frozenset[str] = frozenset()
        self._own = bytearray()

    def know(self, devices: Mapping[str, int], own: Iterable[bytes], unaddressed: Iterable[str]) -> None:
        """Say what the box is.

        Args:
            devices: the indexes of its devices by their names.
            own: its MAC addresses: packets that come from them are its own.
            unaddressed: devices whose packets are the box's own where they come from no address.
        """
        self._devices = devices
        self._own = bytearray().join(own)
        self._unaddressed = frozenset(unaddressed)

    def pick(self, stretch: Stretch, at: int, until: int) -> tuple[Burst, int]:
        """Pick from a stretch.

        Args:
            stretch: all of its names are names of devices.
            at: the place of the first packet to look at.
            until: packets of this time and later are left, nanoseconds.

        Returns:
            The input, good until the next call, and the place of the first packet that was left.
        """
        found, picked = stretch.burst, self._packets
        devices = (c_uint32 * len(stretch.names))(*(self._devices.get(name, 0) for name in stretch.names))
        unaddressed = bytes(name in self._unaddressed for name in stretch.names)
        now, counts = c_uint64(self.now), (c_uint32 * 3)()
        picked.count = 0
        at = self._sift(
            found.frames, byref(stretch._packets), at, min(until - 1, LAST_TIME), devices, unaddressed,
            address(self._own), len(self._own) // 6, byref(now), byref(counts), byref(picked),
        )  # fmt: skip
        self.now = now.value
        self.picked += counts[0]
        self.own += counts[1]
        self.late += counts[2]
        self._burst.frames = found.frames
        self._burst.count = picked.count
        return self._burst, at
