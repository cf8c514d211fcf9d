"""``kind: macvlan``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowtable.topology.boxfile.common import mtu, need_parent
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, Section
from flowtable.topology.macvlan import Macvlan, MacvlanMode

KEYS: Final = ("parent", "mode", "mac", "addrgenmode")


def read(section: Section, name: str, index: int, draft: Draft) -> Macvlan:
    """The device; in passthru mode it has the MAC address of its parent."""
    lower = need_parent(section, draft)
    mode = section.get("mode", lambda f: f.member(MacvlanMode), MacvlanMode.VEPA)
    if mode is MacvlanMode.PASSTHRU:
        mac = section.get("mac", Field.mac, lower.mac)
        if mac != lower.mac:
            section.at("mac").note(f"a passthru macvlan has the MAC address of {lower.name}")
    else:
        mac = section.need("mac", Field.mac) or bytes(6)
    return Macvlan(name, index, mac=mac, mtu=mtu(section, lower.mtu), lower=lower, mode=mode)


def write(device: Macvlan) -> Iterator[tuple[str, str]]:
    """Keys and values of its own."""
    yield "mode", device.mode.value
