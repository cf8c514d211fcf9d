"""``master`` of a device, and what it has as a port of a bridge: ``bridge -d link show``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowtable.packet.packet import IPV6
from flowtable.topology.bond import Bond
from flowtable.topology.boxfile import text, vlans
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, Section
from flowtable.topology.bridge import Bridge, BridgePort, PortState
from flowtable.topology.device import Device, link_local
from flowtable.topology.error import TopologyError

FLAGS: Final = {
    "learning": True,
    "flood": True,
    "mcast_flood": True,
    "bcast_flood": True,
    "hairpin": False,
    "isolated": False,
}
"""What a port does unless it is told otherwise."""
PORT_KEYS: Final = ("state", *FLAGS, "vlans")


def read(section: Section, device: Device, draft: Draft) -> None:
    """Enslave a device that is there, as its mapping says."""
    master = section.get("master", draft.device, None)
    if master is None:
        _only_of_ports(section, device)
        return
    if isinstance(master, Bond) and "mtu" in section and device.mtu != master.mtu:
        section.at("mtu").note(f"{master.name} has {master.mtu}, and so have its slaves")
        return
    if isinstance(master, Bond) and any(
        a.family == IPV6 and not link_local(a.address) for a in device.addresses
    ):
        section.at("addresses").note(f"IPv6 is with {master.name}, not with its slaves")
        return
    try:
        draft.topology.enslave(device, master)
    except TopologyError as error:
        section.at(error.about).note(str(error))
        return
    if isinstance(master, Bridge):
        _port(section, master.ports[device.index], draft)
    else:
        _only_of_ports(section, device)


def _only_of_ports(section: Section, device: Device) -> None:
    for key in PORT_KEYS:
        if key in section and not (key == "vlans" and isinstance(device, Bridge)):
            section.at(key).note_key(f"{key} is for the ports of a bridge")


def _port(section: Section, port: BridgePort, draft: Draft) -> None:
    flags = {key: section.get(key, Field.boolean, usual) for key, usual in FLAGS.items()}
    state = section.get("state", lambda f: f.member(PortState), PortState.FORWARDING)
    draft.topology.set_port(port, state=state, **flags)
    if "vlans" in section:
        draft.topology.set_vlans(port, section.get("vlans", vlans.read, port.vlans))


def write(device: Device) -> Iterator[tuple[str, str]]:
    """Keys and values."""
    if device.master is None:
        return
    yield "master", text.quoted(device.master.name)
    if not isinstance(device.master, Bridge):
        return
    port = device.master.ports[device.index]
    if port.state is not PortState.FORWARDING:
        yield "state", port.state.value
    for key, usual in FLAGS.items():
        value: bool = getattr(port, key)
        if value is not usual:
            yield key, text.boolean(value)
    if port.vlans != device.master.default_vlans():
        yield "vlans", vlans.write(port.vlans)
