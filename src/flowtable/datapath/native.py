"""The fast path in C, in this process."""

from __future__ import annotations

import weakref
from ctypes import addressof, byref, create_string_buffer, pointer
from typing import TYPE_CHECKING, Any, Final

from flowtable.datapath import library
from flowtable.datapath.layout import (
    ENDS,
    HEAD_MAX,
    MISSES,
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
    Sent,
)
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.datapath.tables import Installer, expressible, settings
from flowtable.flows.entry import FlowFlag
from flowtable.packet.miss import Miss

if TYPE_CHECKING:
    from flowtable.flows.datapath import OnEnd, Outcome
    from flowtable.flows.entry import FlowEntry
    from flowtable.profile import Profile
    from flowtable.ruleset.family import Family
    from flowtable.topology.device import Device

FRAME_MAX: Final = 0x1_0000 + HEAD_MAX
"""The longest frame: an IP packet of 65535 bytes and its link-layer header."""


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
        self._out = create_string_buffer(FRAME_MAX)
        self._view = memoryview(self._out)
        self._sent = Sent()
        self._batch = Batch(out=addressof(self._out), sent=addressof(self._sent), out_size=FRAME_MAX)
        self._batch_pointer = pointer(self._batch)
        self._process: Any = self.tables.library.ft_process_one

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

    def process(self, frame: bytes, iif: int, now: int) -> Outcome:
        """Forward one frame that arrived on the device with index ``iif``."""
        batch = self._batch
        self._process(self.tables.handle, frame, len(frame), iif, now, self._batch_pointer)
        if batch.done:
            return self._devices[self._sent.device], self._view[: batch.out_used].tobytes()
        if batch.stop == STOP_HANDOVER:
            return self._hand_over(frame, now)
        assert batch.stop == STOP_MISS
        miss: Miss = MISSES[batch.miss - 1]
        if batch.end:
            installed = self._installer.entries[batch.entry]
            self._on_end(installed.entry, ENDS[batch.end - 1], now)
        elif miss is Miss.NO_ENTRY or (miss is Miss.PROTOCOL and self._tunnels):
            return self._others.process(frame, iif, now)
        return miss

    def _hand_over(self, frame: bytes, now: int) -> Outcome:
        """Have the path forward a packet that the neighbour layer wants to see."""
        installed = self._installer.entries[self._batch.entry]
        path = installed.directions[self._batch.reply].path
        around = path.encapsulation
        outcome: Outcome
        outcome = path.forward(frame, now) if around is None else path.encapsulated(around, frame, now)
        installed.shared.closing |= bool(installed.entry.flags & FlowFlag.CLOSING)
        return outcome


def _done(result: int) -> None:
    if result:
        raise MemoryError
