"""A scenario here: the offline box instead of a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.cli.chance import Chance
from flowtable.cli.listing import connection_lines
from flowtable.clock import NEVER
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.events import load as load_events
from flowtable.packet.burst import Burst
from flowtable.profile import Profile
from flowtable.router import Box
from flowtable.ruleset import parse, print_ruleset
from flowtable.topology.boxfile import load
from scenarios.folder import SETTLE, START, Folder
from scenarios.outcome import Outcome, Sent

if TYPE_CHECKING:
    from flowtable.flows.flowtable import DatapathFactory


def replay(
    folder: Folder, profile: Profile, datapath: DatapathFactory = ReferenceDatapath, *, bursts: bool = False
) -> Outcome:
    """Play a scenario on the box, frame by frame or in bursts as long as can be."""
    chance = Chance()
    sent: list[Sent] = []
    ruleset = parse(folder.text("ruleset.nft"), "ruleset.nft")
    box = Box(
        load(folder.text("box.yaml")),
        ruleset,
        profile=profile,
        datapath=datapath,
        transmit=lambda device, frame, time: sent.append(Sent(device.name, time, chance.without(frame))),
    )
    box.advance(START)
    agenda = load_events(folder.text("events.yaml") or "[]")
    records = folder.frames("input.pcapng")
    for record in records:
        chance.saw(record.data)
    at = 0
    while at < len(records):
        first = records[at]
        while agenda and START + agenda[0].at <= first.time:
            event = agenda.pop(0)
            box.advance(START + event.at)
            event.happen(box)
        devices = box.topology.devices
        if not bursts:
            box.receive(devices[first.interface], first.data, first.time)
            at += 1
            continue
        until = START + agenda[0].at if agenda else NEVER
        end = next((i for i in range(at, len(records)) if records[i].time >= until), len(records))
        frames = ((devices[each.interface].index, each.data, each.time) for each in records[at:end])
        box.receive_many(Burst.of(frames))
        at = end
    for event in agenda:
        box.advance(START + event.at)
        event.happen(box)
    box.advance(box.now + SETTLE)
    return Outcome(sent, sorted(connection_lines(box)), print_ruleset(box.ruleset))
