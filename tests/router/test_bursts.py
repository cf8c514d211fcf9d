"""Frames in bursts have the effects that they have one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtable.capture import open_capture
from flowtable.cli.listing import connection_lines, flow_lines
from flowtable.clock import MILLISECOND, SECOND
from flowtable.datapath.native import NativeDatapath
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.packet.burst import Burst
from flowtable.profile import DEFAULT, PROFILES, Profile
from flowtable.router import Box
from flowtable.ruleset import parse, print_ruleset
from flowtable.topology.boxfile import load
from scenarios.folder import SCENARIOS
from scenarios.judge import playable
from tests.flows.stacks import STACKS
from tests.lab import SERVER, SERVER6
from tests.test_agreement_layer2 import Rig, conversations, usable, wire

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "home-router"
HOOKS = """
table netdev early {
    chain c { type filter hook ingress device "lan0" priority -10; udp dport 9 drop; counter; }
    chain d { type filter hook egress device "wan0" priority 0; ip ttl 62 drop; counter; }
}
"""
SECOND_FLOWTABLE = """
table inet second {
    flowtable g { hook ingress priority -5; devices = { wan0 }; counter; }
    chain f { type filter hook forward priority 1; ip protocol udp flow add @g; }
}
"""

Frame = tuple[str, bytes, int]
"""Device, bytes, time."""
Make = Callable[[Profile, Any, list[Any]], Box]
"""Makes a box that sends to the list."""


@dataclass(frozen=True)
class World:
    """A box, as often as wanted, and traffic for it."""

    make: Make
    frames: Sequence[Frame]


def box(topology: str, rules: str) -> Make:
    def make(profile: Profile, datapath: Any, sent: list[Any]) -> Box:
        return Box(
            load(topology, "box.yaml"),
            parse(rules, "ruleset.nft"),
            profile=profile,
            datapath=datapath,
            transmit=lambda device, frame, time: sent.append((device.name, time, frame)),
        )

    return make


def captured(path: Path) -> list[Frame]:
    with path.open("rb") as stream:
        return [(record.interface, record.data, record.time) for record in open_capture(stream, path.name)]


@cache
def home(extra: str) -> World:
    """The home router's traffic, without what it sent itself, and more rules."""
    topology = (EXAMPLE / "box.yaml").read_text()
    own = {device.mac for device in load(topology, "box.yaml").devices.values()}
    frames = [frame for frame in captured(EXAMPLE / "input.pcapng") if frame[1][6:12] not in own]
    return World(box(topology, (EXAMPLE / "ruleset.nft").read_text() + extra), frames)


@cache
def scenario(name: str) -> World:
    folder = SCENARIOS / name
    rules = (folder / "ruleset.nft").read_text()
    return World(box((folder / "box.yaml").read_text(), rules), captured(folder / "input.pcapng"))


@cache
def stacked(lan: str, wan: str) -> World:
    """Conversations of a client behind one stack of devices with a server behind another."""

    def make(profile: Profile, datapath: Any, sent: list[Any]) -> Box:
        made = Rig(lan, wan, True, profile, datapath).box
        made.transmit = lambda device, frame, time: sent.append((device.name, time, frame))
        return made

    rig = Rig(lan, wan, True)
    frames = []
    now = rig.now
    for turn in range(60):
        now += 10 * MILLISECOND
        for talk in conversations(lan, wan):
            for packet in talk.packet(turn % 3 == 1, "data", turn, None):
                stack = rig.stacks[packet.src in (SERVER, SERVER6)]
                frames.append((wire(stack.port).name, stack.frame(packet, inward=True), now))
    return World(make, frames)


def varied(frames: Sequence[Frame], random: Random) -> list[Frame]:
    """The same traffic less orderly: frames come again, are damaged, come in elsewhere, much later."""
    devices = sorted({device for device, _, _ in frames})
    late = 0
    result = []
    for device, data, time in frames:
        late += random.choice([SECOND, 3 * SECOND, 40 * SECOND]) if random.random() < 0.01 else 0
        for _ in range(random.choice([1, 1, 2, 4])):
            if random.random() < 0.03:
                damaged = bytearray(data)
                damaged[random.randrange(len(data))] ^= 1 << random.randrange(8)
                result.append((device, bytes(damaged[: random.choice([len(data), 5, 30, 60])]), time + late))
            elif random.random() < 0.01:
                result.append((random.choice(devices), data, time + late))
            else:
                result.append((device, data, time + late))
    return sorted(result, key=lambda frame: frame[2])


def effects(target: Box, sent: list[Any]) -> dict[str, Any]:
    """All that a box did and knows."""
    counted = {
        device.name: (s.rx_packets, s.rx_bytes, s.tx_packets, s.tx_bytes)
        for device in target.topology.devices.values()
        if (s := device.statistics)
    }
    return {
        "sent": sent,
        "statistics": target.statistics,
        "connections": list(connection_lines(target)),
        "flows": list(flow_lines(target)),
        "rules": print_ruleset(target.ruleset),
        "devices": counted,
        "now": target.now,
    }


def one_by_one(world: World, frames: Sequence[Frame], profile: Profile, datapath: Any):
    sent: list[Any] = []
    target = world.make(profile, datapath, sent)
    for device, data, time in frames:
        target.receive(target.topology.devices[device], data, time)
    return effects(target, sent)


def in_bursts(world: World, frames: Sequence[Frame], profile: Profile, sizes: Sequence[int]):
    """Bursts of the sizes in turn."""
    sent: list[Any] = []
    target = world.make(profile, NativeDatapath, sent)
    devices = target.topology.devices
    at = turn = 0
    while at < len(frames):
        size = sizes[turn % len(sizes)]
        part = frames[at : at + size]
        target.receive_many(Burst.of((devices[device].index, data, time) for device, data, time in part))
        at, turn = at + size, turn + 1
    return effects(target, sent)


EXTRAS = {"": "", "hooks": HOOKS, "second": SECOND_FLOWTABLE}
SCENES = [folder.name for folder in playable() if folder.has_flowtable]
worlds = (
    st.sampled_from(sorted(EXTRAS)).map(lambda name: home(EXTRAS[name]))
    | st.sampled_from(SCENES).map(scenario)
    | st.tuples(st.sampled_from(sorted(STACKS)), st.sampled_from(sorted(STACKS)))
    .filter(lambda pair: usable(*pair))
    .map(lambda pair: stacked(*pair))
)


@settings(max_examples=60, deadline=None)
@given(
    worlds,
    st.sampled_from(sorted(PROFILES)),
    st.integers(0, 2**32),
    st.lists(st.integers(1, 900), min_size=1),
)
def test_any_traffic_has_the_same_effects(world, profile, seed, sizes):
    random = Random(seed)
    at = random.randrange(max(len(world.frames) - 1500, 1))
    frames = varied(world.frames[at : at + 1500], random)
    expected = one_by_one(world, frames, PROFILES[profile], ReferenceDatapath)
    assert in_bursts(world, frames, PROFILES[profile], sizes) == expected


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_the_home_router_in_one_burst(extra):
    world = home(EXTRAS[extra])
    effects = in_bursts(world, world.frames, DEFAULT, [len(world.frames)])
    assert effects == one_by_one(world, world.frames, DEFAULT, ReferenceDatapath)
    assert effects["statistics"].bypass > 2500
