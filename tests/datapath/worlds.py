"""Flows of all kinds between stacks of devices of all kinds, and whether datapaths agree on their packets."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

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

CONNECTIONS: list[dict[str, Any]] = [
    {"l4proto": l4proto, "ipv6": ipv6, "snat": snat, "dnat": dnat}
    for l4proto in (wire.TCP, wire.UDP)
    for ipv6 in (False, True)
    for snat in (None, ("2001:db8:2::1", 61000) if ipv6 else ("192.0.2.1", 61000))
    for dnat in (None, ("2001:db8:2::7", 8080) if ipv6 else ("192.0.2.7", 8080))
] + [{"l4proto": wire.GRE, "ipv6": ipv6} for ipv6 in (False, True)]

TUNNELS = {name for name in STACKS if name.startswith("ip")}
"""There is one pair of ends for each kind, so only one side can have one."""


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


@dataclass(frozen=True)
class Setting:
    """What flows there are, and the seed of their packets."""

    profile: str
    lan: str
    wan: str
    family: Family
    seed: int

    @property
    def possible(self) -> bool:
        """Whether both sides can be what they are."""
        return not {self.lan, self.wan} <= TUNNELS

    @staticmethod
    def any(random: Random) -> Setting:
        """One at random."""
        names, families = sorted(STACKS), [Family.INET, Family.INET, Family.IP, Family.IP6]
        while True:
            drawn = (random.choice(sorted(PROFILES)), random.choice(names), random.choice(names))
            setting = Setting(*drawn, random.choice(families), random.randrange(2**32))
            if setting.possible:
                return setting


def hold_native_to_reference(setting: Setting, count: int) -> int:
    """Put the same packets through both; how many, which is none where no flow is possible.

    Raises:
        AssertionError: they make something else of one.
    """
    profile = PROFILES[setting.profile]
    entries = populated(profile, setting.lan, setting.wan)
    if not entries:
        return 0
    ends = Ends(), Ends()
    reference = ReferenceDatapath(setting.family, profile, ends[0])
    native = NativeDatapath(setting.family, profile, ends[1])
    for entry in entries:
        reference.install(entry)
        native.install(entry)
    random = Random(setting.seed)
    now = START
    for raw, iif in frames(directions(entries), random, count):
        now += random.choice([0, SECOND // 10, SECOND])
        expected = reference.process(raw, iif, now)
        got = native.process(raw, iif, now)
        assert got == expected, f"{setting}: {raw.hex()}: {got}, expected {expected}"
        assert ends[0].seen == ends[1].seen, f"{setting}: {raw.hex()}"
    for entry in entries:
        reference.stats(entry)
        said = counts(entry), entry.refreshed, entry.flags
        if expressible(entry):
            entry.refreshed, entry.flags = START, entry.flags & ~FlowFlag.CLOSING
        native.stats(entry)
        assert (counts(entry), entry.refreshed, entry.flags) == said, setting
    return count
