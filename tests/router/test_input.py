"""Input: packets for the box itself, its rules, and fragments where nothing else puts them together."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP, fragment
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment, fragment6

from flowtable.packet.drop import Drop
from tests.lab import CLIENT, CLIENT6, CLIENT_MAC, SERVER, SERVER6, Lab, box_with, udp

ROUTER, ROUTER6 = "10.0.1.1", "2001:db8:1::1"
RULES = """
table inet t {
    chain i {
        type filter hook input priority 0; policy drop;
        udp dport 53 counter accept comment "dns"
        icmp type echo-request accept
        meta l4proto ipv6-icmp accept
    }
}
"""


def test_the_rules():
    lab = Lab(RULES, box_file=box_with(services=("protocol: udp, port: 53", "protocol: udp, port: 54")))
    assert lab.client(udp(destination=ROUTER)) == []
    assert lab.client(udp(destination=ROUTER, dport=54)) == []
    assert len(lab.client(IP(src=CLIENT, dst=ROUTER) / ICMP(id=1))) == 1
    assert len(lab.client(IPv6(src=CLIENT6, dst=ROUTER6) / ICMPv6EchoRequest(id=1))) == 1
    assert lab.client(IPv6(src=CLIENT6, dst=ROUTER6) / UDP(dport=54)) == []
    assert lab.drops == {Drop.POLICY: 2}
    assert (lab.statistics.input, lab.statistics.delivered, lab.statistics.output) == (5, 3, 2)


def pieces(size: int = 800):
    return fragment(IP(src=CLIENT, dst=ROUTER, id=5) / UDP(sport=1, dport=53) / (b"x" * 2000), size)


def pieces6():
    packet = (
        IPv6(src=CLIENT6, dst=ROUTER6) / IPv6ExtHdrFragment(id=9) / UDP(sport=1, dport=53) / (b"x" * 2000)
    )
    return fragment6(packet, 1280)


SERVICE = box_with(services=("protocol: udp, port: 53",))


@pytest.mark.parametrize("rules", ["", RULES, RULES.replace("53 counter", "53 ct state new counter")])
def test_fragments_are_put_together(rules):
    """In front of the rules or behind them, with connections tracked or without."""
    lab = Lab(rules, box_file=SERVICE)
    for piece in pieces():
        assert lab.client(piece) == []
    assert lab.statistics.delivered == 1
    assert (lab.statistics.reassembled, lab.statistics.prerouting) == (2, 3)
    assert not lab.drops


def test_ipv4_rules_see_the_whole():
    lab = Lab(RULES, box_file=SERVICE)
    for piece in pieces():
        lab.client(piece)
    assert 'counter packets 1 bytes 2028 accept comment "dns"' in lab.listing()


def test_ipv6_rules_see_the_fragments():
    """Unless connections are tracked; and a later fragment has no port."""
    lab = Lab(RULES, box_file=SERVICE)
    for piece in pieces6():
        lab.client(piece)
    assert 'counter packets 1 bytes 1280 accept comment "dns"' in lab.listing()
    assert lab.drops == {Drop.POLICY: 1}
    assert lab.box.waiting == 1
    lab = Lab(RULES.replace("53 counter", "53 ct state new counter"), box_file=SERVICE)
    for piece in pieces6():
        lab.client(piece)
    assert 'ct state new counter packets 1 bytes 2048 accept comment "dns"' in lab.listing()
    assert lab.statistics.delivered == 1


def test_ipv6_fragments_to_the_box_are_put_together():
    lab = Lab("", box_file=SERVICE)
    for piece in pieces6():
        lab.client(piece)
    assert (lab.statistics.delivered, lab.statistics.reassembled, lab.statistics.input) == (1, 1, 2)


def test_a_large_ping():
    lab = Lab("")
    sent = []
    packet = IPv6(src=CLIENT6, dst=ROUTER6) / IPv6ExtHdrFragment(id=9) / ICMPv6EchoRequest(data=b"x" * 2000)
    for piece in fragment6(packet, 1280):
        sent += lab.client(piece)
    assert [IPv6ExtHdrFragment in s.ether for s in sent] == [True, True]
    sent = []
    for piece in fragment(IP(src=CLIENT, dst=ROUTER, id=5) / ICMP(id=1) / (b"x" * 2000), 800):
        sent += lab.client(piece)
    assert [s.ether[IP].frag for s in sent] == [0, 185]
    assert lab.statistics.fragmented == 2


@pytest.mark.parametrize(("kept", "seconds"), [(0, 30), (1, None)])
def test_the_sender_hears_of_fragments_that_do_not_come(kept, seconds):
    """Who sent the first one does."""
    lab = Lab("")
    lab.client(pieces()[kept])
    before = len(lab.sent)
    lab.wait(29.9)
    assert lab.box.waiting == 1
    lab.wait(0.2)
    assert lab.drops == {Drop.FRAGMENT_TIMEOUT: 1}
    messages = [s.ether[ICMP] for s in lab.sent[before:]]
    assert [(message.type, message.code) for message in messages] == ([(11, 1)] if seconds else [])


def test_ipv6_says_so_too():
    lab = Lab("")
    lab.client(pieces6()[0])
    before = len(lab.sent)
    lab.wait(61)
    (sent,) = lab.sent[before:]
    assert (sent.ether[IPv6].payload.type, sent.ether[IPv6].payload.code) == (3, 1)


def test_answers_are_answers():
    lab = Lab("")
    (sent,) = lab.client(IPv6(src=CLIENT6, dst=ROUTER6) / ICMPv6EchoRequest(id=7, data=b"abc"))
    assert (sent.ether.dst, sent.ether[ICMPv6EchoReply].id, sent.ether[ICMPv6EchoReply].data) == (
        CLIENT_MAC,
        7,
        b"abc",
    )
    # Through the box it is none of its business.
    assert len(lab.client(IP(src=CLIENT, dst=SERVER) / ICMP(id=1))) == 1
    assert len(lab.client(IPv6(src=CLIENT6, dst=SERVER6) / ICMPv6EchoRequest())) == 1
    assert (lab.statistics.delivered, lab.statistics.forward) == (1, 2)
