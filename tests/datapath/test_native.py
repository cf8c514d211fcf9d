"""The fast path in C forwards as the reference does, whatever comes."""

from __future__ import annotations

from copy import copy
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtable.clock import SECOND
from flowtable.datapath.native import NativeDatapath
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.datapath.tables import expressible
from flowtable.flows.entry import Direction, FlowEntry, FlowFlag
from flowtable.flows.refusal import Refusal
from flowtable.packet import packet as wire
from flowtable.profile import PROFILES, Profile
from flowtable.ruleset.family import Family
from tests.datapath.twins import Ends, counts, frame, spoil
from tests.flows.stacks import STACKS
from tests.flows.support import START, World

FRAMES = 1500
"""For each world that hypothesis thinks of."""

CONNECTIONS: list[dict[str, Any]] = [
    {"l4proto": l4proto, "ipv6": ipv6, "snat": snat, "dnat": dnat}
    for l4proto in (wire.TCP, wire.UDP)
    for ipv6 in (False, True)
    for snat in (None, ("2001:db8:2::1", 61000) if ipv6 else ("192.0.2.1", 61000))
    for dnat in (None, ("2001:db8:2::7", 8080) if ipv6 else ("192.0.2.7", 8080))
] + [{"l4proto": wire.GRE, "ipv6": ipv6} for ipv6 in (False, True)]

TUNNELS = {name for name in STACKS if name.startswith("ip")}
"""There is one pair of ends for each kind, so only one side can have one."""

worlds = st.fixed_dictionaries(
    {
        "profile": st.sampled_from(sorted(PROFILES)),
        "lan": st.sampled_from(sorted(STACKS)),
        "wan": st.sampled_from(sorted(STACKS)),
        "family": st.sampled_from([Family.INET, Family.INET, Family.IP, Family.IP6]),
        "seed": st.integers(0, 2**32),
    }
).filter(lambda world: not ({world["lan"], world["wan"]} <= TUNNELS))


def populated(profile: Profile, lan: str, wan: str) -> list[FlowEntry]:
    """Every kind of flow that goes through such a box."""
    world = World(profile, lan=STACKS[lan], wan=STACKS[wan])
    entries = []
    for place, fields in enumerate(CONNECTIONS):
        connection = world.connect(**fields, sport=40000 + place)
        refusal = world.add(connection)
        assert refusal is None or isinstance(refusal, Refusal)
        entry = world.flowtables.entry(connection)
        if entry is not None:
            entries.append(entry)
    return entries


def directions(entries: list[FlowEntry]) -> list[Direction]:
    """Those of all entries."""
    return [way for entry in entries for way in entry.directions]


def frames(ways: list[Direction], random: Random, count: int):
    """Frames that are those of the directions, or nearly."""
    for _ in range(count):
        way = random.choice(ways)
        side = way.entrance
        peer = side.peer or side.station or random.choice([b"\x02\0\0\0\0\xc1", b"\x02\0\0\0\0\xfe"])
        yield spoil(frame(way.key, side.source, peer, random), way.key, random), way.key.iif


@settings(max_examples=140, deadline=None)
@given(worlds)
def test_the_same_frames_verdicts_ends_and_counts(world):
    profile = PROFILES[world["profile"]]
    entries = populated(profile, world["lan"], world["wan"])
    if not entries:
        return
    ends = Ends(), Ends()
    reference = ReferenceDatapath(world["family"], profile, ends[0])
    native = NativeDatapath(world["family"], profile, ends[1])
    for entry in entries:
        reference.install(entry)
        native.install(entry)
    random = Random(world["seed"])
    now = START
    for raw, iif in frames(directions(entries), random, FRAMES):
        now += random.choice([0, SECOND // 10, SECOND])
        expected = reference.process(raw, iif, now)
        assert native.process(raw, iif, now) == expected, raw.hex()
        assert ends[0].seen == ends[1].seen
    for entry in entries:
        reference.stats(entry)
        said = counts(entry), entry.refreshed, entry.flags
        if expressible(entry):
            entry.refreshed, entry.flags = START, entry.flags & ~FlowFlag.CLOSING
        native.stats(entry)
        assert (counts(entry), entry.refreshed, entry.flags) == said


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
