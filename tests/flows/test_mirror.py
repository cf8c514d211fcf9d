"""What a connection learns of packets that took the fast path: counters, replies, activity."""

from __future__ import annotations

import pytest

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Connection, Status
from flowtable.flows.teardown import Teardown
from flowtable.packet.packet import GRE, UDP
from flowtable.profile import DEFAULT, LINUX_5_13, LINUX_6_12, LINUX_6_18, PROFILES, Profile
from tests.flows.support import START, World

every_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
UNREPLIED = Status.CONFIRMED
REPLIED = Status.CONFIRMED | Status.SEEN_REPLY


def at(seconds: float) -> int:
    return START + int(seconds * SECOND)


# Counters.


def traffic(world: World, connection: Connection) -> None:
    world.pass_frame(connection, at(0.1), size=100)
    world.pass_frame(connection, at(0.2), size=200)
    world.pass_frame(connection, at(0.3), reply=True, size=1000)


@every_profile
def test_the_counter_flag_counts_in_the_connection(profile: Profile) -> None:
    world = World(profile, counter=True)
    connection = world.connect(accounting=True)
    connection.packets, connection.bytes = [3, 2], [180, 120]
    world.offload(connection)
    traffic(world, connection)
    assert connection.packets == [3, 2], "not before anybody asks"
    world.flowtables.synchronise(connection)
    assert (connection.packets, connection.bytes) == ([5, 3], [180 + 380, 120 + 1040])
    world.flowtables.synchronise_all()
    assert connection.packets == [5, 3], "nothing counts twice"
    traffic(world, connection)
    world.flowtables.advance(at(1))
    assert connection.packets == [7, 4]
    traffic(world, connection)
    world.flowtable.flush(at(1.5))
    assert connection.packets == [9, 5]
    assert connection.bytes == [180 + 3 * 380, 120 + 3 * 1040]


@every_profile
def test_without_it_the_counters_freeze(profile: Profile) -> None:
    world = World(profile)
    connection = world.connect(accounting=True)
    world.offload(connection)
    traffic(world, connection)
    world.flowtable.flush(at(1))
    assert (connection.packets, connection.bytes) == ([0, 0], [0, 0])


def test_the_flag_does_not_turn_accounting_on() -> None:
    """Vector 15."""
    world = World(counter=True)
    connection = world.connect()
    world.offload(connection)
    traffic(world, connection)
    world.flowtable.flush(at(1))
    assert connection.packets is None and connection.bytes is None


def test_a_packet_that_goes_up_is_not_counted_here() -> None:
    world = World(counter=True)
    connection = world.connect(accounting=True)
    world.offload(connection)
    world.pass_frame(connection, size=1461)
    world.pass_frame(connection, ttl=1)
    world.pass_frame(connection, flags="F")
    assert connection.packets == [0, 0]


def test_a_connection_deleted_under_its_flow_has_the_last_counts() -> None:
    for profile in PROFILES.values():
        world = World(profile, counter=True)
        connection = world.connect(accounting=True)
        world.offload(connection)
        traffic(world, connection)
        world.conntrack.delete(connection, at(0.5))
        assert connection.packets == [2, 1]


def test_synchronising_what_is_not_offloaded() -> None:
    world = World(counter=True)
    connection = world.connect(accounting=True)
    world.flowtables.synchronise(connection)
    assert connection.packets == [0, 0]


# Replies.


def replies(profile: Profile, l4proto: int, *packets: tuple[float, bool], age: float = 10) -> Connection:
    """A connection without replies of that age, after packets (when, reply) on the fast path."""
    world = World(profile)
    connection = world.connect(l4proto, status=UNREPLIED, start=at(-age), timeout=30 * SECOND)
    world.offload(connection)
    for when, reply in packets:
        world.pass_frame(connection, at(when), reply=reply)
    world.flowtables.synchronise(connection)
    return connection


@pytest.mark.parametrize("profile", [LINUX_5_13, LINUX_6_12, LINUX_6_18])
def test_the_kernel_never_learns_of_replies(profile: Profile) -> None:
    """Vector 1: it stays [UNREPLIED]."""
    assert replies(profile, UDP, (0.1, True), (0.2, False)).status & REPLIED == UNREPLIED


ASSURED = REPLIED | Status.ASSURED


@pytest.mark.parametrize("l4proto", [UDP, GRE])
@pytest.mark.parametrize(
    ("packets", "status", "timeout"),
    [
        ([(0.1, False)], UNREPLIED, "unreplied"),
        ([(0.1, False), (0.2, True)], REPLIED, "unreplied"),
        ([(0.1, True), (0.2, False)], ASSURED, "stream"),
        ([(0.1, True), (0.2, True)], ASSURED, "stream"),
    ],
)
def test_the_default_tells_it(
    l4proto: int, packets: list[tuple[float, bool]], status: int, timeout: str
) -> None:
    connection = replies(DEFAULT, l4proto, *packets)
    assert connection.status & ASSURED == status
    seconds = {"unreplied": 30, "stream": 120 if l4proto == UDP else 180}[timeout]
    assert connection.expires == at(packets[-1][0] + seconds)


def test_a_udp_connection_is_a_stream_after_two_seconds() -> None:
    for when, status, timeout in ((1.9, REPLIED, 30), (2.0, REPLIED, 30), (2.1, ASSURED, 120)):
        connection = replies(DEFAULT, UDP, (0.1, True), (when, False), age=0)
        assert connection.status & ASSURED == status
        assert connection.expires == at(when + timeout)


def test_the_first_reply_stays_the_first_however_often_one_looks() -> None:
    world = World()
    connection = world.connect(UDP, status=UNREPLIED, timeout=30 * SECOND)
    world.offload(connection)
    world.pass_frame(connection, at(0.1), reply=True)
    for _ in range(3):
        world.flowtables.synchronise(connection)
    assert connection.status & ASSURED == REPLIED
    assert connection.expires == at(30.1)
    world.pass_frame(connection, at(0.2))
    world.flowtables.synchronise(connection)
    assert connection.status & ASSURED == ASSURED


def test_what_conntrack_saw_before_counts() -> None:
    world = World()
    connection = world.connect(UDP, status=REPLIED, timeout=30 * SECOND)
    world.offload(connection)
    world.pass_frame(connection, at(0.1))
    world.flowtables.synchronise(connection)
    assert connection.status & ASSURED == ASSURED
    assert connection.expires == at(120.1)


def test_the_unreplied_flow_of_vector_1_gets_its_due_by_default() -> None:
    """In the kernel its connection would vanish the moment the flow is idle."""
    world = World()
    connection = world.connect(UDP, status=UNREPLIED, timeout=30 * SECOND)
    world.offload(connection)
    world.pass_frame(connection, at(1), reply=True)
    world.pass_frame(connection, at(2))
    world.flowtables.advance(at(32))
    world.conntrack.expire(at(32))
    assert world.reasons == [Teardown.IDLE]
    assert not connection.dying
    assert connection.expires == at(122)
