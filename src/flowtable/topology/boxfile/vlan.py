"""``kind: vlan``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowtable.packet.packet import ETHERTYPE_QINQ, ETHERTYPE_VLAN
from flowtable.topology.boxfile import text
from flowtable.topology.boxfile.common import mtu, need_parent
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, Section
from flowtable.topology.vlan import Vlan

KEYS: Final = ("parent", "id", "protocol", "mac", "addrgenmode")
PROTOCOLS: Final = {"802.1Q": ETHERTYPE_VLAN, "802.1ad": ETHERTYPE_QINQ}


def read(section: Section, name: str, index: int, draft: Draft) -> Vlan:
    """The device; its MAC address and MTU are those of its parent unless they are given."""
    lower = need_parent(section, draft)
    vid = section.need("id", lambda f: f.integer(0, 4094))
    return Vlan(
        name,
        index,
        mac=section.get("mac", Field.mac, lower.mac),
        mtu=mtu(section, lower.mtu),
        lower=lower,
        vid=vid or 0,
        protocol=section.get("protocol", lambda f: f.choice(PROTOCOLS), ETHERTYPE_VLAN),
    )


def write(device: Vlan) -> Iterator[tuple[str, str]]:
    """Keys and values of its own."""
    yield "id", str(device.vid)
    if device.protocol != ETHERTYPE_VLAN:
        yield "protocol", protocol_name(device.protocol)


def protocol_name(ethertype: int) -> str:
    """What ``ip link`` calls a tag."""
    return text.quoted(next(name for name, value in PROTOCOLS.items() if value == ethertype))
