"""A flowtable: what gets into it, what keeps it there, and how it gets out.

Ref: net/netfilter/nf_flow_table_core.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Status
from flowtable.flows import fixup, mirror, skipped
from flowtable.flows.admission import refuse, refuse_connection
from flowtable.flows.capacity import Recency
from flowtable.flows.discovery import Discovery
from flowtable.flows.entry import FlowEntry, FlowFlag
from flowtable.flows.offer import Offer
from flowtable.flows.refusal import Refusal
from flowtable.flows.teardown import Teardown
from flowtable.flows.way import find_ways, follow, nat_flags, retrace
from flowtable.profile import AfterTeardown, Duplicate, Lifetime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowtable.clock import Alarm
    from flowtable.flows.capacity import Capacity
    from flowtable.flows.datapath import Datapath, OnEnd, Veto
    from flowtable.flows.ledger import Ledger
    from flowtable.flows.offloading import Offloading
    from flowtable.flows.tracking import Tracking
    from flowtable.packet.flowkey import FlowKey
    from flowtable.packet.packet import Packet
    from flowtable.profile import Profile
    from flowtable.ruleset import model
    from flowtable.ruleset.family import Family
    from flowtable.topology.topology import Topology

    DatapathFactory = Callable[[Family, Profile, OnEnd], Datapath]

COLLECT_INTERVAL: Final = SECOND
"""Ref: net/netfilter/nf_flow_table_core.c:nf_flow_offload_work_gc."""


_LOST: Final = {Refusal.NO_FDB_ENTRY: Teardown.STATION, Refusal.OUTPUT_DEVICE: Teardown.MOVED}
"""What ends a flow whose way is not found any more, where it is not ``PATH``."""


class Flowtable:
    """One flowtable.

    Attributes:
        declaration: the ruleset's: table, name, priority, devices, flags.
        datapath: where its entries forward packets.
        next_due: when to ``collect`` next, nanoseconds; None while there is nothing to collect.
    """

    def __init__(
        self,
        declaration: model.Flowtable,
        profile: Profile,
        topology: Topology,
        conntrack: Tracking,
        ledger: Ledger,
        datapath: DatapathFactory,
        on_teardown: OnEnd,
        alarm: Alarm,
        now: int,
        veto: Veto | None = None,
        offloading: Offloading | None = None,
        capacity: Capacity | None = None,
    ) -> None:
        """Begin empty.

        Args:
            declaration: the ruleset's.
            profile: how it behaves.
            topology: the box.
            conntrack: the connections of the box.
            ledger: the flows of all flowtables of the box.
            datapath: makes what forwards packets.
            on_teardown: told of every flow that ended.
            alarm: told when there will be garbage to collect.
            now: when it was created; garbage is collected every second from then on.
            veto: may refuse flows that could be added otherwise.
            offloading: the hardware that forwards its flows besides software.
            capacity: for how many flows it has room, None for any number.
        """
        self.declaration = declaration
        self.datapath = datapath(declaration.family, profile, self.teardown)
        self._profile = profile
        self._topology = topology
        self._conntrack = conntrack
        self._ledger = ledger
        self._on_teardown = on_teardown
        self._veto = veto
        self._capacity = capacity
        self._recency = Recency()
        self._alarm = alarm
        self._created = now
        self._offloading = offloading
        self._discovery = Discovery(topology, profile, declaration.devices, offload=offloading is not None)
        self._entries: dict[FlowEntry, None] = {}
        self._keys: dict[FlowKey, FlowEntry] = {}
        self._idle = fixup.idle_timeouts(profile, topology.sysctls)
        self.next_due: int | None = None

    def __iter__(self) -> Iterator[FlowEntry]:
        """All entries, those included that are torn down and not freed yet."""
        return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, packet: Packet, now: int) -> Refusal | None:
        """Offload the connection of a packet at the forward hook.

        Args:
            packet: a routed packet.
            now: the time, nanoseconds.

        Returns:
            Why nothing was added; None if the flow is in the flowtable now.

        Ref: net/netfilter/nft_flow_offload.c:nft_flow_offload_eval.
        """
        refusal = refuse(packet, self._profile)
        if refusal is not None:
            return refusal
        assert packet.ct is not None
        return self._offload(Offer.of(packet, packet.ct), now)

    def add_connection(self, offer: Offer, now: int) -> Refusal | None:
        """Offload a connection without a packet at hand.

        Args:
            offer: the connection, and how its packets are routed.
            now: the time, nanoseconds.

        Returns:
            Why nothing was added; None if the flow is in the flowtable now.
        """
        return refuse_connection(offer.connection, self._profile) or self._offload(offer, now)

    def _offload(self, offer: Offer, now: int) -> Refusal | None:
        profile = self._profile
        ways = find_ways(offer, self._discovery)
        if isinstance(ways, Refusal):
            return ways
        connection = offer.connection
        if connection.status & Status.DYING:
            return Refusal.DYING

        entry = FlowEntry(self, connection, *ways, nat_flags(connection.status), now)
        entry.expires = now + self._idle[entry.connection.l4proto]
        for direction in ways:
            follow(direction, self._topology, profile)
        refusal = None if self._veto is None else self._veto(entry)
        if refusal is not None:
            return refusal
        if not self._has_room(now):
            return Refusal.CAPACITY
        self._conntrack.offload(connection)
        fixup.begin(entry, self._conntrack, profile, now)
        self._insert(entry, now)
        return None

    def _insert(self, entry: FlowEntry, now: int) -> None:
        self._claim(entry, now)
        if self.next_due is None:
            self.next_due = now + COLLECT_INTERVAL - (now - self._created) % COLLECT_INTERVAL
            self._alarm.set(self.next_due)
        self._entries[entry] = None
        if self._capacity is not None and self._capacity.evicts:
            self._recency.add(entry)
        entry.connection.references += 1
        self._ledger.add(entry)
        self.datapath.install(entry)
        if self._offloading is not None:
            self._offloading.begin(entry, now)

    def _has_room(self, now: int) -> bool:
        """Whether there is room for one more flow, made by the end of another if that may be."""
        capacity = self._capacity
        if capacity is None or len(self._entries) < capacity.flows:
            return True
        idlest = self._recency.idlest(self._entries, self.look) if capacity.evicts else None
        if idlest is None:
            return False
        self.teardown(idlest, Teardown.EVICTED, now)
        if idlest in self._entries:
            self._free(idlest, now)
        return True

    def _claim(self, entry: FlowEntry, now: int) -> None:
        """Make room for the keys of an entry."""
        if self._profile.duplicate is Duplicate.REPLACE:
            for direction in entry.directions:
                older = self._keys.get(direction.key)
                if older is not None:
                    self.teardown(older, Teardown.REPLACED, now)
                self._keys[direction.key] = entry

    def declare(self, declaration: model.Flowtable) -> None:
        """Take over another declaration: its devices, whether it counts."""
        for entry in self._entries:
            self.look(entry)
        self.declaration = declaration
        self._discovery = Discovery(
            self._topology, self._profile, declaration.devices, offload=self._offloading is not None
        )
        if self._offloading is not None:
            self._offloading.rebind(declaration)

    def set_idle_timeouts(self) -> None:
        """Take over idle timeouts from the sysctls: what was forwarded before has the old ones."""
        for entry in self._entries:
            self.look(entry)
        self._idle = fixup.idle_timeouts(self._profile, self._topology.sysctls)

    def refresh(self, entry: FlowEntry, now: int) -> None:
        """Take over what the devices and neighbours of an entry say of themselves."""
        for direction in entry.directions:
            follow(direction, self._topology, self._profile)
        self.datapath.install(entry)
        if self._offloading is not None:
            self._offloading.change(entry, now)

    def retrace(self, entry: FlowEntry, now: int) -> None:
        """Something on the way of an entry changed: find the way anew, and follow it or end the flow.

        The flow is the same as before wherever its packets leave, and wherever they arrive: routing
        and the rules know the routed device only. So a station that moved to another port takes its
        flows along, under their new keys, if the flowtable is on that port.
        """
        if entry.flags & FlowFlag.TEARDOWN:
            return
        tracks = retrace(entry, self._discovery)
        if isinstance(tracks, Refusal):
            self.teardown(entry, _LOST.get(tracks, Teardown.PATH), now)
            return
        if tracks != tuple((direction.entrance, direction.exit) for direction in entry.directions):
            self.look(entry)
            self.datapath.remove(entry)
            self._ledger.discard(entry)
            self._disclaim(entry)
            for direction, (entrance, exit_) in zip(entry.directions, tracks, strict=True):
                direction.entrance, direction.exit = entrance, exit_
                direction.key = direction.key._replace(iif=entrance.port.index, encap=entrance.encap)
            self._claim(entry, now)
            self._ledger.add(entry)
        self.refresh(entry, now)

    def look(self, entry: FlowEntry) -> None:
        """Take notice of the packets that an entry forwarded, and tell its connection.

        What the connection learns depends on the ``counter`` flag and the profile.
        """
        self.datapath.stats(entry)
        seen = entry.forwarded
        if seen == entry.reported:
            return
        self._account(entry, seen)
        profile = self._profile
        refreshed = entry.refreshed
        if entry.hardware is not None:
            refreshed = max(refreshed, entry.hardware.used)
        entry.expires = refreshed + self._idle[entry.connection.l4proto]
        if profile.mirror_replies:
            timeout = mirror.show_replies(entry, self._conntrack.settings)
            if profile.lifetime is Lifetime.ACTIVITY:
                fixup.follow(entry, self._conntrack, timeout)

    def _account(self, entry: FlowEntry, seen: list[tuple[int, int]]) -> None:
        """Count what was forwarded since the last look, wherever it counts."""
        profile = self._profile
        if self.declaration.counter:
            mirror.account(entry)
        used = entry.used
        for d, direction in enumerate(entry.directions):
            packets, size = entry.reported[d]
            if seen[d][0] == packets:
                continue
            if profile.count_skipped:
                skipped.account(direction, seen[d][0] - packets, seen[d][1] - size)
            if profile.follow_path:
                skipped.keep_stations(direction, used[d])
        entry.reported = seen

    def synchronise(self, entry: FlowEntry, now: int) -> None:
        """``look`` at an entry, in hardware too, as somebody else is about to."""
        if self._offloading is not None:
            self._offloading.read(entry, now)
        self.look(entry)

    def settle(self, entry: FlowEntry) -> None:
        """Take notice of what hardware counted until it forgot a flow that ended."""
        seen = entry.forwarded
        if seen != entry.reported:
            self._account(entry, seen)

    def collect(self, now: int) -> None:
        """Collect garbage: what is idle or lost its connection goes, what lives is looked after.

        Ref: net/netfilter/nf_flow_table_core.c:nf_flow_offload_gc_step.
        """
        profile = self._profile
        # A datapath does not know what hardware forwarded.
        entries = self.datapath.active(self._entries) if self._offloading is None else list(self._entries)
        for entry in entries:
            self.look(entry)
        for entry in self._due(now):
            if not entry.flags & FlowFlag.TEARDOWN:
                if entry.expires <= now:
                    self.teardown(entry, Teardown.IDLE, now)
                elif entry.flags & FlowFlag.GONE:
                    self.teardown(entry, Teardown.CONNECTION, now)
                else:
                    fixup.extend(entry, self._conntrack, profile, now)
            elif profile.fix_up_again and entry.expires <= now:
                self._fix_up(entry, now)
            if entry not in self._entries:
                continue
            free = entry.torn_down
            if self._offloading is not None:
                free = self._offloading.collect(entry, self._idle[entry.connection.l4proto], now)
            if free:
                self._free(entry, now)
        self.next_due = now + COLLECT_INTERVAL if self._entries else None

    def _due(self, now: int) -> list[FlowEntry]:
        """The entries that garbage collection has something to do with."""
        if self._profile.lifetime is not Lifetime.ACTIVITY or self._offloading is not None:
            return list(self._entries)
        ended = FlowFlag.TEARDOWN | FlowFlag.GONE
        return [entry for entry in self._entries if entry.expires <= now or entry.flags & ended]

    def teardown(self, entry: FlowEntry, reason: Teardown, now: int) -> None:
        """End a flow: its packets take the classic path from now on.

        A flow that is torn down already stays as it is.

        Ref: net/netfilter/nf_flow_table_core.c:flow_offload_teardown.
        """
        if entry.flags & FlowFlag.TEARDOWN:
            return
        self.synchronise(entry, now)
        entry.flags |= FlowFlag.TEARDOWN
        entry.ended = reason
        self._fix_up(entry, now)
        if self._profile.after_teardown is AfterTeardown.REMOVED:
            self._free(entry, now)
        else:
            self.datapath.install(entry)
        self._on_teardown(entry, reason, now)

    def _fix_up(self, entry: FlowEntry, now: int) -> None:
        connection = entry.connection
        if self._profile.after_teardown is not AfterTeardown.LINGERS_OFFLOADED:
            self._conntrack.take_back(connection)
        if self._profile.sound_offload:
            connection.status &= ~Status.HW_OFFLOAD
        if not entry.flags & FlowFlag.GONE:
            fixup.end(entry, self._conntrack, self._profile, self._idle[entry.connection.l4proto], now)

    def _free(self, entry: FlowEntry, now: int) -> None:
        self.datapath.remove(entry)
        del self._entries[entry]
        entry.connection.references -= 1
        self._ledger.discard(entry)
        self._disclaim(entry)
        if self._offloading is not None:
            self._offloading.end(entry, now)
        if self._profile.after_teardown is AfterTeardown.LINGERS_OFFLOADED:
            self._conntrack.take_back(entry.connection)
        if not entry.flags & FlowFlag.GONE:
            fixup.freed(entry, self._conntrack, self._profile, now)

    def _disclaim(self, entry: FlowEntry) -> None:
        for direction in entry.directions:
            if self._keys.get(direction.key) is entry:
                del self._keys[direction.key]

    def disconnect(self, entry: FlowEntry, now: int) -> None:
        """The connection of an entry is gone: lookups miss from now on."""
        self.look(entry)
        entry.flags |= FlowFlag.GONE
        if self._profile.after_teardown is AfterTeardown.REMOVED:
            idle = entry.expires <= now
            self.teardown(entry, Teardown.IDLE if idle else Teardown.CONNECTION, now)
        else:
            self.datapath.install(entry)

    def lose(self, driver: str, now: int) -> None:
        """A driver went away: the flows of its devices end.

        Ref: net/netfilter/nf_flow_table_core.c:nf_flow_table_gc_cleanup.
        """
        if self._offloading is None:
            return
        gone = self._offloading.lose(driver)
        for entry in list(self._entries):
            if any(direction.key.iif in gone for direction in entry.directions):
                self.teardown(entry, Teardown.DRIVER, now)

    def flush(self, now: int) -> None:
        """Tear down and free every entry. Ref: net/netfilter/nf_flow_table_core.c:nf_flow_table_free."""
        if self._offloading is not None:
            # What is pending for a flow would keep its deletion from being asked for.
            self._offloading.flush(now)
        for entry in list(self._entries):
            self.teardown(entry, Teardown.FLUSH, now)
            if entry in self._entries:
                self._free(entry, now)
        if self._offloading is not None:
            self._offloading.flush(now)
        self.next_due = None
