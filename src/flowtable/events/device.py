"""``ip link`` and ``ip address``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.events.deletion import deletion, without
from flowtable.topology.boxfile import addresses, devices
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, UnreadableError
from flowtable.topology.error import TopologyError

if TYPE_CHECKING:
    from flowtable.router import Box


def link(field: Field, box: Box) -> None:
    """Change a device, or delete it."""
    rest, delete = deletion(field)
    section = rest.section(("dev",) if delete else ("dev", "up", "mtu", "mac", "master"))
    draft = Draft.of(box.topology)
    device = section.need("dev", draft.device)
    up = section.get("up", Field.boolean, None)
    mtu = section.get("mtu", lambda f: f.integer(68, 65535), None)
    mac = section.get("mac", Field.mac, None)
    leaves = "master" in section and section.at("master").text() == "none"
    master = None if leaves else section.get("master", draft.device, None)
    if device is None or not section.sound:
        raise UnreadableError
    try:
        if delete:
            box.topology.remove_device(device)
            return
        if (up, mtu, mac) != (None, None, None):
            box.topology.set_link(device, up=up, mtu=mtu, mac=mac)
        if leaves:
            box.topology.release(device)
        elif master is not None:
            box.topology.enslave(device, master)
    except TopologyError as error:
        section.at(error.about).note(str(error))


def add(field: Field, box: Box) -> None:
    """Add a device."""
    devices.read([field], Draft.of(box.topology))


def address(field: Field, box: Box) -> None:
    """Add an address to a device, or delete it."""
    rest, delete = deletion(field)
    dev = rest.entries().get("dev")
    if dev is None:
        raise field.fail("missing key 'dev'")
    device = Draft.of(box.topology).device(dev)
    said = addresses.read_address(without(rest, "dev"))
    try:
        if delete:
            known = next((own for own in device.addresses if own.address == said.address), said)
            box.topology.remove_address(device, known)
        else:
            box.topology.add_address(device, said)
    except TopologyError as error:
        field.note(str(error))
