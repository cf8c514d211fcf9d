"""``kind: vrf``. Its slaves name it as their master."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowtable.topology.boxfile.common import U32, mtu
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Section
from flowtable.topology.vrf import Vrf

KEYS: Final = ("table",)
LARGEST_MTU: Final = 65575
"""Ref: drivers/net/vrf.c:vrf_setup, IP6_MAX_MTU."""


def read(section: Section, name: str, index: int, draft: Draft) -> Vrf:
    """The device."""
    return Vrf(
        name,
        index,
        mtu=mtu(section, LARGEST_MTU, largest=LARGEST_MTU),
        table=section.need("table", lambda f: f.integer(1, U32)) or 0,
    )


def write(device: Vrf) -> Iterator[tuple[str, str]]:
    """Keys and values of its own."""
    yield "table", str(device.table)
