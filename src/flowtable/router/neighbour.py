"""Neighbour resolution: packets wait while the MAC address of their next hop is asked for.

The state machine behind the neighbours of a ``Topology``, for ARP and neighbour discovery
alike: they say what they heard (``update``) and ask when told to (``serve``).

::

    INCOMPLETE --- answer --------------> REACHABLE <-- answer --.
        |                                  |                     |
        | no answer      reachable time    v   used       delay  |
        v                over            STALE ----> DELAY ----> PROBE
      FAILED <----------------------------------------- no answer

Without ``base_reachable_time_ms`` nothing ages: REACHABLE and STALE neighbours stay and are
used as they are, since the hosts of a capture do not answer the box's probes.

Ref: net/core/neighbour.c. Reachable times are not randomised here.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from flowtable.clock import MILLISECOND, SECOND, Alarm
from flowtable.packet.drop import Drop
from flowtable.topology.neighbour import Neighbour, NeighbourState

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.packet.packet import Packet
    from flowtable.topology.device import Device
    from flowtable.topology.sysctl import NeighParms
    from flowtable.topology.topology import Topology

    Deliver = Callable[[Packet, Neighbour, int], None]
    Report = Callable[[Packet, int], None]
    Solicit = Callable[[Neighbour, Packet | None, bool, int], None]
    """Ask for a neighbour: which, the packet that waits last, whether by unicast, and when."""

LIMIT: Final = 1024
"""Neighbours of one family that may be learnt (gc_thresh3)."""
_KEPT: Final = 512
"""How many are left when room is made (gc_thresh2)."""
_SETTLED: Final = 5 * SECOND
"""Neighbours that changed more lately are not forgotten to make room."""
_LOCKTIME: Final = SECOND
"""How long the first of several answers stands (locktime)."""
_MINIMUM: Final = 10 * MILLISECOND
"""Ref: net/core/neighbour.c:neigh_timer_handler, HZ/100."""

_INCOMPLETE: Final = NeighbourState.INCOMPLETE
_REACHABLE: Final = NeighbourState.REACHABLE
_STALE: Final = NeighbourState.STALE
_DELAY: Final = NeighbourState.DELAY
_PROBE: Final = NeighbourState.PROBE
_FAILED: Final = NeighbourState.FAILED
_FIXED: Final = frozenset({NeighbourState.NOARP, NeighbourState.PERMANENT})


class _Resolution:
    """What is known of a neighbour beyond its entry.

    Attributes:
        neighbour: the entry.
        parms: the settings of its device.
        waiting: packets for it, oldest first.
        probes: solicitations sent since it was last known.
        due: when its timer fires, 0 while it is not set.
        confirmed: when it last proved that it is there.
        used: when a packet last went to it while that was in doubt.
        updated: when its state or MAC address last changed.

    Ref: include/net/neighbour.h:struct neighbour.
    """

    __slots__ = ("confirmed", "due", "neighbour", "parms", "probes", "updated", "used", "waiting")

    def __init__(self, neighbour: Neighbour, parms: NeighParms, updated: int) -> None:
        self.neighbour = neighbour
        self.parms = parms
        self.waiting: deque[Packet] = deque()
        self.probes = 0
        self.due = 0
        self.confirmed = updated
        self.used = updated
        self.updated = updated

    @property
    def reachable_time(self) -> int | None:
        """Nanoseconds, None if it does not age."""
        milliseconds = self.parms.base_reachable_time_ms
        return None if milliseconds is None else milliseconds * MILLISECOND

    @property
    def retransmit_time(self) -> int:
        """Nanoseconds between two solicitations."""
        return max(self.parms.retrans_time_ms * MILLISECOND, _MINIMUM)

    @property
    def delay_time(self) -> int:
        """Nanoseconds from first use of a stale neighbour to its probe."""
        return self.parms.delay_first_probe_time * SECOND


class Resolver:
    """Finds MAC addresses for packets, and keeps the packets until then."""

    __slots__ = (
        "_ageing",
        "_alarm",
        "_deliver",
        "_discard",
        "_fail",
        "_neighbours",
        "_parms",
        "_resolutions",
        "_solicit",
        "_sysctls",
        "_table",
        "_timers",
    )

    def __init__(
        self,
        topology: Topology,
        *,
        deliver: Deliver,
        fail: Report,
        discard: Report,
        alarm: Alarm | None = None,
    ) -> None:
        """Start with nobody waiting.

        Args:
            topology: the box.
            deliver: takes a packet whose next hop has been resolved, and its neighbour.
            fail: takes a packet whose next hop did not answer, with ``packet.drop`` set; its
                sender is to get an ICMP "host unreachable" or "address unreachable".
            discard: takes a packet that ends silently, with ``packet.drop`` set.
            alarm: told when ``advance`` will have something to do.
        """
        self._sysctls = topology.sysctls
        self._neighbours = topology.neighbours
        self._table = topology.neighbours.table
        self._alarm = Alarm() if alarm is None else alarm
        self._deliver = deliver
        self._fail = fail
        self._discard = discard
        self._solicit: dict[int, Solicit] = {}
        self._parms: dict[tuple[int, int], NeighParms] = {}
        self._ageing = False
        self.configure()
        self._resolutions: dict[tuple[int, bytes], _Resolution] = {}
        self._timers: list[tuple[int, int, bytes]] = []

    def configure(self) -> None:
        """Go by what the sysctls say now; resolutions that run already keep their intervals."""
        self._parms.clear()
        tables = (self._sysctls.ipv4_neigh, self._sysctls.ipv6_neigh)
        self._ageing = any(
            conf.base_reachable_time_ms is not None for table in tables for conf in table.values()
        )

    def replaced(self, neighbour: Neighbour, now: int) -> None:
        """An operator set a neighbour (``ip neighbour replace``): send what waited for it."""
        resolution = self._resolutions.pop((neighbour.device.index, neighbour.address), None)
        if resolution is not None:
            self._send_waiting(resolution, now)

    def serve(self, family: int, solicit: Solicit) -> None:
        """Have neighbours of a family asked for by ``solicit``."""
        self._solicit[family] = solicit

    @property
    def waiting(self) -> int:
        """How many packets wait for their next hop."""
        return sum(len(resolution.waiting) for resolution in self._resolutions.values())

    @property
    def next_due(self) -> int | None:
        """When ``advance`` has something to do, None while nothing is timed."""
        timers = self._timers
        while timers:
            due, index, address = timers[0]
            resolution = self._resolutions.get((index, address))
            if resolution is not None and resolution.due == due:
                return due
            heappop(timers)
        return None

    def advance(self, now: int) -> None:
        """Run the timers that are due by ``now``, each at its own time."""
        while (due := self.next_due) is not None and due <= now:
            _, index, address = heappop(self._timers)
            resolution = self._resolutions[index, address]
            resolution.due = 0
            self._timer(resolution, due)

    def resolve(self, packet: Packet, device: Device, next_hop: bytes, now: int) -> bytes | None:
        """The MAC address of a packet's next hop.

        Args:
            packet: the packet; kept here if the MAC address is not known.
            device: where it leaves.
            next_hop: a unicast address on the link.
            now: nanoseconds.

        Returns:
            6 bytes, or None: the packet waits, or has been handed to ``discard``.

        Ref: net/core/neighbour.c:neigh_resolve_output.
        """
        neighbour = self._table.get((device.index, next_hop))
        if neighbour is not None and neighbour.valid and neighbour.mac is not None:
            if self._ageing:
                self._use(neighbour, now)
            return neighbour.mac
        self._wait(packet, device, next_hop, neighbour, now)
        return None

    def update(
        self,
        device: Device,
        address: bytes,
        mac: bytes | None,
        state: NeighbourState,
        now: int,
        *,
        create: bool = False,
        override: bool = True,
        weak_override: bool = False,
        settled: bool = False,
        router: bool | None = None,
    ) -> Neighbour | None:
        """Take in what was heard of a neighbour, and send what waited for it.

        Args:
            device: the device it is on.
            address: 4 or 16 bytes.
            mac: the MAC address it said it has, None if it did not say.
            state: REACHABLE if it answered, STALE if it was only heard of.
            now: nanoseconds.
            create: make an entry if there is none.
            override: replace a MAC address that differs.
            weak_override: doubt a MAC address that differs where it is not replaced.
            settled: override only what has stood for the lock time.
            router: whether it said that it is a router, None if it did not say.

        Returns:
            The neighbour, or None if there is none (and, with ``create``, no room for one).

        Ref: net/core/neighbour.c:__neigh_update.
        """
        neighbour = self._neighbours.get(device, address)
        if neighbour is None:
            if not create or mac is None or not self._make_room(len(address), now):
                return None
            neighbour = self._neighbours.set(device, address, None, _INCOMPLETE)
        resolution = self._resolution(neighbour, now)
        if settled and now > resolution.updated + _LOCKTIME:
            override = True
        self._update(resolution, mac, state, now, override, weak_override, router)
        return neighbour

    def flush(self, device: Device, now: int) -> None:
        """Forget the neighbours of a device that went down, and what waited for them.

        Permanent ones stay. Ref: net/core/neighbour.c:neigh_flush_dev, neigh_carrier_down.
        """
        for key, resolution in [item for item in self._resolutions.items() if item[0][0] == device.index]:
            del self._resolutions[key]
            self._drop_waiting(resolution, now)
        for neighbour in [known for known in self._neighbours if known.device is device]:
            if neighbour.state not in _FIXED:
                self._neighbours.delete(neighbour)

    def _settings(self, family: int, device: Device) -> NeighParms:
        key = (family, device.index)
        parms = self._parms.get(key)
        if parms is None:
            parms = self._parms[key] = self._sysctls.neigh(family, device.name)
        return parms

    def _resolution(self, neighbour: Neighbour, now: int) -> _Resolution:
        key = (neighbour.device.index, neighbour.address)
        resolution = self._resolutions.get(key)
        if resolution is None or resolution.neighbour is not neighbour:
            parms = self._settings(neighbour.family, neighbour.device)
            resolution = _Resolution(neighbour, parms, now - 2 * _SETTLED)
            self._resolutions[key] = resolution
            reachable = resolution.reachable_time
            if reachable is not None:
                if neighbour.state is _REACHABLE:
                    resolution.confirmed = now
                    self._arm(resolution, now + reachable)
                else:
                    resolution.confirmed = now - 2 * reachable
        return resolution

    def _arm(self, resolution: _Resolution, due: int) -> None:
        resolution.due = due
        self._alarm.set(due)
        neighbour = resolution.neighbour
        heappush(self._timers, (due, neighbour.device.index, neighbour.address))

    def _set(
        self,
        resolution: _Resolution,
        state: NeighbourState,
        now: int,
        mac: bytes | None = None,
        router: bool | None = None,
    ) -> None:
        neighbour = resolution.neighbour
        resolution.updated = now
        self._neighbours.set(neighbour.device, neighbour.address, mac, state, router=router)

    def _wait(
        self, packet: Packet, device: Device, next_hop: bytes, neighbour: Neighbour | None, now: int
    ) -> None:
        """Queue a packet, and ask for its next hop if nobody does. Ref: __neigh_event_send."""
        if neighbour is None:
            if not self._make_room(len(next_hop), now):
                packet.drop = Drop.NEIGHBOUR_FAILED
                self._discard(packet, now)
                return
            neighbour = self._neighbours.set(device, next_hop, None, _INCOMPLETE)
        resolution = self._resolution(neighbour, now)
        resolution.used = now
        parms = resolution.parms
        asks = neighbour.state is not _INCOMPLETE or not resolution.due
        if asks and not parms.mcast_solicit:
            self._set(resolution, _FAILED, now)
            packet.drop = Drop.NEIGHBOUR_FAILED
            self._discard(packet, now)
            return
        waiting = resolution.waiting
        while waiting and len(waiting) >= parms.unres_qlen:
            oldest = waiting.popleft()
            oldest.drop = Drop.NEIGHBOUR_QUEUE
            self._discard(oldest, now)
        waiting.append(packet)
        if asks:
            resolution.probes = parms.ucast_solicit
            self._set(resolution, _INCOMPLETE, now)
            self._arm(resolution, now + resolution.retransmit_time)
            self._probe(resolution, now)

    def _use(self, neighbour: Neighbour, now: int) -> None:
        """Note that a packet goes to a neighbour that ages. Ref: __neigh_event_send."""
        if neighbour.state in _FIXED:
            return
        resolution = self._resolution(neighbour, now)
        if resolution.parms.base_reachable_time_ms is None:
            return
        if neighbour.state is not _REACHABLE:
            resolution.used = now
        if neighbour.state is _STALE:
            self._set(resolution, _DELAY, now)
            self._arm(resolution, now + resolution.delay_time)

    def _timer(self, resolution: _Resolution, now: int) -> None:
        """Ref: net/core/neighbour.c:neigh_timer_handler."""
        neighbour = resolution.neighbour
        if self._neighbours.get(neighbour.device, neighbour.address) is not neighbour:
            del self._resolutions[neighbour.device.index, neighbour.address]
            self._drop_waiting(resolution, now)
            return
        if neighbour.valid and resolution.waiting:
            # Somebody else made it known.
            self._send_waiting(resolution, now)
            return
        reachable = resolution.reachable_time
        due = now + resolution.retransmit_time
        match neighbour.state:
            case NeighbourState.REACHABLE if reachable is not None:
                if now < resolution.confirmed + reachable:
                    self._arm(resolution, resolution.confirmed + reachable)
                elif now <= resolution.used + resolution.delay_time:
                    self._set(resolution, _DELAY, now)
                    self._arm(resolution, now + resolution.delay_time)
                else:
                    self._set(resolution, _STALE, now)
                return
            case NeighbourState.DELAY:
                # Nothing but an answer confirms a neighbour here: there is no local TCP.
                self._set(resolution, _PROBE, now)
                resolution.probes = 0
            case NeighbourState.PROBE | NeighbourState.INCOMPLETE:
                pass
            case _:
                return
        parms = resolution.parms
        limit = parms.ucast_solicit
        if neighbour.state is _INCOMPLETE:
            limit += parms.mcast_solicit
        if resolution.probes >= limit:
            self._set(resolution, _FAILED, now)
            self._invalidate(resolution, now)
            return
        self._arm(resolution, due)
        self._probe(resolution, now)

    def _probe(self, resolution: _Resolution, now: int) -> None:
        """Ref: net/core/neighbour.c:neigh_probe."""
        neighbour = resolution.neighbour
        unicast = resolution.probes < resolution.parms.ucast_solicit
        last = resolution.waiting[-1] if resolution.waiting else None
        resolution.probes += 1
        self._solicit[neighbour.family](neighbour, last, unicast, now)

    def _invalidate(self, resolution: _Resolution, now: int) -> None:
        """Give up what waits. An error about it may need the same neighbour: see neigh_invalidate."""
        waiting = resolution.waiting
        while waiting and resolution.neighbour.state is _FAILED:
            packet = waiting.popleft()
            packet.drop = Drop.NEIGHBOUR_FAILED
            self._fail(packet, now)
        self._drop_waiting(resolution, now)

    def _drop_waiting(self, resolution: _Resolution, now: int) -> None:
        waiting = resolution.waiting
        while waiting:
            packet = waiting.popleft()
            packet.drop = Drop.NEIGHBOUR_FAILED
            self._discard(packet, now)

    def _send_waiting(self, resolution: _Resolution, now: int) -> None:
        waiting = resolution.waiting
        while waiting and resolution.neighbour.valid:
            self._deliver(waiting.popleft(), resolution.neighbour, now)
        self._drop_waiting(resolution, now)

    def _update(
        self,
        resolution: _Resolution,
        mac: bytes | None,
        new: NeighbourState,
        now: int,
        override: bool,
        weak_override: bool,
        router: bool | None,
    ) -> None:
        neighbour = resolution.neighbour
        old = neighbour.state
        valid = neighbour.valid
        if old in _FIXED or (mac is None and not valid):
            return
        same = mac is None or (valid and mac == neighbour.mac)
        if new is _REACHABLE:
            resolution.confirmed = now
        if valid and not same and not override:
            if not weak_override or old is not _REACHABLE:
                return
            mac, same, router, new = None, True, None, _STALE
        elif valid and same and new is _STALE:
            new = old
        if new is old and same:
            if router is not None:
                neighbour.router = router
            return
        reachable = resolution.reachable_time
        if not same and new is not _REACHABLE and reachable is not None:
            resolution.confirmed = now - 2 * reachable
        if new is not old:
            resolution.due = 0
            if new is _REACHABLE and reachable is not None:
                self._arm(resolution, now + reachable)
        self._set(resolution, new, now, mac, router)
        if not valid:
            self._send_waiting(resolution, now)

    def _make_room(self, size: int, now: int) -> bool:
        """Whether a neighbour may be added, if need be after others were forgotten.

        Ref: net/core/neighbour.c:neigh_alloc, neigh_forced_gc.
        """
        if len(self._neighbours) < LIMIT:
            return True
        learnt = [known for key, known in self._resolutions.items() if len(key[1]) == size]
        if len(learnt) < LIMIT:
            return True
        old = [
            known
            for known in learnt
            if known.neighbour.state not in _FIXED
            and not known.due
            and (known.neighbour.state is _FAILED or known.updated + _SETTLED < now)
        ]
        old.sort(key=_age)
        for known in old[: len(learnt) - _KEPT]:
            neighbour = known.neighbour
            del self._resolutions[neighbour.device.index, neighbour.address]
            self._neighbours.delete(neighbour)
        return bool(old)


def _age(resolution: _Resolution) -> int:
    return resolution.updated
