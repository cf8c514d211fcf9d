"""``kind: dsa``: a user port of a switch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowtable.topology.boxfile.common import mtu, need_parent
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, Section
from flowtable.topology.dsa import DsaPort, TagProtocol

KEYS: Final = ("parent", "port", "tag", "mac", "addrgenmode")


def read(section: Section, name: str, index: int, draft: Draft) -> DsaPort:
    """The device; its MAC address is the conduit's unless it is given."""
    conduit = need_parent(section, draft)
    return DsaPort(
        name,
        index,
        mac=section.get("mac", Field.mac, conduit.mac),
        mtu=mtu(section, 1500),
        lower=conduit,
        port=section.need("port", lambda f: f.integer(0, 31)) or 0,
        tag=section.need("tag", lambda f: f.member(TagProtocol)) or TagProtocol.DSA,
    )


def write(device: DsaPort) -> Iterator[tuple[str, str]]:
    """Keys and values of its own."""
    yield "port", str(device.port)
    yield "tag", device.tag.value
