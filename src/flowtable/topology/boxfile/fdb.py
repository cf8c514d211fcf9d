"""``fdb``: what ``bridge fdb`` prints, without the addresses of the bridges and ports themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowtable.topology.boxfile import text
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, UnreadableError
from flowtable.topology.bridge import Bridge, BridgePort
from flowtable.topology.fdb import FdbEntry, FdbState
from flowtable.topology.topology import Topology

_KEYS: Final = ("mac", "dev", "vlan", "state")


def read(field: Field, draft: Draft) -> None:
    """Add the entries."""
    for item in field.items():
        try:
            bridge, entries = read_entries(item, draft)
        except UnreadableError:
            continue
        for entry in entries:
            if (known := bridge.fdb.get(entry.mac, entry.vid)) is None or known.derived:
                bridge.fdb.add(entry)
            else:
                port = known.port.device if known.port else bridge
                item.note(f"{port.name} has such an entry already")
                break


def read_entries(item: Field, draft: Draft) -> tuple[Bridge, list[FdbEntry]]:
    """The entries that one member of the list stands for, not added yet, and their bridge.

    Without a VLAN it stands, as with ``bridge fdb add``, for one outside of VLANs, and where the
    bridge filters them for one in each VLAN of the port.

    Raises:
        UnreadableError: it is not valid, which is noted.
    """
    section = item.section(_KEYS)
    mac = section.need("mac", Field.mac)
    device = section.need("dev", draft.device)
    vid = section.get("vlan", lambda f: f.integer(0, 4094), None)
    state = section.get("state", lambda f: f.member(FdbState), FdbState.DYNAMIC)
    if mac is None or device is None or not section.sound:
        raise UnreadableError
    port: BridgePort | None = None
    match device, device.master:
        case Bridge() as bridge, _:
            vlans = bridge.vlans
        case _, Bridge() as bridge:
            port = bridge.ports[device.index]
            vlans = port.vlans
        case _:
            raise section.at("dev").fail(f"{device.name} is no port of a bridge")
    if vid is None:
        vids = [0, *(vlans.members if bridge.vlan_filtering else ())]
    elif vid and vid not in vlans.members:
        raise section.at("vlan").fail(f"{device.name} is not in VLAN {vid}")
    else:
        vids = [vid]
    return bridge, [FdbEntry(mac, vid, port, state) for vid in vids]


def write(topology: Topology) -> Iterator[str]:
    """The section's lines."""
    bridges = [device for device in topology.devices.values() if isinstance(device, Bridge)]
    entries = [(bridge, entry) for bridge in bridges for entry in bridge.fdb if not entry.derived]
    if entries:
        yield "fdb:"
    for bridge, entry in entries:
        named = entry.vid or bridge.vlan_filtering
        yield "  - " + text.inline(
            {
                "mac": text.mac(entry.mac),
                "dev": text.quoted(entry.port.device.name if entry.port else bridge.name),
                "vlan": str(entry.vid) if named else None,
                "state": None if entry.state is FdbState.DYNAMIC else entry.state.value,
            }
        )
