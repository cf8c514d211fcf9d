"""``kind: pppoe``: a session that pppd has set up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowtable.topology.boxfile import text
from flowtable.topology.boxfile.common import MIN_MTU, mtu, need_parent
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, Section
from flowtable.topology.pppoe import PPPOE_OVERHEAD, Pppoe

KEYS: Final = ("parent", "session", "peer")
USUAL_MTU: Final = 1492


def read(section: Section, name: str, index: int, draft: Draft) -> Pppoe:
    """The device."""
    lower = need_parent(section, draft)
    return Pppoe(
        name,
        index,
        mtu=mtu(section, min(USUAL_MTU, lower.mtu - PPPOE_OVERHEAD), MIN_MTU - PPPOE_OVERHEAD),
        lower=lower,
        session=section.need("session", lambda f: f.integer(1, 65534)) or 0,
        peer=section.need("peer", Field.mac) or bytes(6),
    )


def write(device: Pppoe) -> Iterator[tuple[str, str]]:
    """Keys and values of its own."""
    yield "session", str(device.session)
    yield "peer", text.mac(device.peer)
