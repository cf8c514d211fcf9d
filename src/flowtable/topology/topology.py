"""The box: everything that its box file says, and who wants to hear of changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology import stack
from flowtable.topology.bond import Bond
from flowtable.topology.bridge import Bridge, BridgePort, PortState, VlanTable
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
from flowtable.topology.event import (
    AddressChanged,
    BridgeVlansChanged,
    Event,
    LinkChanged,
    Listener,
    PortChanged,
    SysctlChanged,
)
from flowtable.topology.fdb import FdbState
from flowtable.topology.fib import Fib
from flowtable.topology.hardware import Hardware
from flowtable.topology.local import derive4, derive6
from flowtable.topology.macvlan import Macvlan
from flowtable.topology.neighbour import Neighbours
from flowtable.topology.route import RouteProtocol
from flowtable.topology.rule import L3MDEV
from flowtable.topology.stack import Link
from flowtable.topology.sysctl import Sysctls
from flowtable.topology.tunnel import Tunnel
from flowtable.topology.vrf import Vrf

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
        hardware: what forwards flows besides the box's processors.
        changes: how many changes listeners were told of.
    """

    def __init__(self, sysctls: Sysctls | None = None) -> None:
        self._listeners: list[Listener] = []
        self.changes = 0
        self.sysctls = Sysctls() if sysctls is None else sysctls
        self.devices: dict[str, Device] = {}
        self.indexes: dict[int, Device] = {}
        self.fib4 = Fib(IPV4, self.devices, self._notify)
        self.fib6 = Fib(IPV6, self.devices, self._notify)
        self.neighbours = Neighbours(self._notify)
        self.services: list[Service] = []
        self.hardware = Hardware()
        self._l3mdev_rules = False
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
        self.changes += 1
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

        What it stands on (``lower``) and belongs to (``master``) are in the topology already.
        A bridge that has no VLANs gets its default one, as it does from ``ip link add``.

        Raises:
            TopologyError: its name or index is not valid or taken, it cannot have an address, or
                cannot stand where it does.
        """
        check_name(device.name)
        if device.name in self.devices:
            raise TopologyError(f"there is already a device {device.name!r}", "name")
        if device.index < 1 or device.index in self.indexes:
            raise TopologyError(f"ifindex {device.index} is not positive or taken", "ifindex")
        if device.kind is DeviceKind.LOOPBACK and device.index != LOOPBACK_INDEX:
            raise TopologyError("lo is the only loopback device", "kind")
        if isinstance(device, Macvlan) and isinstance(device.lower, Macvlan):
            device.lower = device.lower.lower  # Ref: drivers/net/macvlan.c:macvlan_common_newlink
        stack.check_lower(device, self.devices.values())
        master, device.master = device.master, None
        if master is not None:
            stack.check_master(device, master)
        given, device.addresses = device.addresses, []
        for address in given:
            check_address(device, address)
            device.addresses.append(address)
        self.devices[device.name] = device
        self.indexes[device.index] = device
        if device.lower is not None:
            device.lower.uppers.append(device)
        device.up = device.admin_up and stack.usable(device)
        if isinstance(device, Bridge):
            if not device.vlans.members:
                device.vlans = device.default_vlans()
            device.fdb.notify = self._notify
            device.fdb.derive(device.own_stations())
        if isinstance(device, Vrf):
            self._add_l3mdev_rules()
        self._notify(LinkChanged(device))
        self._follow(device)
        if master is not None:
            self.enslave(device, master)
        return device

    def _add_l3mdev_rules(self) -> None:
        """The first VRF of a box brings its rule. Ref: drivers/net/vrf.c:vrf_add_fib_rules."""
        if not self._l3mdev_rules:
            self._l3mdev_rules = True
            for fib in (self.fib4, self.fib6):
                fib.add_rule(L3MDEV)

    def remove_device(self, device: Device) -> None:
        """Remove a device with its addresses, routes and neighbours, and those that stand on it.

        A tunnel stays, without a device of its own to go through.

        Raises:
            TopologyError: it is ``lo``.
        """
        if device is self.lo:
            raise TopologyError("lo stays")
        for upper in list(device.uppers):
            if isinstance(upper, Tunnel):
                upper.lower = None
            else:
                self.remove_device(upper)
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
        del self.devices[device.name]
        del self.indexes[device.index]
        self._notify(LinkChanged(device, removed=True))

    def set_link(
        self, device: Device, *, up: bool | None = None, mtu: int | None = None, mac: bytes | None = None
    ) -> None:
        """Change a device: ``ip link set``.

        One that goes down or gets another MAC address forgets its neighbours, permanent ones
        too; one whose MTU gets too small for IPv6 loses its IPv6 addresses. The devices that
        stand on it follow.
        Ref: net/core/neighbour.c:neigh_ifdown, neigh_changeaddr.

        Raises:
            TopologyError: the device below does not carry that much.
        """
        if mtu is not None:
            stack.check_mtu(device, mtu)
        if up is not None:
            device.admin_up = up
        self._change(
            device,
            Link(
                device.admin_up and stack.usable(device),
                device.mtu if mtu is None else mtu,
                device.mac if mac is None else mac,
            ),
        )

    def _change(self, device: Device, link: Link) -> None:
        was = Link(device.up, device.mtu, device.mac)
        if (was.up and not link.up) or link.mac != was.mac:
            self.neighbours.flush(device)
        device.up, device.mtu, device.mac = link
        if device.mtu < IPV6_MIN_MTU:
            for address in [a for a in device.addresses if a.family == IPV6]:
                self.remove_address(device, address)
        self.fib4.invalidate()
        self.fib6.invalidate()
        self._follow(device)
        self._notify(LinkChanged(device))
        for upper in device.uppers:
            link = stack.follow(upper, was)
            if link != (upper.up, upper.mtu, upper.mac):
                self._change(upper, link)
        if isinstance(device, Bridge):
            device.fdb.derive(device.own_stations())
        if isinstance(device, Bond):
            for slave in device.slaves:
                if (slave.mtu, slave.mac) != (device.mtu, device.mac):
                    self._change(slave, Link(slave.up, device.mtu, device.mac))
        match device.master:
            case Bridge() as bridge:
                port = bridge.ports[device.index]
                if was.up and not device.up:
                    bridge.fdb.flush(lambda e: e.port is port and e.state is FdbState.DYNAMIC)
                bridge.fdb.derive(bridge.own_stations())
            case Bond() as bond:
                self._fail_over(bond)
            case _:
                pass

    def _fail_over(self, bond: Bond) -> None:
        if bond.fail_over():
            self._notify(LinkChanged(bond))

    def enslave(self, device: Device, master: Device) -> None:
        """Put a device into a bridge, a bond or a VRF, out of any other: ``ip link set master``.

        A slave of a bond takes its MAC address and MTU; a bridge or bond without a MAC address
        takes that of the first.

        Raises:
            TopologyError: Linux would refuse it.
        """
        stack.check_master(device, master)
        if device.master is not None:
            self.release(device)
        device.master = master
        if isinstance(master, (Bridge, Bond)) and not any(master.mac):
            self._change(master, Link(master.up, master.mtu, device.mac))
        match master:
            case Bridge():
                port = master.ports[device.index] = BridgePort(device, master, vlans=master.default_vlans())
                master.fdb.derive(master.own_stations())
                self._notify(PortChanged(port))
            case Bond():
                master.slaves.append(device)
                master.permanent[device.index] = device.mac
                for address in [a for a in device.addresses if a.family == IPV6]:
                    self.remove_address(device, address)
                self._change(device, Link(device.up, master.mtu, master.mac))
            case _:
                self._change_domain(device)

    def release(self, device: Device) -> None:
        """Take a device out of its bridge, bond or VRF: ``ip link set nomaster``.

        A slave of a bond has its own MAC address again, and is down.

        Raises:
            TopologyError: it is in none.
        """
        master, device.master = device.master, None
        match master:
            case Bridge():
                port = master.ports.pop(device.index)
                master.fdb.flush(lambda e: e.port is port)
                master.fdb.derive(master.own_stations())
                self._notify(PortChanged(port, removed=True))
            case Bond():
                master.slaves.remove(device)
                mac = master.permanent.pop(device.index)
                self._fail_over(master)
                device.admin_up = False
                self._change(device, Link(False, device.mtu, mac))
            case None:
                raise TopologyError(f"{device.name} has no master")
            case _:
                self._change_domain(device)

    def _change_domain(self, device: Device) -> None:
        """The device is in another routing domain now, for which it was down for a moment.

        Ref: drivers/net/vrf.c:cycle_netdev.
        """
        self.neighbours.flush(device)
        for fib in (self.fib4, self.fib6):
            for route in [r for r in fib if r.oif is device and r.protocol is RouteProtocol.STATIC]:
                fib.remove(route)
        self._change(device, Link(device.up, device.mtu, device.mac))

    def set_port(
        self,
        port: BridgePort,
        *,
        state: PortState | None = None,
        learning: bool | None = None,
        flood: bool | None = None,
        mcast_flood: bool | None = None,
        bcast_flood: bool | None = None,
        hairpin: bool | None = None,
        isolated: bool | None = None,
    ) -> None:
        """Change a port of a bridge: ``bridge link set``; None leaves what is."""
        port.state = port.state if state is None else state
        port.learning = port.learning if learning is None else learning
        port.flood = port.flood if flood is None else flood
        port.mcast_flood = port.mcast_flood if mcast_flood is None else mcast_flood
        port.bcast_flood = port.bcast_flood if bcast_flood is None else bcast_flood
        port.hairpin = port.hairpin if hairpin is None else hairpin
        port.isolated = port.isolated if isolated is None else isolated
        self._notify(PortChanged(port))

    def set_bridge(
        self, bridge: Bridge, *, vlan_filtering: bool | None = None, ageing_time: int | None = None
    ) -> None:
        """Change a bridge: ``ip link set type bridge``; ``ageing_time`` is in nanoseconds."""
        if ageing_time is not None:
            bridge.ageing_time = ageing_time
        if vlan_filtering is not None:
            bridge.vlan_filtering = vlan_filtering
            self._notify(BridgeVlansChanged(bridge))

    def add_vlan(
        self, member: Bridge | BridgePort, vid: int, *, pvid: bool = False, untagged: bool = False
    ) -> None:
        """Put a port, or the bridge itself, into a VLAN: ``bridge vlan add``.

        Raises:
            TopologyError: there is no such VLAN id.
        """
        member.vlans.add(vid, pvid=pvid, untagged=untagged)
        self._vlans_changed(member)

    def remove_vlan(self, member: Bridge | BridgePort, vid: int) -> None:
        """Take a port, or the bridge itself, out of a VLAN: ``bridge vlan del``.

        Raises:
            TopologyError: it is not in that VLAN.
        """
        member.vlans.remove(vid)
        self._vlans_changed(member)

    def set_vlans(self, member: Bridge | BridgePort, vlans: VlanTable) -> None:
        """Give a port, or the bridge itself, other VLANs than it has."""
        member.vlans = vlans
        self._vlans_changed(member)

    def _vlans_changed(self, member: Bridge | BridgePort) -> None:
        """What was learnt on a port in a VLAN that it left is forgotten. Ref: nbp_vlan_delete."""
        match member:
            case BridgePort(bridge=bridge):
                bridge.fdb.flush(
                    lambda e: (
                        e.port is member
                        and e.state is FdbState.DYNAMIC
                        and e.vid != 0
                        and e.vid not in member.vlans.members
                    )
                )
                self._notify(PortChanged(member))
            case Bridge() as bridge:
                self._notify(BridgeVlansChanged(bridge))
        bridge.fdb.derive(bridge.own_stations())

    def set_active(self, bond: Bond, slave: Device) -> None:
        """Choose the active slave of a bond: ``ip link set type bond active_slave``.

        Raises:
            TopologyError: it is not in the bond, or not up. Ref: bond_option_active_slave_set.
        """
        if slave not in bond.slaves or not slave.up:
            raise TopologyError(f"{slave.name} is no slave of {bond.name} that is up", "active")
        if bond.active is not slave:
            bond.active = slave
            self._notify(LinkChanged(bond))

    def add_address(self, device: Device, address: Address) -> None:
        """Add an address: ``ip address add``.

        Raises:
            TopologyError: the device cannot have it.
        """
        check_address(device, address)
        if address.family == IPV6 and isinstance(device.master, Bond):
            raise TopologyError(f"IPv6 is with {device.master.name}, not with its slaves")
        device.addresses.append(address)
        self._follow(device)
        self._notify(AddressChanged(device, address))

    def remove_address(self, device: Device, address: Address) -> None:
        """Remove an address, and the routes that prefer it as their source.

        The first IPv4 address of a subnet takes the others with it.
        Ref: net/ipv4/devinet.c:__inet_del_ifa, without promote_secondaries.

        Raises:
            TopologyError: the device has no such address.
        """
        if address not in device.addresses:
            raise TopologyError("Cannot assign requested address")
        if address.family == IPV4 and not device.secondary(address):
            for other in [a for a in device.addresses if device.secondary(a) and _of_subnet(a, address)]:
                self.remove_address(device, other)
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
            and device.ethernet
            and not isinstance(device.master, Bond)
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


def _of_subnet(address: Address, first: Address) -> bool:
    """Whether an address is of the same IPv4 subnet as another."""
    return (
        address.family == first.family
        and address.prefixlen == first.prefixlen
        and first.covers(address.on_link)
    )
