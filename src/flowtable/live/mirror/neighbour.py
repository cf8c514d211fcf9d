"""Neighbours. Ref: include/uapi/linux/neighbour.h:struct ndmsg."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.live.mirror.rtnetlink import FAMILIES
from flowtable.live.mirror.table import Table
from flowtable.netlink.attribute import attributes
from flowtable.topology.neighbour import NeighbourState

if TYPE_CHECKING:
    from flowtable.topology.topology import Topology

HEADER: Final = Struct("=BxxxiHBB")
DST: Final = 1
_LLADDR: Final = 2
ROUTER: Final = 0x80
_STATES: Final = {state.value: state for state in NeighbourState}


@dataclass(frozen=True, slots=True)
class NeighbourRecord:
    """A neighbour.

    Attributes:
        index: of its device.
        address: 4 or 16 bytes.
        mac: 6 bytes, None while it is not known, and on a device without MAC addresses.
        state: what is known of it; None: the kernel has forgotten it.
        router: it said that it is a router.
    """

    index: int
    address: bytes
    mac: bytes | None
    state: NeighbourState | None
    router: bool


def parse(body: bytes) -> NeighbourRecord | None:
    """The neighbour in a message; None if it is of another family, or a group.

    What the kernel works out for groups and for everybody it does not tell of when it is new.
    """
    if len(body) < HEADER.size:
        return None
    family, index, state, flags, _ = HEADER.unpack_from(body)
    values = attributes(body, HEADER.size)
    address = values.get(DST, b"")
    if len(address) != FAMILIES.get(family):
        return None
    mac = values.get(_LLADDR, b"")
    if state == NeighbourState.NOARP and (not any(mac) or mac[0] & 1):
        return None
    return NeighbourRecord(
        index, address, mac if len(mac) == 6 else None, _STATES.get(state), bool(flags & ROUTER)
    )


class NeighbourTable(Table[tuple[int, bytes], NeighbourRecord]):
    """The neighbours of both families."""

    def __init__(self, topology: Topology) -> None:
        super().__init__()
        self._topology = topology

    def key(self, record: NeighbourRecord) -> tuple[int, bytes]:
        """A neighbour is an address on a device."""
        return record.index, record.address

    def devices(self, record: NeighbourRecord) -> tuple[int, ...]:
        """The one that it is on."""
        return (record.index,)

    def changed(self, old: NeighbourRecord | None, new: NeighbourRecord | None) -> None:
        """Let the topology follow; listeners hear only of what matters to them."""
        record = new or old
        assert record is not None
        device = self._topology.indexes.get(record.index)
        if device is None:
            return
        neighbours = self._topology.neighbours
        if new is not None and new.state is not None:
            neighbours.set(device, new.address, new.mac, new.state, router=new.router)
            return
        known = neighbours.get(device, record.address)
        if known is not None:
            neighbours.delete(known)
