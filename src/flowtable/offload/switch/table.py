"""The table of a chip: which rules there is room for, and which of them match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias
from zlib import crc32

from flowtable.clock import SECOND
from flowtable.flows.hardware import OffloadFailure
from flowtable.topology.hardware import Eviction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.offload.rule import Match, Rule
    from flowtable.offload.switch.frame import Read
    from flowtable.topology.hardware import ChipModel

Key: TypeAlias = tuple[int, tuple[tuple[int, int], ...], int | None, int, int, bytes]
"""Ingress, tags, session, ethertype, protocol, addresses and ports."""

_VID: Final = 0x0FFF
_NO_PORTS: Final = bytes(4)


def key_of(match: Match) -> Key:
    """The key that a rule is found by."""
    tags = tuple((tag.vid, tag.protocol) for tag in (match.vlan, match.cvlan) if tag is not None)
    ports = _NO_PORTS if match.ports is None else b"".join(port.to_bytes(2) for port in match.ports)
    wire = match.source + match.destination + ports
    return match.ingress.index, tags, match.session, match.ethertype, match.protocol, wire


def keys_of(read: Read, iif: int) -> Iterator[Key]:
    """The keys of the rules that a frame may match: of its session, and of rules that look at none."""
    tags = tuple((control & _VID, protocol) for control, protocol in read.tags)
    for session in (read.session, None):
        yield iif, tags, session, read.ethertype, read.protocol, read.wire


class Slot:
    """A rule in its place.

    Attributes:
        rule: the rule.
        key: what it is found by.
        inserted: its place in the order of insertion.
        ready: when it is in effect, nanoseconds.
        bound: whether it forwards, having matched often enough.
        packets: forwarded packets.
        bytes: their lengths.
        latest: when the latest came, nanoseconds; 0 for never.
        used: that, or when the rule was inserted, whichever is later.
        window: the second in which ``matched`` counts.
        matched: packets that matched in that second while it was not bound.
        shown: packets, bytes, time of the latest, as a driver can read them by now.
        interval: the interval of the counters in which ``shown`` was taken.
        reported: of those, packets and bytes that the driver has read.
    """

    __slots__ = (
        "bound",
        "bytes",
        "inserted",
        "interval",
        "key",
        "latest",
        "matched",
        "packets",
        "ready",
        "reported",
        "rule",
        "shown",
        "used",
        "window",
    )

    def __init__(self, rule: Rule, key: Key, inserted: int, ready: int, *, bound: bool) -> None:
        self.rule = rule
        self.key = key
        self.inserted = inserted
        self.ready = ready
        self.bound = bound
        self.packets = 0
        self.bytes = 0
        self.latest = 0
        self.used = ready
        self.window = 0
        self.matched = 0
        self.shown = (0, 0, 0)
        self.interval = 0
        self.reported = (0, 0)

    def binds(self, threshold: int, now: int) -> None:
        """A packet matched: forward the next ones, if enough came within a second."""
        window = now // SECOND
        if window != self.window:
            self.window, self.matched = window, 0
        self.matched += 1
        self.bound = self.matched >= threshold

    def count(self, size: int, now: int, interval: int) -> None:
        """Count a packet."""
        self.show(now, interval)
        self.packets += 1
        self.bytes += size
        self.latest = self.used = now

    def show(self, now: int, interval: int) -> None:
        """Have the counters that can be read follow, once in an interval."""
        current = now // interval if interval else 0
        if not interval or current != self.interval:
            self.interval = current
            self.shown = (self.packets, self.bytes, self.latest)

    def read(self, now: int, interval: int) -> tuple[int, int, int]:
        """Packets and bytes since the last reading, and the time of the latest, 0 for never."""
        self.show(now, interval)
        packets, size, used = self.shown
        known, known_size = self.reported
        self.reported = (packets, size)
        return packets - known, size - known_size, used


class Table:
    """Places for rules.

    A rule may have any place, or one of some few that a hash of its key tells. When those are taken
    it is refused, or another makes room, as the chip is built.
    """

    def __init__(self, model: ChipModel) -> None:
        self._model = model
        self._slots: dict[Key, Slot] = {}
        self._buckets: dict[int, dict[Key, Slot]] = {}
        self._swept = 0

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[Slot]:
        return iter(list(self._slots.values()))

    def find(self, read: Read, iif: int) -> Slot | None:
        """The rule that a frame may match."""
        for key in keys_of(read, iif):
            slot = self._slots.get(key)
            if slot is not None:
                return slot
        return None

    def get(self, key: Key) -> Slot | None:
        """The rule with a key."""
        return self._slots.get(key)

    def touch(self, slot: Slot) -> None:
        """A rule forwarded a packet: of all it is the last to make room."""
        if self._model.eviction is Eviction.LRU and self._model.ways is None:
            # In the order of their use: the first is the one that was used longest ago.
            del self._slots[slot.key]
            self._slots[slot.key] = slot

    def room(self, key: Key, now: int) -> tuple[list[Slot], OffloadFailure | None]:
        """Make room for a rule.

        Returns:
            The rules that have to go: those that were forgotten of age, and the one that makes room;
            and why there is no room, None if there is.
        """
        model = self._model
        if model.ways is None:
            full = len(self._slots) >= model.entries
            failure = OffloadFailure.CAPACITY
        else:
            full = len(self._bucket(key)) >= model.ways
            failure = OffloadFailure.COLLISION
        if not full:
            return [], None
        aged = [slot for slot in self._candidates(key, now) if self.aged(slot, now)]
        if aged:
            return aged, None
        match model.eviction:
            case Eviction.NONE:
                return [], failure
            case Eviction.OLDEST if model.ways is None:
                return [next(iter(self._slots.values()))], None
            case Eviction.OLDEST:
                return [min(self._bucket(key).values(), key=lambda slot: slot.inserted)], None
            case Eviction.LRU if model.ways is None:
                return [next(iter(self._slots.values()))], None
            case Eviction.LRU:
                return [min(self._bucket(key).values(), key=lambda slot: (slot.used, slot.inserted))], None

    def _candidates(self, key: Key, now: int) -> list[Slot]:
        """The rules whose age is looked at when there is no room: all, once a second."""
        if self._model.ways is not None:
            return list(self._bucket(key).values())
        if self._model.ageing is None or now - self._swept < SECOND:
            return []
        self._swept = now
        return list(self._slots.values())

    def aged(self, slot: Slot, now: int) -> bool:
        """Whether the chip has forgotten a rule by now."""
        return self._model.ageing is not None and now - slot.used > self._model.ageing

    def add(self, slot: Slot) -> None:
        """Put a rule in its place, for which there is room."""
        self._slots[slot.key] = slot
        if self._model.ways is not None:
            self._bucket(slot.key)[slot.key] = slot

    def remove(self, slot: Slot) -> None:
        """Take a rule away; another with the same key stays."""
        if self._slots.get(slot.key) is slot:
            del self._slots[slot.key]
            if self._model.ways is not None:
                del self._bucket(slot.key)[slot.key]

    def _bucket(self, key: Key) -> dict[Key, Slot]:
        ways = self._model.ways
        assert ways is not None
        number = crc32(repr(key[1:]).encode(), key[0]) % (self._model.entries // ways)
        return self._buckets.setdefault(number, {})
