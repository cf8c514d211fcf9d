"""A topology that a running kernel decides."""

from __future__ import annotations

from flowtable.topology.bond import Bond
from flowtable.topology.bridge import Bridge, BridgePort, VlanTable
from flowtable.topology.device import Address, Device
from flowtable.topology.error import TopologyError
from flowtable.topology.event import (
    AddressChanged,
    BridgeVlansChanged,
    LinkChanged,
    PortChanged,
    SysctlChanged,
)
from flowtable.topology.topology import Topology


class MirroredTopology(Topology):
    """A topology that is told what is.

    What a change brings with it the kernel tells as well, so nothing follows by itself here, and
    nothing that the kernel has is refused. ``lo`` has no addresses from the start.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lo.addresses.clear()

    def add_device(self, device: Device) -> Device:
        """Add a device. What it stands on is in the topology already.

        Raises:
            TopologyError: its name or index is taken.
        """
        if device.name in self.devices or device.index in self.indexes:
            raise TopologyError(f"there is already a device {device.index}: {device.name}", "name")
        self.devices[device.name] = device
        self.indexes[device.index] = device
        if device.lower is not None:
            device.lower.uppers.append(device)
        if isinstance(device, Bridge):
            device.fdb.notify = self._notify
        self._outdate()
        self._notify(LinkChanged(device))
        return device

    def remove_device(self, device: Device) -> None:
        """Remove a device with its addresses, routes and neighbours; those that stand on it stay."""
        for upper in device.uppers:
            upper.lower = None
        for other in list(self.devices.values()):
            if other.master is device:
                self.release(other)
        if device.master is not None:
            self.release(device)
        if device.lower is not None:
            device.lower.uppers.remove(device)
        self.neighbours.flush(device)
        for fib in (self.fib4, self.fib6):
            for route in [r for r in fib if r.device is device or r.oif is device]:
                fib.remove(route)
        for address in list(device.addresses):
            self.remove_address(device, address)
        del self.devices[device.name]
        del self.indexes[device.index]
        self._notify(LinkChanged(device, removed=True))

    def rename(self, device: Device, name: str) -> None:
        """Give a device another name: ``ip link set name``. Its own sysctls keep their values.

        Raises:
            TopologyError: the name is taken.
        """
        if name in self.devices:
            raise TopologyError(f"there is already a device {name!r}", "name")
        old, device.name = device.name, name
        kept = {other.name: other for other in self.devices.values()}
        self.devices.clear()
        self.devices.update(kept)
        self.sysctls.rename(old, name)
        self._outdate()
        self._notify(LinkChanged(device))

    def set_link(
        self, device: Device, *, up: bool | None = None, mtu: int | None = None, mac: bytes | None = None
    ) -> None:
        """Change a device, and it alone."""
        device.up = device.admin_up = device.up if up is None else up
        device.mtu = device.mtu if mtu is None else mtu
        device.mac = device.mac if mac is None else mac
        self.link_changed(device)

    def link_changed(self, device: Device) -> None:
        """Something of a device is not what it was."""
        self._outdate()
        self._notify(LinkChanged(device))

    def enslave(self, device: Device, master: Device) -> None:
        """Put a device into a bridge, a bond or a VRF, out of any other."""
        if device.master is not None:
            self.release(device)
        device.master = master
        match master:
            case Bridge():
                port = master.ports[device.index] = BridgePort(device, master, vlans=VlanTable())
                self._notify(PortChanged(port))
            case Bond():
                master.slaves.append(device)
                self.link_changed(master)
            case _:
                self.link_changed(device)

    def release(self, device: Device) -> None:
        """Take a device out of its bridge, bond or VRF.

        Raises:
            TopologyError: it is in none.
        """
        master, device.master = device.master, None
        match master:
            case Bridge():
                port = master.ports.pop(device.index)
                master.fdb.flush(lambda e: e.port is port)
                self._notify(PortChanged(port, removed=True))
            case Bond():
                master.slaves.remove(device)
                master.permanent.pop(device.index, None)
                self.link_changed(master)
            case None:
                raise TopologyError(f"{device.name} has no master")
            case _:
                self.link_changed(device)

    def set_active(self, bond: Bond, slave: Device | None) -> None:
        """Say which slave of a bond is in use."""
        if bond.active is not slave:
            bond.active = slave
            self.link_changed(bond)

    def add_address(self, device: Device, address: Address, place: int | None = None) -> None:
        """Add an address, at a place among those of the device, at the end without one."""
        device.addresses.insert(len(device.addresses) if place is None else place, address)
        self._notify(AddressChanged(device, address))

    def remove_address(self, device: Device, address: Address) -> None:
        """Remove an address.

        Raises:
            TopologyError: the device has no such address.
        """
        if address not in device.addresses:
            raise TopologyError("Cannot assign requested address")
        device.addresses.remove(address)
        self._notify(AddressChanged(device, address, removed=True))

    def set_sysctl(self, name: str, value: int) -> None:
        """Say that a sysctl has a value.

        Raises:
            TopologyError: there is no such sysctl, or the value is not one that it takes.
        """
        self.sysctls.set(name, value)
        self._outdate()
        self._notify(SysctlChanged(name))

    def _vlans_changed(self, member: Bridge | BridgePort) -> None:
        match member:
            case BridgePort():
                self._notify(PortChanged(member))
            case Bridge():
                self._notify(BridgeVlansChanged(member))

    def _outdate(self) -> None:
        self.fib4.invalidate()
        self.fib6.invalidate()
