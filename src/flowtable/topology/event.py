"""Changes to a topology that others hear of.

Ref: the kernel's notifier chains: netdevice, inetaddr and inet6addr, fib, netevent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtable.topology.device import Address, Device
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


Event = LinkChanged | AddressChanged | RouteChanged | NeighbourChanged
Listener = Callable[[Event], None]
