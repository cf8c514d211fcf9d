"""``kind: bridge``. Its ports name it as their master."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowtable.clock import SECOND
from flowtable.packet.packet import ETHERTYPE_VLAN
from flowtable.topology.boxfile import vlans
from flowtable.topology.boxfile.common import members, mtu
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, Section
from flowtable.topology.boxfile.vlan import PROTOCOLS, protocol_name
from flowtable.topology.bridge import AGEING_TIME, Bridge

KEYS: Final = (
    "mac",
    "addrgenmode",
    "ageing_time",
    "vlan_filtering",
    "vlan_protocol",
    "vlan_default_pvid",
    "vlans",
)
_SECONDS: Final = 10**6


def read(section: Section, name: str, index: int, draft: Draft) -> Bridge:
    """The device.

    Without a MAC address or an MTU it has the least of its ports.
    Ref: net/bridge/br_stp_if.c:br_stp_recalculate_bridge_id, br_if.c:br_mtu_auto_adjust.
    """
    ports = [] if "mac" in section and "mtu" in section else members(name, draft)
    if ports:
        mac = section.get("mac", Field.mac, min(port.mac for port in ports))
    else:
        mac = section.need("mac", Field.mac) or bytes(6)
    return Bridge(
        name,
        index,
        mac=mac,
        mtu=mtu(section, min((port.mtu for port in ports), default=1500)),
        ageing_time=section.get("ageing_time", _seconds, AGEING_TIME),
        vlan_filtering=section.get("vlan_filtering", Field.boolean, False),
        vlan_protocol=section.get("vlan_protocol", lambda f: f.choice(PROTOCOLS), ETHERTYPE_VLAN),
        vlan_default_pvid=section.get("vlan_default_pvid", lambda f: f.integer(0, 4094), 1),
    )


def finish(section: Section, bridge: Bridge, draft: Draft) -> None:
    """Give the bridge itself the VLANs that it states."""
    if "vlans" in section:
        draft.topology.set_vlans(bridge, section.get("vlans", vlans.read, bridge.vlans))


def _seconds(field: Field) -> int:
    return field.integer(0, _SECONDS) * SECOND


def write(device: Bridge) -> Iterator[tuple[str, str]]:
    """Keys and values of its own."""
    if device.ageing_time != AGEING_TIME:
        yield "ageing_time", str(device.ageing_time // SECOND)
    if device.vlan_filtering:
        yield "vlan_filtering", "true"
    if device.vlan_protocol != ETHERTYPE_VLAN:
        yield "vlan_protocol", protocol_name(device.vlan_protocol)
    if device.vlan_default_pvid != 1:
        yield "vlan_default_pvid", str(device.vlan_default_pvid)
    if device.vlans != device.default_vlans():
        yield "vlans", vlans.write(device.vlans)
