"""Flow entries as the fast path in C keeps them, in a process and in the kernel alike.

``Installer`` turns entries into the structures of ``layout`` and writes them into ``Tables``.
What a direction does is worked out by ``path``, as for the reference. Structures that packets read
are never changed while they are in use but replaced, so that none is ever seen half written.
"""

from __future__ import annotations

from ctypes import addressof, memset, sizeof
from struct import Struct
from typing import TYPE_CHECKING, Final, Protocol

from flowtable.datapath.layout import (
    ENCAP_MAX,
    ENDED_GONE,
    ENDED_TEARDOWN,
    FLOW_HANDED_OVER,
    FLOW_REPLY,
    FLOW_STALE,
    FLOW_STATION,
    TAGGED,
    Config,
    Entry,
    Flow,
    Key,
    Link,
    LinkKey,
    NextHop,
)
from flowtable.datapath.path import make_path
from flowtable.datapath.shared import Numbers, Shared
from flowtable.flows.entry import FlowFlag
from flowtable.packet.flowkey import VLAN_TCI_MASK, VLAN_VID_MASK
from flowtable.packet.packet import ETHERTYPE_PPPOE_SESSION
from flowtable.profile import Length, TcpClosing
from flowtable.ruleset.family import Family

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flowtable.datapath.path import Path
    from flowtable.flows.datapath import OnEnd
    from flowtable.flows.entry import Direction, FlowEntry
    from flowtable.packet.flowkey import Encap, FlowKey
    from flowtable.profile import Profile

# The structures ``Key`` and ``Flow``, ports together: filled in at once they cost a third.
_key = Struct("=I4sB3x32s").pack
_flow = Struct("=2I4H4s32s").pack

_MODULUS: Final = 0xFFFF
_PPP: Final = {b"\x08\x00": b"\x00\x21", b"\x86\xdd": b"\x00\x57"}
_LOWEST_ETHERTYPE: Final = 0x600
"""Around packets, what has a smaller number is a tunnel."""


class Tables(Protocol):
    """What an ``Installer`` writes into. Numbers are dense and begin at 1."""

    def set_link(self, key: LinkKey, link: Link) -> None:
        """Add a link, or say something else of it."""

    def remove_link(self, key: LinkKey) -> None:
        """Forget a link."""

    def set_next_hop(self, number: int, hop: NextHop) -> None:
        """Say what a next hop is that no flow goes to yet."""

    def set_flow(self, family: int, key: Key, flow: Flow) -> None:
        """Have packets with a key forwarded, or forwarded in another way."""

    def remove_flow(self, family: int, key: Key) -> None:
        """Have packets with a key forwarded no more."""

    def entry(self, number: int) -> Entry:
        """What the directions of an entry share: the memory itself, which packets change."""


def settings(family: Family, profile: Profile) -> Config:
    """How a flowtable behaves."""
    return Config(
        granularity=profile.refresh_granularity,
        tci_mask=VLAN_TCI_MASK if profile.vlan_priority_in_key else VLAN_VID_MASK,
        max_encap=min(profile.max_encap, ENCAP_MAX),
        ipv4=family is not Family.IP6,
        ipv6=family is not Family.IP,
        gre=profile.gre,
        inner_8021ad=profile.inner_8021ad,
        bypass_closing=profile.tcp_closing is TcpClosing.BYPASS,
        whole_frames=profile.length is Length.FRAME,
    )


def expressible(entry: FlowEntry) -> bool:
    """Whether the structures can say what an entry does: they know of no tunnels."""
    return all(
        len(encap) <= ENCAP_MAX and all(protocol >= _LOWEST_ETHERTYPE for _, protocol in encap)
        for direction in entry.directions
        for encap in (direction.key.encap, direction.exit.push)
        if encap
    )


class InstalledDirection:
    """A direction of an installed entry.

    Attributes:
        path: what it does.
        older: the direction with the same key that it hides.
    """

    __slots__ = ("_installer", "_reply", "_station", "_used", "family", "key", "older", "path")

    def __init__(self, installer: Installer, path: Path, *, reply: bool) -> None:
        key = path.key
        self.path = path
        self.older: InstalledDirection | None = None
        self.family = key.l3proto
        self._installer = installer
        self._reply = reply
        self._station = () if path.encapsulation is None else path.encapsulation.station
        self._used: tuple[int, int | None] | None = None
        self.key = Key.from_buffer_copy(_key(0, key.wire[-4:], key.l4proto, key.wire[:-4]))

    def show(self, entry: int) -> None:
        """Have its packets forwarded as its path says now."""
        was, used = self._used, self._take()
        try:
            self._installer.tables.set_flow(self.family, self.key, self._flow(entry, used))
        except BaseException:
            self._give(used)
            raise
        self._used = used
        if was is not None:
            self._give(was)

    def hide(self) -> None:
        """Have its packets forwarded no more, if they were."""
        if self._used is None:
            return
        self._installer.tables.remove_flow(self.family, self.key)
        self._give(self._used)
        self._used = None

    @property
    def shown(self) -> bool:
        """Whether its packets are forwarded."""
        return self._used is not None

    def _take(self) -> tuple[int, int | None]:
        """Next hop, and the link where there has to be one."""
        key = self.path.key
        hop = self._installer.next_hops.take(_next_hop(self.path))
        if not (key.encap or self._station):
            return hop, None
        try:
            return hop, self._installer.links.take((key.iif, key.encap, self._station))
        except BaseException:
            self._installer.next_hops.give(hop)
            raise

    def _flow(self, entry: int, used: tuple[int, int | None]) -> Flow:
        path, direction = self.path, self.path.direction
        hop, link = used
        self.key.link = TAGGED + link if path.key.encap and link is not None else path.key.iif
        wire = path.wire
        return Flow.from_buffer_copy(
            _flow(
                hop,
                entry,
                direction.mtu,
                self._flags(),
                path.ip_delta % _MODULUS,
                path.l4_delta and (path.l4_delta % _MODULUS or _MODULUS),
                wire[-4:],
                wire[:-4],
            )
        )

    def _give(self, used: tuple[int, int | None]) -> None:
        hop, link = used
        self._installer.next_hops.give(hop)
        if link is not None:
            self._installer.links.give(link)

    def _flags(self) -> int:
        path, direction = self.path, self.path.direction
        flags = FLOW_REPLY if self._reply else 0
        if direction.stale:
            flags |= FLOW_STALE
        # Whether a neighbour that ages has become stale is for Python to see, packet by packet.
        elif self._installer.hands_over and (
            (direction.ages and direction.neighbour) or (not path.head and path.queue)
        ):
            flags |= FLOW_HANDED_OVER
        if self._station:
            flags |= FLOW_STATION
        return flags


class InstalledEntry:
    """An installed entry.

    Attributes:
        entry: the entry.
        number: its number in the tables.
        directions: original and reply.
        shared: what the tables keep for both.
    """

    __slots__ = ("directions", "entry", "number", "shared")

    def __init__(self, installer: Installer, entry: FlowEntry, number: int, paths: tuple[Path, Path]) -> None:
        self.entry = entry
        self.number = number
        self.shared = installer.tables.entry(number)
        memset(addressof(self.shared), 0, sizeof(Entry))
        self.shared.refreshed = entry.refreshed
        self.shared.closing = bool(entry.flags & FlowFlag.CLOSING)
        original, reply = paths
        self.directions = (
            InstalledDirection(installer, original, reply=False),
            InstalledDirection(installer, reply, reply=True),
        )

    def end(self) -> None:
        """Let packets know if the entry has ended."""
        flags = self.entry.flags
        if flags & (FlowFlag.TEARDOWN | FlowFlag.GONE):
            self.shared.ended = ENDED_TEARDOWN if flags & FlowFlag.TEARDOWN else ENDED_GONE

    def update(self) -> None:
        """Bring the tables up to date."""
        self.end()
        for direction in self.directions:
            direction.path.update()
            if direction.shown:
                direction.show(self.number)

    def report(self) -> None:
        """Bring the entry up to date."""
        shared, entry = self.shared, self.entry
        entry.refreshed = max(entry.refreshed, shared.refreshed)
        if shared.closing:
            entry.flags |= FlowFlag.CLOSING
        for installed, counter in zip(self.directions, shared.counters, strict=True):
            path, direction = installed.path, installed.path.direction
            direction.packets = path.packets + counter.packets
            direction.bytes = path.bytes + counter.bytes
            direction.used = max(path.used, counter.used)


class Installer:
    """Keeps ``Tables`` in step with the entries of a flowtable.

    Attributes:
        tables: the tables.
        entries: the installed entries, by number.
        links: numbers of links in use, by device index, encapsulation and station.
        next_hops: numbers of next hops in use, by what they are.
        hands_over: packets that the neighbour layer wants to see are handed to their path.
    """

    def __init__(self, tables: Tables, profile: Profile, on_end: OnEnd, *, hands_over: bool = True) -> None:
        """Begin without entries.

        Args:
            tables: empty tables.
            profile: how the flowtable behaves.
            on_end: called with each packet that ends its flow and that a path forwarded.
            hands_over: whether packets that the neighbour layer wants to see are handed to their
                path; else they go as long as there is a MAC address, and the classic path without.
        """
        self.tables = tables
        self.hands_over = hands_over
        self.entries: dict[int, InstalledEntry] = {}
        self.links: Shared[tuple[int, Encap, tuple[bytes, ...]]] = Shared(self._add_link, self._remove_link)
        self.next_hops: Shared[tuple[int, bytes, int, int]] = Shared(self._add_next_hop)
        self._stations: dict[tuple[int, Encap], tuple[bytes, ...]] = {}
        self._profile = profile
        self._on_end = on_end
        self._numbers = Numbers()
        self._installed: dict[FlowEntry, InstalledEntry] = {}
        self._newest: dict[FlowKey, InstalledDirection] = {}

    def __contains__(self, entry: FlowEntry) -> bool:
        return entry in self._installed

    def install(self, entry: FlowEntry) -> None:
        """Forward by an entry, or bring an installed one up to date after a change to it.

        If the tables have no room for it, they are as they were.
        """
        installed = self._installed.get(entry)
        if installed is not None:
            installed.update()
            return
        original, reply = entry.directions
        paths = (self._path(entry, original), self._path(entry, reply))
        number = self._numbers.take()
        installed = InstalledEntry(self, entry, number, paths)
        self._installed[entry] = self.entries[number] = installed
        for direction in installed.directions:
            key = direction.path.key
            direction.older = self._newest.get(key)
            self._newest[key] = direction
        try:
            for direction in installed.directions:
                if direction.older is not None:
                    direction.older.hide()
                direction.show(number)
            installed.end()
        except BaseException:
            self.remove(entry)
            raise

    def remove(self, entry: FlowEntry) -> None:
        """Forget an entry; an older one with the same key is found again."""
        installed = self._installed.pop(entry)
        installed.report()
        for direction in installed.directions:
            self._remove(direction)
        del self.entries[installed.number]
        self._numbers.give(installed.number)

    def _remove(self, direction: InstalledDirection) -> None:
        key, older = direction.path.key, direction.older
        newer = self._newest[key]
        if newer is not direction:
            while newer.older is not direction:
                assert newer.older is not None
                newer = newer.older
            newer.older = older
            return
        direction.hide()
        if older is None:
            del self._newest[key]
        else:
            self._newest[key] = older
            older.show(self._installed[older.path.entry].number)

    def report(self, entry: FlowEntry) -> None:
        """Bring the entry's ``refreshed``, ``flags`` and its directions' counts up to date."""
        self._installed[entry].report()

    def refreshed(self, entries: Iterable[FlowEntry], times: Sequence[int]) -> list[FlowEntry]:
        """Those of some entries that packets have refreshed since their last report.

        Args:
            entries: the entries.
            times: when packets refreshed which number, nanoseconds.
        """
        installed = self._installed
        return [
            entry
            for entry in entries
            if (known := installed.get(entry)) is not None and times[known.number] > entry.refreshed
        ]

    def _path(self, entry: FlowEntry, direction: Direction) -> Path:
        return make_path(entry, direction, self._profile, self._on_end)

    def _add_link(self, key: tuple[int, Encap, tuple[bytes, ...]], number: int) -> None:
        iif, encap, station = key
        link = Link(number=TAGGED + number if encap else iif)
        if station:
            own, other = station
            link.own[:], link.other[:] = own[:6], other[:6]
            link.peer[: len(own[6:])] = own[6:]
            link.session = len(own) > 6
        self.tables.set_link(_link_key(iif, encap), link)
        self._stations[iif, encap] = station

    def _remove_link(self, key: tuple[int, Encap, tuple[bytes, ...]]) -> None:
        iif, encap, station = key
        # A device that got another MAC address has a newer link in its place.
        if self._stations.get((iif, encap)) == station:
            del self._stations[iif, encap]
            self.tables.remove_link(_link_key(iif, encap))

    def _add_next_hop(self, key: tuple[int, bytes, int, int], number: int) -> None:
        device, head, tags, pppoe = key
        hop = NextHop(device=device, length=len(head), tags=tags, pppoe=pppoe)
        hop.head[: len(head)] = head
        self.tables.set_next_hop(number, hop)


def _link_key(iif: int, encap: Encap) -> LinkKey:
    key = LinkKey(iif=iif, depth=len(encap))
    for place, (identifier, protocol) in enumerate(encap):
        key.encap[place].id = identifier
        key.encap[place].protocol = protocol
    return key


def _next_hop(path: Path) -> tuple[int, bytes, int, int]:
    """Device, link-layer header, how many of its tags get a priority, whether it ends with PPPoE."""
    direction = path.direction
    device, head = path.device.index, path.head
    if not head:
        return device, b"", 0, 0
    macs, ethertype = head[:12], head[12:]
    headers = b""
    tags = pppoe = 0
    for identifier, protocol in direction.exit.push:
        if protocol == ETHERTYPE_PPPOE_SESSION:
            pppoe = 1
            headers += protocol.to_bytes(2) + b"\x11\x00" + identifier.to_bytes(2) + bytes(2)
            ethertype = _PPP[ethertype]
        else:
            headers += protocol.to_bytes(2) + identifier.to_bytes(2)
            tags += 1
    arrived = sum(protocol != ETHERTYPE_PPPOE_SESSION for _, protocol in direction.key.encap)
    kept = min(tags, arrived) if path.profile.keep_vlan_priority else 0
    return device, macs + headers + ethertype, kept, pppoe
