"""The chip: a driver to the flowtables, and a part of the wire to the frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.clock import MILLISECOND, SECOND
from flowtable.flows.hardware import Failure, OffloadFailure, Placed, Reading
from flowtable.offload.driver import Capabilities
from flowtable.offload.needs import needs
from flowtable.offload.rule import Accept, Redirect
from flowtable.offload.switch.execute import execute
from flowtable.offload.switch.frame import read
from flowtable.offload.switch.table import Slot, Table, key_of
from flowtable.topology.hardware import MICROSECOND, Feature

if TYPE_CHECKING:
    from flowtable.flows.hardware import Placing
    from flowtable.offload.rule import Cookie, Match, Rule
    from flowtable.offload.switch.frame import Read
    from flowtable.topology.device import Device
    from flowtable.topology.hardware import Chip

_PRIORITY: Final = 0xF000
"""PCP and DEI of a tag."""


class Switch:
    """A chip of a box file.

    Attributes:
        name: what the box file calls it.
        chip: its data sheet and its ports.
        evictions: rules that made room for others.
        aged: rules that it forgot.
    """

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.name = chip.name
        self.evictions = 0
        self.aged = 0
        self._model = chip.model
        self._ports = frozenset(port.index for port in chip.ports)
        self._table = Table(chip.model)
        self._slots: dict[Cookie, Slot] = {}
        self._lost: dict[Cookie, Reading] = {}
        self._inserted = 0
        self._busy = 0

    def __len__(self) -> int:
        """How many rules it has."""
        return len(self._slots)

    @property
    def capabilities(self) -> Capabilities:
        """What its data sheet says."""
        model = self._model
        notes = []
        if model.ways is not None:
            notes.append(f"{model.ways} places for a hash")
        notes.append(f"eviction {model.eviction.value}")
        if model.insert_latency:
            notes.append(f"a rule takes effect after {model.insert_latency // MICROSECOND} us")
        if model.insert_rate is not None:
            notes.append(f"{model.insert_rate} rules/s")
        if model.bind_threshold:
            notes.append(f"forwards a flow from {model.bind_threshold} packets/s on")
        if model.counter_interval:
            notes.append(f"counters up to {model.counter_interval // MILLISECOND} ms old")
        if model.ageing is not None:
            notes.append(f"forgets rules idle for {model.ageing // SECOND} s")
        return Capabilities(model.entries, model.lacks, model.counters, tuple(notes))

    def refuses(self, device: Device) -> Failure | None:
        """Whether a device is none of its ports."""
        if device.index in self._ports:
            return None
        return Failure(OffloadFailure.NO_DRIVER, self.name, f"{device.name} is no port")

    def bind(self, device: Device) -> Failure | None:
        """Take rules for frames that arrive at a device, if that is one of the ports."""
        return self.refuses(device)

    def unbind(self, device: Device) -> None:
        """Forget the rules for frames that arrive at a device."""
        for cookie, slot in list(self._slots.items()):
            if slot.rule.match.ingress is device:
                self._forget(cookie, slot)

    def replace(self, rule: Rule, now: int) -> Placing:
        """Take a rule, if the chip can do it and has room."""
        old = self._slots.get(rule.cookie)
        if old is not None and self._age(rule.cookie, old, now):
            old = None
        if old is not None and old.rule == rule:
            return Placed(self.name, max(old.ready, now))
        refused = self._refused(rule)
        if refused is not None:
            if old is not None:
                self._lose(rule.cookie, old, refused)
            return refused
        before = self._lost.pop(rule.cookie, Reading(0, 0, 0))
        if old is not None:
            before = self._unread(old)
            self._forget(rule.cookie, old)
        key = key_of(rule.match)
        hidden = self._table.get(key)
        if hidden is not None:
            self._lose(hidden.rule.cookie, hidden, Failure(OffloadFailure.EVICTED, self.name, "same key"))
        going, full = self._table.room(key, now)
        for slot in going:
            if not self._age(slot.rule.cookie, slot, now):
                self.evictions += 1
                self._lose(slot.rule.cookie, slot, Failure(OffloadFailure.EVICTED, self.name))
        if full is not None:
            failure = Failure(full, self.name, f"{len(self._table)} of {self._model.entries} entries in use")
            if before.packets:
                self._lost[rule.cookie] = before._replace(lost=failure)
            return failure
        self._inserted += 1
        ready = self._written(now) + self._model.insert_latency
        slot = Slot(rule, key, self._inserted, ready, bound=not self._model.bind_threshold)
        slot.packets, slot.bytes, slot.latest = before.packets, before.bytes, before.used
        self._table.add(slot)
        self._slots[rule.cookie] = slot
        return Placed(self.name, ready)

    def destroy(self, cookie: Cookie, now: int) -> Placing:
        """Forget a rule."""
        slot = self._slots.get(cookie)
        self._lost.pop(cookie, None)
        if slot is None:
            return Failure(OffloadFailure.NOT_FOUND, self.name)
        self._forget(cookie, slot)
        return Placed(self.name, self._written(now))

    def stats(self, cookie: Cookie, now: int) -> Reading | Failure:
        """Packets and bytes of a rule, as old as counters may be."""
        lost = self._lost.pop(cookie, None)
        if lost is not None:
            return lost
        slot = self._slots.get(cookie)
        if slot is None:
            return Failure(OffloadFailure.NOT_FOUND, self.name)
        if self._age(cookie, slot, now):
            return self._lost.pop(cookie)
        if not self._model.counters:
            return Failure(OffloadFailure.NO_COUNTERS, self.name)
        held = None if slot.bound else Failure(OffloadFailure.UNBOUND, self.name)
        return Reading(*slot.read(now, self._model.counter_interval), held=held)

    def forward(self, device: Device, frame: bytes, now: int) -> tuple[Device, bytes] | None:
        """A frame arrives at a port.

        Returns:
            The port to leave by and the frame that leaves; None: the frame goes to the box as it is.
        """
        if not self._slots:
            return None
        known = read(frame)
        if known is None:
            return None
        slot = self._table.find(known, device.index)
        if slot is None or now < slot.ready or not _matches(slot.rule.match, known):
            return None
        rule = slot.rule
        if self._age(rule.cookie, slot, now):
            return None
        if rule.mtu is not None and len(known.packet) > rule.mtu:
            return None
        if not slot.bound:
            slot.binds(self._model.bind_threshold, now)
            return None
        sent = execute(rule.actions, known)
        if sent is None or not sent[0].up:
            return None
        slot.count(len(known.packet), now, self._model.counter_interval)
        self._table.touch(slot)
        return sent

    def _refused(self, rule: Rule) -> Failure | None:
        """Why the chip cannot do what a rule says."""
        match = rule.match
        if match.ingress.index not in self._ports:
            return Failure(OffloadFailure.INGRESS_PORT, self.name, match.ingress.name)
        for action in rule.actions:
            if isinstance(action, Redirect) and action.device.index not in self._ports:
                return Failure(OffloadFailure.EGRESS_PORT, self.name, action.device.name)
            if isinstance(action, Accept):
                return Failure(OffloadFailure.UNSUPPORTED, self.name, "action accept")
        lacking = needs(rule) & self._model.lacks
        if lacking:
            words = ", ".join(each.value for each in Feature if each in lacking)
            return Failure(OffloadFailure.UNSUPPORTED, self.name, words)
        return None

    def _written(self, now: int) -> int:
        """When one more write to the table is done."""
        rate = self._model.insert_rate
        if rate is None:
            return now
        self._busy = max(self._busy, now) + SECOND // rate
        return self._busy

    def _age(self, cookie: Cookie, slot: Slot, now: int) -> bool:
        """Forget a rule that has not matched for too long."""
        if not self._table.aged(slot, now):
            return False
        self.aged += 1
        self._lose(cookie, slot, Failure(OffloadFailure.AGED, self.name))
        return True

    def _lose(self, cookie: Cookie, slot: Slot, why: Failure) -> None:
        """Forget a rule without being told to; the next reading tells."""
        self._forget(cookie, slot)
        self._lost[cookie] = self._unread(slot)._replace(lost=why)

    def _unread(self, slot: Slot) -> Reading:
        packets, size = slot.reported
        if not self._model.counters:
            return Reading(0, 0, 0)
        return Reading(slot.packets - packets, slot.bytes - size, slot.latest)

    def _forget(self, cookie: Cookie, slot: Slot) -> None:
        self._table.remove(slot)
        del self._slots[cookie]


def _matches(match: Match, read: Read) -> bool:
    """Whether a frame that has the key of a rule matches it."""
    if read.tcp_flags & match.tcp_flags:
        return False
    if match.station is not None and read.macs[:6] != match.station:
        return False
    if match.peer is not None and read.macs[6:] != match.peer:
        return False
    return not (match.no_priority and any(control & _PRIORITY for control, _ in read.tags))
