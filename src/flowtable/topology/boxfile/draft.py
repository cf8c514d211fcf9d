"""The topology while its box file is read, and what tells a problem from its consequences."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Self

from flowtable.topology.boxfile.reader import Field, UnreadableError, unknown
from flowtable.topology.device import Device
from flowtable.topology.topology import Topology


class Draft:
    """A topology that is being read.

    Attributes:
        topology: what is there so far.
        names: of all devices in the file, also of those that are not valid.
        members: by what devices name as their master, those of them that were read so far.
        sound: nothing was wrong up to the devices, so that what is refused for a lack of
            devices or addresses is a problem by itself.
    """

    __slots__ = ("members", "names", "sound", "topology")

    def __init__(self, names: set[str]) -> None:
        self.topology = Topology()
        self.names = names
        self.members: dict[str, list[Device]] = {}
        self.sound = True

    @classmethod
    def of(cls, topology: Topology) -> Self:
        """A box that is there already, about to change."""
        draft = cls(set(topology.devices))
        draft.topology = topology
        return draft

    def device(self, field: Field) -> Device:
        """The device of that name."""
        name = field.text()
        device = self.topology.devices.get(name)
        if device is None:
            if name in self.names:
                raise UnreadableError  # what is wrong with the device is noted there
            raise field.fail(unknown("device", name, sorted(self.names)))
        return device

    def own_address(self, field: Field) -> bytes:
        """An address of the box itself."""
        address = field.address()
        if not any(device.has(address) for device in self.topology.devices.values()):
            if not self.sound:
                raise UnreadableError
            raise field.fail(f"{ip_address(address)} is not an address of this box")
        return address
