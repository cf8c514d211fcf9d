"""Flows where rules choose the routing table, and in VRFs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowtable.flows.teardown import Teardown
from flowtable.packet.packet import IPV4, UDP
from flowtable.profile import DEFAULT, LINUX_6_12, Profile
from flowtable.topology.device import Device
from flowtable.topology.neighbour import NeighbourState
from flowtable.topology.route import Route
from flowtable.topology.rule import Rule
from flowtable.topology.vrf import Vrf
from tests.flows.support import CLIENT, CLIENT_MAC, GATEWAY, SERVER, START, World, packed
from tests.flows.test_stacks import ip

both = pytest.mark.parametrize("profile", [DEFAULT, LINUX_6_12], ids=lambda p: p.name)


def uplink(world: World) -> Device:
    """A second way out, by a table of its own."""
    device = world.topology.add_device(Device("dsl", 9, mac=b"\x02other"))
    world.topology.fib4.add(Route(IPV4, bytes(4), 0, device=device, table=100))
    return device


def test_a_rule_that_comes_ends_the_flows_that_it_leads_elsewhere() -> None:
    world = World(devices=("lan", "wan", "dsl"))
    uplink(world)
    entry, other = (world.offload(world.connect(UDP, sport=port)) for port in (1, 2))
    rules = world.topology.fib4
    rules.add_rule(Rule(90, table=100, source=(packed("10.9.9.0"), 24)))
    assert not world.ended
    rule = Rule(100, table=100, source=(packed(CLIENT), 32), destination=(packed(SERVER), 32))
    rules.add_rule(rule)
    assert [(ended, reason) for ended, reason, _ in world.ended] == [
        (entry, Teardown.ROUTE),
        (other, Teardown.ROUTE),
    ]
    connection = world.connect(UDP, sport=3)
    again = world.offload(connection)
    assert again.directions[0].device.name == "dsl"
    rules.remove_rule(rule)
    assert again.torn_down


def test_a_route_in_a_table_that_is_asked_first() -> None:
    """It is shorter than the one that the flow has, and wins all the same."""
    world = World(devices=("lan", "wan", "dsl"))
    world.topology.fib4.add(Route(IPV4, packed(SERVER), 32, gateway=packed(GATEWAY), device=world.wan))
    world.topology.fib4.add_rule(Rule(100, table=100, source=(packed(CLIENT), 32)))
    world.offload(world.connect(UDP))
    uplink(world)
    assert world.reasons == [Teardown.ROUTE]


@both
def test_the_mark_of_the_packet_that_adds_is_that_of_its_answers(profile: Profile) -> None:
    world = World(profile, devices=("lan", "wan", "dsl"))
    device = uplink(world)
    world.topology.fib4.add_rule(Rule(100, table=100, fwmark=7, fwmask=7))
    connection = world.connect(UDP)
    packet = world.packet(connection)
    packet.mark = 7
    packet.dst = world.topology.fib4.lookup(packed(SERVER), iif=world.lan, mark=7)
    packet.oif = device
    assert world.flowtable.add(packet, START) is None
    entry = world.flowtables.entry(connection)
    assert entry is not None
    original, reply = entry.directions
    assert original.device is device
    assert (reply.route.table == 100) is (profile is DEFAULT), "the kernel insists on the input device"
    if profile is DEFAULT:
        world.topology.fib4.add(Route(IPV4, packed("198.51.100.0"), 24, device=world.wan, metric=9))
        assert not world.ended, "with its mark the flow goes where it went"


@both
def test_both_sides_in_one_vrf(profile: Profile) -> None:
    world = World(profile)
    vrf = world.topology.add_device(Vrf("blue", 9, table=10))
    fib = world.topology.fib4
    for route in [r for r in fib if r.prefixlen == 0]:
        fib.remove(route)
    for device in (world.lan, world.wan):
        world.topology.enslave(device, vrf)
    gateway = packed(GATEWAY)
    for device, address in ((world.lan, packed(CLIENT)), (world.wan, gateway)):
        # Devices that change their domain forget their neighbours.
        world.topology.neighbours.set(device, address, CLIENT_MAC, NeighbourState.REACHABLE)
    fib.add(Route(IPV4, bytes(4), 0, gateway=gateway, device=world.wan, table=10))
    connection = world.connect(UDP)
    packet = world.packet(connection)
    packet.iif = vrf
    packet.dst = fib.lookup(packed(SERVER), iif=vrf)
    packet.oif = world.wan
    assert world.flowtable.add(packet, START) is None
    entry = world.flowtables.entry(connection)
    assert entry is not None
    assert [d.key.iif for d in entry.directions] == [world.lan.index, world.wan.index]
    for stack, port, reply in (
        (world.lan_stack, world.lan, False),
        (world.wan_stack, world.wan, True),
    ):
        frame = stack.frame(ip(connection, reply=reply, leaving=False), inward=True)
        assert isinstance(world.flowtable.datapath.process(frame, port.index, START), tuple)
    before = list(world.ended)
    fib.add(Route(IPV4, packed("203.0.113.0"), 24, device=world.wan, table=10))
    if profile is DEFAULT:
        assert world.ended == before


def test_a_profile_without_rules_of_its_own_asks_the_same() -> None:
    """Without rules, marks and sources change nothing."""
    world = World(replace(DEFAULT, name="other"))
    entry = world.offload(world.connect(UDP))
    assert all(direction.mark == 0 for direction in entry.directions)
