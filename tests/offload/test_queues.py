"""The work queues: what is asked of hardware and when, and what a flow and its connection say of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flowtable.clock import MILLISECOND, SECOND
from flowtable.conntrack.connection import Status
from flowtable.conntrack.listing import conntrack_line
from flowtable.conntrack.tuple import ORIGINAL, REPLY
from flowtable.flows.entry import FlowEntry, FlowFlag
from flowtable.flows.hardware import Command, Failure, HardwareSide, OffloadFailure, Reading
from flowtable.flows.teardown import Teardown
from flowtable.packet.packet import UDP
from flowtable.profile import DEFAULT, LINUX_6_12, LINUX_6_18, Profile
from flowtable.topology.neighbour import NeighbourState
from tests.flows.support import GATEWAY, START, World, packed
from tests.offload.drivers import Obedient

PROFILES = pytest.mark.parametrize("profile", [DEFAULT, LINUX_6_12, LINUX_6_18], ids=lambda p: p.name)
LATENCY = 3 * MILLISECOND


class Lab(World):
    """One flow, and a driver that obeys."""

    def __init__(self, profile: Profile = DEFAULT, driver: Obedient | None = None, **more: Any) -> None:
        self.driver = driver or Obedient()
        more.setdefault("queue_latency", LATENCY)
        super().__init__(profile, drivers=lambda topology: [self.driver], **more)
        self.connection = self.connect(UDP, accounting=True)
        self.entry: FlowEntry = self.offload(self.connection)

    def at(self, time: float) -> None:
        """Let it become that many seconds after the start."""
        self.flowtables.advance(START + int(time * SECOND))

    @property
    def sides(self) -> tuple[HardwareSide, HardwareSide]:
        assert self.entry.hardware is not None
        return self.entry.hardware.sides

    @property
    def shown(self) -> str:
        """What ``conntrack -L`` says of the connection."""
        line = conntrack_line(self.connection, self.flowtables.now)
        return next((word for word in line.split() if word in ("[OFFLOAD]", "[HW_OFFLOAD]", "[ASSURED]")), "")


@PROFILES
def test_a_flow_is_in_hardware_once_the_worker_came_by(profile: Profile) -> None:
    lab = Lab(profile)
    assert lab.entry.flags & FlowFlag.HW and lab.entry.flags & FlowFlag.HW_PENDING
    assert lab.entry.flags & FlowFlag.HW_BIDIRECTIONAL
    assert lab.shown == "[OFFLOAD]"
    lab.flowtables.advance(START + LATENCY - 1)
    assert not lab.driver.calls
    lab.flowtables.advance(START + LATENCY)
    assert lab.driver.asked("replace") == lab.driver.asked_back("replace") == [START + LATENCY]
    assert lab.shown == "[HW_OFFLOAD]"
    assert not lab.entry.flags & FlowFlag.HW_PENDING
    assert [(side.driver, side.since, side.failure) for side in lab.sides] == [
        ("nic0", START + LATENCY, None)
    ] * 2


@PROFILES
def test_it_stays_pending_until_the_hardware_has_it(profile: Profile) -> None:
    lab = Lab(profile, Obedient(needs=50 * MILLISECOND))
    lab.at(0.05)
    assert lab.shown == "[OFFLOAD]" and lab.entry.flags & FlowFlag.HW_PENDING
    lab.at(0.06)
    assert lab.shown == "[HW_OFFLOAD]"
    assert lab.sides[0].since == START + LATENCY + 50 * MILLISECOND


@PROFILES
@pytest.mark.parametrize("d", [ORIGINAL, REPLY])
def test_one_direction_is_enough_for_the_status_and_told_apart(profile: Profile, d: int) -> None:
    failure = Failure(OffloadFailure.UNSUPPORTED, "nic0")
    lab = Lab(profile, Obedient(refuse={d: failure}))
    lab.at(0.1)
    assert lab.shown == "[HW_OFFLOAD]"
    assert [side.driver for side in lab.sides] == (["", "nic0"] if d == ORIGINAL else ["nic0", ""])
    assert lab.sides[d].failure == failure
    assert lab.flowtables.work.failures[OffloadFailure.UNSUPPORTED] == 1


@PROFILES
def test_total_failure_changes_nothing_and_is_tried_again_with_packets(profile: Profile) -> None:
    full = Failure(OffloadFailure.CAPACITY, "nic0", "16 of 16 entries in use")
    lab = Lab(profile, Obedient(refuse={ORIGINAL: full, REPLY: full}))
    lab.at(4.5)
    assert lab.shown == "[OFFLOAD]"
    assert len(lab.driver.asked("replace")) == 1, "no packets, no retry"
    for tick in range(45, 75):
        lab.at(tick / 10)
        assert isinstance(lab.pass_frame(lab.connection, START + tick * 100 * MILLISECOND), tuple)
    assert len(lab.driver.asked("replace")) == 4, "once a second"
    lab.driver.refuse.clear()
    lab.at(8.5)
    assert lab.shown == "[HW_OFFLOAD]"
    assert lab.sides[0].failure is None


def test_linux_drops_requests_while_one_is_pending() -> None:
    lab = Lab(LINUX_6_12, Obedient(needs=5 * SECOND))
    lab.pass_frame(lab.connection, START + SECOND // 2)
    lab.at(4)
    assert len(lab.driver.asked("replace")) == 1
    assert lab.flowtables.work.dropped >= 1


def test_a_sound_request_is_kept_while_one_is_pending() -> None:
    """A change of the neighbour in between must not get lost, and an end counts more than a change."""
    lab = Lab(driver=Obedient(needs=2 * SECOND))
    lab.at(1)
    mac = bytes.fromhex("0200000000c2")
    lab.topology.neighbours.set(lab.wan, packed(GATEWAY), mac, NeighbourState.REACHABLE)
    lab.at(3)
    assert len(lab.driver.asked("replace")) == 2
    lab.at(3.5)
    lab.topology.neighbours.set(lab.wan, packed(GATEWAY), None, NeighbourState.FAILED)
    lab.topology.set_link(lab.wan, up=False)
    assert lab.reasons == [Teardown.DEVICE]
    lab.at(12)
    assert lab.driver.asked("destroy")
    assert not lab.driver.rules


def test_linux_tells_hardware_of_no_change() -> None:
    lab = Lab(LINUX_6_12)
    lab.at(1)
    mac = bytes.fromhex("0200000000c2")
    lab.topology.neighbours.set(lab.wan, packed(GATEWAY), mac, NeighbourState.REACHABLE)
    lab.at(2)
    assert len(lab.driver.asked("replace")) == 1


def test_a_change_takes_a_direction_out_that_has_no_rule_any_more() -> None:
    lab = Lab()
    lab.at(1)
    lab.topology.neighbours.set(lab.wan, packed(GATEWAY), None, NeighbourState.FAILED)
    lab.at(1.1)
    assert [side.driver for side in lab.sides] == ["", "nic0"]
    assert lab.sides[ORIGINAL].failure == Failure(OffloadFailure.NO_NEIGHBOUR)
    assert [cookie.direction for cookie in lab.driver.rules] == [REPLY]
    lab.topology.neighbours.set(lab.wan, packed(GATEWAY), b"\x02there", NeighbourState.REACHABLE)
    lab.at(1.2)
    assert [side.driver for side in lab.sides] == ["nic0", "nic0"]


def test_linux_gives_up_both_directions_if_it_can_make_no_rule_of_one() -> None:
    lab = Lab(LINUX_6_12)
    for direction in lab.entry.directions[:1]:
        direction.destination = b""
    lab.at(0.1)
    assert lab.shown == "[OFFLOAD]"
    assert [side.failure and side.failure.reason for side in lab.sides] == [
        OffloadFailure.NO_NEIGHBOUR,
        OffloadFailure.OTHER_DIRECTION,
    ]
    assert not lab.driver.rules


# Statistics.


@PROFILES
def test_counters_are_read_while_less_than_nine_tenths_of_the_timeout_are_left(profile: Profile) -> None:
    lab = Lab(profile)
    lab.at(10.5)
    expected = [START + second * SECOND + LATENCY for second in range(4, 11)]
    assert lab.driver.asked("stats") == lab.driver.asked_back("stats") == expected


@PROFILES
def test_packets_in_hardware_keep_the_flow_and_its_connection_alive(profile: Profile) -> None:
    lab = Lab(profile)
    for second in range(5, 200):
        if second % 10 == 0:
            lab.driver.readings[REPLY] = Reading(10, 1000, START + second * SECOND - MILLISECOND)
        lab.at(second)
        assert not lab.ended
    lab.at(219)
    assert not lab.ended
    lab.at(222)
    assert lab.reasons == [Teardown.IDLE]


@PROFILES
def test_accounting_has_what_hardware_counted_with_the_counter_flag_only(profile: Profile) -> None:
    for counter in (True, False):
        lab = Lab(profile, counter=counter)
        lab.pass_frame(lab.connection, START + MILLISECOND)
        lab.driver.readings = {ORIGINAL: Reading(3, 300, START + SECOND), REPLY: Reading(5, 7000, START + 1)}
        lab.at(9)
        lab.flowtables.synchronise_all()
        assert lab.connection.packets == ([4, 5] if counter else [0, 0])
        assert lab.connection.bytes == ([328, 7000] if counter else [0, 0])
        assert [(side.packets, side.bytes) for side in lab.sides] == [(3, 300), (5, 7000)]
        assert [direction.packets for direction in lab.entry.directions] == [1, 0]


def test_replies_in_hardware_are_replies() -> None:
    lab = Lab()
    lab.connection.status &= ~(Status.SEEN_REPLY | Status.ASSURED)
    lab.driver.readings = {REPLY: Reading(5, 7000, START + 3 * SECOND)}
    lab.at(6)
    assert lab.connection.status & Status.SEEN_REPLY and lab.connection.status & Status.ASSURED


@PROFILES
def test_hardware_that_does_not_count_lets_the_flow_end(profile: Profile) -> None:
    lab = Lab(profile, Obedient(silent=Failure(OffloadFailure.NO_COUNTERS, "nic0")))
    lab.at(20)
    assert lab.sides[0].failure == Failure(OffloadFailure.NO_COUNTERS, "nic0")
    lab.at(32)
    assert lab.reasons == [Teardown.IDLE]


def test_a_rule_that_was_lost_is_known_with_the_next_reading() -> None:
    lab = Lab()
    lost = Failure(OffloadFailure.EVICTED, "nic0")
    lab.driver.readings = {ORIGINAL: Reading(3, 300, START + SECOND, lost)}
    lab.at(5)
    assert [side.driver for side in lab.sides] == ["", "nic0"]
    assert lab.sides[0].failure == lost and lab.sides[0].packets == 3


# The end.


@PROFILES
def test_the_end_takes_the_flow_out_of_hardware(profile: Profile) -> None:
    lab = Lab(profile)
    lab.at(1)
    lab.topology.set_link(lab.wan, up=False)
    assert lab.reasons == [Teardown.DEVICE]
    lab.at(1.5)
    assert bool(lab.driver.rules) is (not profile.sound_offload), "Linux waits for its garbage collection"
    lab.at(2.5)
    assert not lab.driver.rules
    assert "OFFLOAD" not in lab.shown
    assert (len(lab.flowtable) == 0) is profile.sound_offload
    lab.at(4)
    assert not len(lab.flowtable)
    assert lab.connection.references == 1


def test_linux_frees_a_flow_not_before_hardware_forgot_it() -> None:
    lab = Lab(LINUX_6_12, Obedient(needs=3 * SECOND))
    lab.at(3.5)
    lab.topology.set_link(lab.wan, up=False)
    lab.at(4.5)
    assert lab.entry.flags & FlowFlag.HW_DYING and not lab.entry.flags & FlowFlag.HW_DEAD
    assert lab.shown == "[ASSURED]"
    lab.at(6.9)
    assert len(lab.flowtable) == 1
    lab.at(8.5)
    assert lab.entry.flags & FlowFlag.HW_DEAD and not len(lab.flowtable)


@PROFILES
def test_an_error_on_delete_is_noted_and_the_flow_freed_all_the_same(profile: Profile) -> None:
    stuck = Failure(OffloadFailure.DRIVER, "nic0", "Input/output error")
    lab = Lab(profile, Obedient(keep=stuck))
    lab.at(1)
    lab.topology.set_link(lab.wan, up=False)
    lab.at(5)
    assert not len(lab.flowtable)
    assert [side.failure for side in lab.sides] == [stuck, stuck]
    assert lab.flowtables.work.failures[OffloadFailure.DRIVER] == 2


def test_closing_takes_the_flow_out_of_hardware_and_leaves_it_in_software() -> None:
    """Vector 18."""
    lab = Lab(LINUX_6_18)
    connection = lab.connect(sport=5)
    entry = lab.offload(connection)
    lab.at(1.5)
    assert connection.status & Status.HW_OFFLOAD
    assert isinstance(lab.pass_frame(connection, START + 3 * SECOND // 2, flags="FA"), tuple)
    lab.at(2.5)
    assert entry.flags & FlowFlag.HW_DEAD
    assert not connection.status & Status.HW_OFFLOAD and connection.status & Status.OFFLOAD
    lab.pass_frame(connection, START + 3 * SECOND, flags="A", reply=True)
    lab.at(10)
    assert lab.flowtables.work.done[Command.DESTROY] == 1, "and it is not added again"


def test_what_hardware_counted_until_the_end_is_accounted() -> None:
    lab = Lab(counter=True)
    lab.at(1)
    lab.driver.readings = {ORIGINAL: Reading(7, 700, START + SECOND)}
    lab.topology.set_link(lab.wan, up=False)
    lab.at(2)
    assert lab.connection.packets == [7, 0]


@PROFILES
def test_a_flush_leaves_nothing_in_hardware(profile: Profile) -> None:
    lab = Lab(profile, Obedient(needs=5 * SECOND))
    other = lab.offload(lab.connect(UDP, sport=77))
    lab.flowtables.delete(lab.flowtable, lab.flowtables.now)
    assert not lab.driver.rules
    assert not other.flags & FlowFlag.HW_PENDING
    assert lab.flowtables.next_due is None


@PROFILES
def test_a_driver_that_goes_away_ends_the_flows_of_its_devices(profile: Profile) -> None:
    lab = Lab(profile)
    lab.at(1)
    lab.driver.rules.clear()
    lab.bindings.forget("nic0")
    lab.flowtables.lose("nic0", lab.flowtables.now)
    assert lab.reasons == [Teardown.DRIVER]
    lab.at(5)
    assert not len(lab.flowtable)
    entry = lab.offload(lab.connection, START + 5 * SECOND)
    lab.at(6)
    assert entry.hardware is not None
    assert entry.hardware.sides[0].failure == Failure(OffloadFailure.DRIVER_GONE)
    assert lab.shown == "[OFFLOAD]"


def test_the_queues_say_how_deep_they_were() -> None:
    lab = Lab()
    for number in range(9):
        lab.offload(lab.connect(UDP, sport=100 + number))
    work = lab.flowtables.work
    assert work.waiting == {Command.REPLACE: 10}
    lab.at(1)
    assert work.deepest == 10 and work.done == {Command.REPLACE: 10}
    assert not work.waiting.total()


def test_the_same_every_time() -> None:
    calls = []
    for _ in range(2):
        lab = Lab()
        for number in range(5):
            lab.offload(lab.connect(UDP, sport=100 + number))
        lab.at(40)
        calls.append(lab.driver.calls)
    assert calls[0] == calls[1]


def test_a_flow_that_ended_before_the_worker_came_is_not_added() -> None:
    lab = Lab()
    lab.topology.set_link(lab.wan, up=False)
    lab.at(1)
    assert not lab.driver.asked("replace")
    assert not lab.driver.rules


def test_a_device_that_leaves_the_flowtable_is_unbound() -> None:
    lab = Lab()
    assert lab.driver.bound == {"lan", "wan"}
    lab.flowtable.declare(replace(lab.flowtable.declaration, devices=("lan",)))
    assert lab.driver.bound == {"lan"}
    lab.flowtable.declare(replace(lab.flowtable.declaration, devices=("lan", "wan")))
    assert lab.driver.bound == {"lan", "wan"}


def test_linux_keeps_the_mac_addresses_that_a_flow_was_added_with() -> None:
    """With the flag, every Ethernet device is left directly, past the neighbour layer; spec 5.8 and 6.4."""
    mac = bytes.fromhex("0200000000c2")
    for world in (Lab(LINUX_6_12), World(LINUX_6_12)):
        entry = next(iter(world.flowtable), None) or world.offload(world.connect(UDP))
        old = entry.directions[ORIGINAL].destination
        world.topology.neighbours.set(world.wan, packed(GATEWAY), mac, NeighbourState.REACHABLE)
        assert entry.directions[ORIGINAL].destination == (old if isinstance(world, Lab) else mac)
