"""Routing domains: what a slave receives is routed by the VRF's table, and rules see it there."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6TimeExceeded, IPv6
from scapy.layers.l2 import ARP, Ether

from flowtable.packet.drop import Drop
from flowtable.topology.device import Address
from tests.router.stacks import HOST_A, HOST_B, asks, lab, statistics

MACS = {
    "lan0": "02:00:00:00:01:01",
    "wan0": "02:00:00:00:02:01",
    "red0": "02:00:00:00:03:01",
    "out0": "02:00:00:00:04:01",
}
DEVICES = [
    "name: blue, kind: vrf, table: 10",
    "name: red, kind: vrf, table: 20",
    f'name: lan0, mac: "{MACS["lan0"]}", master: blue, addresses: [10.0.1.1/24, "2001:db8:1::1/64"]',
    f'name: wan0, mac: "{MACS["wan0"]}", master: blue, addresses: [10.0.2.1/24, "2001:db8:2::1/64"]',
    f'name: red0, mac: "{MACS["red0"]}", master: red',
    f'name: out0, mac: "{MACS["out0"]}", addresses: [10.0.4.1/24]',
]
NEIGHBOURS = [
    f'address: {address}, dev: {device}, mac: "{mac}"'
    for address, device, mac in (
        ("10.0.1.9", "lan0", HOST_A),
        ('"2001:db8:1::9"', "lan0", HOST_A),
        ("10.0.2.9", "wan0", HOST_B),
        ('"2001:db8:2::9"', "wan0", HOST_B),
        ("10.0.1.9", "red0", HOST_A),
        ("10.0.4.9", "out0", HOST_B),
    )
]
ROUTES = ["to: 198.51.100.0/24, via: 10.0.2.9, table: 10", "to: 10.0.2.0/24, dev: blue, table: main"]


def made(rules=""):
    bench = lab(*DEVICES, rules=rules, routes=ROUTES, neighbours=NEIGHBOURS)
    # The same network as lan0's, in another domain.
    bench.box.topology.add_address(bench.box.topology.devices["red0"], Address.parse("10.0.1.1/24"))
    return bench


def send(bench, packet, device="lan0"):
    sent = bench.receive(device, Ether(src=HOST_A, dst=MACS[device]) / packet)
    assert len(sent) <= 1
    return (sent[0].device, sent[0].ether) if sent else (None, None)


@pytest.mark.parametrize("destination", ["10.0.2.9", "198.51.100.1"])
def test_routed_by_the_table_of_the_domain(destination):
    bench = made()
    device, ether = send(bench, IP(src="10.0.1.9", dst=destination, ttl=9) / UDP() / b"x")
    assert (device, ether.dst, ether[IP].ttl) == ("wan0", HOST_B, 8)
    assert statistics(bench, "blue")[:2] == (1, 29)
    assert send(bench, IP(src="10.0.1.9", dst="203.0.113.1") / UDP())[1][ICMP].type == 3
    assert bench.drops == {Drop.NO_ROUTE: 1}


def test_what_the_table_of_the_domain_does_not_have_is_looked_for_in_main():
    """Unless it ends with a route of type unreachable (Documentation/networking/vrf.rst)."""
    assert send(made(), IP(src="10.0.1.9", dst="10.0.4.9") / UDP())[0] == "out0"


def test_ipv6():
    bench = made()
    device, ether = send(bench, IPv6(src="2001:db8:1::9", dst="2001:db8:2::9", hlim=9) / UDP())
    assert (device, ether[IPv6].hlim) == ("wan0", 8)
    device, ether = send(bench, IPv6(src="2001:db8:1::9", dst="2001:db8:2::9", hlim=1) / UDP())
    assert (device, ICMPv6TimeExceeded in ether) == ("lan0", True)


def test_the_same_addresses_in_two_domains():
    bench = made()
    for device in ("lan0", "red0"):
        answered, ether = send(bench, IP(src="10.0.1.9", dst="10.0.1.1") / ICMP(id=1), device)
        assert (answered, ether.src, ether[ICMP].type) == (device, MACS[device], 0)


def test_the_box_answers_in_its_domain():
    bench = made()
    assert send(bench, IP(src="10.0.1.9", dst="10.0.2.1") / ICMP(id=1))[1][IP].src == "10.0.2.1"
    assert send(bench, IP(src="10.0.1.9", dst="10.0.1.1") / UDP(dport=9))[1][ICMP].code == 3
    assert send(bench, IP(src="10.0.1.9", dst="10.0.1.1") / TCP(dport=9))[1][TCP].flags == "RA"
    assert send(bench, IP(src="10.0.1.9", dst="10.0.2.9", ttl=1) / UDP())[1][ICMP].type == 11
    echo = ICMPv6EchoRequest(id=1)
    assert ICMPv6EchoReply in send(bench, IPv6(src="2001:db8:1::9", dst="2001:db8:1::1") / echo)[1]
    assert ICMPv6EchoReply in send(bench, IPv6(src="2001:db8:1::9", dst="2001:db8:2::1") / echo)[1]
    refused = send(bench, IPv6(src="2001:db8:1::9", dst="2001:db8:1::1") / UDP(dport=9))[1]
    assert refused[ICMPv6DestUnreach].code == 4


def test_arp():
    bench = made()
    for device in ("lan0", "red0"):
        (sent,) = bench.receive(device, asks("10.0.1.9", "10.0.1.1", HOST_A))
        assert (sent.device, sent.ether[ARP].op, sent.ether[ARP].hwsrc) == (device, 2, MACS[device])
    # An address of another domain is not the box's here.
    assert bench.receive("red0", asks("10.0.1.9", "10.0.2.1", HOST_A)) == []


def test_rules_meet_packets_on_the_slave_and_on_the_domain():
    rules = """
    table inet t {
        chain p {
            type filter hook prerouting priority 0
            iifname "lan0" counter comment "slave"
            iifname "blue" counter comment "domain"
        }
        chain f {
            type filter hook forward priority 0
            iifname "lan0" counter comment "slave forward"
            iifname "blue" oifname "wan0" counter comment "domain forward"
        }
    }
    """
    bench = made(rules)
    send(bench, IP(src="10.0.1.9", dst="10.0.2.9") / UDP() / b"x")
    listing = bench.listing()
    for comment, packets in (("slave", 1), ("domain", 1), ("slave forward", 0), ("domain forward", 1)):
        assert f'counter packets {packets} bytes {packets * 29} comment "{comment}"' in listing


def test_rules_meet_the_box_s_own_packets_on_the_domain_first():
    rules = """
    table inet t {
        chain o {
            type filter hook output priority 0
            oifname "lan0" counter comment "slave"
            oifname "blue" counter comment "domain"
        }
        chain p {
            type filter hook postrouting priority 0
            oifname "lan0" counter comment "slave last"
            oifname "blue" icmp type echo-reply drop
        }
    }
    """
    bench = made(rules)
    assert send(bench, IP(src="10.0.1.9", dst="10.0.1.1") / ICMP(id=1)) == (None, None)
    listing = bench.listing()
    for comment, packets in (("slave", 0), ("domain", 1), ("slave last", 0)):
        assert f'counter packets {packets} bytes {packets * 28} comment "{comment}"' in listing
    assert (bench.drops, bench.statistics.unended) == ({Drop.RULE: 1}, 0)


def test_a_route_into_a_domain():
    bench = made()
    device, ether = send(bench, IP(src="10.0.4.9", dst="10.0.2.9", ttl=9) / UDP() / b"x", "out0")
    assert (device, ether.dst, ether[IP].ttl) == ("wan0", HOST_B, 8)
    assert statistics(bench, "blue")[2:] == (1, 29)


def test_a_slave_that_leaves():
    bench = made()
    topology = bench.box.topology
    topology.release(topology.devices["lan0"])
    # It went down and up on the way (cycle_netdev), so that its neighbours are to be found anew.
    device, ether = send(bench, IP(src="10.0.1.9", dst="198.51.100.1") / UDP())
    assert (device, ether[ARP].pdst) == ("lan0", "10.0.1.9")
    assert bench.drops == {Drop.NO_ROUTE: 1}
