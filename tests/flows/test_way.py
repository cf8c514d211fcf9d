"""Keys, translations and routes of a new flow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowtable.flows.entry import FlowEntry, FlowFlag
from flowtable.flows.refusal import Refusal
from flowtable.packet.flowkey import FlowKey
from flowtable.packet.packet import GRE, IPV4, IPV6, TCP, UDP
from flowtable.profile import DEFAULT, LINUX_6_12
from flowtable.topology.device import Device
from flowtable.topology.neighbour import NeighbourState
from flowtable.topology.route import Route
from tests.flows.support import (
    CLIENT,
    CLIENT6,
    CLIENT_MAC,
    GATEWAY,
    GATEWAY_MAC,
    LAN_MAC,
    PUBLIC,
    PUBLIC6,
    SERVER,
    SERVER6,
    START,
    WAN_MAC,
    World,
    packed,
)


def leaves(entry: FlowEntry, direction: int) -> tuple[bytes, bytes, int, int]:
    this = entry.directions[direction]
    key = FlowKey(0, this.key.l3proto, 0, this.rewritten)
    return key.source, key.destination, key.sport, key.dport


def test_without_translation_packets_leave_as_they_came() -> None:
    for ipv6 in (False, True):
        entry = World().offload(World().connect(ipv6=ipv6))
        for direction in entry.directions:
            assert direction.rewritten == direction.key.wire
        assert not entry.flags


@pytest.mark.parametrize("l4proto", [TCP, UDP])
@pytest.mark.parametrize("ipv6", [False, True])
def test_masquerade(l4proto: int, ipv6: bool) -> None:
    """Vector 7."""
    client, server, public = (CLIENT6, SERVER6, PUBLIC6) if ipv6 else (CLIENT, SERVER, PUBLIC)
    world = World()
    entry = world.offload(world.connect(l4proto, ipv6=ipv6, snat=(public, 61000)))
    original, reply = entry.directions
    a, b, p = packed(client), packed(server), packed(public)
    assert entry.flags == FlowFlag.SNAT
    assert original.key == FlowKey.of(2, l4proto, a, b, 40000, 443)
    assert leaves(entry, 0) == (p, b, 61000, 443)
    assert reply.key == FlowKey.of(3, l4proto, b, p, 443, 61000)
    assert leaves(entry, 1) == (b, a, 443, 40000)


def test_destination_and_source_translation_together() -> None:
    """Vector 8."""
    world = World()
    entry = world.offload(world.connect(snat=(PUBLIC, 61000), dnat=("203.0.113.5", 1666), dport=12345))
    a, b, p, d = (packed(x) for x in (CLIENT, SERVER, PUBLIC, "203.0.113.5"))
    assert entry.flags == FlowFlag.SNAT | FlowFlag.DNAT
    assert entry.directions[0].key == FlowKey.of(2, TCP, a, d, 40000, 1666)
    assert leaves(entry, 0) == (p, b, 61000, 12345)
    assert entry.directions[1].key == FlowKey.of(3, TCP, b, p, 12345, 61000)
    assert leaves(entry, 1) == (d, a, 1666, 40000)


def test_gre_has_no_ports() -> None:
    world = World()
    entry = world.offload(world.connect(GRE))
    assert entry.directions[0].key == FlowKey.of(2, GRE, packed(CLIENT), packed(SERVER))


@pytest.mark.parametrize("reply", [False, True])
def test_ways_are_the_same_whoever_adds(reply: bool) -> None:
    world = World()
    entry = world.offload(world.connect(snat=PUBLIC), reply=reply)
    original, reply_ = entry.directions
    assert (original.key.iif, original.device, original.next_hop) == (2, world.wan, packed(GATEWAY))
    assert (reply_.key.iif, reply_.device, reply_.next_hop) == (3, world.lan, packed(CLIENT))
    assert (original.source, original.destination) == (WAN_MAC, GATEWAY_MAC)
    assert (reply_.source, reply_.destination) == (LAN_MAC, CLIENT_MAC)


def test_the_mtu_is_that_of_the_route_else_of_the_device_and_capped() -> None:
    world = World()
    fib = world.topology.fib4
    fib.add(Route(IPV4, packed(SERVER), 32, gateway=packed(GATEWAY), mtu=1280))
    world.topology.set_link(world.lan, mtu=70000)
    original, reply = world.offload().directions
    assert (original.mtu, reply.mtu) == (1280, 65535)


def third_device(world: World) -> Device:
    return world.topology.add_device(Device("dsl", 4, mac=b"\x02other"))


def test_the_kernel_pins_the_way_back_to_the_input_device() -> None:
    """An asymmetric route back is not followed: IPv4 finds the sender on link instead."""
    world = World(LINUX_6_12)
    connection = world.connect()
    dsl = third_device(world)
    world.topology.fib4.add(Route(IPV4, packed(CLIENT), 32, device=dsl))
    reply = world.offload(connection).directions[1]
    assert (reply.device, reply.route.prefixlen) == (world.lan, 24)

    world = World(LINUX_6_12)
    dsl = third_device(world)
    for route in [r for r in world.topology.fib4 if r.device is world.lan]:
        world.topology.fib4.remove(route)
    world.topology.fib4.add(Route(IPV4, packed(CLIENT), 32, device=dsl))
    entry = world.offload()
    reply = entry.directions[1]
    assert (reply.device, reply.next_hop, reply.mtu) == (world.lan, packed(CLIENT), 1500)
    assert entry.directions[0].key.iif == 2


def test_the_default_follows_the_route_back_of_the_classic_path() -> None:
    world = World(devices=("lan", "wan", "dsl"))
    dsl = third_device(world)
    world.topology.fib4.add(Route(IPV4, packed(CLIENT), 32, device=dsl))
    original, reply = world.offload().directions
    assert (original.key.iif, original.device) == (2, world.wan)
    assert (reply.key.iif, reply.device) == (3, dsl)

    world = World()
    dsl = third_device(world)
    world.topology.fib4.add(Route(IPV4, packed(CLIENT), 32, device=dsl))
    assert world.add(world.connect()) is Refusal.OUTPUT_DEVICE, "it may not leave through a device not listed"


def test_an_ipv6_route_back_prefers_the_input_device_but_does_not_insist() -> None:
    world = World(LINUX_6_12)
    dsl = third_device(world)
    fib = world.topology.fib6
    fib.add(Route(IPV6, packed(CLIENT6), 128, device=dsl))
    assert fib.lookup(packed(CLIENT6)) is not None
    original, reply = world.offload(world.connect(ipv6=True)).directions
    assert reply.device is dsl, "longer prefix wins"
    assert original.key.iif == 4, "and the kernel then expects the sender there"

    fib.add(Route(IPV6, packed(CLIENT6), 128, device=world.lan))
    original, reply = world.offload(world.connect(ipv6=True, sport=2)).directions
    assert (original.key.iif, reply.device) == (2, world.lan)

    fib.add(Route(IPV6, packed(SERVER6), 128, device=dsl, metric=5))
    fib.add(Route(IPV6, packed(SERVER6), 128, device=world.wan, metric=6))
    original, _ = world.offload(world.connect(ipv6=True, sport=3), reply=True).directions
    assert original.device is dsl, "a better metric wins"


def test_neighbours_need_not_be_known_yet() -> None:
    world = World()
    for neighbour in list(world.topology.neighbours):
        world.topology.neighbours.delete(neighbour)
    entry = world.offload()
    assert [d.destination for d in entry.directions] == [b"", b""]
    world.topology.neighbours.set(world.wan, packed(GATEWAY), None, NeighbourState.INCOMPLETE)
    assert entry.directions[0].destination == b""


def test_a_refused_packet_of_a_mixed_profile() -> None:
    profile = replace(DEFAULT, require_devices=False)
    world = World(profile, devices=())
    assert world.add(world.connect(), START) is None
