"""A flowtable: what gets into it, what keeps it there, and how it gets out.

Ref: net/netfilter/nf_flow_table_core.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Status
from flowtable.flows import fixup, mirror, skipped
from flowtable.flows.admission import refuse, refuse_connection
from flowtable.flows.entry import FlowEntry, FlowFlag
from flowtable.flows.offer import Offer
from flowtable.flows.refusal import Refusal
from flowtable.flows.teardown import Teardown
from flowtable.flows.way import find_ways, follow, nat_flags, retrace
from flowtable.profile import AfterTeardown, Duplicate, Lifetime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowtable.clock import Alarm
    from flowtable.flows.datapath import Datapath, OnEnd, Veto
    from flowtable.flows.ledger import Ledger
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
        """
        self.declaration = declaration
        self.datapath = datapath(declaration.family, profile, self.teardown)
        self._profile = profile
        self._topology = topology
        self._conntrack = conntrack
        self._ledger = ledger
        self._on_teardown = on_teardown
        self._veto = veto
        self._alarm = alarm
        self._created = now
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
        ways = find_ways(offer, profile, self._topology, self.declaration.devices)
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
        entry.connection.references += 1
        self._ledger.add(entry)
        self.datapath.install(entry)

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

    def set_idle_timeouts(self) -> None:
        """Take over idle timeouts from the sysctls: what was forwarded before has the old ones."""
        for entry in self._entries:
            self.look(entry)
        self._idle = fixup.idle_timeouts(self._profile, self._topology.sysctls)

    def refresh(self, entry: FlowEntry) -> None:
        """Take over what the devices and neighbours of an entry say of themselves."""
        for direction in entry.directions:
            follow(direction, self._topology, self._profile)
        self.datapath.install(entry)

    def retrace(self, entry: FlowEntry, now: int) -> None:
        """Something on the way of an entry changed: find the way anew, and follow it or end the flow.

        The flow is the same as before wherever its packets leave, and wherever they arrive: routing
        and the rules know the routed device only. So a station that moved to another port takes its
        flows along, under their new keys, if the flowtable is on that port.
        """
        if entry.flags & FlowFlag.TEARDOWN:
            return
        tracks = retrace(entry, self._profile, self._topology, self.declaration.devices)
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
        self.refresh(entry)

    def look(self, entry: FlowEntry) -> None:
        """Take notice of the packets that an entry forwarded, and tell its connection.

        What the connection learns depends on the ``counter`` flag and the profile.
        """
        self.datapath.stats(entry)
        seen = [(direction.packets, direction.bytes) for direction in entry.directions]
        if seen == entry.reported:
            return
        profile = self._profile
        if self.declaration.counter:
            mirror.account(entry)
        for direction, (packets, size) in zip(entry.directions, entry.reported, strict=True):
            if direction.packets == packets:
                continue
            if profile.count_skipped:
                skipped.account(direction, direction.packets - packets, direction.bytes - size)
            if profile.follow_path:
                skipped.keep_stations(direction)
        entry.reported = seen
        entry.expires = entry.refreshed + self._idle[entry.connection.l4proto]
        if profile.mirror_replies:
            timeout = mirror.show_replies(entry, self._conntrack.settings)
            if profile.lifetime is Lifetime.ACTIVITY:
                fixup.follow(entry, self._conntrack, timeout)

    def collect(self, now: int) -> None:
        """Collect garbage: what is idle or lost its connection goes, what lives is looked after.

        Ref: net/netfilter/nf_flow_table_core.c:nf_flow_offload_gc_step.
        """
        profile = self._profile
        for entry in list(self._entries):
            self.look(entry)
            if not entry.flags & FlowFlag.TEARDOWN:
                if entry.expires <= now:
                    self.teardown(entry, Teardown.IDLE, now)
                elif entry.flags & FlowFlag.GONE:
                    self.teardown(entry, Teardown.CONNECTION, now)
                else:
                    fixup.extend(entry, self._conntrack, profile, now)
            elif profile.fix_up_again and entry.expires <= now:
                self._fix_up(entry, now)
            if entry.flags & FlowFlag.TEARDOWN and entry in self._entries:
                self._free(entry, now)
        self.next_due = now + COLLECT_INTERVAL if self._entries else None

    def teardown(self, entry: FlowEntry, reason: Teardown, now: int) -> None:
        """End a flow: its packets take the classic path from now on.

        A flow that is torn down already stays as it is.

        Ref: net/netfilter/nf_flow_table_core.c:flow_offload_teardown.
        """
        if entry.flags & FlowFlag.TEARDOWN:
            return
        self.look(entry)
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
        if not entry.flags & FlowFlag.GONE:
            fixup.end(entry, self._conntrack, self._profile, self._idle[entry.connection.l4proto], now)

    def _free(self, entry: FlowEntry, now: int) -> None:
        self.datapath.remove(entry)
        del self._entries[entry]
        entry.connection.references -= 1
        self._ledger.discard(entry)
        self._disclaim(entry)
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

    def flush(self, now: int) -> None:
        """Tear down and free every entry. Ref: net/netfilter/nf_flow_table_core.c:nf_flow_table_free."""
        for entry in list(self._entries):
            self.teardown(entry, Teardown.FLUSH, now)
            if entry in self._entries:
                self._free(entry, now)
        self.next_due = None
