"""Several links as one. Ref: drivers/net/bonding/bond_main.c."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from flowtable.topology.device import Device, DeviceKind
from flowtable.topology.error import TopologyError


class BondMode(Enum):
    """How the slaves share the work. Ref: include/uapi/linux/if_bonding.h."""

    ACTIVE_BACKUP = "active-backup"
    BALANCE_XOR = "balance-xor"
    LACP = "802.3ad"


class XmitHashPolicy(Enum):
    """What chooses the slave of a frame. Ref: Documentation/networking/bonding.rst."""

    LAYER2 = "layer2"
    LAYER23 = "layer2+3"
    LAYER34 = "layer3+4"


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Bond(Device):
    """A bond; its slaves have it as ``master`` and its MAC address and MTU as their own.

    Attributes:
        mode: how the slaves share the work.
        policy: what chooses the slave in the hashing modes.
        active: the slave in use in active-backup mode, None while none is up.
        slaves: in the order in which they were enslaved.
        permanent: the MAC addresses that slaves had before, by the index of the slave.
    """

    kind: DeviceKind = DeviceKind.BOND
    mode: BondMode = BondMode.ACTIVE_BACKUP
    policy: XmitHashPolicy = XmitHashPolicy.LAYER2
    active: Device | None = None
    slaves: list[Device] = field(default_factory=list)
    permanent: dict[int, bytes] = field(default_factory=dict)

    def fail_over(self) -> bool:
        """Choose another active slave where the one in use is no longer up.

        One that comes back does not become active again. Ref: bond_find_best_slave with
        ``primary_reselect`` and no primary.

        Returns:
            Whether the active slave has changed.
        """
        if self.mode is not BondMode.ACTIVE_BACKUP:
            return False
        was = self.active
        if was is None or not was.up or was not in self.slaves:
            self.active = next((slave for slave in self.slaves if slave.up), None)
        return self.active is not was


def check_slave(device: Device, bond: Bond) -> None:
    """Check that a device may be in a bond. Ref: drivers/net/bonding/bond_main.c:bond_enslave.

    Raises:
        TopologyError: it may not.
    """
    if device is bond:
        raise TopologyError("Cannot enslave bond to itself", "master")
    if not device.ethernet:
        raise TopologyError(f"{device.name} is not Ethernet", "master")
