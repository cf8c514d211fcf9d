"""Neighbours: which MAC address answers for a next hop on a device.

Ref: include/net/neighbour.h:struct neighbour. Timers, probes and queues of waiting packets
are the router's; this is what is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.device import Device
from flowtable.topology.event import Listener, NeighbourChanged


class NeighbourState(IntEnum):
    """What is known of a neighbour. Ref: include/uapi/linux/neighbour.h:NUD_*."""

    INCOMPLETE = 0x01
    REACHABLE = 0x02
    STALE = 0x04
    DELAY = 0x08
    PROBE = 0x10
    FAILED = 0x20
    NOARP = 0x40
    PERMANENT = 0x80


VALID: Final = frozenset(
    {
        NeighbourState.REACHABLE,
        NeighbourState.STALE,
        NeighbourState.DELAY,
        NeighbourState.PROBE,
        NeighbourState.NOARP,
        NeighbourState.PERMANENT,
    }
)
"""States in which packets may be sent to the MAC address. Ref: NUD_VALID."""


class Neighbour:
    """One neighbour. It stays the same object for as long as its table holds it.

    Attributes:
        device: the device it is on.
        address: its 4 or 16 byte address.
        mac: its 6 byte MAC address, None while nothing was learnt.
        state: what is known of it.
        valid: whether packets may be sent to ``mac``.
        router: it said that it is a router (NTF_ROUTER), IPv6 only.
    """

    __slots__ = ("address", "device", "mac", "router", "state", "valid")

    def __init__(
        self,
        device: Device,
        address: bytes,
        mac: bytes | None,
        state: NeighbourState,
        *,
        router: bool = False,
    ) -> None:
        self.device = device
        self.address = address
        self.mac = mac
        self.state = state
        self.valid = state in VALID
        self.router = router

    @property
    def family(self) -> int:
        """``IPV4`` or ``IPV6``."""
        return IPV4 if len(self.address) == 4 else IPV6

    def __repr__(self) -> str:
        mac = self.mac.hex(":") if self.mac else "-"
        return f"<Neighbour {self.address.hex()} dev {self.device.name} lladdr {mac} {self.state.name}>"


class Neighbours:
    """The neighbour tables of a box, both families.

    Attributes:
        table: the neighbours by device index and address; to be read, for what asks at every packet.
    """

    def __init__(self, notify: Listener) -> None:
        self._notify = notify
        self.table: dict[tuple[int, bytes], Neighbour] = {}

    def __iter__(self) -> Iterator[Neighbour]:
        return iter(list(self.table.values()))

    def __len__(self) -> int:
        return len(self.table)

    def get(self, device: Device, address: bytes) -> Neighbour | None:
        """The neighbour with that address on the device."""
        return self.table.get((device.index, address))

    def set(
        self,
        device: Device,
        address: bytes,
        mac: bytes | None,
        state: NeighbourState,
        *,
        router: bool | None = None,
    ) -> Neighbour:
        """Create or change a neighbour; listeners hear of it when the MAC or ``valid`` changed.

        Args:
            device: the device it is on.
            address: 4 or 16 bytes.
            mac: 6 bytes; None keeps what a known neighbour has.
            state: the new state.
            router: whether it is a router; None keeps what is known.
        """
        key = (device.index, address)
        neighbour = self.table.get(key)
        if neighbour is None:
            neighbour = Neighbour(device, address, mac, state, router=bool(router))
            self.table[key] = neighbour
            self._notify(NeighbourChanged(neighbour))
            return neighbour
        valid = state in VALID
        changed = valid is not neighbour.valid or (mac is not None and mac != neighbour.mac)
        neighbour.state = state
        neighbour.valid = valid
        if mac is not None:
            neighbour.mac = mac
        if router is not None:
            neighbour.router = router
        if changed:
            self._notify(NeighbourChanged(neighbour))
        return neighbour

    def delete(self, neighbour: Neighbour) -> None:
        """Forget a neighbour.

        Raises:
            KeyError: it is not in the table.
        """
        del self.table[neighbour.device.index, neighbour.address]
        self._notify(NeighbourChanged(neighbour, removed=True))

    def flush(self, device: Device) -> None:
        """Forget all neighbours on a device."""
        for neighbour in [n for n in self.table.values() if n.device is device]:
            self.delete(neighbour)
