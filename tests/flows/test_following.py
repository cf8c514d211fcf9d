"""What changes below the routed devices: flows follow, or end with a reason; Linux keeps what it had."""

from __future__ import annotations

from typing import Any

import pytest

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Connection
from flowtable.flows.datapath import Handover, Outcome
from flowtable.flows.teardown import Teardown
from flowtable.packet.miss import Miss
from flowtable.packet.packet import IPV4, UDP
from flowtable.profile import DEFAULT, LINUX_6_12, Profile
from flowtable.topology.bridge import Bridge, BridgePort, PortState, VlanTable
from flowtable.topology.device import Address, Device
from flowtable.topology.fdb import FdbState
from flowtable.topology.neighbour import NeighbourState
from flowtable.topology.pppoe import Pppoe
from flowtable.topology.route import Route
from tests.flows import stacks
from tests.flows.stacks import STACKS, Stack
from tests.flows.support import CLIENT, CLIENT_MAC, GATEWAY, START, World, packed
from tests.flows.test_stacks import ip

NEW_MAC = bytes.fromhex("0200000000c2")
both = pytest.mark.parametrize("profile", [DEFAULT, LINUX_6_12], ids=lambda p: p.name)


def sent(outcome: Outcome) -> tuple[Device, bytes]:
    assert not isinstance(outcome, Miss | Handover), outcome
    return outcome


class Bridged(World):
    """A client behind a bridge with two ports, and one flow."""

    def __init__(self, profile: Profile = DEFAULT, devices: tuple[str, ...] | None = None) -> None:
        super().__init__(profile, lan=stacks.bridge, devices=devices or ("lan-0", "lan-1", "wan"))
        assert isinstance(self.lan, Bridge)
        self.bridge = self.lan
        first, second = (self.topology.devices[name] for name in ("lan-0", "lan-1"))
        self.first, self.second = self.bridge.ports[first.index], self.bridge.ports[second.index]
        self.connection = self.connect(UDP)
        self.entry = self.offload(self.connection)

    def from_client(self, port: BridgePort, mac: bytes = CLIENT_MAC, now: int = START) -> Any:
        frame = self.lan_stack.frame(ip(self.connection, reply=False, leaving=False), inward=True)
        frame = frame[:6] + mac + frame[12:]
        return self.flowtable.datapath.process(frame, port.device.index, now)

    def to_client(self, now: int = START) -> Any:
        frame = self.wan_stack.frame(ip(self.connection, reply=True, leaving=False), inward=True)
        return self.flowtable.datapath.process(frame, self.wan.index, now)

    @property
    def goes_to(self) -> tuple[Device, bytes]:
        """Where packets to the client go: device and destination MAC address."""
        device, frame = self.to_client()
        return device, frame[:6]


# A station moves.


def test_a_station_that_moves_takes_its_flows_along() -> None:
    """Its next packet, on the new port, teaches the bridge; the flow follows, keys and all."""
    world = Bridged()
    assert world.goes_to == (world.first.device, CLIENT_MAC)
    assert world.from_client(world.second) is Miss.NO_ENTRY, "the classic path gets to see it"
    world.bridge.fdb.learn(world.second, CLIENT_MAC, 0, START)
    assert not world.ended
    assert world.goes_to == (world.second.device, CLIENT_MAC)
    assert isinstance(world.from_client(world.second), tuple)
    assert world.from_client(world.first) is Miss.NO_ENTRY
    world.flowtable.look(world.entry)
    assert [d.packets for d in world.entry.directions] == [1, 2], "and the counts go on"


def test_linux_sends_to_the_old_port_until_the_flow_is_idle() -> None:
    world = Bridged(LINUX_6_12)
    world.bridge.fdb.learn(world.second, CLIENT_MAC, 0, START)
    assert world.goes_to == (world.first.device, CLIENT_MAC)
    assert world.from_client(world.second) is Miss.NO_ENTRY
    world.topology.neighbours.set(world.lan, packed(CLIENT), NEW_MAC, NeighbourState.REACHABLE)
    assert world.goes_to == (world.first.device, CLIENT_MAC), "and to the old MAC address"


def test_a_station_that_moves_where_the_flowtable_is_not() -> None:
    world = Bridged(devices=("lan-0", "wan"))
    world.bridge.fdb.learn(world.second, CLIENT_MAC, 0, START)
    assert world.reasons == [Teardown.MOVED]
    assert world.to_client() is Miss.NO_ENTRY


def test_a_station_that_is_forgotten_ends_its_flows() -> None:
    world = Bridged()
    world.bridge.fdb.expire(START + 301 * SECOND, world.bridge.ageing_time)
    assert world.reasons == [Teardown.STATION]


def test_a_station_that_talks_on_the_fast_path_is_not_forgotten() -> None:
    for profile, kept in ((DEFAULT, True), (LINUX_6_12, False)):
        world = Bridged(profile)
        now = START
        for _ in range(20):
            now += 20 * SECOND
            assert isinstance(world.from_client(world.first, now=now), tuple)
            world.flowtables.advance(now)
            world.bridge.fdb.expire(now, world.bridge.ageing_time)
        assert any(entry.mac == CLIENT_MAC for entry in world.bridge.fdb) is kept
        assert not world.ended


def test_a_station_that_only_listens_is_forgotten() -> None:
    world = Bridged()
    assert isinstance(world.to_client(START + 5 * SECOND), tuple)
    world.flowtable.look(world.entry)
    world.bridge.fdb.expire(START + 6 * SECOND, 5 * SECOND)
    assert world.reasons == [Teardown.STATION]


def test_another_station_on_another_bridge_is_nobodys_business() -> None:
    world = Bridged()
    before = world.flowtables.examined
    world.bridge.fdb.learn(world.second, NEW_MAC, 0, START)
    assert world.flowtables.examined == before


# Neighbours.


def test_a_neighbour_with_another_mac_address_on_the_same_bridge() -> None:
    world = Bridged()
    world.bridge.fdb.learn(world.second, NEW_MAC, 0, START)
    world.topology.neighbours.set(world.lan, packed(CLIENT), NEW_MAC, NeighbourState.REACHABLE)
    assert world.goes_to == (world.second.device, NEW_MAC)
    assert isinstance(world.from_client(world.second, NEW_MAC), tuple)


def test_a_neighbour_with_a_mac_address_that_the_bridge_does_not_know() -> None:
    world = Bridged()
    world.topology.neighbours.set(world.lan, packed(CLIENT), NEW_MAC, NeighbourState.REACHABLE)
    assert world.reasons == [Teardown.STATION]


def test_a_neighbour_that_fails_waits_on_the_classic_path() -> None:
    world = Bridged()
    neighbours = world.topology.neighbours
    neighbours.set(world.lan, packed(CLIENT), None, NeighbourState.FAILED)
    assert world.to_client() is Miss.NO_NEIGHBOUR
    assert isinstance(world.from_client(world.first), tuple), "the other direction needs it not"
    neighbours.set(world.lan, packed(CLIENT), CLIENT_MAC, NeighbourState.REACHABLE)
    assert world.goes_to == (world.first.device, CLIENT_MAC)
    assert not world.ended


@both
def test_a_gateway_with_another_mac_address(profile: Profile) -> None:
    """NEIGH follows in the kernel too: also through VLANs, whose devices are on the way."""
    for name in ("nic", "vlan", "qinq", "macvlan", "bond", "dsa"):
        world = World(profile, wan=STACKS[name])
        connection = world.connect(UDP)
        world.offload(connection)
        world.topology.neighbours.set(world.wan, packed(GATEWAY), NEW_MAC, NeighbourState.REACHABLE)
        frame = world.lan_stack.frame(ip(connection, reply=False, leaving=False), inward=True)
        _, out = sent(world.flowtable.datapath.process(frame, world.lan_stack.port.index, START))
        assert out[:6] == NEW_MAC


# Ports and VLANs.


@pytest.mark.parametrize("state", [s for s in PortState if s is not PortState.FORWARDING])
def test_a_port_that_stops_forwarding(state: PortState) -> None:
    world = Bridged()
    world.topology.set_port(world.second, state=state)
    assert not world.ended
    world.topology.set_port(world.first, state=state)
    assert world.reasons == [Teardown.PATH]


@both
def test_a_port_that_goes_down(profile: Profile) -> None:
    """Vector 9, on a bridge: the key has the port."""
    world = Bridged(profile)
    world.topology.set_link(world.second.device, up=False)
    assert not world.ended
    world.topology.set_link(world.first.device, up=False)
    assert world.reasons == [Teardown.DEVICE]


def test_a_port_that_leaves_the_bridge() -> None:
    world = Bridged()
    world.topology.release(world.first.device)
    assert len(world.reasons) == 1


def test_a_routed_device_that_joins_a_bridge() -> None:
    """What arrives there is the bridge's from then on."""
    world = World()
    world.offload(world.connect(UDP))
    world.topology.enslave(world.lan, world.lan_builder.bridge("-br"))
    assert world.reasons == [Teardown.PATH]


def test_vlans_of_a_port() -> None:
    """Tagged becomes untagged: the flow is the same, and now without a tag."""
    world = World(lan=stacks.vlan_on_bridge_tagged)
    connection = world.connect(UDP)
    entry = world.offload(connection)
    bridge = world.topology.devices["lan-br"]
    assert isinstance(bridge, Bridge)
    port = bridge.ports[world.lan_stack.port.index]
    world.topology.set_vlans(port, VlanTable({1: True, 20: True}, 20))
    assert not world.ended
    assert entry.directions[0].key.encap == ()
    world.lan_stack.layers.clear()
    for reply, come, go in (
        (False, world.lan_stack, world.wan_stack),
        (True, world.wan_stack, world.lan_stack),
    ):
        frame = come.frame(ip(connection, reply=reply, leaving=False), inward=True)
        expected = go.frame(ip(connection, reply=reply, leaving=True), inward=False)
        assert world.flowtable.datapath.process(frame, come.port.index, START) == (go.port, expected)
    world.topology.remove_vlan(port, 20)
    assert len(world.reasons) == 1
    assert world.reasons[0] in (Teardown.STATION, Teardown.PATH)


def test_vlans_of_the_bridge() -> None:
    world = World(lan=stacks.vlan_on_bridge_tagged)
    world.offload(world.connect(UDP))
    bridge = world.topology.devices["lan-br"]
    assert isinstance(bridge, Bridge)
    world.topology.remove_vlan(bridge, 20)
    assert world.reasons == [Teardown.PATH]

    world = World(lan=stacks.vlan_on_bridge_untagged)
    world.offload(world.connect(UDP))
    bridge = world.topology.devices["lan-br"]
    assert isinstance(bridge, Bridge)
    world.topology.set_bridge(bridge, vlan_filtering=False)
    assert world.reasons == [Teardown.STATION], "it has no entry without a VLAN"


# Devices above.


@pytest.mark.parametrize("name", ["vlan", "pppoe", "bridge", "qinq", "ipip"])
def test_a_routed_device_that_goes_down(name: str) -> None:
    """Vector 9: Linux has the lower device in the key and does not look at the upper one."""
    for profile in (DEFAULT, LINUX_6_12):
        if profile is LINUX_6_12 and name == "ipip":
            continue
        world = World(profile, lan=STACKS[name])
        connection = world.connect(UDP)
        world.offload(connection)
        world.topology.set_link(world.lan, up=False)
        assert world.reasons == ([Teardown.DEVICE] if profile is DEFAULT else [])
        if profile is LINUX_6_12:
            frame = world.wan_stack.frame(ip(connection, reply=True, leaving=False), inward=True)
            outcome = world.flowtable.datapath.process(frame, world.wan.index, START)
            # What goes to a neighbour finds its route invalid; what goes past a bridge asks for none.
            assert (outcome is Miss.STALE_ROUTE) is (name != "bridge")


def test_a_device_in_the_middle_that_goes_down() -> None:
    world = World(lan=stacks.qinq)
    world.offload(world.connect(UDP))
    world.topology.set_link(world.topology.devices["lan-1"], up=False)
    assert world.reasons == [Teardown.DEVICE]


@pytest.mark.parametrize("name", ["vlan", "bridge", "vlan_on_bridge_tagged", "qinq"])
def test_the_mac_address_of_a_routed_device(name: str) -> None:
    """Frames to the old one are no longer the box's, unless the device below has it still."""
    world = World(wan=STACKS[name])
    connection = world.connect(UDP)
    world.offload(connection)
    old = world.wan_stack.frame(ip(connection, reply=True, leaving=False), inward=True)
    world.topology.set_link(world.wan, mac=NEW_MAC)
    world.topology.neighbours.set(
        world.wan, packed(GATEWAY), world.wan_stack.station, NeighbourState.REACHABLE
    )
    frame = world.lan_stack.frame(ip(connection, reply=False, leaving=False), inward=True)
    _, out = sent(world.flowtable.datapath.process(frame, world.lan_stack.port.index, START))
    assert out[6:12] == NEW_MAC
    process = world.flowtable.datapath.process
    if name in ("bridge", "vlan_on_bridge_tagged"):
        assert process(old, world.wan_stack.port.index, START) is Miss.STATION
    assert isinstance(process(NEW_MAC + old[6:], world.wan_stack.port.index, START), tuple)


def test_the_mtu_of_a_routed_device() -> None:
    world = World(wan=stacks.pppoe)
    entry = world.offload(world.connect(UDP))
    assert entry.directions[0].mtu == 1492
    world.topology.set_link(world.wan, mtu=1400)
    assert entry.directions[0].mtu == 1400


def replace_session(world: World, session: int) -> None:
    old = world.wan
    assert isinstance(old, Pppoe) and old.lower is not None
    topology, lower = world.topology, old.lower
    addresses = [a for a in old.addresses if a.address[0] != 0xFE]
    topology.remove_device(old)
    fresh = topology.add_device(
        Pppoe("wan", old.index, mtu=old.mtu, lower=lower, session=session, peer=old.peer)
    )
    for address in addresses:
        topology.add_address(fresh, Address(address.family, address.address, address.prefixlen))
    topology.fib4.add(Route(IPV4, bytes(4), 0, device=fresh))
    world.wan = fresh


def test_a_session_that_is_replaced() -> None:
    world = World(wan=stacks.pppoe)
    connection = world.connect(UDP)
    world.offload(connection)
    replace_session(world, 0x4321)
    assert len(world.reasons) == 1, "the old session is gone with its flows"
    entry = world.offload(connection)
    assert entry.directions[1].key.encap == ((0x4321, 0x8864),)


def test_a_bond_that_fails_over_keeps_its_flows() -> None:
    world = World(wan=stacks.bond)
    world.offload(world.connect(UDP))
    world.topology.set_link(world.topology.devices["wan-0"], up=False)
    assert not world.ended


def test_a_macvlan_whose_lower_device_goes_down() -> None:
    world = World(wan=stacks.macvlan)
    world.offload(world.connect(UDP))
    world.topology.set_link(world.topology.devices["wan-0"], up=False)
    assert world.reasons == [Teardown.DEVICE]


# Tunnels.


def test_a_tunnel_whose_route_moves() -> None:
    """The packets of the flow are the same, in the same tunnel: it follows."""
    world = World(wan=stacks.ipip, devices=("lan", "wan-0", "other"))
    connection = world.connect(UDP)
    world.offload(connection)
    other = world.topology.add_device(Device("other", 77, mac=NEW_MAC))
    world.topology.neighbours.set(other, packed("203.0.113.2"), b"\x02there", NeighbourState.REACHABLE)
    world.topology.fib4.add(Route(IPV4, packed("203.0.113.2"), 32, device=other))
    assert not world.ended
    frame = world.lan_stack.frame(ip(connection, reply=False, leaving=False), inward=True)
    device, out = sent(world.flowtable.datapath.process(frame, world.lan_stack.port.index, START))
    assert (device, out[:12]) == (other, b"\x02there" + NEW_MAC)


# Cost.


def test_only_the_flows_of_a_neighbour_are_looked_at() -> None:
    world = World(lan=stacks.bridge)
    mine = 3
    for number in range(60):
        connection = world.connect(UDP, sport=1000 + number)
        if number >= mine:
            other = f"10.0.1.{number + 100}"
            mac = b"\x02\0\0\x09\0" + bytes((number,))
            world.topology.neighbours.set(world.lan, packed(other), mac, NeighbourState.REACHABLE)
            bridge = world.lan
            assert isinstance(bridge, Bridge)
            bridge.fdb.learn(bridge.ports[world.lan_stack.port.index], mac, 0, START)
            connection = clone(world, connection, other)
        world.offload(connection)
    before = world.flowtables.examined
    world.topology.neighbours.set(world.lan, packed(CLIENT), None, NeighbourState.FAILED)
    assert world.flowtables.examined - before == mine
    before = world.flowtables.examined
    assert isinstance(world.lan, Bridge)
    world.lan.fdb.remove(next(e for e in world.lan.fdb if e.mac == CLIENT_MAC))
    assert world.flowtables.examined - before == mine


def clone(world: World, connection: Connection, client: str) -> Connection:
    """The same connection from another client."""
    world.conntrack.delete(connection, START)
    original = connection.original._replace(src=packed(client))
    reply = connection.reply._replace(dst=packed(client))
    fresh = Connection(original, reply, start=connection.start)
    fresh.status = connection.status & ~(1 << 9)
    fresh.expires = 300 * SECOND
    world.conntrack.insert(fresh, START)
    return fresh


# What skipped devices count.


@pytest.mark.parametrize("name", list(STACKS))
def test_skipped_devices_count_what_passed_by_them(name: str) -> None:
    world = World(lan=STACKS[name])
    six = name == "ip6ip6"
    connection = world.connect(UDP, ipv6=six)
    entry = world.offload(connection)
    stack: Stack = world.lan_stack
    packet = ip(connection, reply=False, leaving=False)
    answer = ip(connection, reply=True, leaving=False)
    process = world.flowtable.datapath.process
    assert isinstance(process(stack.frame(packet, inward=True), stack.port.index, START), tuple)
    assert isinstance(process(world.wan_stack.frame(answer, inward=True), world.wan.index, START), tuple)
    world.flowtable.look(entry)
    counts = world.lan.statistics
    if stack.port is world.lan:
        assert not counts.rx_packets, "the device at the bottom counts by itself"
        return
    header = 14 if world.lan.ethernet else 0
    assert (counts.rx_packets, counts.rx_bytes) == (1, len(packet))
    assert (counts.tx_packets, counts.tx_bytes) == (1, len(answer) + header)
    assert not stack.port.statistics.rx_packets
    world.flowtable.look(entry)
    assert counts.rx_packets == 1


def test_the_outer_vlan_counts_the_inner_tag() -> None:
    world = World(lan=stacks.qinq)
    connection = world.connect(UDP)
    entry = world.offload(connection)
    packet = ip(connection, reply=False, leaving=False)
    world.flowtable.datapath.process(
        world.lan_stack.frame(packet, inward=True), world.lan_stack.port.index, START
    )
    world.flowtable.look(entry)
    assert world.topology.devices["lan-1"].statistics.rx_bytes == len(packet) + 4


def test_a_dynamic_entry_only_is_kept_fresh() -> None:
    world = Bridged()
    station = next(entry for entry in world.bridge.fdb if entry.mac == CLIENT_MAC)
    station.state = FdbState.STATIC
    world.from_client(world.first, now=START + 9)
    world.flowtable.look(world.entry)
    assert station.updated == 0
