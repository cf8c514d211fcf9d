"""Routing domains. Ref: drivers/net/vrf.c."""

from __future__ import annotations

from dataclasses import dataclass

from flowtable.topology.device import Device, DeviceKind
from flowtable.topology.error import TopologyError


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Vrf(Device):
    """A VRF; what its slaves receive is routed by its table.

    Attributes:
        table: number of the routing table.
    """

    kind: DeviceKind = DeviceKind.VRF
    table: int


def domain(device: Device | None) -> Vrf | None:
    """The VRF that a device is or is in. Ref: net/l3mdev/l3mdev.c:l3mdev_master_ifindex_rcu."""
    if isinstance(device, Vrf):
        return device
    return device.master if device is not None and isinstance(device.master, Vrf) else None


def check_vrf_slave(device: Device) -> None:
    """Check that a device may be in a VRF. Ref: drivers/net/vrf.c:vrf_add_slave.

    Raises:
        TopologyError: it may not.
    """
    if device.loopback:
        raise TopologyError("Can not enslave loopback device to a VRF", "master")
    if isinstance(device, Vrf):
        raise TopologyError("Can not enslave an L3 master device to a VRF", "master")
