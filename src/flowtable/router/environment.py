"""What the rules of a box may ask of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.router.box import Box
    from flowtable.ruleset.environment import LogEntry, RejectWith
    from flowtable.ruleset.family import Family
    from flowtable.ruleset.nat import NatKind, NatRange


class BoxEnvironment:
    """The box as its rules see it: ``ruleset.Environment``."""

    __slots__ = ("_box",)

    def __init__(self, box: Box) -> None:
        self._box = box

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
