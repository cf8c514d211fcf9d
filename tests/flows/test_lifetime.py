"""How long flows and their connections live."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Connection, Status, TcpFlag, TcpState
from flowtable.conntrack.removal import Removal
from flowtable.flows.entry import FlowFlag
from flowtable.flows.fixup import DAY
from flowtable.flows.refusal import Refusal
from flowtable.flows.teardown import Teardown
from flowtable.packet.miss import Miss
from flowtable.packet.packet import GRE, TCP, UDP
from flowtable.profile import DEFAULT, LINUX_5_13, LINUX_6_12, LINUX_6_18, PROFILES, Profile
from tests.flows.support import START, World

UNREPLIED = Status.CONFIRMED
REPLIED = Status.CONFIRMED | Status.SEEN_REPLY

every_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


def at(seconds: float) -> int:
    return START + int(seconds * SECOND)


def left(connection: Connection, now: int) -> float:
    return (connection.expires - now) / SECOND


def run(world: World, now: int) -> None:
    """What the box does while no packet comes."""
    world.flowtables.advance(now)
    world.conntrack.expire(now)


@every_profile
def test_a_flow_is_idle_30_seconds_after_its_last_packet(profile: Profile) -> None:
    world = World(profile)
    connection = world.connect()
    world.offload(connection)
    world.pass_frame(connection, at(10), reply=True)
    run(world, at(39))
    assert len(world.flowtable) == 1
    run(world, at(40))
    assert len(world.flowtable) == 0
    assert [(reason, now) for _, reason, now in world.ended] == [(Teardown.IDLE, at(40))]
    assert world.pass_frame(connection, at(40)) is Miss.NO_ENTRY


def test_garbage_is_collected_within_a_second_of_expiry() -> None:
    """Vector 20."""
    world = World()
    connection = world.connect()
    world.offload(connection, at(0.4))
    assert world.flowtables.next_due == at(1)
    run(world, at(30.9))
    assert len(world.flowtable) == 1, "idle since 30.4, but nobody looked"
    run(world, at(31))
    assert len(world.flowtable) == 0
    assert world.flowtables.next_due is None


@pytest.mark.parametrize(
    ("profile", "l4proto", "expected"),
    [
        (DEFAULT, TCP, 5),
        (DEFAULT, UDP, 7),
        (DEFAULT, GRE, 30),
        (LINUX_6_12, TCP, 5),
        (LINUX_6_12, UDP, 7),
        (LINUX_5_13, TCP, 30),
        (LINUX_5_13, UDP, 30),
    ],
)
def test_the_sysctls_say_what_idle_is(profile: Profile, l4proto: int, expected: int) -> None:
    world = World(profile, nf_flowtable_tcp_timeout=5, nf_flowtable_udp_timeout=7)
    world.offload(world.connect(l4proto))
    run(world, at(expected - 1))
    assert len(world.flowtable) == 1
    run(world, at(expected))
    assert len(world.flowtable) == 0


@every_profile
def test_a_changed_sysctl_counts_from_the_next_packet_on(profile: Profile) -> None:
    world = World(profile)
    quiet, busy = world.connect(sport=1), world.connect(sport=2)
    world.offload(quiet)
    world.offload(busy)
    world.topology.set_sysctl("net.netfilter.nf_flowtable_tcp_timeout", 5)
    world.pass_frame(busy, at(2))
    run(world, at(7))
    if profile is LINUX_5_13:
        assert len(world.flowtable) == 2
    else:
        assert [entry.connection for entry in world.flowtable] == [quiet]


# While it is offloaded.


def test_a_connection_gets_a_day_when_it_is_offloaded() -> None:
    for profile, timeout, expected in (
        (LINUX_6_12, 300 * SECOND, 86400),
        (LINUX_6_12, 5 * DAY, 432000),
        (LINUX_5_13, 300 * SECOND, 86400),
        (LINUX_5_13, DAY // 2, 43200),
        (LINUX_5_13, DAY // 2 - SECOND, 86400),
        (LINUX_5_13, 5 * DAY, 432000),
        (LINUX_6_18, 300 * SECOND, 86400),
        (LINUX_6_18, 5 * DAY, 86400),
        (DEFAULT, 300 * SECOND, 300),
    ):
        world = World(profile)
        connection = world.connect(timeout=timeout)
        world.offload(connection)
        assert left(connection, START) == expected


def test_a_classic_packet_shortens_it_and_6_12_lengthens_it_again() -> None:
    world = World(LINUX_6_12)
    connection = world.connect(UDP)
    world.offload(connection)
    world.conntrack.set_timeout(connection, at(30))
    run(world, at(1))
    assert left(connection, at(1)) == 86400


def test_6_12_renews_by_state_when_less_than_five_minutes_are_left() -> None:
    for state, remaining, expected in (
        (TcpState.ESTABLISHED, 299, 86400),
        (TcpState.ESTABLISHED, 301, 300),
        (TcpState.FIN_WAIT, 299, 300),
        (TcpState.TIME_WAIT, 299, 300),
        (TcpState.CLOSE, 299, 298),
        (TcpState.SYN_RECV, 299, 298),
    ):
        world = World(LINUX_6_12)
        connection = world.connect()
        world.offload(connection)
        assert connection.tcp is not None
        connection.tcp.state = state
        world.conntrack.set_timeout(connection, at(remaining))
        run(world, at(1))
        assert left(connection, at(1)) == expected


def test_6_18_means_to_but_does_not() -> None:
    """The bug since 6.14: a busy flow's connection dies of one packet on the classic path."""
    world = World(LINUX_6_18)
    connection = world.connect(UDP)
    world.offload(connection)
    world.conntrack.set_timeout(connection, at(30))
    for second in range(30):
        world.pass_frame(connection, at(second))
        run(world, at(second + 1))
    assert connection.dying
    run(world, at(31))
    assert not world.flowtable, "and takes the flow with it"
    assert world.reasons == [Teardown.CONNECTION]


def test_by_default_a_connection_lives_as_if_conntrack_saw_the_packets() -> None:
    world = World()
    connection = world.connect()
    world.offload(connection)
    world.pass_frame(connection, at(7.25))
    run(world, at(8))
    assert connection.expires == at(7.25 + 432000)
    world.conntrack.set_timeout(connection, at(8 + 300))
    run(world, at(9))
    assert connection.expires == at(8 + 300), "a packet on the classic path had the last word"


def test_a_flow_with_more_time_than_its_connection_keeps_it() -> None:
    world = World(nf_flowtable_udp_timeout=600)
    connection = world.connect(UDP, status=UNREPLIED, timeout=30 * SECOND)
    world.offload(connection)
    world.pass_frame(connection, at(0.5))
    run(world, at(100))
    assert not connection.dying
    world.topology.set_link(world.wan, up=False)
    assert left(connection, at(100)) == 0
    run(world, at(100))
    assert connection.dying


def test_what_conntrack_gave_is_not_taken_back() -> None:
    world = World(nf_flowtable_udp_timeout=600)
    connection = world.connect(UDP, status=UNREPLIED, timeout=30 * SECOND)
    world.offload(connection)
    world.pass_frame(connection, at(0.5))
    run(world, at(100))
    world.conntrack.set_timeout(connection, at(130))
    world.topology.set_link(world.wan, up=False)
    assert connection.expires == at(130)


# The fix-up: what a teardown leaves.


def idle(world: World, connection: Connection) -> float:
    """Let the flow go idle and say what is left of its connection then."""
    world.offload(connection)
    world.pass_frame(connection, START)
    run(world, at(30))
    assert world.reasons == [Teardown.IDLE]
    return left(connection, at(30))


@pytest.mark.parametrize("profile", [LINUX_6_12, LINUX_6_18])
def test_the_worked_results_of_the_kernel(profile: Profile) -> None:
    """Vectors 1 and 2."""
    world = World(profile)
    assert idle(world, connection := world.connect(UDP, status=REPLIED)) == 90
    assert not connection.offloaded
    world = World(profile)
    assert idle(world, connection := world.connect(UDP, status=UNREPLIED)) == 0
    assert connection.dying, "with its NAT mapping, at once"
    world = World(profile)
    assert idle(world, world.connect()) == 86400 - 30, "432000 - 30 shortens nothing"
    world = World(profile)
    assert idle(world, world.connect(GRE)) == 86400 - 30, "GRE is left alone"


def test_the_results_of_the_default() -> None:
    world = World()
    assert idle(world, world.connect(UDP, status=REPLIED, timeout=30 * SECOND)) == 90
    world = World()
    assert idle(world, connection := world.connect(UDP, status=UNREPLIED, timeout=30 * SECOND)) == 0
    assert connection.dying
    world = World()
    assert idle(world, world.connect()) == 432000 - 30
    world = World()
    assert idle(world, world.connect(GRE, status=REPLIED, timeout=30 * SECOND)) == 150


def test_the_results_of_5_13() -> None:
    world = World(LINUX_5_13)
    assert idle(world, world.connect(state=TcpState.SYN_RECV)) == 120
    world = World(LINUX_5_13)
    assert idle(world, world.connect(UDP, status=REPLIED)) == 30


def test_6_12_subtracts_the_idle_timeout_even_if_the_flow_was_busy() -> None:
    for profile, expected in ((LINUX_6_12, 90), (LINUX_6_18, 120), (DEFAULT, 120)):
        world = World(profile)
        connection = world.connect(UDP, status=REPLIED, timeout=30 * SECOND)
        world.offload(connection)
        world.pass_frame(connection, at(5))
        run(world, at(5))
        world.topology.set_link(world.lan, up=False)
        assert left(connection, at(5)) == expected


@pytest.mark.parametrize("state", [TcpState.ESTABLISHED, TcpState.FIN_WAIT, TcpState.LAST_ACK])
def test_tcp_keeps_the_state_conntrack_saw_last(state: TcpState) -> None:
    timeouts = {TcpState.ESTABLISHED: 86400 - 30, TcpState.FIN_WAIT: 90, TcpState.LAST_ACK: 0}
    world = World(LINUX_6_12)
    connection = world.connect()
    world.offload(connection)
    assert connection.tcp is not None
    connection.tcp.state = state
    run(world, at(30))
    assert connection.tcp.state == state
    assert left(connection, at(30)) == timeouts[state]


def test_closing_leaves_close_with_ten_seconds_since_6_14() -> None:
    """Vector 3."""
    world = World(LINUX_6_18)
    connection = world.connect()
    entry = world.offload(connection)
    world.pass_frame(connection, at(1), flags="FA")
    world.pass_frame(connection, at(2), reply=True, flags="FA")
    run(world, at(31))
    assert not world.ended
    run(world, at(32))
    assert entry.flags & FlowFlag.CLOSING
    assert not connection.offloaded
    assert connection.tcp is not None and connection.tcp.state == TcpState.CLOSE
    assert connection.tcp.seen[0].flags & TcpFlag.CLOSE_INIT
    assert not connection.tcp.seen[1].flags & TcpFlag.CLOSE_INIT
    assert left(connection, at(32)) == 10


@every_profile
def test_windows_are_learnt_anew(profile: Profile) -> None:
    world = World(profile)
    connection = world.connect()
    world.offload(connection)
    assert connection.tcp is not None
    for window in connection.tcp.seen:
        window.maxwin = 500
        window.flags |= TcpFlag.MAXACK_SET
    world.pass_frame(connection, flags="SA")
    run(world, at(30))
    for window in connection.tcp.seen:
        assert window.maxwin == 0
        assert bool(window.flags & TcpFlag.MAXACK_SET) is (profile in (LINUX_5_13, LINUX_6_12))
        assert window.flags & TcpFlag.BE_LIBERAL


# Between the teardown and the next garbage collection.


def test_6_12_keeps_a_torn_down_flow_until_the_next_collection() -> None:
    world = World(LINUX_6_12)
    connection = world.connect()
    entry = world.offload(connection)
    world.pass_frame(connection, at(0.5), flags="F")
    assert not connection.offloaded
    assert list(world.flowtable) == [entry] and world.flowtables.entry(connection) is entry
    assert world.pass_frame(connection, at(0.6)) is Miss.TEARDOWN
    assert world.add(connection, at(0.7)) is None, "it may be added again at once"
    assert type(world.pass_frame(connection, at(0.8))) is tuple, "and the newer one is found"
    run(world, at(1))
    (newer,) = world.flowtable
    assert newer is not entry and world.flowtables.entry(connection) is newer
    assert type(world.pass_frame(connection, at(1.1))) is tuple


def test_5_13_keeps_the_offload_status_as_well() -> None:
    """So that the ACK of a FIN does not offload the closing connection again."""
    world = World(LINUX_5_13)
    connection = world.connect(state=TcpState.SYN_RECV)
    world.offload(connection, reply=True)
    tcp = connection.tcp
    assert tcp is not None
    world.pass_frame(connection, at(0.5), flags="F")
    assert int(tcp.state) == TcpState.ESTABLISHED
    tcp.state = TcpState.FIN_WAIT
    assert world.add(connection, at(0.6)) is Refusal.OFFLOADED
    run(world, at(1))
    assert not connection.offloaded
    assert int(tcp.state) == TcpState.FIN_WAIT
    assert left(connection, at(1)) == 120


def test_by_default_nothing_is_left_of_it() -> None:
    world = World()
    connection = world.connect()
    world.offload(connection)
    world.pass_frame(connection, at(0.5), flags="R")
    assert not connection.offloaded and not world.flowtable
    assert world.flowtables.entry(connection) is None
    assert world.pass_frame(connection, at(0.6)) is Miss.NO_ENTRY


def test_6_12_repeats_the_fix_up_of_a_flow_that_expired_since_its_teardown() -> None:
    for profile, expected in ((LINUX_6_12, 90), (replace(LINUX_6_12, fix_up_again=False), 119.5)):
        world = World(profile)
        connection = world.connect()
        world.offload(connection, at(0.5))
        run(world, at(30))
        world.pass_frame(connection, at(30.4), flags="F")
        assert connection.tcp is not None
        connection.tcp.state = TcpState.FIN_WAIT
        world.conntrack.set_timeout(connection, at(30.5 + 120))
        run(world, at(31))
        assert not world.flowtable
        assert left(connection, at(31)) == expected


def test_but_not_of_one_that_has_not() -> None:
    world = World(LINUX_6_12)
    connection = world.connect()
    world.offload(connection)
    world.pass_frame(connection, at(0.5), flags="F")
    assert connection.tcp is not None
    connection.tcp.state = TcpState.FIN_WAIT
    world.conntrack.set_timeout(connection, at(120))
    run(world, at(1))
    assert connection.expires == at(120)


# The connection goes first.


@every_profile
def test_a_deleted_connection_takes_its_flow_along(profile: Profile) -> None:
    world = World(profile)
    connection = world.connect(UDP)
    world.offload(connection)
    expires = connection.expires
    world.conntrack.delete(connection, at(0.5), Removal.REQUEST)
    miss = world.pass_frame(connection, at(0.6))
    assert miss is (Miss.NO_ENTRY if profile is DEFAULT else Miss.CONNECTION_GONE)
    run(world, at(1))
    assert not world.flowtable
    assert world.reasons == [Teardown.CONNECTION]
    assert world.pass_frame(connection, at(1.1)) is Miss.NO_ENTRY
    assert not connection.offloaded
    assert connection.expires == expires, "nothing of it is to be put right any more"


def test_a_connection_that_times_out_with_its_flow_was_idle() -> None:
    world = World()
    connection = world.connect(UDP, status=UNREPLIED, timeout=30 * SECOND)
    world.offload(connection, at(0.5))
    world.conntrack.set_timeout(connection, at(30.5))
    run(world, at(30.5))
    assert connection.dying
    assert world.reasons == [Teardown.IDLE]


def test_flush_and_delete() -> None:
    for profile in PROFILES.values():
        world = World(profile)
        first, second = world.connect(sport=1), world.connect(sport=2)
        world.offload(first)
        world.offload(second)
        world.pass_frame(second, at(0.1), flags="F")
        world.flowtable.flush(at(0.5))
        assert not world.flowtable and not first.offloaded and not second.offloaded
        assert set(world.reasons) >= {Teardown.FLUSH}
        assert world.reasons.count(Teardown.FLUSH) == (2 if profile is LINUX_6_18 else 1)
        assert world.flowtables.next_due is None
        assert world.pass_frame(first) is Miss.NO_ENTRY
        world.offload(first)
        world.flowtables.delete(world.flowtable, at(1))
        assert not first.offloaded
        assert not list(world.flowtables)
