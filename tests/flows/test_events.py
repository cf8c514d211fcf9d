"""What changes around flows does to them."""

from __future__ import annotations

import pytest

from flowtable.clock import SECOND
from flowtable.flows.entry import FlowEntry
from flowtable.flows.teardown import Teardown
from flowtable.packet.miss import Miss
from flowtable.packet.packet import IPV4, IPV6
from flowtable.profile import DEFAULT, LINUX_5_13, LINUX_6_12, LINUX_6_18, PROFILES, Profile
from flowtable.ruleset.family import Family
from flowtable.topology.device import Address, Device
from flowtable.topology.neighbour import NeighbourState
from flowtable.topology.route import Route, RouteType
from tests.flows.support import (
    CLIENT,
    GATEWAY,
    GATEWAY6,
    GATEWAY_MAC,
    SERVER,
    SERVER6,
    START,
    World,
    declaration,
    packed,
)

every_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
linux = pytest.mark.parametrize("profile", [LINUX_5_13, LINUX_6_12, LINUX_6_18])


@every_profile
@pytest.mark.parametrize("name", ["lan", "wan"])
def test_a_device_that_goes_down_ends_its_flows_at_once(profile: Profile, name: str) -> None:
    """Vector 9."""
    world = World(profile)
    connection = world.connect()
    world.offload(connection)
    world.flowtables.advance(START + SECOND // 2)
    world.topology.set_link(world.topology.devices[name], up=False)
    assert [(reason, now) for _, reason, now in world.ended] == [(Teardown.DEVICE, START + SECOND // 2)]
    assert not connection.offloaded or profile is LINUX_5_13
    assert world.pass_frame(connection) in (Miss.NO_ENTRY, Miss.TEARDOWN)


@every_profile
def test_another_device_does_not(profile: Profile) -> None:
    world = World(profile)
    other = world.topology.add_device(Device("other", 9))
    world.offload()
    world.topology.set_link(other, up=False)
    assert not world.ended


def test_a_device_that_is_removed_ends_its_flows() -> None:
    world = World()
    world.offload()
    world.topology.remove_device(world.wan)
    assert world.reasons in ([Teardown.DEVICE], [Teardown.ROUTE])
    assert not world.flowtable


@every_profile
def test_a_new_mac_address_of_the_device_is_used(profile: Profile) -> None:
    world = World(profile)
    connection = world.connect(ipv6=True)
    world.offload(connection)
    world.topology.set_link(world.wan, mac=b"\x02mac!!")
    # Its neighbours were forgotten with the old address.
    world.topology.neighbours.set(world.wan, packed(GATEWAY6), GATEWAY_MAC, NeighbourState.REACHABLE)
    assert world.pass_frame(connection)[1][6:12] == b"\x02mac!!"


def test_a_new_mtu_counts_by_default_only() -> None:
    for profile, follows in ((DEFAULT, True), (LINUX_6_12, False), (LINUX_6_18, False)):
        world = World(profile)
        connection = world.connect(ipv6=True)
        entry = world.offload(connection)
        world.topology.set_link(world.wan, mtu=1400)
        assert (world.pass_frame(connection, size=1400) is Miss.TOO_BIG) is follows
        assert [d.mtu for d in entry.directions] == [1400 if follows else 1500, 1500]


# Routes.


def more_specific(world: World, destination: str = SERVER, length: int = 24) -> Route:
    raw = packed(destination)
    bits = len(raw) * 8 - length
    network = (int.from_bytes(raw) >> bits << bits).to_bytes(len(raw))
    fib = world.topology.fib(IPV4 if len(raw) == 4 else IPV6)
    return fib.add(Route(fib.family, network, length, device=world.lan))


@linux
def test_any_ipv4_route_change_ends_every_ipv4_flow_at_its_next_packet(profile: Profile) -> None:
    """Vector 10."""
    world = World(profile)
    connection, six = world.connect(), world.connect(ipv6=True)
    entry = world.offload(connection)
    world.offload(six)
    more_specific(world, "203.0.113.0")
    assert not world.ended, "nothing happens before the packet"
    assert type(world.pass_frame(six)) is tuple
    assert world.pass_frame(connection, START + 5) is Miss.STALE_ROUTE
    assert world.ended == [(entry, Teardown.ROUTE, START + 5)]
    assert world.pass_frame(connection) is Miss.TEARDOWN
    if profile is not LINUX_5_13:
        assert world.add(connection) is None, "it may re-offload at once"
        assert type(world.pass_frame(connection)) is tuple


@linux
def test_an_address_change_is_an_ipv4_route_change(profile: Profile) -> None:
    world = World(profile)
    connection = world.connect()
    world.offload(connection)
    world.topology.add_address(world.lan, Address.parse("10.9.9.9/24"))
    assert world.pass_frame(connection) is Miss.STALE_ROUTE


@linux
def test_an_ipv4_route_that_nobody_took_goes_quietly(profile: Profile) -> None:
    world = World(profile)
    aside = more_specific(world, "203.0.113.0")
    connection, elsewhere = world.connect(), world.connect(snat="192.0.2.1", sport=2)
    world.offload(connection)
    world.topology.fib4.remove(aside)
    assert type(world.pass_frame(connection)) is tuple

    taken = world.topology.fib4.add(Route(IPV4, packed(SERVER), 32, gateway=packed(GATEWAY)))
    world.offload(elsewhere)
    assert world.pass_frame(connection) is Miss.STALE_ROUTE
    world.flowtables.advance(START + SECOND)
    world.topology.fib4.remove(taken)
    assert world.pass_frame(elsewhere, reply=True) is Miss.STALE_ROUTE, "it ends flows in both directions"


@linux
def test_an_ipv6_address_change_ends_every_ipv6_flow(profile: Profile) -> None:
    world = World(profile)
    connection, six = world.connect(), world.connect(ipv6=True)
    world.offload(connection)
    world.offload(six)
    world.topology.add_address(world.lan, Address.parse("2001:db8:99::1/64"))
    assert world.pass_frame(six) is Miss.STALE_ROUTE
    assert type(world.pass_frame(connection)) is tuple


@linux
def test_an_ipv6_flow_minds_its_own_route_only(profile: Profile) -> None:
    world = World(profile)
    connection = world.connect(ipv6=True)
    world.offload(connection)
    removed = more_specific(world, "2001:db8:aaaa::", 48)
    other = world.connect(ipv6=True, sport=2)
    world.offload(other)
    assert world.pass_frame(connection) is Miss.STALE_ROUTE, "within the default route"
    assert type(world.pass_frame(other)) is tuple
    assert type(world.pass_frame(other, reply=True)) is tuple
    world.topology.fib6.remove(removed)
    assert type(world.pass_frame(other)) is tuple, "a removed route ends only who took it"
    default = next(r for r in world.topology.fib6 if r.prefixlen == 0)
    world.topology.fib6.remove(default)
    assert type(world.pass_frame(other, reply=True)) is tuple, "the way back has another route"
    assert world.pass_frame(other) is Miss.STALE_ROUTE


@linux
def test_a_device_event_is_an_ipv4_route_change(profile: Profile) -> None:
    world = World(profile)
    other = world.topology.add_device(
        Device("other", 9, up=False, addresses=[Address.parse("2001:db8:9::1/64")])
    )
    connection, six = world.connect(), world.connect(ipv6=True)
    world.offload(connection)
    world.offload(six)
    world.topology.set_link(other, mtu=1400)
    assert world.pass_frame(connection) is Miss.STALE_ROUTE
    assert type(world.pass_frame(six)) is tuple
    world.topology.set_link(other, up=True)
    assert world.pass_frame(six) is Miss.STALE_ROUTE, "IPv6 addresses come and go with a link"


def test_by_default_a_flow_whose_route_changed_ends_at_once() -> None:
    world = World()
    connection, elsewhere = world.connect(), world.connect(dnat=("203.0.113.9", 1), snat="192.0.2.1")
    entry = world.offload(connection)
    world.offload(elsewhere, reply=True)
    more_specific(world, "203.0.113.0")
    more_specific(world, SERVER6, 48)
    assert not world.ended, "what does not lie on its way does not concern it"
    more_specific(world, SERVER, 24)
    assert world.reasons == [Teardown.ROUTE] * 2, "both go to the same server"
    assert world.ended[0][0] is entry


def test_by_default_the_removal_of_the_route_ends_the_flow() -> None:
    for victim in (0, 24):
        world = World()
        world.offload()
        route = next(
            r
            for r in world.topology.fib4
            if (r.prefixlen == victim and r.type is RouteType.UNICAST and r.device is not world.wan)
            or r.prefixlen == victim == 0
        )
        world.topology.fib4.remove(route)
        assert world.reasons == [Teardown.ROUTE]


def test_by_default_a_route_that_is_no_better_changes_nothing() -> None:
    world = World()
    world.offload()
    fib = world.topology.fib4
    fib.add(Route(IPV4, bytes(4), 0, gateway=packed("192.0.2.7"), metric=50))
    assert not world.ended

    world = World()
    fib = world.topology.fib4
    fib.remove(next(r for r in fib if r.prefixlen == 0))
    fib.add(Route(IPV4, bytes(4), 0, gateway=packed(GATEWAY), metric=50))
    world.offload()
    fib.add(Route(IPV4, bytes(4), 0, gateway=packed("192.0.2.7"), metric=40))
    assert world.reasons == [Teardown.ROUTE], "a better one does"


def test_by_default_a_better_route_whose_device_comes_up() -> None:
    world = World()
    backup = world.topology.add_device(Device("backup", 9, up=False))
    world.topology.fib4.add(Route(IPV4, packed(SERVER), 32, device=backup))
    world.offload()
    world.topology.set_link(world.wan, mtu=1400)
    assert not world.ended
    world.topology.set_link(backup, up=True)
    assert world.reasons == [Teardown.ROUTE]


# Neighbours.


def test_a_neighbour_that_comes_goes_and_comes_back_as_another_object() -> None:
    world = World()
    connection = world.connect()
    world.offload(connection)
    neighbours = world.topology.neighbours
    gateway = neighbours.get(world.wan, packed(GATEWAY))
    assert gateway is not None
    neighbours.delete(gateway)
    assert world.pass_frame(connection) is Miss.NO_NEIGHBOUR
    neighbours.set(world.wan, packed(GATEWAY), b"\x02again", NeighbourState.INCOMPLETE)
    assert world.pass_frame(connection) is Miss.NO_NEIGHBOUR
    neighbours.set(world.wan, packed(GATEWAY), b"\x02again", NeighbourState.REACHABLE)
    assert world.pass_frame(connection)[1][:6] == b"\x02again"


def test_the_same_address_on_another_device_is_somebody_else() -> None:
    world = World()
    connection = world.connect()
    world.offload(connection)
    world.topology.neighbours.set(world.lan, packed(GATEWAY), b"\x02other", NeighbourState.REACHABLE)
    world.topology.neighbours.set(world.wan, packed(CLIENT), b"\x02other", NeighbourState.REACHABLE)
    assert world.pass_frame(connection)[1][:6] != b"\x02other"
    assert world.pass_frame(connection, reply=True)[1][:6] != b"\x02other"


# Flows with the same key: the same addresses and ports in two zones.


def in_zones(world: World) -> tuple[FlowEntry, FlowEntry]:
    one = world.connect()
    other = world.connect()
    other.zone = 5
    return world.offload(one), world.offload(other)


def test_by_default_the_newer_flow_replaces_the_older() -> None:
    world = World()
    older, newer = in_zones(world)
    assert [(entry, reason) for entry, reason, _ in world.ended] == [(older, Teardown.REPLACED)]
    assert list(world.flowtable) == [newer]
    world.pass_frame(newer.connection)
    world.flowtable.look(newer)
    assert newer.directions[0].packets == 1
    world.flowtable.teardown(newer, Teardown.FIN, START)
    assert world.pass_frame(newer.connection) is Miss.NO_ENTRY


@pytest.mark.parametrize("profile", [LINUX_6_12, LINUX_6_18])
def test_in_the_kernel_it_hides_the_older_even_when_torn_down(profile: Profile) -> None:
    """Spec 1.2."""
    world = World(profile)
    older, newer = in_zones(world)
    assert not world.ended and len(world.flowtable) == 2
    world.flowtable.teardown(newer, Teardown.FIN, START)
    assert world.pass_frame(newer.connection) is Miss.TEARDOWN
    world.flowtables.advance(START + SECOND)
    assert type(world.pass_frame(older.connection)) is tuple
    assert list(world.flowtable) == [older]


# Several flowtables.


def test_flowtables_are_found_by_table_and_name() -> None:
    world = World()
    second = world.flowtables.create(declaration("g"))
    third = world.flowtables.create(declaration("f", family=Family.IP))
    assert list(world.flowtables) == [world.flowtable, second, third]
    assert world.flowtables.get(Family.INET, "t", "g") is second
    assert world.flowtables.get(Family.IP, "t", "f") is third
    world.flowtables.delete(second, START)
    with pytest.raises(KeyError):
        world.flowtables.get(Family.INET, "t", "g")
    assert len(world.flowtables) == 2


def test_a_connection_is_in_one_of_them_only() -> None:
    world = World()
    second = world.flowtables.create(declaration("g"))
    connection = world.connect()
    world.offload(connection)
    assert second.add(world.packet(connection), START) is not None
    assert len(second) == 0
    assert second.datapath.process(world.frame(connection), 2, START) is Miss.NO_ENTRY


def test_events_reach_all_of_them_and_garbage_is_collected_in_order_of_time() -> None:
    world = World()
    world.flowtables.advance(START + SECOND // 2)
    second = world.flowtables.create(declaration("g"))
    first_flow = world.offload(world.connect(sport=1), START + SECOND // 2)
    connection = world.connect(sport=2)
    assert second.add(world.packet(connection), START + SECOND // 2) is None
    second_flow = world.flowtables.entry(connection)
    assert second_flow is not None
    assert world.flowtables.next_due == START + SECOND
    assert second.next_due == START + SECOND * 3 // 2
    assert set(world.flowtables.entries()) == {first_flow, second_flow}
    world.flowtables.advance(START + 40 * SECOND)
    half = SECOND // 2
    assert [(entry, now) for entry, _, now in world.ended] == [
        (second_flow, START + 30 * SECOND + half),
        (first_flow, START + 31 * SECOND),
    ]
    assert world.flowtables.now == START + 40 * SECOND

    world.offload(world.connect(sport=3), START + 40 * SECOND)
    second.add(world.packet(world.connect(sport=4)), START + 40 * SECOND)
    world.topology.set_link(world.wan, up=False)
    assert not list(world.flowtables.entries())


def test_the_same_run_twice_ends_the_same_way() -> None:
    def run() -> list[tuple[int, Teardown, int]]:
        world = World()
        for i in range(20):
            world.offload(world.connect(sport=1000 + i), START + i * SECOND // 7)
        for i in range(0, 20, 3):
            world.pass_frame(world.connect(sport=1000 + i), START + 20 * SECOND, flags="F" if i % 2 else "A")
        world.flowtables.advance(START + 35 * SECOND)
        world.topology.set_link(world.lan, up=False)
        return [(entry.directions[0].key.sport, reason, now) for entry, reason, now in world.ended]

    assert run() == run()
    assert len(run()) == 20
