"""What the rules of a box may ask of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.conntrack.connection import template
from flowtable.conntrack.generator import Generator
from flowtable.packet.packet import CtInfo
from flowtable.router import fib
from flowtable.router.duplicate import Duplicates

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.router.box import Box
    from flowtable.ruleset.environment import FibQuery, LogEntry, RejectWith
    from flowtable.ruleset.family import Family
    from flowtable.ruleset.nat import NatKind, NatRange
    from flowtable.topology.device import Device


class BoxEnvironment:
    """The box as its rules see it: ``ruleset.Environment``."""

    __slots__ = ("_box", "_duplicates", "_generator")

    def __init__(self, box: Box, seed: int) -> None:
        self._box = box
        self._duplicates = Duplicates(box)
        self._generator = Generator(seed)

    def nat(self, packet: Packet, kind: NatKind, nat_range: NatRange) -> int:
        """Set up the translation of the packet's new connection."""
        return self._box.nat.setup(packet, kind, nat_range)

    def flow_add(self, packet: Packet, family: Family, table: str, flowtable: str) -> bool:
        """Put the packet's connection into a flowtable; a refusal is counted and ends the rule."""
        box = self._box
        refusal = box.flowtables.get(family, table, flowtable).add(packet, packet.time)
        if refusal is None:
            box.statistics.offloaded += 1
            return True
        box.statistics.refusals[refusal] += 1
        return False

    def reject(self, packet: Packet, reply: RejectWith) -> None:
        """Answer the sender of a packet that a rule rejects."""
        self._box.reject(packet, reply, packet.time)

    def log(self, packet: Packet, entry: LogEntry) -> None:
        """Hand a log entry to whoever listens."""
        self._box.log(packet, entry)

    def interface_index(self, name: str) -> int | None:
        """Index of the device of that name."""
        device = self._box.topology.devices.get(name)
        return None if device is None else device.index

    def random(self) -> int:
        """The next random number, of the seed of the run."""
        return self._generator.u32()

    def fib_type(self, packet: Packet, query: FibQuery) -> int | None:
        """What kind of address the packet's source or destination is."""
        return fib.address_type(self._box.topology, packet, query)

    def fib_device(self, packet: Packet, query: FibQuery) -> Device | None:
        """The device that packets to the packet's source or destination leave by."""
        return fib.way_out(self._box.topology, packet, query)

    def maximum_segment(self, packet: Packet) -> int:
        """The largest TCP segment that fits the way there and back."""
        return fib.maximum_segment(self._box.topology, packet)

    def set_zone(self, packet: Packet, zone: int, directions: int) -> None:
        """Choose the zone of a packet that is not tracked yet. Ref: nft_ct.c:nft_ct_set_zone_eval."""
        if packet.ct is None:
            packet.ct = template(zone, directions)
            packet.ctinfo = int(CtInfo.NEW)

    def duplicate(self, packet: Packet, gateway: bytes | None, device: int | None) -> None:
        """Send a copy of a packet."""
        self._duplicates.duplicate(packet, gateway, self._device(device))

    def forward(self, packet: Packet, gateway: bytes | None, device: int | None) -> bool:
        """Send a packet out of a device."""
        return self._duplicates.forward(packet, gateway, self._device(device))

    def _device(self, index: int | None) -> Device | None:
        devices = self._box.topology.devices.values()
        return None if index is None else next((each for each in devices if each.index == index), None)

    def opaque(self, packet: Packet, place: str) -> bool:
        """Count a packet that reached a rule which cannot be evaluated; whether it goes on behind it."""
        self._box.statistics.opaque[place] += 1
        return self._box.skip_opaque
