"""What kinds of devices have in common in a box file."""

from __future__ import annotations

from typing import Final

from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Section, UnreadableError
from flowtable.topology.device import Device

MIN_MTU: Final = 68
MAX_MTU: Final = 65535
INT_MAX: Final = 2**31 - 1
U32: Final = 2**32 - 1


def parent(section: Section, draft: Draft) -> Device | None:
    """The device that another one stands on, if it names one."""
    return section.get("parent", draft.device, None)


def need_parent(section: Section, draft: Draft) -> Device:
    """The device that another one has to stand on.

    Raises:
        UnreadableError: there is none; nothing else of the device can be told.
    """
    lower = section.need("parent", draft.device)
    if lower is None:
        raise UnreadableError
    return lower


def members(name: str, draft: Draft) -> list[Device]:
    """The devices that name another as their master.

    Raises:
        UnreadableError: none of them is valid, so that nothing can be taken from them.
    """
    found = draft.members.get(name)
    if found is None:
        return []
    if not found:
        raise UnreadableError
    return found


def mtu(section: Section, usual: int, smallest: int = MIN_MTU, largest: int = MAX_MTU) -> int:
    """The MTU that a device states, else the usual one of its kind."""
    return section.get("mtu", lambda f: f.integer(smallest, largest), usual)
