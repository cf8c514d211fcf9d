"""Devices that stand on each other: what Linux refuses, and who follows whom.

The refusals are those that ``ip link`` of a Linux 6.12 host was seen to make.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowtable.topology.bond import Bond, BondMode
from flowtable.topology.bridge import Bridge
from flowtable.topology.device import Device, DeviceKind
from flowtable.topology.dsa import DsaPort, TagProtocol
from flowtable.topology.error import TopologyError
from flowtable.topology.event import Event, LinkChanged
from flowtable.topology.macvlan import Macvlan, MacvlanMode
from flowtable.topology.neighbour import NeighbourState
from flowtable.topology.pppoe import Pppoe
from flowtable.topology.topology import Topology
from flowtable.topology.tunnel import Tunnel
from flowtable.topology.vlan import Vlan
from flowtable.topology.vrf import Vrf
from tests.topology.boxes import ethernet, packed

PEER = bytes.fromhex("020000000909")


@pytest.fixture
def box() -> Topology:
    topology = Topology()
    for index in range(2, 5):
        topology.add_device(ethernet(f"eth{index}", index))
    return topology


def vlan(box: Topology, name: str, lower: str, vid: int, **options) -> Vlan:
    below = box.devices[lower]
    device = Vlan(name, max(box.indexes) + 1, mac=below.mac, lower=below, vid=vid, **options)
    box.add_device(device)
    return device


def refused(box: Topology, device: Device) -> TopologyError:
    with pytest.raises(TopologyError) as caught:
        box.add_device(device)
    assert device.name not in box.devices
    assert all(device not in other.uppers for other in box.devices.values())
    return caught.value


class TestLower:
    def test_a_device_and_the_one_below_know_each_other(self, box):
        upper = vlan(box, "eth2.5", "eth2", 5)
        eth2 = box.devices["eth2"]
        assert (upper.lower, eth2.uppers) == (eth2, [upper])
        box.remove_device(upper)
        assert not eth2.uppers

    def test_what_stands_on_a_device_goes_with_it(self, box):
        vlan(box, "eth2.5", "eth2", 5)
        vlan(box, "eth2.5.6", "eth2.5", 6)
        tunnel = Tunnel("tun0", 9, lower=box.devices["eth2"], local=bytes(4), remote=packed("192.0.2.2"))
        box.add_device(tunnel)
        box.remove_device(box.devices["eth2"])
        assert list(box.devices) == ["lo", "eth3", "eth4", "tun0"]
        assert tunnel.lower is None

    def test_seven_vlans_on_one_device_is_all_that_nests(self, box):
        below = "eth2"
        for vid in range(1, 8):
            vlan(box, f"v{vid}", below, vid)
            below = f"v{vid}"
        error = refused(box, Vlan("v8", 99, lower=box.devices["v7"], vid=8))
        assert (str(error), error.about) == ("Too many links: more than 8 devices in one stack", "parent")

    def test_a_vlan_stands_once_on_a_device_per_protocol(self, box):
        vlan(box, "a", "eth2", 5)
        error = refused(box, Vlan("b", 99, lower=box.devices["eth2"], vid=5))
        assert (str(error), error.about) == ("VLAN device already exists: a", "id")
        vlan(box, "c", "eth2", 5, protocol=0x88A8)
        vlan(box, "d", "eth3", 5)

    @pytest.mark.parametrize(("vid", "fits"), [(0, True), (4094, True), (4095, False)])
    def test_vlan_ids(self, box, vid, fits):
        device = Vlan("v", 99, lower=box.devices["eth2"], vid=vid)
        if fits:
            box.add_device(device)
        else:
            assert refused(box, device).about == "id"

    def test_a_vlan_is_no_larger_than_what_it_stands_on(self, box):
        error = refused(box, Vlan("v", 99, lower=box.devices["eth2"], vid=5, mtu=1501))
        assert (str(error), error.about) == ("eth2 has 1500, so at most 1500", "mtu")

    def test_a_vlan_needs_ethernet(self, box):
        assert refused(box, Vlan("v", 99, lower=box.lo, vid=5, mtu=1500)).about == "parent"

    def test_pppoe(self, box):
        eth2 = box.devices["eth2"]
        box.add_device(Pppoe("ppp0", 10, mtu=1492, lower=eth2, session=17, peer=PEER))
        again = refused(box, Pppoe("ppp1", 11, mtu=1492, lower=eth2, session=17, peer=PEER))
        assert (str(again), again.about) == ("ppp0 has this session already", "session")
        other = bytes.fromhex("02000000090a")
        box.add_device(Pppoe("ppp1", 11, mtu=1492, lower=eth2, session=17, peer=other))
        for session in (0, 65535):
            wrong = Pppoe("ppp2", 12, mtu=1492, lower=eth2, session=session, peer=PEER)
            assert refused(box, wrong).about == "session"
        large = refused(box, Pppoe("ppp2", 12, mtu=1493, lower=eth2, session=18, peer=PEER))
        assert (str(large), large.about) == ("eth2 has 1500, so at most 1492", "mtu")

    def test_dsa(self, box):
        conduit = box.devices["eth2"]
        box.add_device(DsaPort("lan1", 10, lower=conduit, port=1, tag=TagProtocol.MTK))
        for port, tag, about in (
            (1, TagProtocol.MTK, "port"),
            (6, TagProtocol.MTK, "port"),
            (2, TagProtocol.DSA, "tag"),
        ):
            assert refused(box, DsaPort("lan2", 11, lower=conduit, port=port, tag=tag)).about == about
        lan1 = box.devices["lan1"]
        assert refused(box, DsaPort("lan2", 11, lower=lan1, port=2)).about == "parent"

    def test_macvlans_of_one_device_have_different_addresses(self, box):
        eth2 = box.devices["eth2"]
        box.add_device(Macvlan("m1", 10, mac=PEER, lower=eth2, mode=MacvlanMode.BRIDGE))
        for mac in (PEER, eth2.mac):
            assert refused(box, Macvlan("m2", 11, mac=mac, lower=eth2)).about == "mac"
        passthru = Macvlan("m2", 11, mac=eth2.mac, lower=eth2, mode=MacvlanMode.PASSTHRU)
        assert refused(box, passthru).about == "mode"

    def test_a_macvlan_on_a_macvlan_stands_beside_it(self, box):
        eth2 = box.devices["eth2"]
        first = Macvlan("m1", 10, mac=PEER, lower=eth2)
        box.add_device(first)
        second = Macvlan("m2", 11, mac=bytes.fromhex("02000000090a"), lower=first)
        box.add_device(second)
        assert (second.lower, eth2.uppers) == (eth2, [first, second])

    @pytest.mark.parametrize(
        ("kind", "local", "remote", "about"),
        [
            (DeviceKind.IPIP, "192.0.2.1", "2001:db8::2", "remote"),
            (DeviceKind.SIT, "2001:db8::1", "192.0.2.2", "local"),
            (DeviceKind.IP6IP6, "2001:db8::1", "192.0.2.2", "remote"),
        ],
    )
    def test_the_ends_of_a_tunnel_are_of_its_outer_family(self, box, kind, local, remote, about):
        tunnel = Tunnel("t", 10, kind=kind, local=packed(local), remote=packed(remote))
        assert refused(box, tunnel).about == about

    def test_there_is_one_tunnel_between_two_ends(self, box):
        first = Tunnel("t1", 10, local=packed("192.0.2.1"), remote=packed("192.0.2.2"))
        box.add_device(first)
        assert refused(box, replace(first, name="t2", index=11)).about == "remote"
        box.add_device(replace(first, name="t2", index=11, kind=DeviceKind.SIT))
        box.add_device(replace(first, name="t3", index=12, lower=box.devices["eth2"]))


class TestMaster:
    def test_a_bridge_is_no_port(self, box):
        one, other = Bridge("br1", 10, mac=PEER), Bridge("br2", 11, mac=PEER)
        box.add_device(one)
        box.add_device(other)
        with pytest.raises(TopologyError, match="Can not enslave a bridge to a bridge"):
            box.enslave(one, other)

    def test_no_device_is_above_and_below_another(self, box):
        bridge = Bridge("br1", 10, mac=PEER)
        box.add_device(bridge)
        upper = vlan(box, "br1.5", "br1", 5)
        with pytest.raises(TopologyError, match="stands on br1"):
            box.enslave(upper, bridge)
        other = Bridge("br2", 20, mac=PEER)
        box.add_device(other)
        box.enslave(upper, other)
        back = vlan(box, "br2.5", "br2", 5)
        with pytest.raises(TopologyError, match=r"br2[.]5 stands on br1"):
            box.enslave(back, bridge)

    def test_another_master_takes_the_device_over(self, box):
        one, other = Bridge("br1", 10, mac=PEER), Bridge("br2", 11, mac=PEER)
        box.add_device(one)
        box.add_device(other)
        eth2 = box.devices["eth2"]
        box.enslave(eth2, one)
        box.enslave(eth2, other)
        assert (one.ports, list(other.ports), eth2.master) == ({}, [2], other)

    def test_a_device_with_macvlans_is_no_port_and_a_port_has_none(self, box):
        bridge = Bridge("br1", 10, mac=PEER)
        box.add_device(bridge)
        eth2, eth3 = box.devices["eth2"], box.devices["eth3"]
        box.add_device(Macvlan("m1", 11, mac=PEER, lower=eth2))
        with pytest.raises(TopologyError, match="Device or resource busy: eth2 has macvlans"):
            box.enslave(eth2, bridge)
        box.enslave(eth3, bridge)
        assert refused(box, Macvlan("m2", 12, mac=PEER, lower=eth3)).about == "parent"

    def test_lo_has_no_master(self, box):
        for master in (Bridge("m", 10, mac=PEER), Bond("n", 11, mac=PEER), Vrf("o", 12, table=10)):
            box.add_device(master)
            with pytest.raises(TopologyError):
                box.enslave(box.lo, master)

    def test_a_vrf_is_in_no_vrf(self, box):
        one, other = Vrf("v1", 10, table=10), Vrf("v2", 11, table=10)
        box.add_device(one)
        box.add_device(other)
        with pytest.raises(TopologyError, match="Can not enslave an L3 master device to a VRF"):
            box.enslave(one, other)

    def test_an_ordinary_device_is_no_master(self, box):
        with pytest.raises(TopologyError, match="eth3 is no bridge, bond or VRF"):
            box.enslave(box.devices["eth2"], box.devices["eth3"])


class TestFollow:
    def test_vlans_go_down_and_up_with_their_device(self, box):
        upper = vlan(box, "eth2.5", "eth2", 5)
        top = vlan(box, "eth2.5.6", "eth2.5", 6)
        heard: list[Event] = []
        box.subscribe(heard.append)
        eth2 = box.devices["eth2"]
        box.set_link(eth2, up=False)
        assert [d.up for d in (eth2, upper, top)] == [False, False, False]
        assert [e.device.name for e in heard if isinstance(e, LinkChanged)] == ["eth2", "eth2.5", "eth2.5.6"]
        box.set_link(eth2, up=True)
        assert [d.up for d in (eth2, upper, top)] == [True, True, True]

    def test_a_vlan_that_is_down_is_raised_with_its_device(self, box):
        """Ref: net/8021q/vlan.c:vlan_device_event: all VLANs without loose binding."""
        upper = vlan(box, "eth2.5", "eth2", 5)
        box.set_link(upper, up=False)
        eth2 = box.devices["eth2"]
        box.set_link(eth2, mtu=1400)
        assert not upper.up
        box.set_link(eth2, up=False)
        box.set_link(eth2, up=True)
        assert upper.up

    def test_a_macvlan_that_is_down_stays_down(self, box):
        eth2 = box.devices["eth2"]
        macvlan = Macvlan("m1", 10, mac=PEER, lower=eth2)
        box.add_device(macvlan)
        box.set_link(macvlan, up=False)
        box.set_link(eth2, up=False)
        box.set_link(eth2, up=True)
        assert not macvlan.up

    def test_a_device_on_one_that_is_down_waits_for_it(self, box):
        eth2 = box.devices["eth2"]
        box.set_link(eth2, up=False)
        upper = vlan(box, "eth2.5", "eth2", 5)
        assert not upper.up
        box.set_link(upper, up=True)
        assert not upper.up
        box.set_link(eth2, up=True)
        assert upper.up

    def test_a_session_ends_with_its_link(self, box):
        eth2 = box.devices["eth2"]
        ppp = Pppoe("ppp0", 10, mtu=1492, lower=eth2, session=17, peer=PEER)
        box.add_device(ppp)
        box.set_link(eth2, up=False)
        box.set_link(eth2, up=True)
        assert not ppp.up
        box.set_link(ppp, up=True)
        assert ppp.up

    def test_mac_addresses(self, box):
        eth2 = box.devices["eth2"]
        same, own = vlan(box, "a", "eth2", 5), vlan(box, "b", "eth2", 6)
        box.set_link(own, mac=PEER)
        box.set_link(eth2, mac=bytes.fromhex("0200000000ff"))
        assert (same.mac, own.mac) == (eth2.mac, PEER)

    def test_mtu(self, box):
        eth2 = box.devices["eth2"]
        upper, small = vlan(box, "a", "eth2", 5), vlan(box, "b", "eth2", 6, mtu=1300)
        box.set_link(eth2, mtu=1400)
        assert (upper.mtu, small.mtu) == (1400, 1300)
        box.set_link(eth2, mtu=1500)
        assert upper.mtu == 1400
        with pytest.raises(TopologyError, match="eth2 has 1500, so at most 1500"):
            box.set_link(upper, mtu=1501)

    def test_neighbours_of_a_device_above_are_forgotten(self, box):
        upper = vlan(box, "a", "eth2", 5)
        box.neighbours.set(upper, packed("192.0.2.1"), PEER, NeighbourState.REACHABLE)
        box.set_link(box.devices["eth2"], up=False)
        assert len(box.neighbours) == 0

    def test_a_bridge_and_a_tunnel_stay_up(self, box):
        bridge = Bridge("br0", 10, mac=PEER)
        box.add_device(bridge)
        eth2 = box.devices["eth2"]
        tunnel = Tunnel("t", 11, lower=eth2, local=packed("192.0.2.1"), remote=packed("192.0.2.2"))
        box.add_device(tunnel)
        box.enslave(eth2, bridge)
        box.set_link(eth2, up=False)
        assert (bridge.up, tunnel.up) == (True, True)


class TestBond:
    @pytest.fixture
    def bond(self, box) -> Bond:
        bond = Bond("bond0", 10)
        box.add_device(bond)
        for name in ("eth2", "eth3"):
            box.enslave(box.devices[name], bond)
        return bond

    def test_the_first_slave_gives_the_mac_address(self, box, bond):
        assert [d.mac.hex() for d in (bond, box.devices["eth2"], box.devices["eth3"])] == ["020000000002"] * 3

    def test_a_released_slave_has_its_own_address_again(self, box, bond):
        box.set_link(bond, mac=PEER)
        eth2, eth3 = bond.slaves
        box.release(eth3)
        assert (eth2.mac, eth3.mac.hex(), eth3.up) == (PEER, "020000000003", False)

    def test_slaves_have_the_mtu_of_the_bond(self, box, bond):
        box.set_link(bond, mtu=9000)
        assert [d.mtu for d in bond.slaves] == [9000, 9000]

    def test_slaves_have_no_ipv6_addresses(self, box, bond):
        assert [len(d.addresses) for d in (bond, *bond.slaves)] == [1, 0, 0]

    def test_fail_over(self, box, bond):
        eth2, eth3 = bond.slaves
        heard: list[Event] = []
        box.subscribe(heard.append)
        assert bond.active is eth2
        box.set_link(eth2, up=False)
        assert bond.active is eth3
        assert heard[-1] == LinkChanged(bond)
        box.set_link(eth2, up=True)
        assert bond.active is eth3
        box.set_active(bond, eth2)
        assert bond.active is eth2
        box.release(eth2)
        assert bond.active is eth3
        box.set_link(eth3, up=False)
        assert bond.active is None
        with pytest.raises(TopologyError, match="eth3 is no slave of bond0 that is up"):
            box.set_active(bond, eth3)

    def test_hashing_modes_have_no_active_slave(self, box):
        bond = Bond("bond0", 10, mode=BondMode.LACP)
        box.add_device(bond)
        box.enslave(box.devices["eth2"], bond)
        assert bond.active is None
