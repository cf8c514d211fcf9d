"""What path discovery makes of ways that are not whole: refused by name, or guessed as the kernel does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from flowtable.flows.refusal import Refusal
from flowtable.flows.side import Transmit
from flowtable.packet.packet import IPV4, UDP
from flowtable.profile import DEFAULT, LINUX_6_12, Profile
from flowtable.topology.bridge import Bridge, BridgePort, PortState, VlanTable
from flowtable.topology.fdb import FdbEntry, FdbState
from flowtable.topology.forward_path import EthernetHop, PathFailure, VlanHop, forward_path
from flowtable.topology.neighbour import NeighbourState
from flowtable.topology.route import Route
from flowtable.topology.tunnel import Tunnel
from tests.flows import stacks
from tests.flows.stacks import Builder, Stack
from tests.flows.support import CLIENT, CLIENT_MAC, World, declaration, packed


def bridge_of(world: World) -> Bridge:
    return next(d for d in world.topology.devices.values() if isinstance(d, Bridge))


def port_of(world: World) -> BridgePort:
    return bridge_of(world).ports[world.lan_stack.port.index]


def entry_of(world: World) -> FdbEntry:
    return next(entry for entry in bridge_of(world).fdb if entry.mac == CLIENT_MAC)


def forget_client(world: World) -> None:
    neighbour = world.topology.neighbours.get(world.lan, packed(CLIENT))
    assert neighbour is not None
    world.topology.neighbours.delete(neighbour)


def own_mac(world: World) -> None:
    world.topology.neighbours.set(world.lan, packed(CLIENT), world.lan.mac, NeighbourState.PERMANENT)


def into_a_bridge(world: World) -> None:
    world.topology.enslave(world.lan, world.lan_builder.bridge("-br"))


def limit(world: World) -> None:
    tunnel = world.lan
    assert isinstance(tunnel, Tunnel)
    tunnel.encaplimit = 4


def loop(world: World) -> None:
    tunnel = world.lan
    assert isinstance(tunnel, Tunnel)
    world.topology.fib4.add(Route(IPV4, tunnel.remote, 32, device=tunnel))


def leave_vlan(world: World) -> None:
    del port_of(world).vlans.members[20]


Spoil = Callable[[World], None]
CASES: list[tuple[Refusal, Callable[[Builder], Stack], Spoil, bool]] = [
    (Refusal.NO_NEIGHBOUR, stacks.bridge, forget_client, True),
    (Refusal.NO_FDB_ENTRY, stacks.bridge, lambda w: bridge_of(w).fdb.remove(entry_of(w)), True),
    (Refusal.FDB_LOCAL, stacks.bridge, own_mac, True),
    (
        Refusal.VLAN_NOT_ON_PORT,
        stacks.vlan_on_bridge_tagged,
        leave_vlan,
        True,
    ),
    (
        Refusal.VLAN_NOT_ON_BRIDGE,
        stacks.vlan_on_bridge_tagged,
        lambda w: bridge_of(w).vlans.remove(20),
        False,
    ),
    (
        Refusal.VLAN_ONE_WAY,
        stacks.vlan_on_bridge_untagged,
        lambda w: port_of(w).vlans.add(1, pvid=True),
        False,
    ),
    (
        Refusal.PORT_BLOCKED,
        stacks.bridge,
        lambda w: w.topology.set_port(port_of(w), state=PortState.BLOCKING),
        False,
    ),
    (Refusal.BRIDGE_PORT, stacks.nic, into_a_bridge, False),
    (Refusal.NO_SESSION, stacks.pppoe, lambda w: setattr(w.lan, "session", 0), True),
    (Refusal.INPUT_DEVICE, stacks.bridge, lambda w: w.flowtable.declare(declaration(devices=())), True),
]


@pytest.mark.parametrize(
    ("refusal", "stack", "spoil", "guessed"), CASES, ids=lambda v: getattr(v, "name", "")
)
def test_a_way_that_is_not_whole(
    refusal: Refusal, stack: Callable[[Builder], Stack], spoil: Spoil, guessed: bool
) -> None:
    """The default profile refuses; Linux adds the flow, on the routed devices where it noticed."""
    world = World(lan=stack)
    spoil(world)
    connection = world.connect(UDP)
    assert world.add(connection) is refusal
    assert not connection.offloaded

    world = World(LINUX_6_12, lan=stack)
    spoil(world)
    original = world.offload(world.connect(UDP)).directions[0]
    expected = world.lan if guessed else world.lan_stack.port
    assert original.key.iif == expected.index


@pytest.mark.parametrize(
    ("refusal", "stack", "spoil"),
    [(Refusal.TUNNEL_LIMIT, stacks.ip6ip6, limit), (Refusal.TUNNEL_IN_TUNNEL, stacks.ipip, loop)],
)
def test_a_tunnel_whose_way_is_not_whole(
    refusal: Refusal, stack: Callable[[Builder], Stack], spoil: Spoil
) -> None:
    world = World(lan=stack)
    spoil(world)
    assert world.add(world.connect(UDP, ipv6=stack is stacks.ip6ip6)) is refusal


def test_a_tunnel_without_a_route() -> None:
    world = World(lan=stacks.ipip)
    for route in list(world.topology.fib4):
        if route.device is world.lan_stack.port:
            world.topology.fib4.remove(route)
    for route in [r for r in world.topology.fib4 if r.prefixlen == 0]:
        world.topology.fib4.remove(route)
    hops = forward_path(world.topology, DEFAULT, world.lan, None)
    assert hops is PathFailure.TUNNEL_ROUTE


def tower(tags: int) -> Callable[[Builder], Stack]:
    def build(b: Builder) -> Stack:
        port = b.nic("-0")
        lower, layers = port, []
        for number in range(tags):
            lower = b.vlan(lower, 10 + number, "" if number == tags - 1 else f"-{number + 1}")
            layers.append(stacks.tag(10 + number))
        return b.stack(lower, port, *layers)

    return build


def test_more_tags_than_the_fast_path_reads() -> None:
    assert World(lan=tower(4)).add(World(lan=tower(4)).connect(UDP)) is None
    world = World(lan=tower(5))
    assert world.add(world.connect(UDP)) is Refusal.PATH_VLANS
    world = World(replace(DEFAULT, path_vlans=9, max_encap=2), lan=tower(3))
    assert world.add(world.connect(UDP)) is Refusal.ENCAPSULATION
    world = World(replace(DEFAULT, path_depth=3), lan=tower(3))
    assert world.add(world.connect(UDP)) is Refusal.PATH_DEPTH
    world = World(LINUX_6_12, lan=tower(3))
    assert world.offload(world.connect(UDP)).directions[0].key.encap == ()


def test_linux_forgets_the_tag_that_is_one_too_many() -> None:
    """Its parser never finds such a key, so answers stay on the classic path."""
    world = World(LINUX_6_12, lan=stacks.pppoe_over_qinq)
    key = world.offload(world.connect(UDP)).directions[0].key
    assert key.iif == world.lan_stack.port.index
    assert key.encap == ((7, 0x8100), (stacks.SESSION, 0x8864))


def test_every_failure_of_discovery_has_its_refusal() -> None:
    assert all(Refusal[failure.name].value == failure.value for failure in PathFailure)


def test_upper_devices_in_the_flowtable_are_the_wrong_ones() -> None:
    for stack in (stacks.bridge, stacks.vlan, stacks.pppoe):
        world = World(lan=stack, devices=("lan", "wan"))
        assert world.add(world.connect(UDP)) is Refusal.INPUT_DEVICE
        world = World(LINUX_6_12, lan=stack, devices=("lan", "wan"))
        original, reply = world.offload(world.connect(UDP)).directions
        assert (original.key.iif, original.key.encap, reply.device) == (world.lan.index, (), world.lan)


@pytest.mark.parametrize("profile", [DEFAULT, LINUX_6_12], ids=lambda p: p.name)
def test_the_pvid_tag_that_linux_before_6_19_leaves_out(profile: Profile) -> None:
    """Answers are looked up with the tag that the port carries, packets to there leave without it."""
    world = World(profile, lan=stacks.bridge_pvid_tagged)
    original, reply = world.offload(world.connect(UDP)).directions
    assert original.key.encap == ((10, 0x8100),)
    assert (reply.device, reply.transmit) == (world.lan_stack.port, Transmit.DIRECT)
    assert reply.exit.push == (((10, 0x8100),) if profile is DEFAULT else ())


def test_a_static_entry_is_as_good_as_a_learnt_one() -> None:
    world = World(lan=stacks.bridge)
    bridge = bridge_of(world)
    bridge.fdb.add(FdbEntry(CLIENT_MAC, 0, port_of(world), FdbState.STATIC))
    assert world.add(world.connect(UDP)) is None


def test_the_switch_takes_the_tag_off_and_the_box_never_sees_it() -> None:
    world = World(lan=stacks.dsa_in_bridge)
    hop = next(world.offload(world.connect(UDP)).directions[1].exit.bridges)
    assert (hop.vid, hop.mode.value) == (20, "untag-hw")


def test_a_walk_says_every_device() -> None:
    world = World(lan=stacks.qinq)
    hops = forward_path(world.topology, DEFAULT, world.lan, None)
    assert isinstance(hops, tuple)
    outer = world.topology.devices["lan-1"]
    assert [hop.device for hop in hops] == [world.lan, outer, world.lan_stack.port]
    assert isinstance(hops[0], VlanHop) and (hops[0].vid, hops[0].protocol) == (10, 0x8100)
    assert isinstance(hops[1], VlanHop) and (hops[1].vid, hops[1].protocol) == (100, 0x88A8)
    assert isinstance(hops[2], EthernetHop)


def test_a_vlan_that_is_the_ports_pvid_but_leaves_tagged() -> None:
    world = World(lan=stacks.bridge_pvid_tagged)
    world.topology.set_vlans(port_of(world), VlanTable({10: False}, 10))
    entry = FdbEntry(CLIENT_MAC, 10, port_of(world), FdbState.DYNAMIC)
    bridge_of(world).fdb.add(entry)
    assert world.offload(world.connect(UDP)).directions[0].key.encap == ((10, 0x8100),)
