"""Bridges: where frames go, what is learnt, and what the box itself hears and says."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether

from flowtable.packet.drop import Drop
from flowtable.topology.bridge import Bridge, PortState
from tests.router.stacks import (
    BROADCAST,
    HOST_A,
    HOST_B,
    HOST_C,
    asks,
    devices,
    lab,
    layers,
    ping,
    statistics,
)

BR = "02:00:00:00:01:01"
PORT_MACS = [f"02:00:00:00:01:1{number}" for number in range(1, 5)]
PORTS = [f'name: lan{number}, mac: "{mac}", master: br0' for number, mac in enumerate(PORT_MACS, 1)]
BR0 = f'name: br0, kind: bridge, mac: "{BR}", addresses: [10.0.1.1/24]'
WAN = 'name: wan0, mac: "02:00:00:00:02:01", addresses: [10.0.2.1/24]'
NEIGHBOURS = [
    f'address: 10.0.1.9, dev: br0, mac: "{HOST_A}"',
    f'address: 10.0.2.9, dev: wan0, mac: "{HOST_C}"',
]
FILTERING = f'name: br0, kind: bridge, mac: "{BR}", vlan_filtering: true, addresses: [10.0.1.1/24]'


@pytest.fixture
def bench():
    return lab(BR0, *PORTS[:3], WAN, neighbours=NEIGHBOURS)


def data(src, dst, size=20):
    return Ether(src=src, dst=dst, type=0x88B5) / bytes(size)


def asked(sent):
    """The ARP requests; what is sent back where it came from is also told so in a redirect."""
    return [each for each in sent if ARP in each.ether]


def out(bench, device, frame):
    """Where a frame leaves, given that it leaves as it came."""
    sent = bench.receive(device, frame)
    assert all(each.frame == bytes(frame) for each in sent)
    return devices(sent)


def test_unknown_stations_are_flooded_and_known_ones_are_not(bench):
    # Ports are asked latest first.
    assert out(bench, "lan1", data(HOST_A, HOST_B)) == ["lan3", "lan2"]
    assert out(bench, "lan2", data(HOST_B, HOST_A)) == ["lan1"]
    assert out(bench, "lan1", data(HOST_A, HOST_B)) == ["lan2"]
    assert (bench.statistics.bridged, bench.statistics.copied) == (3, 1)
    assert bench.statistics.prerouting == bench.statistics.flowtable == 0


def test_frames_to_a_station_on_the_port_they_came_from_end(bench):
    out(bench, "lan1", data(HOST_A, BROADCAST))
    assert out(bench, "lan1", data(HOST_B, HOST_A)) == []
    assert bench.drops == {Drop.UNKNOWN_PROTOCOL: 1, Drop.BRIDGE_NOWHERE: 1}


def test_a_station_that_moves_is_found_again(bench):
    for device in ("lan1", "lan3"):
        out(bench, device, data(HOST_A, BROADCAST))
        assert out(bench, "lan2", data(HOST_B, HOST_A)) == [device]


def test_stations_are_forgotten_after_the_ageing_time(bench):
    out(bench, "lan1", data(HOST_A, BROADCAST))
    bench.wait(200)
    assert out(bench, "lan2", data(HOST_B, HOST_A)) == ["lan1"]
    out(bench, "lan1", data(HOST_A, BROADCAST))
    bench.wait(299)
    assert out(bench, "lan2", data(HOST_B, HOST_A)) == ["lan1"]
    bench.wait(1)
    assert out(bench, "lan2", data(HOST_B, HOST_A)) == ["lan3", "lan1"]


def test_what_the_box_file_knows_ages_from_the_beginning_of_the_run():
    bench = lab(
        BR0,
        *PORTS[:3],
        fdb=[f'mac: "{HOST_A}", dev: lan1', f'mac: "{HOST_C}", dev: lan3, state: static'],
    )
    bench.wait(299)
    assert out(bench, "lan2", data(HOST_B, HOST_A)) == ["lan1"]
    bench.wait(1)
    assert out(bench, "lan2", data(HOST_B, HOST_A)) == ["lan3", "lan1"]
    assert out(bench, "lan2", data(HOST_B, HOST_C)) == ["lan3"]


def test_an_ageing_time_of_nothing_learns_nothing():
    bench = lab(f"{BR0}, ageing_time: 0", *PORTS[:3])
    out(bench, "lan1", data(HOST_A, BROADCAST))
    assert out(bench, "lan2", data(HOST_B, HOST_A)) == ["lan3", "lan1"]


@pytest.mark.parametrize("source", ["01:00:5e:00:00:01", "00:00:00:00:00:00"])
def test_sources_that_no_station_has(bench, source):
    assert out(bench, "lan1", data(source, HOST_B)) == []
    assert bench.drops == {Drop.BRIDGE_SOURCE: 1}


class TestTheBoxItself:
    """The box is a station on its bridge."""

    def test_it_is_found_by_the_bridge_s_address_on_any_port(self, bench):
        for device in ("lan1", "lan3"):
            (sent,) = bench.receive(device, Ether(src=HOST_A, dst=BR) / ping("10.0.1.9", "10.0.1.1"))
            assert (sent.device, sent.ether.src, sent.ether[ICMP].type) == (device, BR, 0)

    def test_its_broadcasts_reach_all_ports(self, bench):
        sent = asked(bench.receive("lan1", Ether(src=HOST_A, dst=BR) / ping("10.0.1.9", "10.0.1.77")))
        assert devices(sent) == ["lan3", "lan2", "lan1"]
        assert {each.ether[ARP].pdst for each in sent} == {"10.0.1.77"}
        assert (bench.statistics.arp_sent, bench.statistics.copied) == (1, 2)

    def test_broadcasts_are_for_it_and_for_the_others(self, bench):
        sent = bench.receive("lan1", asks("10.0.1.9", "10.0.1.1", HOST_A))
        assert layers(sent) == [(device, ["Ether", "ARP"]) for device in ("lan3", "lan2", "lan1")]
        assert [each.ether[ARP].op for each in sent] == [1, 1, 2]

    def test_the_address_of_the_port_that_a_frame_came_in_on_is_its_own_too(self, bench):
        frame = Ether(src=HOST_A, dst=PORT_MACS[0]) / ping("10.0.1.9", "10.0.1.1")
        (sent,) = bench.receive("lan1", frame)
        assert (sent.device, sent.ether.src) == ("lan1", BR)

    def test_the_address_of_another_port_is_not(self, bench):
        """Ref: br_handle_frame_finish passes it up, as a frame of another host."""
        frame = Ether(src=HOST_A, dst=PORT_MACS[1]) / ping("10.0.1.9", "10.0.1.1")
        assert bench.receive("lan1", frame) == []
        assert bench.drops == {Drop.OTHER_HOST: 1}

    def test_it_routes_between_the_bridge_and_other_devices(self, bench):
        out(bench, "lan2", data(HOST_A, BROADCAST))
        packet = IP(src="10.0.2.9", dst="10.0.1.9", ttl=9) / UDP() / b"x"
        (sent,) = bench.receive("wan0", Ether(src=HOST_C, dst="02:00:00:00:02:01") / packet)
        assert (sent.device, sent.ether.src, sent.ether.dst, sent.ether[IP].ttl) == ("lan2", BR, HOST_A, 8)

    def test_frames_as_large_as_the_port_s_mtu_and_a_tag_pass(self, bench):
        lan2 = bench.box.topology.devices["lan2"]
        bench.box.topology.set_link(lan2, mtu=1400)
        out(bench, "lan2", data(HOST_B, BROADCAST))
        assert out(bench, "lan1", data(HOST_A, HOST_B, 1404)) == ["lan2"]
        assert out(bench, "lan1", data(HOST_A, HOST_B, 1405)) == []
        assert bench.drops[Drop.BRIDGE_MTU] == 1

    def test_a_bridge_that_is_down_bridges_nothing(self, bench):
        topology = bench.box.topology
        topology.set_link(topology.devices["br0"], up=False)
        assert out(bench, "lan1", data(HOST_A, HOST_B)) == []
        assert bench.drops == {Drop.BRIDGE_STATE: 1}

    def test_a_device_that_joins_and_leaves(self, bench):
        topology = bench.box.topology
        lan3 = topology.devices["lan3"]
        topology.release(lan3)
        assert out(bench, "lan1", data(HOST_A, HOST_B)) == ["lan2"]
        assert out(bench, "lan3", data(HOST_C, HOST_A)) == []
        topology.enslave(lan3, topology.devices["br0"])
        assert out(bench, "lan3", data(HOST_C, HOST_A)) == ["lan1"]

    def test_it_counts(self, bench):
        bench.receive("lan1", Ether(src=HOST_A, dst=BR) / ping("10.0.1.9", "10.0.1.1"))
        assert statistics(bench, "br0") == (1, 28, 1, 42)

    def test_rules_see_the_bridge(self):
        rules = """
        table inet t {
            chain i {
                type filter hook input priority 0
                iifname "br0" counter comment "bridge"
                iifname "lan1" counter comment "port"
            }
        }
        table netdev n {
            chain at_port {
                type filter hook ingress device "lan1" priority 0
                counter comment "before"
            }
            chain at_bridge {
                type filter hook ingress device "br0" priority 0
                counter comment "behind"
            }
        }
        """
        bench = lab(BR0, *PORTS[:3], rules=rules, neighbours=NEIGHBOURS[:1])
        bench.receive("lan1", Ether(src=HOST_A, dst=BR) / ping("10.0.1.9", "10.0.1.1"))
        bench.receive("lan1", data(HOST_A, HOST_B))
        listing = bench.listing()
        for comment, packets in (("bridge", 1), ("port", 0), ("before", 2), ("behind", 1)):
            assert f"counter packets {packets} " in listing.split(f'comment "{comment}"')[0].splitlines()[-1]


class TestPorts:
    """States and flags of ports."""

    def set(self, bench, device, **what):
        topology = bench.box.topology
        bridge = topology.devices["br0"]
        assert isinstance(bridge, Bridge)
        topology.set_port(bridge.ports[topology.devices[device].index], **what)

    @pytest.mark.parametrize("state", [PortState.DISABLED, PortState.LISTENING, PortState.BLOCKING])
    def test_states_in_which_nothing_passes(self, bench, state):
        self.set(bench, "lan1", state=state)
        assert out(bench, "lan1", data(HOST_A, HOST_B)) == []
        assert bench.drops == {Drop.BRIDGE_STATE: 1}
        assert out(bench, "lan2", data(HOST_B, HOST_A)) == ["lan3"]

    def test_a_port_that_learns_only(self, bench):
        self.set(bench, "lan1", state=PortState.LEARNING)
        assert out(bench, "lan1", data(HOST_A, HOST_B)) == []
        assert bench.drops == {Drop.BRIDGE_STATE: 1}
        assert out(bench, "lan2", data(HOST_B, HOST_A)) == []
        assert bench.drops == {Drop.BRIDGE_STATE: 1, Drop.BRIDGE_NOWHERE: 1}

    def test_a_port_that_does_not_learn(self, bench):
        self.set(bench, "lan1", learning=False)
        out(bench, "lan1", data(HOST_A, BROADCAST))
        assert out(bench, "lan2", data(HOST_B, HOST_A)) == ["lan3", "lan1"]

    @pytest.mark.parametrize(
        ("flag", "destination"),
        [("flood", HOST_B), ("mcast_flood", "01:00:5e:01:02:03"), ("bcast_flood", BROADCAST)],
    )
    def test_what_is_not_flooded(self, bench, flag, destination):
        self.set(bench, "lan3", **{flag: False})
        assert out(bench, "lan1", data(HOST_A, destination)) == ["lan2"]
        for other in {HOST_B, "01:00:5e:01:02:03", BROADCAST} - {destination}:
            assert out(bench, "lan1", data(HOST_A, other)) == ["lan3", "lan2"]

    def test_the_box_s_own_groups_are_flooded_all_the_same(self, bench):
        self.set(bench, "lan3", bcast_flood=False)
        sent = asked(bench.receive("lan1", Ether(src=HOST_A, dst=BR) / ping("10.0.1.9", "10.0.1.77")))
        assert devices(sent) == ["lan3", "lan2", "lan1"]

    def test_hairpin(self, bench):
        self.set(bench, "lan1", hairpin=True)
        assert out(bench, "lan1", data(HOST_A, HOST_B)) == ["lan3", "lan2", "lan1"]

    def test_isolated_ports_talk_to_the_others_only(self, bench):
        for device in ("lan1", "lan2"):
            self.set(bench, device, isolated=True)
        assert out(bench, "lan1", data(HOST_A, HOST_B)) == ["lan3"]
        assert out(bench, "lan3", data(HOST_C, HOST_B)) == ["lan2", "lan1"]
        bench.receive("lan2", Ether(src=HOST_B, dst=BR) / ping("10.0.1.9", "10.0.1.1"))
        assert bench.statistics.delivered == 1


class TestReservedGroups:
    """01:80:c2:00:00:0X. Ref: br_handle_frame."""

    @pytest.mark.parametrize("last", [0x02, 0x03, 0x0E, 0x0F])
    def test_they_stay_on_the_link_and_are_learnt_from(self, bench, last):
        assert out(bench, "lan1", data(HOST_A, f"01:80:c2:00:00:{last:02x}")) == []
        assert bench.drops == {Drop.UNKNOWN_PROTOCOL: 1}
        assert out(bench, "lan2", data(HOST_B, HOST_A)) == ["lan1"]

    def test_pause_frames_end_at_once(self, bench):
        assert out(bench, "lan1", data(HOST_A, "01:80:c2:00:00:01")) == []
        assert bench.drops == {Drop.BRIDGE_GROUP: 1}

    def test_those_of_the_spanning_tree_pass_a_bridge_without_one(self, bench):
        assert out(bench, "lan1", data(HOST_A, "01:80:c2:00:00:00")) == ["lan3", "lan2"]

    @pytest.mark.parametrize("last", [0x00, 0x0B, 0x0C, 0x0D, 0x0F])
    def test_a_bridge_of_service_vlans_passes_its_customers_on(self, last):
        bench = lab(f"{BR0}, vlan_filtering: true, vlan_protocol: 802.1ad", *PORTS[:2])
        assert out(bench, "lan1", data(HOST_A, f"01:80:c2:00:00:{last:02x}")) == ["lan2"]
        assert out(bench, "lan1", data(HOST_A, "01:80:c2:00:00:0e")) == []

    def test_others_are_groups_like_any(self, bench):
        assert out(bench, "lan1", data(HOST_A, "01:80:c2:00:00:10")) == ["lan3", "lan2"]


ACCESS10 = "vlans: [{id: 10, pvid: true, untagged: true}]"
TRUNK = "vlans: [{id: 10}, {id: 20}]"
HYBRID = "vlans: [{id: 20, pvid: true, untagged: true}, {id: 10}]"


class TestVlanFiltering:
    """Frames are in a VLAN, and leave by its ports, with its tag or without."""

    @pytest.fixture
    def bench(self):
        return lab(
            f"{FILTERING}, vlans: [{{id: 1, pvid: true, untagged: true}}, {{id: 10}}]",
            f"{PORTS[0]}, {ACCESS10}",
            f"{PORTS[1]}, {TRUNK}",
            f"{PORTS[2]}, {HYBRID}",
            PORTS[3],
            "name: br0.10, kind: vlan, parent: br0, id: 10, addresses: [10.0.10.1/24]",
            neighbours=[*NEIGHBOURS[:1], f'address: 10.0.10.9, dev: br0.10, mac: "{HOST_A}"'],
        )

    def tags(self, bench, device, frame):
        """By port the tag with which a frame leaves."""
        sent = bench.receive(device, frame)
        return {
            each.device: (each.ether[Dot1Q].vlan, each.ether[Dot1Q].prio) if Dot1Q in each.ether else None
            for each in sent
        }

    def tagged(self, vid, src=HOST_A, dst=HOST_B, prio=0):
        return Ether(src=src, dst=dst) / Dot1Q(vlan=vid, prio=prio, type=0x88B5) / bytes(20)

    def test_untagged_frames_are_in_the_port_s_own_vlan(self, bench):
        assert self.tags(bench, "lan1", data(HOST_A, HOST_B)) == {"lan2": (10, 0), "lan3": (10, 0)}
        assert self.tags(bench, "lan3", data(HOST_A, HOST_B)) == {"lan2": (20, 0)}

    def test_tagged_frames_lose_the_tag_where_their_vlan_is_untagged(self, bench):
        assert self.tags(bench, "lan2", self.tagged(10)) == {"lan1": None, "lan3": (10, 0)}
        assert self.tags(bench, "lan2", self.tagged(20)) == {"lan3": None}

    def test_priorities_stay(self, bench):
        assert self.tags(bench, "lan2", self.tagged(10, prio=5)) == {"lan1": None, "lan3": (10, 5)}
        # A tag of priority only is in the port's own VLAN.
        assert self.tags(bench, "lan1", self.tagged(0, prio=3)) == {"lan2": (10, 3), "lan3": (10, 3)}

    @pytest.mark.parametrize(("device", "vid"), [("lan1", 20), ("lan2", 30), ("lan4", 10)])
    def test_vlans_that_a_port_is_not_in(self, bench, device, vid):
        assert self.tags(bench, device, self.tagged(vid)) == {}
        assert bench.drops == {Drop.BRIDGE_VLAN: 1}

    def test_a_port_without_a_vlan_of_its_own_takes_tagged_frames_only(self, bench):
        assert self.tags(bench, "lan2", data(HOST_A, HOST_B)) == {}
        assert bench.drops == {Drop.BRIDGE_VLAN: 1}

    def test_stations_are_learnt_by_vlan(self, bench):
        self.tags(bench, "lan1", data(HOST_A, HOST_C))
        assert self.tags(bench, "lan2", self.tagged(10, HOST_B, HOST_A)) == {"lan1": None}
        assert self.tags(bench, "lan2", self.tagged(20, HOST_B, HOST_A)) == {"lan3": None}

    def test_tags_of_the_other_protocol_are_payload(self, bench):
        frame = Ether(src=HOST_A, dst=HOST_B) / Dot1AD(vlan=7, type=0x88B5) / bytes(20)
        sent = bench.receive("lan1", frame)
        assert layers(sent) == [(port, ["Ether", "Dot1Q", "Dot1AD", "Raw"]) for port in ("lan3", "lan2")]

    def test_an_inner_tag_is_payload(self, bench):
        inner = Ether(src=HOST_A, dst=HOST_B) / Dot1Q(vlan=10) / Dot1Q(vlan=30, type=0x88B5) / bytes(20)
        assert self.tags(bench, "lan2", inner) == {"lan1": (30, 0), "lan3": (10, 0)}

    def test_the_box_is_in_the_vlans_of_its_bridge(self, bench):
        (sent,) = bench.receive("lan4", Ether(src=HOST_A, dst=BR) / ping("10.0.1.9", "10.0.1.1"))
        assert layers([sent]) == [("lan4", ["Ether", "IP", "ICMP"])]
        # The VLAN device on the bridge is reached untagged on the access port, tagged on the trunk.
        (sent,) = bench.receive("lan1", Ether(src=HOST_A, dst=BR) / ping("10.0.10.9", "10.0.10.1"))
        assert layers([sent]) == [("lan1", ["Ether", "IP", "ICMP"])]
        request = Ether(src=HOST_A, dst=BR) / Dot1Q(vlan=10) / ping("10.0.10.9", "10.0.10.1")
        (sent,) = bench.receive("lan2", request)
        assert layers([sent]) == [("lan2", ["Ether", "Dot1Q", "IP", "ICMP"])]

    def test_groups_in_vlans_that_the_box_is_not_in(self, bench):
        assert self.tags(bench, "lan2", self.tagged(20, dst=BROADCAST)) == {"lan3": None}
        assert bench.drops == {Drop.BRIDGE_VLAN: 1}

    def test_the_box_sends_into_its_vlans(self, bench):
        bench.receive("lan4", Ether(src=HOST_A, dst=BR) / ping("10.0.1.9", "10.0.1.77"))
        assert layers(asked(bench.sent)) == [("lan4", ["Ether", "ARP"])]
        sent = bench.receive("lan1", Ether(src=HOST_A, dst=BR) / ping("10.0.10.9", "10.0.10.77"))
        assert {each.device: Dot1Q in each.ether for each in asked(sent)} == {
            "lan1": False,
            "lan2": True,
            "lan3": True,
        }

    def test_vlans_that_change(self, bench):
        topology = bench.box.topology
        bridge = topology.devices["br0"]
        assert isinstance(bridge, Bridge)
        lan1 = bridge.ports[topology.devices["lan1"].index]
        topology.remove_vlan(lan1, 10)
        topology.add_vlan(lan1, 20, pvid=True)
        assert self.tags(bench, "lan1", data(HOST_A, HOST_B)) == {"lan2": (20, 0), "lan3": None}
        assert self.tags(bench, "lan2", self.tagged(20, HOST_B, HOST_A)) == {"lan1": (20, 0)}
        topology.set_bridge(bridge, vlan_filtering=False)
        assert self.tags(bench, "lan2", self.tagged(30)) == dict.fromkeys(("lan4", "lan3", "lan1"), (30, 0))

    def test_without_filtering_tags_are_payload(self):
        bench = lab(
            BR0,
            *PORTS[:2],
            "name: br0.10, kind: vlan, parent: br0, id: 10, addresses: [10.0.10.1/24]",
            neighbours=[f'address: 10.0.10.9, dev: br0.10, mac: "{HOST_A}"'],
        )
        assert self.tags(bench, "lan1", self.tagged(33)) == {"lan2": (33, 0)}
        request = Ether(src=HOST_A, dst=BR) / Dot1Q(vlan=10) / ping("10.0.10.9", "10.0.10.1")
        (sent,) = bench.receive("lan1", request)
        assert layers([sent]) == [("lan1", ["Ether", "Dot1Q", "IP", "ICMP"])]

    def test_service_vlans(self):
        service = FILTERING.replace("vlan_filtering: true", "vlan_filtering: true, vlan_protocol: 802.1ad")
        bench = lab(service, f"{PORTS[0]}, {ACCESS10}", f"{PORTS[1]}, {TRUNK}")
        (sent,) = bench.receive("lan1", self.tagged(33))
        assert layers([sent]) == [("lan2", ["Ether", "Dot1AD", "Dot1Q", "Raw"])]
        assert (sent.ether[Dot1AD].vlan, sent.ether[Dot1Q].vlan) == (10, 33)


def test_a_vlan_device_as_a_port():
    bench = lab(
        BR0,
        PORTS[0],
        'name: eth0, mac: "02:00:00:00:03:01"',
        'name: eth0.7, kind: vlan, parent: eth0, id: 7, mac: "02:00:00:00:03:07", master: br0',
        neighbours=NEIGHBOURS[:1],
    )
    (sent,) = bench.receive("lan1", data(HOST_A, HOST_B))
    assert (sent.device, sent.ether[Dot1Q].vlan) == ("eth0", 7)
    back = Ether(src=HOST_B, dst=HOST_A) / Dot1Q(vlan=7, type=0x88B5) / bytes(20)
    (sent,) = bench.receive("eth0", back)
    assert (sent.device, Dot1Q in sent.ether) == ("lan1", False)
    (sent,) = bench.receive("eth0", Ether(src=HOST_A, dst=BR) / Dot1Q(vlan=7) / ping("10.0.1.9", "10.0.1.1"))
    assert (sent.device, sent.ether[Dot1Q].vlan, sent.ether[ICMP].type) == ("eth0", 7, 0)
    assert bench.receive("eth0", Ether(src=HOST_B, dst=HOST_A) / Dot1Q(vlan=8) / bytes(20)) == []
    assert bench.drops == {Drop.OTHER_HOST: 1}


def test_a_device_on_the_bridge_with_another_address_hears_its_frames():
    """Ref: net/core/dev.c:__dev_set_rx_mode makes the bridge promiscuous."""
    other = "02:00:00:00:01:aa"
    bench = lab(
        BR0,
        *PORTS[:2],
        f'name: mac0, kind: macvlan, parent: br0, mac: "{other}", mode: bridge, addresses: [10.0.5.1/24]',
        neighbours=[f'address: 10.0.5.9, dev: mac0, mac: "{HOST_A}"'],
    )
    sent = bench.receive("lan1", Ether(src=HOST_A, dst=other) / ping("10.0.5.9", "10.0.5.1"))
    assert [(each.device, each.ether[ICMP].type) for each in sent] == [("lan2", 8), ("lan1", 0)]
