"""Macvlans: whose frames they get, and what they say to each other."""

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from flowtable.packet.drop import Drop
from tests.router.stacks import BROADCAST, HOST_A, asks, devices, lab, ping, statistics

ETH = "02:00:00:00:01:01"
MACS = ["02:00:00:00:01:a0", "02:00:00:00:01:a1"]


def with_modes(*modes):
    macs = [ETH if mode == "passthru" else MACS[number] for number, mode in enumerate(modes)]
    macvlans = [
        f'name: mac{number}, kind: macvlan, parent: eth0, mac: "{macs[number]}", mode: {mode}, '
        f"addresses: [10.0.{number + 1}.1/24]"
        for number, mode in enumerate(modes)
    ]
    neighbours = [
        f'address: 10.0.{number + 1}.9, dev: mac{number}, mac: "{HOST_A}"' for number in range(len(modes))
    ]
    neighbours.append(f'address: 10.0.0.9, dev: eth0, mac: "{HOST_A}"')
    return lab(f'name: eth0, mac: "{ETH}", addresses: [10.0.0.1/24]', *macvlans, neighbours=neighbours)


@pytest.mark.parametrize("mode", ["private", "vepa", "bridge"])
def test_each_gets_the_frames_to_its_address(mode):
    bench = with_modes(mode, mode)
    for mac, subnet in ((ETH, 0), (MACS[0], 1), (MACS[1], 2)):
        request = Ether(src=HOST_A, dst=mac) / ping(f"10.0.{subnet}.9", f"10.0.{subnet}.1")
        (sent,) = bench.receive("eth0", request)
        assert (sent.device, sent.ether.src, sent.ether[IP].src) == ("eth0", mac, f"10.0.{subnet}.1")
    assert (
        bench.receive("eth0", Ether(src=HOST_A, dst="02:00:00:00:01:a2") / ping("10.0.0.9", "10.0.0.1")) == []
    )
    assert bench.drops == {Drop.OTHER_HOST: 1}
    assert statistics(bench, "mac0") == (1, 42, 1, 42)


def test_one_in_passthru_mode_gets_all():
    bench = with_modes("passthru")
    request = Ether(src=HOST_A, dst=ETH) / ping("10.0.1.9", "10.0.1.1")
    assert [each.ether[ICMP].type for each in bench.receive("eth0", request)] == [0]
    stranger = Ether(src=HOST_A, dst="02:00:00:00:07:07") / ping("10.0.1.9", "10.0.1.1")
    # It is delivered to the macvlan, which takes it for its own. Ref: macvlan_handle_frame.
    assert [each.ether[ICMP].type for each in bench.receive("eth0", stranger)] == [0]


@pytest.mark.parametrize("mode", ["private", "vepa", "bridge"])
def test_groups_reach_the_device_and_all_on_it(mode):
    bench = with_modes(mode, mode)
    sent = bench.receive("eth0", asks("10.0.2.9", "10.0.2.1", HOST_A))
    # Linux answers for any of its addresses on any device (arp_ignore 0), the device below first,
    # then the macvlans in the order of their hash table (recorded on 6.12).
    expected = [(mac, mac) for mac in (ETH, MACS[1], MACS[0])]
    assert [(each.ether.src, each.ether[ARP].hwsrc) for each in sent] == expected
    assert (bench.statistics.copied, bench.statistics.arp) == (2, 3)


def from_first(bench, dst):
    """A frame that mac0 sends."""
    topology = bench.box.topology
    bench.box.descend(
        topology.devices["mac0"],
        bytes(Ether(src=MACS[0], dst=dst) / ARP(op=1, psrc="10.0.1.1", pdst="10.0.2.1")),
    )
    bench.box.statistics.arp_sent += 1
    return [(each.device, each.ether.src, each.ether.dst) for each in bench.sent]


def test_those_in_bridge_mode_hear_each_other():
    bench = with_modes("bridge", "bridge")
    assert from_first(bench, MACS[1]) == []
    assert bench.statistics.arp == 1
    assert statistics(bench, "mac1")[0] == 1
    bench = with_modes("bridge", "bridge")
    assert ("eth0", MACS[0], BROADCAST) in from_first(bench, BROADCAST)
    assert bench.statistics.copied == 1


@pytest.mark.parametrize(
    "modes", [("private", "private"), ("vepa", "vepa"), ("bridge", "private"), ("vepa", "bridge")]
)
def test_others_send_to_the_wire_only(modes):
    for dst in (MACS[1], BROADCAST):
        bench = with_modes(*modes)
        assert from_first(bench, dst) == [("eth0", MACS[0], dst)]
        assert bench.statistics.arp == bench.statistics.copied == 0


@pytest.mark.parametrize(
    ("modes", "heard"),
    [
        # What a switch sent back: to the other ports in vepa mode, not to the sender.
        (("vepa", "vepa"), 2),
        # The others saw it on its way out.
        (("bridge", "bridge"), 1),
        (("bridge", "vepa"), 2),
    ],
)
def test_own_groups_that_come_back(modes, heard):
    bench = with_modes(*modes)
    bench.receive("eth0", asks("10.0.1.1", "10.0.77.1", MACS[0]))
    assert bench.statistics.arp == heard


def test_one_that_is_down_gets_nothing():
    bench = with_modes("bridge", "bridge")
    topology = bench.box.topology
    topology.set_link(topology.devices["mac0"], up=False)
    assert bench.receive("eth0", Ether(src=HOST_A, dst=MACS[0]) / ping("10.0.1.9", "10.0.1.1")) == []
    assert bench.drops == {Drop.OTHER_HOST: 1}
    assert devices(bench.receive("eth0", Ether(src=HOST_A, dst=MACS[1]) / ping("10.0.2.9", "10.0.2.1"))) == [
        "eth0"
    ]
