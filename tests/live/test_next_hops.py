"""The neighbours that flows go to are kept fresh, and no others."""

from __future__ import annotations

from flowtable.live.next_hops import AGAIN, NextHops
from flowtable.topology.boxfile import load
from flowtable.topology.neighbour import Neighbour
from tests.lab import BOX


class Notes:
    """Who would keep neighbours fresh."""

    def __init__(self, able: bool) -> None:
        self.able = able
        self.kept: list[str] = []

    def manage(self, neighbour: Neighbour) -> bool:
        self.kept.append(f"+{neighbour.device.name}")
        return self.able

    def release(self, neighbour: Neighbour) -> None:
        self.kept.append(f"-{neighbour.device.name}")


def test_each_is_asked_for_once_and_released_with_its_last_flow():
    topology = load(BOX)
    lan, wan, *_ = topology.neighbours.table
    notes = Notes(able=True)
    hops = NextHops(topology.neighbours, notes)
    for used in ([lan], [lan, wan], [lan, wan, (9, b"gone")], [wan], []):
        hops.keep(used, 1)
    assert notes.kept == ["+lan0", "+wan0", "-lan0", "-wan0"]


def test_a_kernel_that_does_not_is_asked_again():
    topology = load(BOX)
    lan = next(iter(topology.neighbours.table))
    notes = Notes(able=False)
    hops = NextHops(topology.neighbours, notes)
    for now in (0, 1, AGAIN - 1, AGAIN, AGAIN + 1):
        hops.keep([lan], now)
    assert notes.kept == ["+lan0", "+lan0"]
