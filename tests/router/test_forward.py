"""Forward: TTL, size, redirects, addresses that stay on their link, and the rules."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP, IPerror, fragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6ND_Redirect,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrFragment,
    fragment6,
)
from scapy.utils import checksum

from flowtable.packet.drop import Drop
from tests.lab import CLIENT, CLIENT6, SERVER, SERVER6, SERVER_MAC, Lab, box_with, udp

DATA = bytes(range(256)) * 8
TRACKING = """
table inet t {
    chain f {
        type filter hook forward priority 0
        ct state invalid drop
    }
}
"""
NARROW = box_with().replace(
    '{name: wan0, mac: "02:00:00:00:02:01"', '{name: wan0, mtu: 1280, mac: "02:00:00:00:02:01"'
)


def udp6(size: int = 10, hlim: int = 64):
    return IPv6(src=CLIENT6, dst=SERVER6, hlim=hlim) / UDP(sport=5000, dport=53) / DATA[:size]


@pytest.mark.parametrize("ttl", [2, 64, 255])
def test_one_ttl_is_lost(ttl):
    (sent,) = Lab("").client(IP(src=CLIENT, dst=SERVER, ttl=ttl) / UDP() / b"x")
    assert (sent.device, sent.ether.dst, sent.ether[IP].ttl) == ("wan0", SERVER_MAC, ttl - 1)
    assert checksum(sent.frame[14:34]) == 0
    (sent,) = Lab("").client(udp6(hlim=ttl))
    assert (sent.device, sent.ether.dst, sent.ether[IPv6].hlim) == ("wan0", SERVER_MAC, ttl - 1)


@pytest.mark.parametrize("number", range(0, 65536, 4099))
def test_the_checksum_of_every_header_stays_right(number):
    (sent,) = Lab("").client(IP(src=CLIENT, dst=SERVER, id=number, ttl=2) / UDP())
    assert checksum(sent.frame[14:34]) == 0


@pytest.mark.parametrize("ttl", [0, 1])
def test_ttl_runs_out(ttl):
    lab = Lab("")
    (sent,) = lab.client(IP(src=CLIENT, dst=SERVER, ttl=ttl) / UDP() / b"x")
    message = sent.ether[ICMP]
    assert (sent.device, message.type, message.code, message[IPerror].ttl) == ("lan0", 11, 0, ttl)
    (sent,) = lab.client(udp6(hlim=ttl))
    assert sent.ether[ICMPv6TimeExceeded].code == 0
    assert lab.drops == {Drop.TTL_EXPIRED: 2}
    assert lab.statistics.postrouting == 2


def test_too_big():
    lab = Lab("", box_file=NARROW)
    whole = IP(src=CLIENT, dst=SERVER, flags="DF") / UDP() / DATA[:1252]
    assert len(lab.client(whole)) == 1
    (sent,) = lab.client(IP(src=CLIENT, dst=SERVER, flags="DF") / UDP() / DATA[:1253])
    message = sent.ether[ICMP]
    assert (message.type, message.code, message.nexthopmtu) == (3, 4, 1280)
    # It is told before its TTL is taken.
    assert message[IPerror].ttl == 64
    assert len(lab.client(udp6(1232))) == 1
    (sent,) = lab.client(udp6(1233))
    assert (sent.ether[ICMPv6PacketTooBig].mtu, sent.device) == (1280, "lan0")
    assert lab.drops == {Drop.TOO_BIG: 2}


def test_what_may_be_cut_is_cut():
    lab = Lab("", box_file=NARROW)
    sent = lab.client(IP(src=CLIENT, dst=SERVER, id=5) / UDP() / DATA[:1400])
    assert [(s.ether[IP].len, s.ether[IP].frag * 8) for s in sent] == [(1276, 0), (172, 1256)]
    assert (lab.statistics.fragmented, lab.statistics.transmit) == (1, 2)


@pytest.mark.parametrize("dont_fragment", [False, True])
@pytest.mark.parametrize("size", [1000, 1400])
def test_reassembled_packets_are_judged_by_their_fragments(dont_fragment, size):
    """Fragments that fit go on, with the don't-fragment bit or not; with it, those that do not fit do not."""
    lab = Lab(TRACKING, box_file=NARROW)
    pieces = fragment(IP(src=CLIENT, dst=SERVER, id=5) / UDP() / DATA, size)
    sent = []
    for piece in pieces:
        piece.flags = int(piece.flags) | 2 * dont_fragment
        sent += lab.client(piece)
    if dont_fragment and size > 1280:
        (answer,) = sent
        assert (answer.ether[ICMP].type, answer.ether[ICMP].code) == (3, 4)
        assert lab.drops == {Drop.TOO_BIG: 1}
    else:
        assert b"".join(bytes(s.ether[IP].payload) for s in sent)[8:] == DATA
        assert not lab.drops
    assert lab.statistics.reassembled == len(pieces) - 1


@pytest.mark.parametrize("size", [1280, 1400])
def test_reassembled_packets_6(size):
    lab = Lab(TRACKING, box_file=NARROW)
    packet = IPv6(src=CLIENT6, dst=SERVER6) / IPv6ExtHdrFragment(id=9) / UDP(sport=1, dport=2) / DATA
    sent = [s for piece in fragment6(packet, size) for s in lab.client(piece)]
    if size == 1280:
        assert [IPv6ExtHdrFragment in s.ether for s in sent] == [True, True]
    else:
        assert [s.ether[ICMPv6PacketTooBig].mtu for s in sent] == [1280]
        assert lab.drops == {Drop.TOO_BIG: 1}


def test_a_packet_goes_back_with_a_redirect():
    lab = Lab("", box_file=box_with("to: 10.5.0.0/16, via: 10.0.1.99"))
    redirect, forwarded = lab.client(udp(CLIENT, "10.5.0.1"))
    message = redirect.ether[ICMP]
    assert (message.type, message.code, message.gw) == (5, 1, CLIENT)
    # It quotes the packet as it goes on.
    assert message[IPerror].ttl == 63
    assert (forwarded.device, forwarded.ether[IP].dst) == ("lan0", "10.5.0.1")
    silent = {"net__ipv4__conf__all__send_redirects": 0, "net__ipv4__conf__lan0__send_redirects": 0}
    lab = Lab("", box_file=box_with("to: 10.5.0.0/16, via: 10.0.1.99", **silent))
    assert len(lab.client(udp(CLIENT, "10.5.0.1"))) == 1
    # Its sender is not on the link.
    lab = Lab("", box_file=box_with("to: 10.5.0.0/16, via: 10.0.1.99"))
    assert len(lab.client(udp("203.0.113.1", "10.5.0.1"))) == 1


def test_a_packet_goes_back_with_a_redirect_6():
    lab = Lab("")
    packet = IPv6(src="2001:db8:1::98", dst=CLIENT6) / UDP()
    lab.client(packet)
    assert [type(s.ether[IPv6].payload).__name__ for s in lab.sent[-1:]] == ["UDP"]
    sent = lab.client(IPv6(src=CLIENT6, dst="2001:db8:1::99") / UDP())
    assert [ICMPv6ND_Redirect in s.ether for s in sent] == [True, False]


def test_addresses_that_stay_on_their_link():
    lab = Lab("")
    (sent,) = lab.client(IPv6(src="fe80::99", dst=SERVER6) / UDP())
    # The answer waits for its neighbour: what is seen is the question for it.
    assert (sent.device, lab.drops) == ("lan0", {Drop.NOT_FORWARDABLE: 1})
    assert lab.box.icmpv6.sent == {(1, 2): 1}
    assert ICMPv6DestUnreach not in sent.ether
    assert lab.client(IPv6(src="::", dst=SERVER6) / UDP()) == []
    assert lab.drops == {Drop.NOT_FORWARDABLE: 2}
    assert lab.client(IPv6(src="::1", dst=SERVER6) / UDP()) == []
    assert lab.drops == {Drop.NOT_FORWARDABLE: 2, Drop.MARTIAN_SOURCE: 1}


@pytest.mark.parametrize("family", ["ip", "ip6"])
def test_the_rules(family):
    lab = Lab(
        """
        table inet t {
            chain f {
                type filter hook forward priority 0
                udp dport 9 drop
                udp dport 10 accept
                iifname "lan0" oifname "wan0" ip ttl 63 counter drop
                ip6 hoplimit 63 drop
            }
        }
        """
    )
    header = IP(src=CLIENT, dst=SERVER) if family == "ip" else IPv6(src=CLIENT6, dst=SERVER6)
    assert lab.client(header / UDP(sport=1, dport=9)) == []
    assert len(lab.client(header / UDP(sport=1, dport=10))) == 1
    # The TTL is that which leaves.
    assert lab.client(header / UDP(sport=1, dport=11)) == []
    assert lab.drops == {Drop.RULE: 2}
    assert (lab.statistics.forward, lab.statistics.offloadable, lab.statistics.postrouting) == (3, 3, 1)


def test_what_a_flowtable_can_take_is_counted():
    lab = Lab("")
    lab.client(IP(src=CLIENT, dst=SERVER) / ICMP())
    lab.client(udp())
    lab.client(IP(src=CLIENT, dst=SERVER, proto=47) / b"\0\0\x08\0")
    assert (lab.statistics.forward, lab.statistics.offloadable) == (3, 2)
