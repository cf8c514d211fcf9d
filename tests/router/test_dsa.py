"""User ports of a switch: frames with the tag on the conduit, or without it on the port."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from flowtable.packet import dsa
from flowtable.packet.drop import Drop
from tests.router.stacks import HOST_A, HOST_B, devices, lab, ping, statistics

CONDUIT = 'name: eth0, mac: "02:00:00:00:01:00"'
MAC = "02:00:00:00:01:02"
MACS = bytes.fromhex("020000000102020000000a0a")
REQUEST = Ether(src=HOST_A, dst=MAC) / ping("10.0.2.9", "10.0.2.1")


def port(number, tag, *more):
    words = [f"name: lan{number}", "kind: dsa", "parent: eth0", f"port: {number}", f"tag: {tag}"]
    return ", ".join([*words, f'mac: "02:00:00:00:01:0{number}"', *more])


def routed(tag):
    return lab(
        CONDUIT,
        port(2, tag, "addresses: [10.0.2.1/24]"),
        port(3, tag, "addresses: [10.0.3.1/24]"),
        neighbours=[
            f'address: 10.0.2.9, dev: lan2, mac: "{HOST_A}"',
            f'address: 10.0.3.9, dev: lan3, mac: "{HOST_B}"',
        ],
    )


def from_switch(tag, number, frame):
    head = {
        "mtk": bytes((0, number, 0, 0)),
        "dsa": bytes((0xC0, number << 3, 0, 0)),
        "edsa": bytes((0xDA, 0xDA, 0, 0, 0xC0, number << 3, 0, 0)),
        "brcm": bytes((0, 0, 0, number)),
    }[tag]
    return bytes(frame)[:12] + head + bytes(frame)[12:]


TO_SWITCH = {
    "mtk": lambda frame, number: dsa.write_mtk(frame, number),
    "dsa": lambda frame, number: dsa.write_dsa(frame, number),
    "edsa": lambda frame, number: dsa.write_edsa(frame, number),
    "brcm": lambda frame, number: dsa.write_brcm(frame, number),
}


@pytest.mark.parametrize("tag", TO_SWITCH)
def test_frames_of_a_port_come_and_go_with_its_number(tag):
    bench = routed(tag)
    packet = IP(src="10.0.2.9", dst="10.0.3.9", ttl=9) / UDP() / b"x"
    (sent,) = bench.receive("eth0", from_switch(tag, 2, Ether(src=HOST_A, dst=MAC) / packet))
    packet.ttl = 8
    expected = bytes(Ether(src="02:00:00:00:01:03", dst=HOST_B) / packet)
    assert (sent.device, sent.frame) == ("eth0", TO_SWITCH[tag](expected, 3))
    assert statistics(bench, "lan2") == (1, 14 + 29, 0, 0)
    assert statistics(bench, "lan3") == (0, 0, 1, 14 + 29)


@pytest.mark.parametrize("tag", TO_SWITCH)
def test_frames_may_come_in_on_the_port_itself(tag):
    bench = routed(tag)
    (sent,) = bench.receive("lan2", REQUEST)
    assert sent.device == "eth0"
    assert bench.receive("lan3", REQUEST) == []
    assert bench.drops == {Drop.OTHER_HOST: 1}


@pytest.mark.parametrize("tag", TO_SWITCH)
def test_frames_of_no_port(tag):
    bench = routed(tag)
    assert bench.receive("eth0", from_switch(tag, 4, REQUEST)) == []
    assert bench.receive("eth0", bytes(REQUEST)[:15]) == []
    assert bench.drops == {Drop.DSA_TAG: 2}


def test_a_port_takes_frames_to_its_own_address():
    bench = routed("mtk")
    # To the other port's address, which the conduit takes too.
    assert bench.receive("eth0", from_switch("mtk", 3, REQUEST)) == []
    assert bench.drops == {Drop.OTHER_HOST: 1}


def bridged(*more):
    return lab(
        CONDUIT,
        'name: br0, kind: bridge, mac: "02:00:00:00:01:01", addresses: [10.0.0.1/24]',
        port(2, "dsa", "master: br0"),
        port(3, "dsa", "master: br0"),
        'name: eth1, mac: "02:00:00:00:01:11", master: br0',
        *more,
        neighbours=[f'address: 10.0.0.9, dev: br0, mac: "{HOST_A}"'],
    )


def test_what_the_switch_has_forwarded_is_not_forwarded_again():
    bench = bridged()
    sent = bench.receive(
        "eth0", from_switch("dsa", 2, Ether(src=HOST_A, dst=HOST_B, type=0x88B5) / bytes(46))
    )
    assert devices(sent) == ["eth1"]
    # From elsewhere both ports are flooded; in a bridge, the switch's VLAN is 4095.
    sent = bench.receive("eth1", Ether(src=HOST_B, dst="02:00:00:00:77:77", type=0x88B5) / bytes(46))
    assert [each.frame[12:16].hex() for each in sent] == ["40180fff", "40100fff"]


def test_the_box_is_on_the_bridge():
    bench = bridged()
    (sent,) = bench.receive(
        "eth0",
        from_switch("dsa", 2, Ether(src=HOST_A, dst="02:00:00:00:01:01") / ping("10.0.0.9", "10.0.0.1")),
    )
    assert sent.frame[12:16].hex() == "40100fff"
    assert Ether(sent.frame[:12] + sent.frame[16:])[ICMP].type == 0


def test_a_vlan_on_a_port():
    bench = lab(
        CONDUIT,
        port(2, "mtk"),
        "name: lan2.7, kind: vlan, parent: lan2, id: 7, addresses: [10.7.0.1/24]",
        neighbours=[f'address: 10.7.0.9, dev: lan2.7, mac: "{HOST_A}"'],
    )
    request = Ether(src=HOST_A, dst=MAC) / Dot1Q(vlan=7) / ping("10.7.0.9", "10.7.0.1")
    (sent,) = bench.receive("eth0", from_switch("mtk", 2, request))
    assert sent.frame[12:18].hex() == "010400070800"
