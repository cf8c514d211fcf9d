"""A flowtable with room for a few flows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtable.clock import SECOND
from flowtable.datapath.native import NativeDatapath
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.flows.capacity import Capacity
from flowtable.flows.flowtables import Flowtables
from flowtable.flows.refusal import Refusal
from flowtable.flows.teardown import Teardown
from flowtable.packet import packet as wire
from flowtable.profile import PROFILES
from tests.flows.support import START, World, declaration, frame


def limited(capacity: Capacity, profile: str = "default", datapath: Any = ReferenceDatapath) -> World:
    world = World(PROFILES[profile])
    world.flowtables = Flowtables(
        world.topology,
        world.conntrack,
        world.profile,
        datapath,
        on_teardown=lambda *what: world.ended.append(what),
        capacity=capacity,
        now=START,
    )
    world.flowtable = world.flowtables.create(declaration())
    return world


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_one_too_many_is_refused_until_there_is_room(profile):
    world = limited(Capacity(2), profile)
    flows = [world.connect(wire.UDP, sport=5000 + number) for number in range(3)]
    assert [world.add(flow) for flow in flows] == [None, None, Refusal.CAPACITY]
    assert not world.ended
    world.flowtable.flush(START)
    assert world.add(flows[2]) is None
    assert len(world.flowtable) == 1


@pytest.mark.parametrize("profile", sorted(PROFILES))
@pytest.mark.parametrize("datapath", [ReferenceDatapath, NativeDatapath])
@settings(max_examples=30, deadline=None)
@given(script=st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60))
def test_one_too_many_takes_the_place_of_the_idlest(profile, datapath, script):
    world = limited(Capacity(4, evicts=True), profile, datapath)
    flows = [world.connect(wire.UDP, sport=5000 + number) for number in range(10)]
    used: dict[int, int] = {}
    now = START
    for adds, which in script:
        now += SECOND // 100
        if adds and which not in used:
            expected = min(used, key=used.__getitem__) if len(used) == 4 else None
            before = len(world.ended)
            assert world.add(flows[which], now=now) is None
            evicted = [(entry.connection, reason) for entry, reason, _ in world.ended[before:]]
            assert evicted == ([] if expected is None else [(flows[expected], Teardown.EVICTED)])
            if expected is not None:
                del used[expected]
            used[which] = now
        elif not adds:
            outcome = world.flowtable.datapath.process(frame(flows[which]), 2, now)
            assert isinstance(outcome, tuple) == (which in used)
            if which in used:
                used[which] = now
    assert {entry.connection for entry in world.flowtable} == {flows[which] for which in used}
