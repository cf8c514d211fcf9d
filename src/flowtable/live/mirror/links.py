"""The devices of the host in the topology: they come, change, join others, and go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from flowtable.live.mirror import kind, session
from flowtable.live.mirror.link import LinkRecord, PortRecord
from flowtable.live.mirror.table import Table
from flowtable.topology.bond import Bond
from flowtable.topology.bridge import Bridge
from flowtable.topology.device import LOOPBACK_INDEX, Device

if TYPE_CHECKING:
    from flowtable.topology.mirrored import MirroredTopology

Listener = Callable[[int], None]
"""Is called with the index of a device."""


class LinkTable(Table[int, LinkRecord]):
    """The devices by index.

    Attributes:
        arrived: called when a device is there.
        joined: called when it has joined a bridge, a bond or a VRF.
        departing: called before a device goes.
        toggled: called when a device is up, and when it is no longer.
        renamed: called with the old and the new name of a device.
        bridge_changed: called when the options of a bridge are others, or it comes up: of what
            follows for VLANs the kernel does not tell.
    """

    def __init__(
        self,
        topology: MirroredTopology,
        *,
        arrived: Listener,
        joined: Listener,
        departing: Listener,
        toggled: Listener,
        renamed: Callable[[str, str], None],
        bridge_changed: Callable[[], None],
    ) -> None:
        super().__init__()
        self._topology = topology
        self.arrived = arrived
        self.joined = joined
        self.departing = departing
        self.toggled = toggled
        self.renamed = renamed
        self.bridge_changed = bridge_changed

    def key(self, record: LinkRecord) -> int:
        """Its index."""
        return record.index

    def devices(self, record: LinkRecord) -> tuple[int, ...]:
        """None: it is one."""
        return ()

    def put(self, record: LinkRecord) -> None:
        """A device is there. Those that stand on it, or belong to it, and came before it, join it."""
        known = record.index in self._topology.indexes
        super().put(self._with_session(record, self.records.values()))
        if not known:
            for other in list(self.records.values()):
                if record.index in (other.lower, other.master):
                    self._relate(other)

    def replace(self, records: Iterable[LinkRecord]) -> None:
        """These are the devices. Those below come first, and names are free before others get them."""
        records = list(records)
        given = {record.index: self._with_session(record, records) for record in records}
        for index in self.records.keys() - given.keys():
            self.drop(index)
        for index, record in given.items():
            old = self.records.get(index)
            if old is not None:
                self._free(record.name, index)
        for record in sorted(given.values(), key=lambda r: _height(r, given)):
            self.put(record)

    def put_port(self, index: int, port: PortRecord) -> None:
        """A device is another port than it was."""
        record = self.records.get(index)
        if record is not None and record.port is not None:
            self.put(replace(record, port=port))

    def changed(self, old: LinkRecord | None, new: LinkRecord | None) -> None:
        """Let the device follow; one that became of another kind is another device."""
        if old is not None and new is not None:
            device = self._topology.indexes[old.index]
            if self._adapt(device, old, new):
                self._update(device, old, new)
                return
        if old is not None and old.index != LOOPBACK_INDEX:
            self.departing(old.index)
            self._topology.remove_device(self._topology.indexes[old.index])
        if new is not None:
            self._add(new)

    def _with_session(self, record: LinkRecord, among: Iterable[LinkRecord]) -> LinkRecord:
        """Of several sessions the kernel does not say which device is whose."""
        if not isinstance(record.kind, kind.PppRecord):
            return record
        sessions = session.read()
        if len(sessions) != 1:
            return record
        [only] = sessions
        lower = next((other.index for other in among if other.name == only.device), 0)
        return replace(record, kind=kind.PppRecord(only.number, only.peer), lower=lower)

    def _add(self, new: LinkRecord) -> None:
        if new.index == LOOPBACK_INDEX:
            device = self._topology.lo
        else:
            lower = self._topology.indexes.get(new.lower)
            device = kind.make(new.kind, new.name, new.index, lower)
            device.mac, device.mtu, device.up, device.admin_up = new.mac, new.mtu, new.up, new.up
            device.group, device.addrgenmode = new.group, new.addrgenmode
            self._free(new.name, new.index)
            self._topology.add_device(device)
        self._update(device, None, new)
        self.arrived(new.index)

    def _adapt(self, device: Device, old: LinkRecord, new: LinkRecord) -> bool:
        """Bring what a device is up to date, if it can stay the same device."""
        if new.lower != old.lower and not (device.lower is None and new.lower == 0):
            return False
        if new.kind == old.kind:
            return True
        if not kind.adapt(device, new.kind):
            return False
        if isinstance(device, Bridge):
            self._topology.set_bridge(device, vlan_filtering=device.vlan_filtering)
            self.bridge_changed()
        self._topology.link_changed(device)
        return True

    def _update(self, device: Device, old: LinkRecord | None, new: LinkRecord) -> None:
        if device.name != new.name:
            self._free(new.name, new.index)
            self._topology.rename(device, new.name)
            if old is not None:
                self.renamed(old.name, new.name)
        device.group, device.addrgenmode = new.group, new.addrgenmode
        toggled = device.up != new.up
        if (device.up, device.mtu, device.mac) != (new.up, new.mtu, new.mac):
            self._topology.set_link(device, up=new.up, mtu=new.mtu, mac=new.mac)
        self._relate(new)
        if toggled and old is not None:
            self.toggled(new.index)
            if new.up and isinstance(device, Bridge):
                self.bridge_changed()

    def _free(self, name: str, index: int) -> None:
        """Another device that had a name has one now that is not known yet."""
        holder = self._topology.devices.get(name)
        if holder is not None and holder.index != index:
            self._topology.rename(holder, f"~{holder.index}")

    def _relate(self, record: LinkRecord) -> None:
        """Bring what a device stands on, and what it belongs to, up to date."""
        device = self._topology.indexes[record.index]
        master = self._topology.indexes.get(record.master)
        if device.master is not master:
            if device.master is not None:
                self._topology.release(device)
            if master is not None:
                self._topology.enslave(device, master)
                if isinstance(master, Bond):
                    master.permanent[device.index] = record.permanent
                self.joined(record.index)
        if isinstance(device.master, Bridge) and record.port is not None:
            self._apply_port(device.master, record.index, record.port)
        for bond in (device, device.master):
            if isinstance(bond, Bond):
                self._choose(bond)

    def _apply_port(self, bridge: Bridge, index: int, told: PortRecord) -> None:
        port = bridge.ports[index]
        is_ = PortRecord(
            state=port.state,
            learning=port.learning,
            flood=port.flood,
            mcast_flood=port.mcast_flood,
            bcast_flood=port.bcast_flood,
            hairpin=port.hairpin,
            isolated=port.isolated,
        )
        if is_ != told:
            self._topology.set_port(
                port,
                state=told.state,
                learning=told.learning,
                flood=told.flood,
                mcast_flood=told.mcast_flood,
                bcast_flood=told.bcast_flood,
                hairpin=told.hairpin,
                isolated=told.isolated,
            )

    def _choose(self, bond: Bond) -> None:
        """The slave of a bond that is in use."""
        record = self.records.get(bond.index)
        if record is not None and isinstance(record.kind, kind.BondRecord):
            active = self._topology.indexes.get(record.kind.active)
            self._topology.set_active(bond, active if active in bond.slaves else None)


def _height(record: LinkRecord, given: dict[int, LinkRecord]) -> int:
    """How many devices stand below it. Masters come before what belongs to them joins them anyway."""
    height = 0
    seen = {record.index}
    while record.lower in given and record.lower not in seen:
        seen.add(record.lower)
        record = given[record.lower]
        height += 1
    return height
