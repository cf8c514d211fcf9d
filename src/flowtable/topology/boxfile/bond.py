"""``kind: bond``. Its slaves name it as their master."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowtable.topology.bond import Bond, BondMode, XmitHashPolicy
from flowtable.topology.boxfile import text
from flowtable.topology.boxfile.common import members, mtu
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, Section
from flowtable.topology.error import TopologyError

KEYS: Final = ("mac", "addrgenmode", "mode", "active", "xmit_hash_policy")


def read(section: Section, name: str, index: int, draft: Draft) -> Bond:
    """The device; without a MAC address it has that of its first slave."""
    slaves = [] if "mac" in section else members(name, draft)
    mac = section.get("mac", Field.mac, slaves[0].mac) if slaves else section.need("mac", Field.mac)
    mode = section.need("mode", lambda f: f.member(BondMode)) or BondMode.ACTIVE_BACKUP
    for key, unused in (
        ("active", mode is not BondMode.ACTIVE_BACKUP),
        ("xmit_hash_policy", mode is BondMode.ACTIVE_BACKUP),
    ):
        if unused and key in section:
            section.at(key).note_key(f"{key} is not for mode {mode.value}")
            section.sound = False
    return Bond(
        name,
        index,
        mac=mac or bytes(6),
        mtu=mtu(section, 1500),
        mode=mode,
        policy=section.get("xmit_hash_policy", lambda f: f.member(XmitHashPolicy), XmitHashPolicy.LAYER2),
    )


def finish(section: Section, bond: Bond, draft: Draft) -> None:
    """Choose the active slave, now that all slaves are there."""
    active = section.get("active", draft.device, None)
    if active is None:
        return
    try:
        draft.topology.set_active(bond, active)
    except TopologyError as error:
        section.at("active").note(str(error))


def write(device: Bond) -> Iterator[tuple[str, str]]:
    """Keys and values of its own."""
    yield "mode", device.mode.value
    if device.active is not None:
        yield "active", text.quoted(device.active.name)
    if device.mode is not BondMode.ACTIVE_BACKUP:
        yield "xmit_hash_policy", device.policy.value
