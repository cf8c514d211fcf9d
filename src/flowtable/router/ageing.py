"""Forgetting the stations of bridges that are not heard any more.

Ref: net/bridge/br_fdb.c:br_fdb_cleanup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.clock import MILLISECOND, Alarm
from flowtable.topology.bridge import Bridge
from flowtable.topology.fdb import FdbState

if TYPE_CHECKING:
    from flowtable.topology.fdb import FdbEntry
    from flowtable.topology.topology import Topology

_APART: Final = 10 * MILLISECOND
"""Least time between two rounds."""


class Ageing:
    """Goes over the forwarding databases when the first of their entries may be too old."""

    __slots__ = ("_alarm", "_due", "_topology")

    def __init__(self, topology: Topology, alarm: Alarm) -> None:
        """Wait for the time of the box to begin.

        Args:
            topology: the box.
            alarm: told when ``advance`` will have something to do.
        """
        self._topology = topology
        self._alarm = alarm
        self._due: int | None = None
        alarm.set(0)

    @property
    def next_due(self) -> int | None:
        """When ``advance`` has something to do, None while nothing ages."""
        return self._due

    def begin(self, now: int) -> None:
        """The time of the box begins: what its box file knows of stations ages from now on."""
        for bridge in self._bridges():
            for entry in bridge.fdb:
                self.heard(entry, now)

    def heard(self, entry: FdbEntry, now: int) -> None:
        """An entry came or moved; it ages from when a frame from its station came, or else from now."""
        if entry.state is not FdbState.DYNAMIC or entry.port is None:
            return
        entry.updated = entry.updated or now
        due = entry.updated + entry.port.bridge.ageing_time
        if self._due is None or due < self._due:
            self._due = due
            self._alarm.set(due)

    def advance(self, now: int) -> None:
        """Forget the stations that were not heard for the ageing time of their bridge."""
        dues: list[int] = []
        for bridge in self._bridges():
            bridge.fdb.expire(now, bridge.ageing_time)
            dues += (e.updated + bridge.ageing_time for e in bridge.fdb if e.state is FdbState.DYNAMIC)
        self._due = max(min(dues), now + _APART) if dues else None

    def _bridges(self) -> list[Bridge]:
        return [device for device in self._topology.devices.values() if isinstance(device, Bridge)]
