"""The chip by its data sheet: room, latency and rate, counters, bind threshold, ageing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from flowtable.clock import MILLISECOND, SECOND
from flowtable.flows.hardware import Failure, OffloadFailure, Placed, Reading
from flowtable.offload.rule import Cookie, Match, Redirect, Rule
from flowtable.offload.switch.chip import Switch
from flowtable.packet import packet as wire
from flowtable.topology.device import Device
from flowtable.topology.hardware import Chip, ChipModel, Eviction

EAST = Device("east", 2, mac=b"\2\0\0\0\0\1")
WEST = Device("west", 3, mac=b"\2\0\0\0\0\2")
OTHER = Device("other", 4, mac=b"\2\0\0\0\0\3")


def chip(**model: Any) -> Switch:
    return Switch(Chip("chip0", (EAST, WEST), ChipModel(**model)))


def rule(number: int, ingress: Device = EAST, out: Device = WEST) -> Rule:
    source = bytes((10, 0, number >> 8, number & 255))
    match = Match(ingress, 0x0800, wire.UDP, source, bytes((192, 0, 2, 1)), (1000, 53), 0)
    return Rule(Cookie(number, 0), 0, match, (Redirect(out),))


def frame(number: int, size: int = 60) -> bytes:
    ether = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:99")
    packet = IP(src=f"10.0.{number >> 8}.{number & 255}", dst="192.0.2.1") / UDP(sport=1000, dport=53)
    return bytes(ether / packet / Raw(bytes(size - 42)))


def reason(placing: Any) -> OffloadFailure:
    assert isinstance(placing, Failure), placing
    return placing.reason


def taken(switch: Switch, numbers: range, now: int = 0) -> list[int]:
    """Which rules it took."""
    return [n for n in numbers if isinstance(switch.replace(rule(n), now), Placed)]


def forwards(switch: Switch, number: int, now: int) -> bool:
    return switch.forward(EAST, frame(number), now) is not None


def test_a_full_table_refuses() -> None:
    switch = chip(entries=5)
    assert taken(switch, range(9)) == [0, 1, 2, 3, 4]
    refused = switch.replace(rule(7), 0)
    assert str(refused) == "chip0: table of the hardware that is full (5 of 5 entries in use)"
    assert isinstance(switch.destroy(Cookie(2, 0), 0), Placed)
    assert taken(switch, range(7, 9)) == [7]


def test_a_hashed_table_refuses_while_there_is_room_elsewhere() -> None:
    switch = chip(entries=64, ways=2)
    got = taken(switch, range(64))
    assert 32 < len(got) < 64
    refused = next(n for n in range(64) if n not in got)
    assert reason(switch.replace(rule(refused), 0)) is OffloadFailure.COLLISION
    assert len(switch) == len(got)


@pytest.mark.parametrize("ways", [None, 4])
@pytest.mark.parametrize("eviction", [Eviction.OLDEST, Eviction.LRU])
def test_eviction_makes_room(eviction: Eviction, ways: int | None) -> None:
    switch = chip(entries=4, ways=ways, eviction=eviction)
    for number in range(4):
        switch.replace(rule(number), number)
    assert forwards(switch, 0, 10)
    assert taken(switch, range(4, 5), 11) == [4]
    gone = 0 if eviction is Eviction.OLDEST else 1
    assert [n for n in range(5) if not forwards(switch, n, 12)] == [gone]
    reading = switch.stats(Cookie(gone, 0), 12)
    assert isinstance(reading, Reading) and reading.lost == Failure(OffloadFailure.EVICTED, "chip0")
    assert reading.packets == (1 if gone == 0 else 0), "what it counted is not lost"
    assert reason(switch.stats(Cookie(gone, 0), 12)) is OffloadFailure.NOT_FOUND
    assert switch.evictions == 1


def test_rules_take_effect_after_latency_and_at_their_rate() -> None:
    switch = chip(insert_latency=2 * MILLISECOND, insert_rate=1000)
    ready = [switch.replace(rule(number), 0) for number in range(3)]
    assert ready == [Placed("chip0", (number + 3) * MILLISECOND) for number in range(3)]
    assert not forwards(switch, 2, 5 * MILLISECOND - 1)
    assert forwards(switch, 2, 5 * MILLISECOND)
    assert switch.destroy(Cookie(0, 0), 0) == Placed("chip0", 4 * MILLISECOND)
    later = switch.replace(rule(9), 100 * MILLISECOND)
    assert later == Placed("chip0", 103 * MILLISECOND), "and it does not remember idle times"


def test_an_equal_rule_changes_nothing() -> None:
    switch = chip(insert_rate=1000)
    first = switch.replace(rule(1), 0)
    assert forwards(switch, 1, SECOND)
    assert isinstance(first, Placed)
    assert switch.replace(rule(1), SECOND) == Placed("chip0", SECOND)
    assert switch.stats(Cookie(1, 0), SECOND) == Reading(1, 60 - 14, SECOND)


def test_another_rule_with_the_cookie_takes_its_place_and_its_counts() -> None:
    switch = chip()
    switch.replace(rule(1), 0)
    assert forwards(switch, 1, 5)
    switch.replace(replace(rule(1), match=rule(2).match), 6)
    assert not forwards(switch, 1, 7)
    assert forwards(switch, 2, 7)
    assert switch.stats(Cookie(1, 0), 7) == Reading(2, 2 * (60 - 14), 7)
    assert len(switch) == 1


def test_a_rule_with_the_key_of_another_hides_it() -> None:
    switch = chip()
    switch.replace(rule(1), 0)
    switch.replace(replace(rule(1), cookie=Cookie(9, 0)), 0)
    reading = switch.stats(Cookie(1, 0), 0)
    assert isinstance(reading, Reading) and reading.lost is not None
    assert isinstance(switch.destroy(Cookie(9, 0), 0), Placed)
    assert not forwards(switch, 1, 1)


def test_counters_are_as_old_as_their_interval() -> None:
    switch = chip(counter_interval=100 * MILLISECOND)
    switch.replace(rule(1), 0)
    for time in (10, 20, 110):
        assert forwards(switch, 1, time * MILLISECOND)
    assert switch.stats(Cookie(1, 0), 150 * MILLISECOND) == Reading(2, 2 * 46, 20 * MILLISECOND)
    assert switch.stats(Cookie(1, 0), 199 * MILLISECOND) == Reading(0, 0, 20 * MILLISECOND)
    assert switch.stats(Cookie(1, 0), 200 * MILLISECOND) == Reading(1, 46, 110 * MILLISECOND)


def test_without_counters() -> None:
    switch = chip(counters=False)
    switch.replace(rule(1), 0)
    assert forwards(switch, 1, 1)
    assert reason(switch.stats(Cookie(1, 0), 2)) is OffloadFailure.NO_COUNTERS


def test_a_flow_is_bound_once_enough_packets_matched_within_a_second() -> None:
    switch = chip(bind_threshold=3)
    switch.replace(rule(1), 0)
    times = [0, 900, 1000, 1100, 1200, 1300, 9000]
    said = []
    for time in times:
        said.append(forwards(switch, 1, time * MILLISECOND))
        reading = switch.stats(Cookie(1, 0), time * MILLISECOND)
        assert isinstance(reading, Reading)
        waiting = time < 1200
        assert reading.held == (Failure(OffloadFailure.UNBOUND, "chip0") if waiting else None)
    assert said == [False] * 5 + [True, True]


def test_rules_that_match_nothing_are_forgotten() -> None:
    switch = chip(ageing=5 * SECOND)
    switch.replace(rule(1), 0)
    assert forwards(switch, 1, 5 * SECOND)
    assert forwards(switch, 1, 10 * SECOND)
    assert not forwards(switch, 1, 16 * SECOND)
    assert switch.aged == 1 and not len(switch)
    reading = switch.stats(Cookie(1, 0), 16 * SECOND)
    assert isinstance(reading, Reading)
    assert (reading.packets, reading.lost) == (2, Failure(OffloadFailure.AGED, "chip0"))
    assert isinstance(switch.replace(rule(1), 17 * SECOND), Placed)
    assert forwards(switch, 1, 17 * SECOND)


@pytest.mark.parametrize("ways", [None, 2])
def test_the_forgotten_make_room(ways: int | None) -> None:
    switch = chip(entries=2, ways=ways, ageing=SECOND)
    assert taken(switch, range(2)) == [0, 1]
    assert not taken(switch, range(2, 3), SECOND)
    assert taken(switch, range(2, 4), 3 * SECOND) == [2, 3]
    assert switch.aged == 2 and not switch.evictions


def test_ports() -> None:
    switch = chip()
    assert reason(switch.replace(rule(1, ingress=OTHER), 0)) is OffloadFailure.INGRESS_PORT
    assert reason(switch.replace(rule(1, out=OTHER), 0)) is OffloadFailure.EGRESS_PORT
    assert switch.bind(EAST) is None
    assert reason(switch.bind(OTHER)) is OffloadFailure.NO_DRIVER
    switch.replace(rule(1), 0)
    switch.unbind(WEST)
    assert len(switch) == 1, "frames arrive at the other port"
    switch.unbind(EAST)
    assert not len(switch)


def test_a_rule_that_is_refused_is_no_longer_what_it_was() -> None:
    """A flow that moved to a port of another chip must not be forwarded here any more."""
    switch = chip()
    switch.replace(rule(1), 0)
    assert reason(switch.replace(rule(1, out=OTHER), 1)) is OffloadFailure.EGRESS_PORT
    assert not forwards(switch, 1, 2)


def test_a_port_that_is_down_sends_nothing() -> None:
    down = Device("west", 3, up=False)
    switch = Switch(Chip("chip0", (EAST, down), ChipModel()))
    switch.replace(rule(1, out=down), 0)
    assert not forwards(switch, 1, 1), "the box gets to see what becomes of it"


def test_to_delete_what_is_not_there() -> None:
    assert reason(chip().destroy(Cookie(1, 0), 0)) is OffloadFailure.NOT_FOUND


def test_larger_packets_than_the_rule_says_go_to_the_box() -> None:
    switch = chip()
    switch.replace(replace(rule(1), mtu=100), 0)
    assert switch.forward(EAST, frame(1, 114), 1) is not None
    assert switch.forward(EAST, frame(1, 115), 1) is None
