"""Changes to a topology that others hear of.

Ref: the kernel's notifier chains: netdevice, inetaddr and inet6addr, fib, netevent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtable.topology.bridge import Bridge, BridgePort
    from flowtable.topology.device import Address, Device
    from flowtable.topology.fdb import FdbEntry
    from flowtable.topology.neighbour import Neighbour
    from flowtable.topology.route import Route


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """A device came, went or changed its state, MTU or MAC address (which it has already)."""

    device: Device
    removed: bool = False


@dataclass(frozen=True, slots=True)
class AddressChanged:
    """A device gained or lost an address."""

    device: Device
    address: Address
    removed: bool = False


@dataclass(frozen=True, slots=True)
class RouteChanged:
    """A route was added or removed, derived ones included."""

    route: Route
    removed: bool = False


@dataclass(frozen=True, slots=True)
class NeighbourChanged:
    """A neighbour came, went, or changed its MAC address or whether it is valid.

    Ref: NETEVENT_NEIGH_UPDATE.
    """

    neighbour: Neighbour
    removed: bool = False


@dataclass(frozen=True, slots=True)
class FdbChanged:
    """A station of a bridge was learnt, moved to another port (which the entry says), or was forgotten.

    Ref: SWITCHDEV_FDB_ADD_TO_DEVICE, SWITCHDEV_FDB_DEL_TO_DEVICE.
    """

    entry: FdbEntry
    removed: bool = False


@dataclass(frozen=True, slots=True)
class PortChanged:
    """A device joined or left a bridge, or its port's state, flags or VLANs changed.

    Ref: NETDEV_CHANGEUPPER, SWITCHDEV_PORT_ATTR_SET.
    """

    port: BridgePort
    removed: bool = False


@dataclass(frozen=True, slots=True)
class BridgeVlansChanged:
    """VLAN filtering of a bridge, or the VLANs of the bridge itself, changed."""

    bridge: Bridge


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """The policy routing rules of a family changed. Ref: FIB_EVENT_RULE_ADD, FIB_EVENT_RULE_DEL."""

    family: int


@dataclass(frozen=True, slots=True)
class SysctlChanged:
    """A sysctl got another value; ``name`` is in its dotted form."""

    name: str


Event = (
    LinkChanged
    | AddressChanged
    | RouteChanged
    | NeighbourChanged
    | FdbChanged
    | PortChanged
    | BridgeVlansChanged
    | RulesChanged
    | SysctlChanged
)
Listener = Callable[[Event], None]
