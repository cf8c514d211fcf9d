"""The routing decision: through, in, or nowhere; and what the sender hears of it."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import Ether

from flowtable.packet.drop import Drop
from flowtable.packet.packet import IPV4
from flowtable.router import routing
from flowtable.topology.route import Route
from tests.lab import (
    BOX,
    CLIENT,
    CLIENT6,
    CLIENT_MAC,
    LAN_MAC,
    SERVER,
    SERVER6,
    Lab,
    Sent,
    box_with,
    udp,
)

ROUTER, FAR = "10.0.1.1", "10.0.2.1"
BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
ROUTES = (
    "to: 10.66.0.0/16, type: unreachable",
    "to: 10.67.0.0/16, type: prohibit",
    "to: 10.68.0.0/16, type: blackhole",
    'to: "2001:db8:66::/48", type: unreachable',
    'to: "2001:db8:67::/48", type: prohibit',
    'to: "2001:db8:68::/48", type: blackhole',
)


def lab_with(*routes: str, **sysctls: int) -> Lab:
    return Lab("", box_file=box_with(*routes, **sysctls))


def many(lab: Lab, packet, mac: str = BROADCAST_MAC) -> list[Sent]:
    """A packet from the client in a frame to more than the box."""
    return lab.receive("lan0", Ether(src=CLIENT_MAC, dst=mac) / packet)


# What a source may not be


@pytest.mark.parametrize(
    "source", ["224.0.0.9", "239.255.255.255", "255.255.255.255", "0.0.0.0", "127.0.0.1"]
)
def test_martian_sources(source):
    lab = lab_with()
    for destination in (SERVER, ROUTER, "10.99.0.1"):
        assert lab.client(udp(source, destination)) == []
    assert lab.drops == {Drop.MARTIAN_SOURCE: 3}


@pytest.mark.parametrize("source", ["0.1.2.3", "240.0.0.1", "203.0.113.1"])
def test_sources_that_may_be(source):
    assert len(lab_with().client(udp(source))) == 1


@pytest.mark.parametrize("source", [ROUTER, FAR])
def test_the_boxs_own_addresses_come_from_elsewhere_only_where_that_is_accepted(source):
    for destination in (SERVER, ROUTER, "10.0.1.255", "255.255.255.255"):
        lab = lab_with()
        assert many(lab, udp(source, destination), LAN_MAC) == []
        assert lab.drops == {Drop.MARTIAN_SOURCE: 1}
    lab = lab_with(net__ipv4__conf__lan0__accept_local=1)
    assert len(lab.client(udp(source))) == 1
    # The address is on the device or it is not.
    lab = lab_with(net__ipv4__conf__lan0__accept_local=1, net__ipv4__conf__lan0__rp_filter=1)
    assert len(lab.client(udp(source))) == (source == ROUTER)


@pytest.mark.parametrize("destination", ["127.0.0.1", "127.255.255.255", "0.0.0.0"])
def test_martian_destinations(destination):
    lab = lab_with()
    assert lab.client(udp(destination=destination)) == []
    assert lab.drops == {Drop.MARTIAN_DESTINATION: 1}


def test_loopback_addresses_are_routed_where_they_may_be():
    lab = lab_with(net__ipv4__conf__lan0__route_localnet=1)
    (answer,) = lab.client(udp(destination="127.0.0.1"))
    assert (answer.ether[ICMP].type, answer.ether[ICMP].code) == (3, 3)
    assert len(lab.client(udp("127.0.0.9"))) == 0
    assert lab.drops == {Drop.NO_SOCKET: 1, Drop.MARTIAN_SOURCE: 1}


# Reverse path filter


@pytest.mark.parametrize(
    ("mode", "source", "passes"),
    [
        (0, CLIENT, True),
        (0, SERVER, True),
        (0, "203.0.113.1", True),
        (1, CLIENT, True),
        (1, SERVER, False),
        (1, "203.0.113.1", False),
        (2, CLIENT, True),
        (2, SERVER, True),
        (2, "203.0.113.1", False),
        # What no packet may be sent to came from nowhere.
        (1, "10.66.0.1", False),
        (2, "10.66.0.1", False),
        (0, "10.66.0.1", True),
    ],
)
def test_reverse_path_filter(mode, source, passes):
    lab = lab_with(*ROUTES, net__ipv4__conf__all__rp_filter=mode)
    # The server's address is as good on the client's side as the client's on the server's.
    assert len(lab.client(udp(source, "10.0.2.77"))) == passes
    assert len(lab.client(udp(source, "224.0.0.1"))) == 0
    drops = {Drop.REVERSE_PATH: 2} if not passes else {Drop.NO_SOCKET: 1}
    assert lab.drops == drops


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_a_broadcast_address_is_no_source_where_it_is_looked_at(mode):
    lab = lab_with(net__ipv4__conf__lan0__rp_filter=mode)
    assert len(lab.client(udp("10.0.1.255"))) == (mode == 0)
    assert lab.drops == ({Drop.MARTIAN_SOURCE: 1} if mode else {})


def test_a_device_without_addresses_has_no_reverse_path():
    text = box_with(net__ipv4__conf__lan0__rp_filter=2).replace('[10.0.1.1/24, "2001:db8:1::1/64"]', "[]", 1)
    text = "\n".join(line for line in text.splitlines() if "dev: lan0" not in line)
    lab = Lab("", box_file=text)
    assert lab.client(udp("10.0.2.98")) == []
    assert lab.drops == {Drop.REVERSE_PATH: 1}


# More than one host


def test_broadcasts_are_delivered_and_never_forwarded():
    for destination in ("255.255.255.255", "10.0.1.255"):
        lab = lab_with(net__ipv4__icmp_echo_ignore_broadcasts=0)
        (answer,) = many(lab, IP(src=CLIENT, dst=destination) / ICMP(id=1, seq=1))
        assert (answer.ether[IP].src, answer.ether[IP].dst) == (ROUTER, CLIENT)
        assert (lab.statistics.input, lab.statistics.forward) == (1, 0)
    # That of another link as well, when it comes as a frame to the box.
    lab = lab_with()
    lab.client(udp(destination="10.0.2.255"))
    assert (lab.statistics.input, lab.statistics.forward) == (1, 0)


def test_a_host_without_an_address_yet_is_heard():
    """As DHCP needs it."""
    lab = Lab("", box_file=box_with(services=("protocol: udp, port: 67",)))
    discover = IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / b"dhcp"
    many(lab, discover)
    assert lab.statistics.delivered == 1
    many(lab, IP(src="0.0.0.0", dst="0.0.0.0") / UDP(sport=68, dport=67) / b"dhcp")
    assert lab.statistics.delivered == 2


def test_multicast_to_all_hosts_is_delivered_and_no_other():
    lab = lab_with(net__ipv4__icmp_echo_ignore_broadcasts=0)
    ping = ICMP(id=1, seq=1)
    (answer,) = many(lab, IP(src=CLIENT, dst="224.0.0.1") / ping, "01:00:5e:00:00:01")
    assert answer.ether[IP].src == ROUTER
    assert many(lab, IP(src="0.0.0.0", dst="224.0.0.1", proto=2) / b"igmp", "01:00:5e:00:00:01") == []
    assert lab.statistics.delivered == 2
    for group in ("224.0.0.2", "224.0.0.251", "239.1.1.1"):
        assert many(lab, IP(src=CLIENT, dst=group) / ping, "01:00:5e:00:00:02") == []
    assert lab.drops == {Drop.NOT_FORWARDABLE: 3}


@pytest.mark.parametrize("source", ["224.0.0.9", "255.255.255.255", "127.0.0.1", ROUTER])
def test_martians_to_all_hosts(source):
    lab = lab_with()
    assert many(lab, udp(source, "224.0.0.1"), "01:00:5e:00:00:01") == []
    assert lab.drops == {Drop.MARTIAN_SOURCE: 1}


# Nowhere to go


@pytest.mark.parametrize(
    ("destination", "drop", "code"),
    [
        ("203.0.113.1", Drop.NO_ROUTE, 0),
        ("0.1.2.3", Drop.NO_ROUTE, 0),
        ("10.66.0.1", Drop.UNREACHABLE, 1),
        ("10.67.0.1", Drop.PROHIBIT, 13),
        ("10.68.0.1", Drop.BLACKHOLE, None),
    ],
)
def test_no_way(destination, drop, code):
    lab = lab_with(*ROUTES)
    sent = lab.client(udp(destination=destination))
    assert lab.drops == {drop: 1}
    assert [(s.device, s.ether[ICMP].type, s.ether[ICMP].code) for s in sent] == (
        [] if code is None else [("lan0", 3, code)]
    )
    # Nor is an ICMP error about what may not be answered.
    lab.wait(60)
    assert many(lab, udp(destination=destination)) == []
    assert lab.client(IP(src=CLIENT, dst=destination, frag=9, proto=17) / b"abc") == []
    assert lab.drops == {drop: 3}


@pytest.mark.parametrize("destination", ["203.0.113.1", "10.66.0.1", SERVER])
def test_forwarding_off(destination):
    text = box_with(*ROUTES).replace("ip_forward: 1", "ip_forward: 0")
    lab = Lab("", box_file=text)
    assert lab.client(udp(destination=destination)) == []
    assert lab.drops == {Drop.NOT_FORWARDING: 1}
    assert len(lab.client(IP(src=CLIENT, dst=ROUTER) / ICMP(id=1, seq=1))) == 1


def test_forwarding_off_on_one_device():
    lab = lab_with(net__ipv4__conf__lan0__forwarding=0)
    assert lab.client(udp()) == []
    assert lab.drops == {Drop.NOT_FORWARDING: 1}
    assert len(lab.server(udp(SERVER, CLIENT))) == 1


def test_route_errors_are_limited():
    """Five at once, then one a second; for each sender."""
    lab = lab_with(net__ipv4__icmp_ratemask=0)
    told = [len(lab.client(udp(destination="203.0.113.1"))) for _ in range(10)]
    assert told == [1] * 5 + [0] * 5
    lab.client(udp("10.0.1.98", "203.0.113.1"))
    assert lab.box.icmp.sent == {(3, 0): 6}
    lab.wait(1)
    assert [len(lab.client(udp(destination="203.0.113.1"))) for _ in range(2)] == [1, 0]
    assert lab.statistics.drops[Drop.NO_ROUTE] == 13


def test_decisions_follow_the_routes():
    lab = lab_with()
    assert [s.device for s in lab.client(udp(destination="203.0.113.1"))] == ["lan0"]
    topology = lab.box.topology
    gateway, wan = bytes((10, 0, 2, 99)), topology.devices["wan0"]
    topology.fib4.add(Route(IPV4, bytes((203, 0, 113, 0)), 24, gateway=gateway, device=wan))
    assert [s.device for s in lab.client(udp(destination="203.0.113.1"))] == ["wan0"]


def test_decisions_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(routing.Decisions, "LIMIT", 4)
    lab = lab_with()
    for number in range(10):
        assert len(lab.client(udp(f"10.0.1.{100 + number}"))) == 1


# IPv6


@pytest.mark.parametrize(
    ("destination", "drop", "code"),
    [
        ("2001:db8:99::1", Drop.NO_ROUTE, 0),
        ("2001:db8:66::1", Drop.UNREACHABLE, 0),
        ("2001:db8:67::1", Drop.PROHIBIT, 1),
        ("2001:db8:68::1", Drop.BLACKHOLE, None),
    ],
)
@pytest.mark.parametrize("forwarding", [True, False])
def test_no_way_6(destination, drop, code, forwarding):
    text = box_with(*ROUTES)
    if not forwarding:
        text = text.replace("all.forwarding: 1", "all.forwarding: 0")
    lab = Lab("", box_file=text)
    sent = lab.client(IPv6(src=CLIENT6, dst=destination) / UDP())
    assert lab.drops == {drop: 1}
    assert [(s.device, s.ether[ICMPv6DestUnreach].code) for s in sent] == (
        [] if code is None else [("lan0", code)]
    )


def test_forwarding_off_6():
    lab = Lab("", box_file=BOX.replace("all.forwarding: 1", "all.forwarding: 0"))
    assert lab.client(IPv6(src=CLIENT6, dst=SERVER6) / UDP()) == []
    assert lab.drops == {Drop.NOT_FORWARDING: 1}


@pytest.mark.parametrize(
    ("group", "router", "host"),
    [
        ("ff02::1", True, True),
        ("ff02::2", True, False),
        ("ff05::2", True, False),
        ("ff05::1", False, False),
        ("ff02::1:ff00:1", True, True),  # the solicited-node group of 2001:db8:1::1
        ("ff02::1:ff00:101", True, True),  # of fe80::ff:fe00:101
        ("ff02::1:ff00:2", False, False),
        ("ff02::1:ff00:0", True, False),  # of the subnet-router anycast address
        ("ff02::5", False, False),
        ("ff0e::1234", False, False),
    ],
)
def test_multicast_groups(group, router, host):
    for member, text in ((router, BOX), (host, BOX.replace("all.forwarding: 1", "all.forwarding: 0"))):
        lab = Lab("", box_file=text)
        ping = IPv6(src=CLIENT6, dst=group) / ICMPv6EchoRequest(id=1)
        sent = many(lab, ping, "33:33:00:00:00:01")
        assert [ICMPv6EchoReply in s.ether for s in sent] == [True] * member
        assert lab.drops == ({} if member else {Drop.NOT_FORWARDABLE: 1})


def test_the_anycast_address_is_found_by_its_neighbours():
    lab = lab_with()
    asked = (
        IPv6(src=CLIENT6, dst="ff02::1:ff00:0", hlim=255)
        / ICMPv6ND_NS(tgt="2001:db8:1::")
        / ICMPv6NDOptSrcLLAddr(lladdr=CLIENT_MAC)
    )
    (answer,) = many(lab, asked, "33:33:ff:00:00:00")
    assert (answer.ether[ICMPv6ND_NA].tgt, answer.ether[ICMPv6ND_NA].O) == ("2001:db8:1::", 0)


def test_link_local_addresses_are_those_of_the_device():
    lab = lab_with()
    ping = ICMPv6EchoRequest(id=1)
    assert len(lab.client(IPv6(src=CLIENT6, dst="fe80::ff:fe00:101") / ping)) == 1
    # The address of the other device: nobody is known to have it here.
    lab.client(IPv6(src=CLIENT6, dst="fe80::ff:fe00:201") / ping)
    assert (lab.statistics.delivered, lab.statistics.forward) == (1, 1)


def test_the_box_answers_to_all_of_its_addresses():
    lab = lab_with()
    (answer,) = lab.client(IP(src=CLIENT, dst=FAR) / TCP(dport=9, flags="S"))
    assert (answer.ether[IP].src, str(answer.ether[TCP].flags)) == (FAR, "RA")
    (answer,) = lab.client(IPv6(src=CLIENT6, dst="2001:db8:2::1") / ICMPv6EchoRequest(id=1))
    assert answer.ether[IPv6].src == "2001:db8:2::1"
