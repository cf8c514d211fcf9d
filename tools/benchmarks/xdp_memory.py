"""What flows take in the kernel, both directions and all tables, as it says of its maps (fdinfo, memlock)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.row import Row, Unit
from flowtable.datapath.layout import Flow, Key
from flowtable.datapath.tables import settings
from flowtable.datapath.xdp import XdpTables
from flowtable.packet.packet import IPV4, IPV6, UDP
from flowtable.profile import DEFAULT
from flowtable.ruleset.family import Family

FLOWS: Final = (16_384, 500_000)


def memory(tables: XdpTables) -> int:
    """Bytes that tables take."""
    said = (Path(f"/proc/self/fdinfo/{fd}").read_text() for fd in tables.descriptors)
    return sum(int(text.partition("memlock:")[2].split()[0]) for text in said)


def filled(flows: int, family: int) -> XdpTables:
    """Tables with as many flows as they hold."""
    tables = XdpTables(settings(Family.INET, DEFAULT), capacity=flows)
    key, flow = Key(link=1, protocol=UDP), Flow(mtu=1500)
    for number in range(2 * flows):
        key.addresses[:4] = number.to_bytes(4)
        tables.set_flow(family, key, flow)
    return tables


def rows() -> Iterator[Row]:
    """Empty and full tables, for few and for many flows."""
    for flows in FLOWS:
        subject = f"memory of a flow in the kernel, tables for {flows:,}"
        empty = XdpTables(settings(Family.INET, DEFAULT), capacity=flows)
        yield Row(subject, "of an empty table, for each that has room", memory(empty) / flows, Unit.BYTES)
        for family, name in ((IPV4, "IPv4"), (IPV6, "IPv6")):
            taken = memory(filled(flows, family)) / flows
            yield Row(subject, f"full of {name}", taken, Unit.BYTES, size=flows)
