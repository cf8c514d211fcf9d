"""A scenario here: the offline box instead of a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.cli.chance import Chance
from flowtable.cli.listing import connection_lines
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.events import load as load_events
from flowtable.profile import Profile
from flowtable.router import Box
from flowtable.ruleset import parse, print_ruleset
from flowtable.topology.boxfile import load
from scenarios.folder import SETTLE, START, Folder
from scenarios.outcome import Outcome, Sent

if TYPE_CHECKING:
    from flowtable.flows.flowtable import DatapathFactory


def replay(folder: Folder, profile: Profile, datapath: DatapathFactory = ReferenceDatapath) -> Outcome:
    """Play a scenario on the box."""
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
    for record in folder.frames("input.pcapng"):
        while agenda and START + agenda[0].at <= record.time:
            event = agenda.pop(0)
            box.advance(START + event.at)
            event.happen(box)
        chance.saw(record.data)
        box.receive(box.topology.devices[record.interface], record.data, record.time)
    for event in agenda:
        box.advance(START + event.at)
        event.happen(box)
    box.advance(box.now + SETTLE)
    return Outcome(sent, sorted(connection_lines(box)), print_ruleset(box.ruleset))
