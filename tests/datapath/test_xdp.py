"""The fast path in the kernel forwards as the one in the process, which forwards as the reference."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import Phase, given, settings

from flowtable.datapath.bpf import BpfError, BpfObject, Program
from flowtable.datapath.layout import ENDS, PORT_PROMISCUOUS, Config, Ending, NextHop, Port
from flowtable.datapath.native import NativeDatapath
from flowtable.datapath.tables import Installer, expressible
from flowtable.datapath.tables import settings as configuration
from flowtable.datapath.xdp import XdpTables
from flowtable.flows.entry import FlowEntry
from flowtable.flows.teardown import Teardown
from flowtable.packet.miss import Miss
from flowtable.profile import PROFILES
from flowtable.ruleset.family import Family
from tests.datapath.test_native import worlds
from tests.datapath.twins import EXAMPLES, Ends, counts, frame
from tests.datapath.worlds import directions, frames, populated
from tests.flows.support import START

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loading a BPF program takes root")

FRAMES = 2000
LOOPBACK = 1
"""BPF_PROG_TEST_RUN takes no other device, unless the program is attached to one."""


@dataclass(frozen=True)
class Place:
    """Where a program meets frames.

    Attributes:
        program: that of tables.
        up: what it returns for frames that take the classic path.
        away: what it returns for those that it forwarded.
        shortest: BPF_PROG_TEST_RUN takes no shorter frames (with tc, none without an IP header).
    """

    program: Callable[[XdpTables], Program]
    up: int
    away: int
    shortest: int


PLACES = {
    "xdp": Place(lambda tables: tables.program, up=2, away=4, shortest=14),
    "tc": Place(lambda tables: tables.tc_program, up=0xFFFF_FFFF, away=7, shortest=54),
}


class LoopbackTables(XdpTables):
    """All packets come and leave through the loopback device, which is there on every machine."""

    def __init__(self, config: Config, capacity: int) -> None:
        super().__init__(config, capacity)
        self.set_port(LOOPBACK, Port(state=PORT_PROMISCUOUS))

    def set_next_hop(self, number: int, hop: NextHop) -> None:
        hop.device = LOOPBACK
        super().set_next_hop(number, hop)


def on_loopback(entries: list[FlowEntry]) -> list[FlowEntry]:
    """The entries, whose packets all come in on the loopback device."""
    for entry in entries:
        for way in entry.directions:
            way.key = way.key._replace(iif=LOOPBACK)
    return entries


def counted(before: dict[Miss | None, int], after: dict[Miss | None, int]) -> list[Miss | None]:
    return [reason for reason, count in after.items() if count != before.get(reason, 0)]


def endings(installer: Installer) -> list[tuple[FlowEntry, Teardown]]:
    """The flows that packets ended since the last time."""
    tables = installer.tables
    assert isinstance(tables, XdpTables)
    records = [Ending.from_buffer_copy(record) for record in tables.events.read()]
    return [(installer.entries[end.entry].entry, ENDS[end.end - 1]) for end in records]


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=60 * EXAMPLES, deadline=None, phases=[Phase.generate])
@given(world=worlds)
def test_the_same_frames_verdicts_and_counts(place, world):
    where = PLACES[place]
    profile = PROFILES[world["profile"]]
    entries = populated(profile, world["lan"], world["wan"])
    entries = on_loopback([entry for entry in entries if expressible(entry)])
    # One link cannot be that of two sides.
    if not entries or len({way.key.encap for way in entries[0].directions}) < 2:
        return
    ends = Ends()
    native = NativeDatapath(world["family"], profile, ends)
    tables = LoopbackTables(configuration(world["family"], profile), capacity=64)
    tables.allow(LOOPBACK)
    installer = Installer(tables, profile, Ends())

    def each(change: Callable[[NativeDatapath | Installer, FlowEntry], None], *which: FlowEntry) -> None:
        for entry in which:
            change(native, entry)
            change(installer, entry)

    each(lambda datapath, entry: datapath.install(entry), *entries)
    random = Random(world["seed"])
    before = tables.statistics()
    program = where.program(tables)
    for raw, iif in frames(directions(entries), random, FRAMES):
        if len(raw) < where.shortest:
            continue
        expected = native.process(raw, iif, START)
        action, left, _ = program.run(raw)
        (reason,) = counted(before, before := tables.statistics())
        if isinstance(expected, Miss):
            assert (action, left) == (where.up, raw)
            # Only the reference looks into tunnels.
            assert reason in (expected, Miss.PROTOCOL)
        else:
            assert isinstance(expected, tuple)
            assert (action, reason, left) == (where.away, None, expected[1]), raw.hex()
        assert endings(installer) == [(entry, reason) for entry, reason, _ in ends.seen]
        for entry, *_ in ends.seen:
            # The kernel forwards nothing of it any more.
            each(lambda datapath, entry: datapath.remove(entry), entry)
            each(lambda datapath, entry: datapath.install(entry), entry)
        ends.seen.clear()
    for entry in entries:
        native.stats(entry)
        said = [way[:2] for way in counts(entry)]
        installer.report(entry)
        assert [way[:2] for way in counts(entry)] == said


def test_a_full_table_says_so():
    profile = PROFILES["default"]
    entries = on_loopback(populated(profile, "nic", "vlan"))
    tables = LoopbackTables(configuration(Family.INET, profile), capacity=2)
    installer = Installer(tables, profile, Ends())
    with pytest.raises(BpfError, match="E2BIG"):
        for entry in entries:
            installer.install(entry)


def test_what_is_no_object():
    with pytest.raises(BpfError, match="not a BPF object"):
        BpfObject(b"nothing")


def test_a_device_that_takes_no_frames_leaves_the_packet_as_it_is():
    profile = PROFILES["default"]
    entries = on_loopback(populated(profile, "nic", "vlan"))
    tables = LoopbackTables(configuration(Family.INET, profile), capacity=64)
    native = NativeDatapath(Family.INET, profile, Ends())
    Installer(tables, profile, Ends()).install(entries[0])
    native.install(entries[0])
    random = Random(3)
    way = entries[0].directions[0]
    good = (bytes(frame(way.key, way.entrance.source, bytes(6), random)) for _ in range(100))
    raw = next(raw for raw in good if isinstance(native.process(raw, LOOPBACK, START), tuple))
    assert tables.program.run(raw)[:2] == (PLACES["xdp"].up, raw)
    assert tables.statistics() == {Miss.NO_DEVICE: 1}
