"""Forwarding databases of bridges. Ref: net/bridge/br_fdb.c:fdb_fill_info."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowtable.live.mirror.neighbour import HEADER
from flowtable.live.mirror.rtnetlink import AF_BRIDGE
from flowtable.live.mirror.table import Table
from flowtable.netlink.attribute import attributes, u16, u32
from flowtable.topology.bridge import Bridge
from flowtable.topology.fdb import FdbEntry, FdbState

if TYPE_CHECKING:
    from flowtable.topology.topology import Topology

_LLADDR: Final = 2
_VLAN: Final = 5
_MASTER: Final = 9
_STATES: Final = {0x80: FdbState.PERMANENT, 0x40: FdbState.STATIC}


@dataclass(frozen=True, slots=True)
class StationRecord:
    """Where a MAC address lives.

    Attributes:
        bridge: index of the bridge.
        mac: 6 bytes.
        vid: VLAN id, 0 for none.
        index: of the port, or of the bridge itself.
        state: how the entry lives.
    """

    bridge: int
    mac: bytes
    vid: int
    index: int
    state: FdbState


def parse(body: bytes) -> StationRecord | None:
    """The entry in a message; None if it is none of a bridge, but a filter of a device itself."""
    if len(body) < HEADER.size:
        return None
    family, index, state, _, _ = HEADER.unpack_from(body)
    values = attributes(body, HEADER.size)
    mac = values.get(_LLADDR, b"")
    if family != AF_BRIDGE or _MASTER not in values or len(mac) != 6:
        return None
    vid = u16(values[_VLAN]) if _VLAN in values else 0
    return StationRecord(u32(values[_MASTER]), mac, vid, index, _STATES.get(state, FdbState.DYNAMIC))


class StationTable(Table[tuple[int, bytes, int], StationRecord]):
    """The entries of all bridges."""

    def __init__(self, topology: Topology) -> None:
        super().__init__()
        self._topology = topology

    def key(self, record: StationRecord) -> tuple[int, bytes, int]:
        """A bridge has one entry of a MAC address in a VLAN."""
        return record.bridge, record.mac, record.vid

    def devices(self, record: StationRecord) -> tuple[int, ...]:
        """The bridge, and the port."""
        return (record.bridge,) if record.bridge == record.index else (record.bridge, record.index)

    def changed(self, old: StationRecord | None, new: StationRecord | None) -> None:
        """Let the bridge's database follow."""
        record = new or old
        assert record is not None
        bridge = self._topology.indexes.get(record.bridge)
        if not isinstance(bridge, Bridge):
            return
        known = bridge.fdb.get(record.mac, record.vid)
        port = bridge.ports.get(record.index)
        if new is None or (port is None and new.index != bridge.index):
            if known is not None:
                bridge.fdb.remove(known)
        elif known is None or known.port is not port or known.state is not new.state:
            bridge.fdb.add(FdbEntry(new.mac, new.vid, port, new.state))
