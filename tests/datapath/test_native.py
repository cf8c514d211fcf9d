"""The fast path in C forwards as the reference does, whatever comes."""

from __future__ import annotations

from copy import copy
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtable.datapath.native import NativeDatapath
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.flows.entry import FlowEntry, FlowFlag
from flowtable.packet import packet as wire
from flowtable.profile import PROFILES
from flowtable.ruleset.family import Family
from tests.datapath.twins import Ends
from tests.datapath.worlds import TUNNELS, Setting, directions, frames, hold_native_to_reference, populated
from tests.flows.stacks import STACKS
from tests.flows.support import START, World

FRAMES = 1500
"""For each world that hypothesis thinks of."""

worlds = st.fixed_dictionaries(
    {
        "profile": st.sampled_from(sorted(PROFILES)),
        "lan": st.sampled_from(sorted(STACKS)),
        "wan": st.sampled_from(sorted(STACKS)),
        "family": st.sampled_from([Family.INET, Family.INET, Family.IP, Family.IP6]),
        "seed": st.integers(0, 2**32),
    }
).filter(lambda world: not ({world["lan"], world["wan"]} <= TUNNELS))


@settings(max_examples=140, deadline=None)
@given(worlds)
def test_the_same_frames_verdicts_ends_and_counts(world):
    hold_native_to_reference(Setting(**world), FRAMES)


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_entries_that_change_end_and_hide_each_other(profile):
    chosen = PROFILES[profile]
    entries = populated(chosen, "nic", "vlan")
    twins = [
        FlowEntry(
            entry.flowtable,
            entry.connection,
            copy(entry.directions[0]),
            copy(entry.directions[1]),
            entry.flags,
            START,
        )
        for entry in entries
    ]
    reference = ReferenceDatapath(Family.INET, chosen, Ends())
    native = NativeDatapath(Family.INET, chosen, Ends())
    random = Random(profile)

    def agree() -> None:
        for raw, iif in frames(directions(entries), random, 300):
            assert native.process(raw, iif, START) == reference.process(raw, iif, START)

    def install(entry: FlowEntry) -> None:
        reference.install(entry)
        native.install(entry)

    for entry in entries:
        install(entry)
    agree()
    for twin in twins:
        install(twin)
    agree()
    for entry in entries[::2]:
        entry.flags |= random.choice([FlowFlag.TEARDOWN, FlowFlag.GONE])
        install(entry)
    for twin in twins[::3]:
        twin.directions[0].mtu = 100
        twin.directions[1].stale = True
        twin.directions[1].source = b"\x02\0\0\0\0\x99"
        install(twin)
    agree()
    for twin in twins:
        reference.remove(twin)
        native.remove(twin)
    agree()
    for entry in entries:
        reference.remove(entry)
        native.remove(entry)
    agree()


def many(count: int) -> list[FlowEntry]:
    """Flows that differ in their ports."""
    world = World()
    first = world.offload(world.connect(wire.UDP))
    entries = []
    for number in range(count):
        ports = (1 + number % 0xFFFF).to_bytes(2) + (1 + number // 0xFFFF).to_bytes(2)
        original, reply = map(copy, first.directions)
        original.key = original.key._replace(wire=original.key.wire[:-4] + ports)
        reply.key = reply.key._replace(wire=reply.key.wire[:-4] + ports[2:] + ports[:2])
        original.rewritten, reply.rewritten = original.key.wire, reply.key.wire
        entries.append(FlowEntry(first.flowtable, first.connection, original, reply, 0, START))
    return entries


def test_a_table_that_grows_and_shrinks_keeps_everything():
    entries = many(9000)
    profile = PROFILES["default"]
    reference = ReferenceDatapath(Family.INET, profile, Ends())
    native = NativeDatapath(Family.INET, profile, Ends())
    random = Random(1)

    def agree() -> None:
        for raw, iif in frames(directions(entries), random, 5000):
            assert native.process(raw, iif, START) == reference.process(raw, iif, START)

    for entry in entries:
        reference.install(entry)
        native.install(entry)
    agree()
    for entry in entries[::2]:
        reference.remove(entry)
        native.remove(entry)
    agree()
    for entry in entries[::4]:
        reference.install(entry)
        native.install(entry)
    agree()


def test_a_flow_takes_at_most_256_bytes():
    native = NativeDatapath(Family.INET, PROFILES["default"], Ends())
    entries = many(4 * 4096)
    before = native.tables.memory
    for entry in entries:
        native.install(entry)
    assert (native.tables.memory - before) / len(entries) <= 256
