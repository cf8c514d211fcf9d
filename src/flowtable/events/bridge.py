"""``bridge fdb``, ``bridge link`` and ``bridge vlan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.events.deletion import deletion
from flowtable.topology.boxfile import vlans
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.fdb import read_entries
from flowtable.topology.boxfile.masters import FLAGS
from flowtable.topology.boxfile.reader import Field, UnreadableError
from flowtable.topology.bridge import Bridge, BridgePort, PortState
from flowtable.topology.error import TopologyError

if TYPE_CHECKING:
    from flowtable.router import Box
    from flowtable.topology.device import Device


def fdb(field: Field, box: Box) -> None:
    """Put a station on a port, or forget it."""
    rest, delete = deletion(field)
    bridge, entries = read_entries(rest, Draft.of(box.topology))
    for entry in entries:
        known = bridge.fdb.get(entry.mac, entry.vid)
        if not delete:
            entry.updated = box.now
            bridge.fdb.add(entry)
        elif known is not None and known.port is entry.port:
            bridge.fdb.remove(known)


def port(field: Field, box: Box) -> None:
    """Change the state or the flags of a port."""
    section = field.section(("dev", "state", *FLAGS))
    device = section.need("dev", Draft.of(box.topology).device)
    state = section.get("state", lambda f: f.member(PortState), None)
    flags = {key: section.get(key, Field.boolean, None) for key in FLAGS}
    if device is None or not section.sound:
        raise UnreadableError
    member = _member(device)
    if not isinstance(member, BridgePort):
        raise section.at("dev").fail(f"{device.name} is no port of a bridge")
    box.topology.set_port(member, state=state, **flags)


def vlan(field: Field, box: Box) -> None:
    """Put a port, or a bridge itself, into a VLAN or a range of them, or take it out."""
    rest, delete = deletion(field)
    section = rest.section(("dev", "id", "pvid", "untagged"))
    device = section.need("dev", Draft.of(box.topology).device)
    vids = section.need("id", vlans.read_ids)
    pvid = section.get("pvid", Field.boolean, False)
    untagged = section.get("untagged", Field.boolean, False)
    if device is None or vids is None or not section.sound:
        raise UnreadableError
    if pvid and len(vids) > 1:
        raise section.at("pvid").fail("pvid cannot be configured for a vlan range")
    member = _member(device)
    if member is None:
        raise section.at("dev").fail(f"{device.name} is no bridge and no port of one")
    try:
        for vid in vids:
            if delete:
                box.topology.remove_vlan(member, vid)
            else:
                box.topology.add_vlan(member, vid, pvid=pvid, untagged=untagged)
    except TopologyError as error:
        section.at("id").note(str(error))


def _member(device: Device) -> Bridge | BridgePort | None:
    """What of a bridge a device is: the bridge itself or one of its ports."""
    if isinstance(device, Bridge):
        return device
    return device.master.ports[device.index] if isinstance(device.master, Bridge) else None
