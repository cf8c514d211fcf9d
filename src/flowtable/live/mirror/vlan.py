"""VLANs of bridges and their ports.

Ref: net/bridge/br_netlink.c:br_fill_ifinfo, net/bridge/br_vlan.c:br_vlan_fill_vids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.live.mirror.link import HEADER
from flowtable.live.mirror.rtnetlink import AF_BRIDGE
from flowtable.live.mirror.table import Table
from flowtable.netlink.attribute import attributes, each_attribute, u16
from flowtable.topology.bridge import Bridge, BridgePort, VlanTable

if TYPE_CHECKING:
    from flowtable.topology.mirrored import MirroredTopology

_AF_SPEC: Final = 26
_VLAN_INFO: Final = 2
_INFO: Final = Struct("=HH")
_PVID: Final = 0x2
_UNTAGGED: Final = 0x4
_RANGE_BEGIN: Final = 0x8
_RANGE_END: Final = 0x10
_MESSAGE: Final = Struct("=Bxxxi")
_ENTRY: Final = 1
_ENTRY_INFO: Final = 1
_ENTRY_RANGE: Final = 2


@dataclass(frozen=True, slots=True)
class VlanRecord:
    """The VLANs of a port, or of a bridge itself.

    Attributes:
        index: of the port or bridge.
        members: VLAN id to whether frames leave untagged.
        pvid: the VLAN of untagged frames, 0 for none.
    """

    index: int
    members: dict[int, bool] = field(default_factory=dict)
    pvid: int = 0


def parse(body: bytes) -> VlanRecord | None:
    """The VLANs in an RTM_NEWLINK message of family AF_BRIDGE."""
    if len(body) < HEADER.size:
        return None
    index: int = HEADER.unpack_from(body)[2]
    record = VlanRecord(index)
    pvid = begin = 0
    for kind, value in each_attribute(attributes(body, HEADER.size).get(_AF_SPEC, b"")):
        if kind != _VLAN_INFO or len(value) < _INFO.size:
            continue
        flags, vid = _INFO.unpack_from(value)
        if flags & _RANGE_BEGIN:
            begin = vid
            continue
        first = begin if flags & _RANGE_END else vid
        record.members.update(dict.fromkeys(range(first, vid + 1), bool(flags & _UNTAGGED)))
        pvid = vid if flags & _PVID else pvid
    return VlanRecord(index, record.members, pvid)


@dataclass(frozen=True, slots=True)
class VlanChange:
    """What an RTM_NEWVLAN or RTM_DELVLAN message says.

    Attributes:
        index: of the port or bridge.
        first: the first VLAN id,
        last: and the last.
        pvid: whether it is the VLAN of untagged frames.
        untagged: whether its frames leave untagged.
    """

    index: int
    first: int
    last: int
    pvid: bool
    untagged: bool


def parse_changes(body: bytes) -> Iterator[VlanChange]:
    """The VLANs that came, went or changed. Ref: net/bridge/br_vlan.c:br_vlan_notify."""
    if len(body) < _MESSAGE.size:
        return
    family, index = _MESSAGE.unpack_from(body)
    for kind, value in each_attribute(body, _MESSAGE.size):
        entry = attributes(value)
        if family != AF_BRIDGE or kind != _ENTRY or len(entry.get(_ENTRY_INFO, b"")) < _INFO.size:
            continue
        flags, vid = _INFO.unpack_from(entry[_ENTRY_INFO])
        last = u16(entry[_ENTRY_RANGE]) if _ENTRY_RANGE in entry else vid
        yield VlanChange(index, vid, last, bool(flags & _PVID), bool(flags & _UNTAGGED))


class BridgeVlans(Table[int, VlanRecord]):
    """The VLANs of all bridges and ports."""

    def __init__(self, topology: MirroredTopology) -> None:
        super().__init__()
        self._topology = topology

    def key(self, record: VlanRecord) -> int:
        """A device has one table of VLANs."""
        return record.index

    def devices(self, record: VlanRecord) -> tuple[int, ...]:
        """The port or bridge."""
        return (record.index,)

    def told(self, change: VlanChange, *, removed: bool) -> None:
        """A notification says that VLANs came, changed or went."""
        known = self.records.get(change.index, VlanRecord(change.index))
        members, pvid = dict(known.members), known.pvid
        for vid in range(change.first, change.last + 1):
            if removed:
                members.pop(vid, None)
            else:
                members[vid] = change.untagged
            if change.pvid and not removed:
                pvid = vid
            elif pvid == vid:
                pvid = 0
        self.put(VlanRecord(change.index, members, pvid))

    def changed(self, old: VlanRecord | None, new: VlanRecord | None) -> None:
        """Let the bridge or port follow."""
        record = new or old
        assert record is not None
        device = self._topology.indexes.get(record.index)
        if device is None:
            return
        vlans = VlanTable() if new is None else VlanTable(dict(new.members), new.pvid)
        members: Iterable[Bridge | BridgePort]
        match device, device.master:
            case Bridge() as bridge, _:
                members = (bridge,)
            case _, Bridge() as bridge:
                members = (bridge.ports[device.index],)
            case _:
                members = ()
        for member in members:
            if member.vlans != vlans:
                self._topology.set_vlans(member, vlans)
