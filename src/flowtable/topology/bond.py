"""Several links as one. Ref: drivers/net/bonding/bond_main.c."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from flowtable.topology.device import Device


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
    """A bond; its slaves have it as ``master``.

    Attributes:
        mode: how the slaves share the work.
        policy: what chooses the slave in the hashing modes.
        active: the slave in use in active-backup mode, None while none is up.
        slaves: in the order in which they were enslaved.
    """

    mode: BondMode = BondMode.ACTIVE_BACKUP
    policy: XmitHashPolicy = XmitHashPolicy.LAYER2
    active: Device | None = None
    slaves: list[Device] = field(default_factory=list)
