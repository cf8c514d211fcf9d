"""How devices stand on each other: what Linux allows, and what a device takes from the one below.

Ref: net/core/dev.c:__netdev_upper_dev_link; the netdevice notifiers of each kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from flowtable.topology.bond import Bond, check_slave
from flowtable.topology.bridge import Bridge, check_port
from flowtable.topology.device import Device, DeviceKind
from flowtable.topology.dsa import DsaPort, check_dsa
from flowtable.topology.error import TopologyError
from flowtable.topology.macvlan import Macvlan, MacvlanMode, check_macvlan
from flowtable.topology.pppoe import PPPOE_OVERHEAD, Pppoe, check_pppoe
from flowtable.topology.tunnel import Tunnel, check_tunnel
from flowtable.topology.vlan import Vlan, check_vlan
from flowtable.topology.vrf import Vrf, check_vrf_slave

MAX_NEST: Final = 8
"""Devices in one stack. Ref: include/linux/netdevice.h:MAX_NEST_DEV."""


class Link(NamedTuple):
    """What of a device those above it follow."""

    up: bool
    mtu: int
    mac: bytes


def below(device: Device) -> list[Device]:
    """The devices that a frame may go down to: the lower one, the ports or the slaves.

    A tunnel stands at the bottom: what leaves it is routed.
    """
    match device:
        case Tunnel():
            return []
        case Bridge():
            return [port.device for port in device.ports.values()]
        case Bond():
            return device.slaves
        case _:
            return [] if device.lower is None else [device.lower]


def above(device: Device) -> list[Device]:
    """The devices that a frame may come up to."""
    uppers = [upper for upper in device.uppers if not isinstance(upper, Tunnel)]
    return uppers if device.master is None else [*uppers, device.master]


def reaches(device: Device, other: Device) -> bool:
    """Whether frames can go down from a device to another one, or it is that."""
    return device is other or any(reaches(lower, other) for lower in below(device))


def check_lower(device: Device, devices: Iterable[Device]) -> None:
    """Check that a device may stand where it is going to stand.

    Args:
        device: not yet among ``devices``.
        devices: all of the box.

    Raises:
        TopologyError: Linux would refuse it.
    """
    match device:
        case Vlan():
            check_vlan(device)
        case Pppoe():
            check_pppoe(device)
        case DsaPort():
            check_dsa(device)
        case Macvlan():
            check_macvlan(device)
        case Tunnel():
            check_tunnel(device, devices)
        case _ if device.lower is not None:
            raise TopologyError(f"a {device.kind.value} device stands on no other", "parent")
        case _:
            return
    if device.lower is not None and _depth(device.lower) + 1 > MAX_NEST:
        raise TopologyError(f"Too many links: more than {MAX_NEST} devices in one stack", "parent")
    check_mtu(device, device.mtu)


def check_master(device: Device, master: Device) -> None:
    """Check that a device may be enslaved.

    Raises:
        TopologyError: Linux would refuse it.
    """
    match master:
        case Bridge():
            check_port(device)
        case Bond():
            check_slave(device, master)
        case Vrf():
            check_vrf_slave(device)
            return
        case _:
            raise TopologyError(f"{master.name} is no bridge, bond or VRF", "master")
    if reaches(device, master):
        raise TopologyError(f"{device.name} stands on {master.name}", "master")
    if any(upper.kind is DeviceKind.MACVLAN for upper in device.uppers):
        raise TopologyError(f"Device or resource busy: {device.name} has macvlans", "master")
    if _depth(device) + _height(master) > MAX_NEST:
        raise TopologyError(f"Too many links: more than {MAX_NEST} devices in one stack", "master")


def _depth(device: Device) -> int:
    return 1 + max(map(_depth, below(device)), default=0)


def _height(device: Device) -> int:
    return 1 + max(map(_height, above(device)), default=0)


def check_mtu(device: Device, mtu: int) -> None:
    """Check that a device may have an MTU.

    Ref: net/8021q/vlan_dev.c:vlan_dev_change_mtu, drivers/net/macvlan.c:macvlan_change_mtu,
    RFC 2516 section 7.

    Raises:
        TopologyError: the device below does not carry that much.
    """
    lower = device.lower
    if lower is None or isinstance(device, (Tunnel, DsaPort)):
        return
    largest = lower.mtu - (PPPOE_OVERHEAD if isinstance(device, Pppoe) else 0)
    if mtu > largest:
        raise TopologyError(f"{lower.name} has {lower.mtu}, so at most {largest}", "mtu")


def usable(device: Device) -> bool:
    """Whether it is up as soon as it is set up: its lower device is.

    A tunnel has its route instead, a bridge and a bond are up even if nothing below them is.
    """
    return device.lower is None or isinstance(device, Tunnel) or device.lower.up


def follow(device: Device, was: Link) -> Link:
    """What a device becomes after the one below it has changed from ``was``.

    A VLAN device is raised with its lower device, and has its MAC address unless it got one of
    its own; a PPPoE session ends with any change.
    Ref: net/8021q/vlan.c:vlan_device_event, drivers/net/macvlan.c:macvlan_device_event,
    drivers/net/ppp/pppoe.c:pppoe_device_event, net/dsa/user.c:dsa_user_netdevice_event.
    """
    lower = device.lower
    assert lower is not None
    mtu, mac = device.mtu, device.mac
    match device:
        case Vlan():
            if lower.up and not was.up:
                device.admin_up = True
            mtu = min(mtu, lower.mtu)
            mac = lower.mac if mac == was.mac else mac
        case Macvlan():
            mtu = min(mtu, lower.mtu)
            mac = lower.mac if device.mode is MacvlanMode.PASSTHRU else mac
        case Pppoe():
            if was != (lower.up, lower.mtu, lower.mac):
                device.admin_up = False
            mtu = min(mtu, lower.mtu - PPPOE_OVERHEAD)
        case _:
            pass
    return Link(device.admin_up and usable(device), mtu, mac)
