"""IP options: noted on the way through, refused where they are a danger, answered where they are wrong."""

import pytest
from scapy.layers.inet import (
    ICMP,
    IP,
    UDP,
    IPerror,
    IPOption_LSRR,
    IPOption_RR,
    IPOption_SSRR,
    IPOption_Timestamp,
)
from scapy.layers.inet6 import HBHOptUnknown, ICMPv6ParamProblem, IPv6, IPv6ExtHdrHopByHop, RouterAlert
from scapy.layers.l2 import Ether
from scapy.utils import checksum

from flowtable.packet.drop import Drop
from tests.lab import CLIENT, CLIENT6, CLIENT_MAC, SERVER, SERVER6, Lab, box_with

ROUTER, FAR = "10.0.1.1", "10.0.2.1"
# A record route of 12 bytes in a header that has room for 8.
OVERLONG = [IPOption_RR(length=12, routers=["0.0.0.0"])]


def packet(*options, **fields):
    return IP(src=CLIENT, dst=fields.pop("dst", SERVER), options=list(options), **fields) / UDP() / b"x"


def test_record_route():
    lab = Lab("")
    (sent,) = lab.client(packet(IPOption_RR(length=11, routers=["0.0.0.0", "0.0.0.0"])))
    option = sent.ether[IP].options[0]
    assert (option.routers, option.pointer) == ([FAR, "0.0.0.0"], 8)
    assert checksum(sent.frame[14 : 14 + sent.ether[IP].ihl * 4]) == 0
    full = IPOption_RR(length=7, pointer=8, routers=["10.9.9.9"])
    (sent,) = lab.client(packet(full))
    assert sent.ether[IP].options[0].routers == ["10.9.9.9"]


def test_timestamp():
    lab = Lab("")
    empty = IPOption_Timestamp(flg=1, length=12, pointer=5, internet_address="0.0.0.0", timestamp=0)
    (sent,) = lab.client(packet(empty))
    option = sent.ether[IP].options[0]
    assert (option.internet_address, option.pointer) == (FAR, 13)
    assert option.timestamp == lab.now // 1_000_000 % 86_400_000
    assert checksum(sent.frame[14 : 14 + sent.ether[IP].ihl * 4]) == 0


@pytest.mark.parametrize("option", [IPOption_LSRR, IPOption_SSRR])
@pytest.mark.parametrize("destination", [SERVER, ROUTER])
def test_source_routes_are_refused(option, destination):
    lab = Lab("")
    assert lab.client(packet(option(length=7, routers=[SERVER]), dst=destination)) == []
    assert lab.drops == {Drop.IP_OPTIONS: 1}


@pytest.mark.parametrize(
    ("destination", "source"),
    [(SERVER, ROUTER), (ROUTER, ROUTER), (FAR, FAR), ("203.0.113.1", ROUTER), ("10.68.0.1", ROUTER)],
)
def test_the_sender_of_wrong_options_is_told(destination, source):
    """In the name of the address it wrote to, before anything is said about routes."""
    lab = Lab("", box_file=box_with("to: 10.68.0.0/16, type: blackhole"))
    (sent,) = lab.client(packet(*OVERLONG, dst=destination))
    message = sent.ether[ICMP]
    assert (message.type, message.code, message.ptr) == (12, 0, 20)
    assert (sent.ether[IP].src, sent.ether[IP].ihl) == (source, 5)
    assert message[IPerror].dst == destination
    assert lab.drops == {Drop.IP_OPTIONS: 1}


@pytest.mark.parametrize(
    ("source", "destination", "drop"),
    [
        (CLIENT, "127.0.0.1", Drop.MARTIAN_DESTINATION),
        ("127.0.0.1", SERVER, Drop.MARTIAN_SOURCE),
        (SERVER, "10.0.2.77", Drop.REVERSE_PATH),
        (CLIENT, "224.0.0.9", Drop.NOT_FORWARDABLE),
    ],
)
def test_what_cannot_be_routed_ends_before(source, destination, drop):
    lab = Lab("", box_file=box_with(net__ipv4__conf__all__rp_filter=1))
    assert lab.client(IP(src=source, dst=destination, options=OVERLONG) / UDP()) == []
    assert lab.drops == {drop: 1}


def test_nobody_is_told_of_a_broadcast():
    lab = Lab("")
    frame = Ether(src=CLIENT_MAC, dst="ff:ff:ff:ff:ff:ff") / packet(*OVERLONG, dst="10.0.1.255")
    assert lab.receive("lan0", frame) == []
    assert lab.drops == {Drop.IP_OPTIONS: 1}


def hop_by_hop(*options):
    return IPv6(src=CLIENT6, dst=SERVER6) / IPv6ExtHdrHopByHop(options=list(options)) / UDP(sport=1, dport=2)


@pytest.mark.parametrize("options", [[], [RouterAlert()], [HBHOptUnknown(otype=0x1E, optdata=b"abcd")]])
def test_hop_by_hop_options_that_pass(options):
    lab = Lab("")
    (sent,) = lab.client(hop_by_hop(*options))
    assert sent.ether[IPv6].hlim == 63
    assert bytes(sent.ether[IPv6].payload) == bytes(hop_by_hop(*options))[40:]


@pytest.mark.parametrize(("kind", "answered"), [(0x5E, False), (0x9E, True), (0xDE, True)])
def test_hop_by_hop_options_that_do_not(kind, answered):
    lab = Lab("")
    sent = lab.client(hop_by_hop(HBHOptUnknown(otype=kind, optdata=b"abcd")))
    problems = [s.ether[ICMPv6ParamProblem] for s in sent]
    assert [(problem.code, problem.ptr) for problem in problems] == [(2, 42)] * answered
    assert lab.drops == {Drop.IP_OPTIONS: 1}
    assert lab.statistics.routing == 0


def test_a_hop_by_hop_header_that_breaks_off():
    lab = Lab("")
    assert lab.client(IPv6(src=CLIENT6, dst=SERVER6, nh=0) / b"\x11\x05\0\0\0\0\0\0") == []
    assert lab.drops == {Drop.IP_OPTIONS: 1}
