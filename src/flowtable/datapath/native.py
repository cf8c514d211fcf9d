"""The fast path in C, in this process."""

from __future__ import annotations

import weakref
from ctypes import byref, c_char, c_char_p, c_void_p, cast, pointer
from typing import TYPE_CHECKING, Any, Final

from flowtable.datapath import layout, library
from flowtable.datapath.layout import (
    DOOR_IN,
    DOOR_OUT,
    ENDS,
    HEAD_MAX,
    MISSES,
    STOP_EXIT,
    STOP_HANDOVER,
    STOP_MISS,
    Batch,
    Config,
    Entry,
    Flow,
    Key,
    Link,
    LinkKey,
    NextHop,
)
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.datapath.tables import Installer, expressible, settings
from flowtable.flows.entry import FlowFlag
from flowtable.packet.burst import Burst
from flowtable.packet.miss import Miss

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from flowtable.flows.datapath import Door, OnEnd, Outcome
    from flowtable.flows.entry import FlowEntry
    from flowtable.profile import Profile
    from flowtable.ruleset.family import Family
    from flowtable.topology.device import Device

FRAME_MAX: Final = 0x1_0000 + HEAD_MAX
"""The longest frame: an IP packet of 65535 bytes and its link-layer header."""
_JUDGED: Final = (STOP_MISS, STOP_HANDOVER)
_LAST_TIME: Final = (1 << 64) - 1
_DOORS_MAX: Final = 1 << 16
"""Frames of devices with higher indexes are forwarded one by one."""


class NativeTables:
    """The tables of one flowtable in the library."""

    def __init__(self, config: Config) -> None:
        """Make empty tables.

        Raises:
            OSError: the library is not there.
            MemoryError: there is none for the tables.
        """
        self.library = library.load()
        self.handle = self.library.ft_new(byref(config))
        if not self.handle:
            raise MemoryError
        weakref.finalize(self, self.library.ft_free, self.handle)

    @property
    def memory(self) -> int:
        """Bytes that they take."""
        return int(self.library.ft_memory(self.handle))

    def set_doors(self, doors: Mapping[int, Door]) -> None:
        """Say what frames may be forwarded in bursts, by the indexes of devices."""
        few = {index: door for index, door in doors.items() if index < _DOORS_MAX}
        count = 1 + max(few, default=-1)
        self._doors = (layout.Door * count)()  # the library reads it from now on
        for index, door in few.items():
            place = self._doors[index]
            if door.addresses:
                place.mac[:], place.other[:] = door.addresses[0], door.addresses[-1]
                place.flags |= DOOR_IN
            if door.wire:
                place.flags |= DOOR_OUT
        self.library.ft_set_doors(self.handle, self._doors, count)

    def set_link(self, key: LinkKey, link: Link) -> None:
        """Add a link, or say something else of it."""
        _done(self.library.ft_set_link(self.handle, byref(key), byref(link)))

    def remove_link(self, key: LinkKey) -> None:
        """Forget a link."""
        _done(self.library.ft_remove_link(self.handle, byref(key)))

    def set_next_hop(self, number: int, hop: NextHop) -> None:
        """Say what a next hop is that no flow goes to yet."""
        place = self.library.ft_next_hop(self.handle, number)
        if not place:
            raise MemoryError
        place[0] = hop

    def set_flow(self, family: int, key: Key, flow: Flow) -> None:
        """Have packets with a key forwarded, or forwarded in another way."""
        _done(self.library.ft_set_flow(self.handle, family, byref(key), byref(flow)))

    def remove_flow(self, family: int, key: Key) -> None:
        """Have packets with a key forwarded no more."""
        _done(self.library.ft_remove_flow(self.handle, family, byref(key)))

    def entry(self, number: int) -> Entry:
        """What the directions of an entry share: the memory itself, which packets change."""
        place = self.library.ft_entry(self.handle, number)
        if not place:
            raise MemoryError
        entry: Entry = place.contents
        return entry


class NativeDatapath:
    """Forwards packets of one flowtable in C; in Python those of the few entries that C cannot express."""

    def __init__(self, family: Family, profile: Profile, on_end: OnEnd) -> None:
        """Forward nothing yet.

        Args:
            family: of the flowtable's table: ``IP``, ``IP6`` or ``INET``.
            profile: how it behaves.
            on_end: called with each packet that ends its flow, before ``process`` returns.

        Raises:
            OSError: the library is not there.
            MemoryError: there is none for its tables.
        """
        self.tables = NativeTables(settings(family, profile))
        self._installer = Installer(self.tables, profile, on_end)
        self._others = ReferenceDatapath(family, profile, on_end)
        self._tunnels = profile.tunnels
        self._on_end = on_end
        self._devices: dict[int, Device] = {}
        self._handle = self.tables.handle
        self._left = Burst(bytearray(FRAME_MAX), 1)
        self._leaving_frame = memoryview(self._left.frames)
        self._leaves_by = self._left.devices
        self._batch = Batch(room=1)
        _point(self._batch.left, self._left)
        self._batch_pointer = pointer(self._batch)
        self._process: Any = self.tables.library.ft_process_one
        self._bursts = Batch()
        self._bursts_pointer = pointer(self._bursts)
        self._process_many: Any = self.tables.library.ft_process
        self._arriving = self._leaving = Burst(b"", 0)
        self._frames = self._arriving.frames

    def install(self, entry: FlowEntry) -> None:
        """Forward by an entry, or bring an installed one up to date after a change to it.

        Raises:
            MemoryError: there is none for the entry.
        """
        home, other = self._installer, self._others
        if not expressible(entry):
            if entry in home:
                home.remove(entry)
            other.install(entry)
            return
        if entry in other:
            other.remove(entry)
        for direction in entry.directions:
            self._devices[direction.device.index] = direction.device
        home.install(entry)

    def remove(self, entry: FlowEntry) -> None:
        """Forget an entry; an older one with the same key is found again."""
        if entry in self._installer:
            self._installer.remove(entry)
        else:
            self._others.remove(entry)

    def stats(self, entry: FlowEntry) -> None:
        """Bring the entry's ``refreshed``, ``flags`` and its directions' counts up to date."""
        if entry in self._installer:
            self._installer.report(entry)
        else:
            self._others.stats(entry)

    def active(self, entries: Collection[FlowEntry]) -> Iterable[FlowEntry]:
        """All of the entries: any may have forwarded packets."""
        return list(entries)

    def process(self, frame: bytes, iif: int, now: int) -> Outcome:
        """Forward one frame that arrived on the device with index ``iif``."""
        process = self._process  # `self._process(...)` would look for a method first
        size = process(self._handle, frame, len(frame), iif, now, self._batch_pointer)
        if size:
            return self._devices[self._leaves_by[0]], self._leaving_frame[:size].tobytes()
        return self._judged(self._batch, frame, iif, now)

    def set_doors(self, doors: Mapping[int, Door]) -> None:
        """Say which frames ``forward`` may take, by the indexes of the devices of the box."""
        self.tables.set_doors(doors)

    def forward(self, burst: Burst, first: int, until: int, left: Burst) -> tuple[int, bool]:
        """Forward frames of a burst in their order, until one of them is not simply forwarded.

        Args:
            burst: frames that arrived.
            first: the first of them to forward.
            until: frames of this time and later are not touched, nanoseconds.
            left: where those go that leave; what it held is overwritten.

        Returns:
            The place of the first frame that is not among them, and whether it was looked at:
            ``outcome`` tells then what becomes of it.
        """
        batch = self._bursts
        if burst is not self._arriving or burst.frames is not self._frames:
            _point(batch.arrived, burst)
            self._arriving, self._frames = burst, burst.frames
        batch.arrived.count = burst.count
        if left is not self._leaving:
            _point(batch.left, left)
            batch.room = left.room
            self._leaving = left
        batch.left.count = batch.used = 0
        batch.next = first
        batch.until = min(until, _LAST_TIME)
        self._process_many(self.tables.handle, self._bursts_pointer)
        left.count = batch.left.count
        if batch.stop == STOP_EXIT:
            left.count -= 1
            return batch.next - 1, True
        return batch.next, batch.stop in _JUDGED

    def outcome(self, burst: Burst, place: int) -> Outcome:
        """What becomes of the frame at which ``forward`` has stopped, as ``process`` says it. Ask once."""
        left = self._leaving
        if self._bursts.stop == STOP_EXIT:
            return self._devices[left.devices[left.count]], left.frame(left.count)
        return self._judged(self._bursts, burst.frame(place), burst.devices[place], burst.times[place])

    def _judged(self, batch: Batch, frame: bytes, iif: int, now: int) -> Outcome:
        """What becomes of a frame that C did not forward."""
        if batch.stop == STOP_HANDOVER:
            return self._hand_over(batch, frame, now)
        assert batch.stop == STOP_MISS
        miss: Miss = MISSES[batch.miss - 1]
        if batch.end:
            installed = self._installer.entries[batch.entry]
            self._on_end(installed.entry, ENDS[batch.end - 1], now)
        elif miss is Miss.NO_ENTRY or (miss is Miss.PROTOCOL and self._tunnels):
            return self._others.process(frame, iif, now)
        return miss

    def _hand_over(self, batch: Batch, frame: bytes, now: int) -> Outcome:
        """Have the path forward a packet that the neighbour layer wants to see."""
        installed = self._installer.entries[batch.entry]
        path = installed.directions[batch.reply].path
        around = path.encapsulation
        outcome: Outcome
        outcome = path.forward(frame, now) if around is None else path.encapsulated(around, frame, now)
        installed.shared.closing |= bool(installed.entry.flags & FlowFlag.CLOSING)
        return outcome


def _point(place: layout.Burst, burst: Burst) -> None:
    """Have C see a burst, whose memory and arrays have to stay where they are."""
    frames = burst.frames
    if isinstance(frames, bytes):
        place.frames = cast(c_char_p(frames), c_void_p)
    else:
        place.frames = cast((c_char * len(frames)).from_buffer(frames), c_void_p)
    place.offsets, place.lengths, place.devices, place.times = (
        each.buffer_info()[0] for each in (burst.offsets, burst.lengths, burst.devices, burst.times)
    )
    place.size = len(frames)


def _done(result: int) -> None:
    if result:
        raise MemoryError
