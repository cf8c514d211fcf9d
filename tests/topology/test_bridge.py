"""Bridges: ports, VLAN tables, and the forwarding database that follows from them."""

from __future__ import annotations

import pytest

from flowtable.topology.bridge import Bridge, PortState, VlanTable
from flowtable.topology.error import TopologyError
from flowtable.topology.event import BridgeVlansChanged, Event, FdbChanged, PortChanged
from flowtable.topology.fdb import FdbEntry, FdbState
from flowtable.topology.topology import Topology
from tests.topology.boxes import ethernet

MAC = bytes.fromhex("0200000000b0")
HOST = bytes.fromhex("0200000000aa")
OTHER = bytes.fromhex("0200000000bb")


@pytest.fixture
def box() -> Topology:
    """br0 with the ports eth2 and eth3; eth4 beside it."""
    topology = Topology()
    bridge = Bridge("br0", 10, mac=MAC, vlan_filtering=True)
    topology.add_device(bridge)
    for index in (2, 3):
        topology.add_device(ethernet(f"eth{index}", index, master=bridge))
    topology.add_device(ethernet("eth4", 4))
    return topology


def bridge_of(box: Topology) -> Bridge:
    bridge = box.devices["br0"]
    assert isinstance(bridge, Bridge)
    return bridge


def shown(bridge: Bridge) -> list[str]:
    """The entries as ``bridge fdb show br br0`` prints them."""
    return sorted(
        f"{e.mac.hex(':')} dev {e.port.device.name if e.port else bridge.name}"
        f"{f' vlan {e.vid}' if e.vid else ''} {e.state.value}"
        for e in bridge.fdb
    )


class TestPorts:
    def test_the_default_vlan(self, box):
        bridge = bridge_of(box)
        tables = [bridge.vlans, *(port.vlans for port in bridge.ports.values())]
        assert tables == [VlanTable({1: True}, 1)] * 3

    def test_no_default_vlan(self, box):
        bridge = Bridge("br1", 11, mac=MAC, vlan_default_pvid=0)
        box.add_device(bridge)
        box.enslave(box.devices["eth4"], bridge)
        assert bridge.vlans == bridge.ports[4].vlans == VlanTable()

    def test_own_addresses(self, box):
        """As Linux 6.12 shows of a new bridge."""
        assert shown(bridge_of(box)) == [
            "02:00:00:00:00:02 dev eth2 permanent",
            "02:00:00:00:00:02 dev eth2 vlan 1 permanent",
            "02:00:00:00:00:03 dev eth3 permanent",
            "02:00:00:00:00:03 dev eth3 vlan 1 permanent",
            "02:00:00:00:00:b0 dev br0 permanent",
            "02:00:00:00:00:b0 dev br0 vlan 1 permanent",
        ]

    def test_own_addresses_follow(self, box):
        bridge = bridge_of(box)
        box.set_link(box.devices["eth2"], mac=HOST)
        box.remove_vlan(bridge.ports[3], 1)
        box.add_vlan(bridge, 20)
        box.set_link(bridge, mac=OTHER)
        assert shown(bridge) == [
            "02:00:00:00:00:03 dev eth3 permanent",
            "02:00:00:00:00:aa dev eth2 permanent",
            "02:00:00:00:00:aa dev eth2 vlan 1 permanent",
            "02:00:00:00:00:bb dev br0 permanent",
            "02:00:00:00:00:bb dev br0 vlan 1 permanent",
            "02:00:00:00:00:bb dev br0 vlan 20 permanent",
        ]

    def test_a_port_and_the_bridge_with_one_address(self, box):
        bridge = bridge_of(box)
        box.set_link(bridge, mac=box.devices["eth2"].mac)
        assert "02:00:00:00:00:02 dev eth2 vlan 1 permanent" in shown(bridge)
        box.release(box.devices["eth2"])
        assert shown(bridge)[2:] == [
            "02:00:00:00:00:03 dev eth3 permanent",
            "02:00:00:00:00:03 dev eth3 vlan 1 permanent",
        ]
        assert "02:00:00:00:00:02 dev br0 vlan 1 permanent" in shown(bridge)

    def test_what_a_port_learnt_goes_when_it_goes_down(self, box):
        bridge = bridge_of(box)
        port = bridge.ports[2]
        bridge.fdb.learn(port, HOST, 1, 0)
        bridge.fdb.add(FdbEntry(OTHER, 1, port, FdbState.STATIC))
        box.set_link(port.device, up=False)
        assert bridge.fdb.get(HOST, 1) is None
        assert bridge.fdb.get(OTHER, 1) is not None
        box.release(port.device)
        assert bridge.fdb.get(OTHER, 1) is None

    def test_what_a_port_learnt_goes_with_the_vlan(self, box):
        bridge = bridge_of(box)
        port = bridge.ports[2]
        for vid in (1, 20):
            box.add_vlan(port, vid)
            bridge.fdb.learn(port, HOST, vid, 0)
        box.remove_vlan(port, 20)
        assert bridge.fdb.get(HOST, 20) is None
        assert bridge.fdb.get(HOST, 1) is not None

    def test_a_bridge_that_goes_releases_its_ports(self, box):
        box.remove_device(bridge_of(box))
        assert box.devices["eth2"].master is None

    def test_a_port_that_goes_leaves_the_bridge(self, box):
        bridge = bridge_of(box)
        box.remove_device(box.devices["eth2"])
        assert list(bridge.ports) == [3]
        assert all(e.port is None or e.port.device.name == "eth3" for e in bridge.fdb)

    def test_events(self, box):
        bridge = bridge_of(box)
        port = bridge.ports[2]
        heard: list[Event] = []
        box.subscribe(heard.append)
        box.set_port(port, state=PortState.BLOCKING, isolated=True)
        assert (port.state, port.isolated, port.learning) == (PortState.BLOCKING, True, True)
        box.set_bridge(bridge, vlan_filtering=False)
        box.add_vlan(bridge, 1, pvid=True)
        assert heard == [PortChanged(port), BridgeVlansChanged(bridge), BridgeVlansChanged(bridge)]
        heard.clear()
        bridge.fdb.learn(port, HOST, 1, 0)
        bridge.fdb.learn(port, HOST, 1, 5)
        bridge.fdb.learn(bridge.ports[3], HOST, 1, 6)
        entry = bridge.fdb.get(HOST, 1)
        assert entry is not None
        assert (entry.updated, entry.port) == (6, bridge.ports[3])
        assert heard == [FdbChanged(entry), FdbChanged(entry)]
        heard.clear()
        box.release(box.devices["eth3"])
        assert FdbChanged(entry, removed=True) in heard
        assert isinstance(heard[-1], PortChanged)
        assert heard[-1].removed


class TestForwarding:
    def test_a_frame_does_not_go_back(self, box):
        two, three = bridge_of(box).ports.values()
        assert three.takes_from(two)
        assert not two.takes_from(two)
        box.set_port(two, hairpin=True)
        assert two.takes_from(two)

    def test_isolated_ports(self, box):
        two, three = bridge_of(box).ports.values()
        box.set_port(two, isolated=True)
        assert three.takes_from(two)
        box.set_port(three, isolated=True)
        assert not three.takes_from(two)

    @pytest.mark.parametrize("state", [s for s in PortState if s is not PortState.FORWARDING])
    def test_only_a_forwarding_port_takes_frames(self, box, state):
        two, three = bridge_of(box).ports.values()
        box.set_port(three, state=state)
        assert not three.takes_from(two)

    def test_a_port_that_is_down_takes_none(self, box):
        two, three = bridge_of(box).ports.values()
        box.set_link(three.device, up=False)
        assert not three.takes_from(two)


class TestVlanTable:
    def test_as_bridge_vlan_add_does(self):
        """Seen on Linux 6.12: a new PVID takes it from the old one, and flags are set anew."""
        table = VlanTable({1: True}, 1)
        table.add(10, pvid=True, untagged=True)
        table.add(11, pvid=True)
        table.add(1)
        table.add(10)
        assert table == VlanTable({1: False, 10: False, 11: False}, 11)

    def test_a_pvid_goes_with_its_vlan_or_flag(self):
        table = VlanTable({1: True, 2: True}, 1)
        table.add(1, untagged=True)
        assert table.pvid == 0
        table.add(2, pvid=True)
        table.remove(2)
        assert table == VlanTable({1: True}, 0)

    def test_errors(self):
        table = VlanTable()
        for vid in (0, 4095):
            with pytest.raises(TopologyError, match="Vlan id is invalid"):
                table.add(vid)
        with pytest.raises(TopologyError, match="No such file or directory"):
            table.remove(1)

    @pytest.mark.parametrize(
        ("table", "vid", "admitted"),
        [
            (VlanTable({1: True}, 1), 0, 1),
            (VlanTable({1: True}, 1), 1, 1),
            (VlanTable({1: True}, 1), 2, None),
            (VlanTable({1: True, 2: False}, 1), 2, 2),
            (VlanTable({2: False}), 0, None),
        ],
    )
    def test_admission(self, table, vid, admitted):
        assert table.admit(vid) == admitted

    def test_tagged(self):
        table = VlanTable({1: True, 2: False}, 1)
        assert [table.tagged(vid) for vid in (1, 2, 3)] == [False, True, None]
