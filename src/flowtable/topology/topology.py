"""The box: everything that its box file says, and who wants to hear of changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.device import (
    IPV6_MIN_MTU,
    LOOPBACK_INDEX,
    Address,
    AddrGenMode,
    Device,
    DeviceKind,
    Scope,
    check_address,
    check_name,
    eui64_link_local,
    link_local,
)
from flowtable.topology.error import TopologyError
from flowtable.topology.event import AddressChanged, Event, LinkChanged, Listener, SysctlChanged
from flowtable.topology.local import derive4, derive6
from flowtable.topology.neighbour import Neighbours
from flowtable.topology.route import Fib
from flowtable.topology.sysctl import Sysctls

LOOPBACK_MTU: Final = 65536
LOOPBACK_ADDRESSES: Final = (Address.parse("127.0.0.1/8"), Address.parse("::1/128"))


@dataclass(frozen=True, slots=True)
class Service:
    """A port on which something on the box listens.

    Attributes:
        protocol: ``TCP`` or ``UDP``.
        port: 1..65535.
        address: the only address it listens on, None for every one of either family.
    """

    protocol: int
    port: int
    address: bytes | None = None


class Topology:
    """A box. It has ``lo`` with its addresses from the start.

    Attributes:
        devices: by name, in the order in which they came; ``lo`` is the first.
        indexes: the same devices by ifindex.
        lo: the loopback device.
        fib4: IPv4 routes.
        fib6: IPv6 routes.
        neighbours: of both families.
        sysctls: set these before devices are added.
        services: what listens on the box.
    """

    def __init__(self, sysctls: Sysctls | None = None) -> None:
        self._listeners: list[Listener] = []
        self.sysctls = Sysctls() if sysctls is None else sysctls
        self.devices: dict[str, Device] = {}
        self.indexes: dict[int, Device] = {}
        self.fib4 = Fib(IPV4, self.devices, self._notify)
        self.fib6 = Fib(IPV6, self.devices, self._notify)
        self.neighbours = Neighbours(self._notify)
        self.services: list[Service] = []
        self.lo = self.add_device(Device("lo", LOOPBACK_INDEX, DeviceKind.LOOPBACK, mtu=LOOPBACK_MTU))
        for address in LOOPBACK_ADDRESSES:
            self.add_address(self.lo, address)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` after every change from now on, in the order of subscription.

        Returns:
            What to call to hear no more.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _notify(self, event: Event) -> None:
        for listener in list(self._listeners):
            listener(event)

    def fib(self, family: int) -> Fib:
        """The routes of a family."""
        return self.fib4 if family == IPV4 else self.fib6

    def listening(self, protocol: int, address: bytes, port: int) -> bool:
        """Whether something on the box listens there."""
        return any(
            s.port == port and s.protocol == protocol and s.address in (None, address) for s in self.services
        )

    def set_sysctl(self, name: str, value: int) -> None:
        """Set a sysctl: ``sysctl -w``.

        Raises:
            TopologyError: there is no such sysctl, or the value is not one that it takes.
        """
        self.sysctls.set(name, value)
        for device in list(self.devices.values()):
            self._follow(device)
        self.fib4.invalidate()
        self.fib6.invalidate()
        self._notify(SysctlChanged(name))

    def add_device(self, device: Device) -> Device:
        """Add a device with the addresses it has, and an IPv6 link-local one if it needs it.

        Raises:
            TopologyError: its name or index is not valid or taken, or it cannot have an address.
        """
        check_name(device.name)
        if device.name in self.devices:
            raise TopologyError(f"there is already a device {device.name!r}", "name")
        if device.index < 1 or device.index in self.indexes:
            raise TopologyError(f"ifindex {device.index} is not positive or taken", "ifindex")
        if device.kind is DeviceKind.LOOPBACK and device.index != LOOPBACK_INDEX:
            raise TopologyError("lo is the only loopback device", "kind")
        given, device.addresses = device.addresses, []
        for address in given:
            check_address(device, address)
            device.addresses.append(address)
        self.devices[device.name] = device
        self.indexes[device.index] = device
        self._notify(LinkChanged(device))
        self._follow(device)
        return device

    def remove_device(self, device: Device) -> None:
        """Remove a device with its addresses, routes and neighbours.

        Raises:
            TopologyError: it is ``lo``.
        """
        if device is self.lo:
            raise TopologyError("lo stays")
        self.neighbours.flush(device)
        for fib in (self.fib4, self.fib6):
            for route in [r for r in fib if r.device is device or r.oif is device]:
                fib.remove(route)
        del self.devices[device.name]
        del self.indexes[device.index]
        self._notify(LinkChanged(device, removed=True))

    def set_link(
        self, device: Device, *, up: bool | None = None, mtu: int | None = None, mac: bytes | None = None
    ) -> None:
        """Change a device: ``ip link set``.

        One that goes down or gets another MAC address forgets its neighbours, permanent ones
        too; one whose MTU gets too small for IPv6 loses its IPv6 addresses.
        Ref: net/core/neighbour.c:neigh_ifdown, neigh_changeaddr.
        """
        if (device.up and up is False) or mac not in (None, device.mac):
            self.neighbours.flush(device)
        if up is not None:
            device.up = up
        if mtu is not None:
            device.mtu = mtu
        if mac is not None:
            device.mac = mac
        if device.mtu < IPV6_MIN_MTU:
            for address in [a for a in device.addresses if a.family == IPV6]:
                self.remove_address(device, address)
        self.fib4.invalidate()
        self.fib6.invalidate()
        self._follow(device)
        self._notify(LinkChanged(device))

    def add_address(self, device: Device, address: Address) -> None:
        """Add an address: ``ip address add``.

        Raises:
            TopologyError: the device cannot have it.
        """
        check_address(device, address)
        device.addresses.append(address)
        self._follow(device)
        self._notify(AddressChanged(device, address))

    def remove_address(self, device: Device, address: Address) -> None:
        """Remove an address, and the routes that prefer it as their source.

        Raises:
            TopologyError: the device has no such address.
        """
        if address not in device.addresses:
            raise TopologyError("Cannot assign requested address")
        device.addresses.remove(address)
        self._follow(device)
        fib = self.fib(address.family)
        if not any(other.has(address.address) for other in self.devices.values()):
            for route in [r for r in fib if r.source == address.address]:
                fib.remove(route)
        self._notify(AddressChanged(device, address, removed=True))

    def _follow(self, device: Device) -> None:
        """Bring what follows from a device's state and addresses up to date."""
        if (
            device.up
            and not device.loopback
            and device.mtu >= IPV6_MIN_MTU
            and device.addrgenmode is AddrGenMode.EUI64
            and not any(link_local(a.address) for a in device.addresses)
        ):
            address = Address(IPV6, eui64_link_local(device.mac), 64, scope=Scope.LINK)
            device.addresses.append(address)
            self._notify(AddressChanged(device, address))
        lo = self.indexes[LOOPBACK_INDEX]
        self.fib4.derive(device, derive4(device, lo))
        self.fib6.derive(device, derive6(device, lo, forwarding=self.sysctls.ip6_router(device.name)))
