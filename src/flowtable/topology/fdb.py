"""The forwarding database of a bridge: on which port a MAC address lives. Ref: net/bridge/br_fdb.c."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from flowtable.topology.event import FdbChanged, Listener

if TYPE_CHECKING:
    from flowtable.topology.bridge import BridgePort

Station = tuple[int, bytes]
"""VLAN id and MAC address."""


class FdbState(Enum):
    """How an entry lives; the values are what ``bridge fdb`` calls it."""

    PERMANENT = "permanent"
    """An address of the bridge or a port: frames to it are the box's own."""
    STATIC = "static"
    """Set by hand: it does not age, but moves with the station."""
    DYNAMIC = "dynamic"
    """Learnt, or set with ``dynamic``: it ages, and moves with the station."""


@dataclass(slots=True, eq=False)
class FdbEntry:
    """Where a MAC address lives.

    Attributes:
        mac: 6 bytes.
        vid: VLAN id, 0 where the bridge does not filter VLANs.
        port: the port, None for the bridge itself.
        state: how it lives.
        updated: when a frame from there was last seen, nanoseconds.
        derived: it follows from the MAC addresses and VLANs of the bridge and its ports.
    """

    mac: bytes
    vid: int
    port: BridgePort | None
    state: FdbState
    updated: int = 0
    derived: bool = False

    @property
    def local(self) -> bool:
        """Whether frames to it are delivered to the box itself (BR_FDB_LOCAL)."""
        return self.state is FdbState.PERMANENT


class Fdb:
    """The entries of one bridge.

    Attributes:
        notify: who hears of changes: the topology, once the bridge has joined it.
    """

    __slots__ = ("_entries", "notify")

    def __init__(self) -> None:
        self._entries: dict[Station, FdbEntry] = {}
        self.notify: Listener = lambda event: None

    def __iter__(self) -> Iterator[FdbEntry]:
        return iter(list(self._entries.values()))

    def get(self, mac: bytes, vid: int) -> FdbEntry | None:
        """The entry of a MAC address in a VLAN. Ref: br_fdb_find_rcu."""
        return self._entries.get((vid, mac))

    def add(self, entry: FdbEntry) -> None:
        """Add an entry in place of any other of its address and VLAN."""
        self._entries[entry.vid, entry.mac] = entry
        self.notify(FdbChanged(entry))

    def remove(self, entry: FdbEntry) -> None:
        """Remove an entry.

        Raises:
            KeyError: it is not there.
        """
        del self._entries[entry.vid, entry.mac]
        self.notify(FdbChanged(entry, removed=True))

    def learn(self, port: BridgePort, mac: bytes, vid: int, now: int) -> None:
        """A frame from a MAC address came in on a port: remember it, or that it moved.

        Ref: br_fdb_update.
        """
        entry = self._entries.get((vid, mac))
        if entry is None:
            self.add(FdbEntry(mac, vid, port, FdbState.DYNAMIC, now))
        elif not entry.local:
            entry.updated = now
            if entry.port is not port:
                entry.port = port
                self.notify(FdbChanged(entry))

    def derive(self, stations: Mapping[Station, BridgePort | None]) -> None:
        """Make the derived entries those of ``stations``; an address that is set by hand stays so.

        Ref: net/bridge/br_fdb.c:fdb_add_local, fdb_delete_local.
        """
        self.flush(lambda e: e.derived and stations.get((e.vid, e.mac), e) is not e.port)
        for (vid, mac), port in stations.items():
            entry = self._entries.get((vid, mac))
            if entry is None or not entry.local:
                self.add(FdbEntry(mac, vid, port, FdbState.PERMANENT, derived=True))

    def flush(self, matches: Callable[[FdbEntry], bool]) -> None:
        """Remove the entries that match."""
        for entry in self:
            if matches(entry):
                self.remove(entry)

    def expire(self, now: int, ageing_time: int) -> None:
        """Remove the dynamic entries that were not seen for ``ageing_time`` nanoseconds.

        Ref: br_fdb_cleanup.
        """
        self.flush(lambda e: e.state is FdbState.DYNAMIC and e.updated + ageing_time <= now)
