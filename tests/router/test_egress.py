"""Egress: the link-layer header, the rules of the device, and frames that do not leave after all."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP, fragment
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Ether

from flowtable.packet.drop import Drop
from tests.lab import (
    CLIENT,
    CLIENT6,
    CLIENT_MAC,
    LAN_MAC,
    SERVER,
    SERVER6,
    SERVER_MAC,
    WAN_MAC,
    Lab,
    udp,
    udp_reply,
)

CHAIN = """
table netdev t {
    chain e {
        type filter hook egress device "wan0" priority 0
        counter comment "all"
        udp dport 99 drop
        meta protocol arp counter comment "arp"
        ip6 hoplimit 63 counter comment "v6"
    }
}
"""
FLOWTABLE = """
table inet x {
    flowtable f { hook ingress priority 0; devices = { lan0, wan0 }; }
    chain y {
        type filter hook forward priority 0
        flow add @f
    }
}
"""


def counters(lab: Lab) -> dict[str, int]:
    return {
        line.split('"')[1]: int(line.split("packets ")[1].split()[0])
        for line in lab.listing().splitlines()
        if "comment" in line
    }


def test_the_header():
    (sent,) = Lab("").client(udp())
    assert sent.device == "wan0"
    assert (sent.ether.src, sent.ether.dst, sent.ether.type) == (WAN_MAC, SERVER_MAC, 0x0800)
    (sent,) = Lab("").client(IPv6(src=CLIENT6, dst=SERVER6) / UDP())
    assert (sent.ether.src, sent.ether.dst, sent.ether.type) == (WAN_MAC, SERVER_MAC, 0x86DD)


def test_padding_does_not_leave():
    (sent,) = Lab("").receive("lan0", bytes(Ether(src=CLIENT_MAC, dst=LAN_MAC) / udp(size=1)) + bytes(17))
    assert len(sent.frame) == 14 + 29


def test_a_chain_sees_all_that_leaves_its_device():
    lab = Lab(CHAIN)
    lab.client(udp())
    lab.client(IPv6(src=CLIENT6, dst=SERVER6) / UDP())
    lab.client(udp(destination="10.0.2.77"))
    lab.server(udp_reply())
    assert counters(lab) == {"all": 3, "arp": 1, "v6": 1}


def test_a_chain_drops_what_the_classic_path_sends():
    lab = Lab(CHAIN)
    assert lab.client(udp(dport=99)) == []
    assert lab.drops == {Drop.RULE: 1}
    assert (lab.statistics.withheld, lab.statistics.egress, lab.statistics.transmit) == (1, 1, 0)


def test_a_chain_sees_and_drops_what_the_fast_path_sends():
    lab = Lab(FLOWTABLE + CHAIN.replace("udp dport 99 drop", "ip ttl 8 drop"))
    lab.client(udp())
    lab.server(udp_reply())
    assert len(lab.client(udp())) == 1
    assert lab.client(IP(src=CLIENT, dst=SERVER, ttl=9) / UDP(sport=5000, dport=53)) == []
    assert lab.statistics.bypass == 2
    assert counters(lab)["all"] == 3
    assert lab.drops == {Drop.RULE: 1}
    assert lab.statistics.withheld == 1


def test_chains_in_their_order():
    """By priority; of equal priority the latest first."""
    lab = Lab(
        """
        table netdev t {
            chain a {
                type filter hook egress device "wan0" priority 1
                counter comment "a"
            }
            chain b {
                type filter hook egress device "wan0" priority 0
                udp dport 1 drop
                counter comment "b"
            }
            chain c {
                type filter hook egress device "wan0" priority 0
                udp dport { 1, 2 } drop
                counter comment "c"
            }
        }
        """
    )
    for dport, seen in ((1, (0, 0, 0)), (2, (0, 0, 0)), (3, (1, 1, 1))):
        lab.client(udp(dport=dport))
        assert counters(lab) == dict(zip("abc", seen, strict=True))


def test_a_device_that_is_down_sends_nothing():
    lab = Lab("")
    lab.box.topology.set_link(lab.box.topology.devices["wan0"], up=False)
    # There is no route any more.
    (sent,) = lab.client(udp())
    assert (sent.ether[ICMP].type, lab.drops) == (3, {Drop.NO_ROUTE: 1})


def test_what_waits_when_the_link_goes_down_is_dropped():
    lab = Lab("")
    lab.client(udp(destination="10.0.2.77"))
    lab.client(IPv6(src=CLIENT6, dst="2001:db8:2::77") / UDP())
    assert lab.box.waiting == 2
    lab.box.topology.set_link(lab.box.topology.devices["wan0"], up=False)
    assert lab.box.waiting == 0
    assert lab.drops == {Drop.NEIGHBOUR_FAILED: 2}
    before = len(lab.sent)
    lab.wait(60)
    assert len(lab.sent) == before


def test_packets_wait_for_their_neighbour():
    lab = Lab("")
    (question,) = lab.client(udp(destination="10.0.2.77"))
    assert (question.device, question.ether[ARP].pdst) == ("wan0", "10.0.2.77")
    assert lab.client(udp(destination="10.0.2.77", dport=54)) == []
    answer = ARP(op=2, hwsrc="02:00:00:00:02:77", psrc="10.0.2.77", hwdst=WAN_MAC, pdst="10.0.2.1")
    sent = lab.receive("wan0", Ether(src="02:00:00:00:02:77", dst=WAN_MAC) / answer)
    assert [s.ether[UDP].dport for s in sent] == [53, 54]
    assert {s.ether.dst for s in sent} == {"02:00:00:00:02:77"}
    (question,) = lab.client(IPv6(src=CLIENT6, dst="2001:db8:2::77") / UDP())
    assert (question.ether.dst, question.ether[ICMPv6ND_NS].tgt) == ("33:33:ff:00:00:77", "2001:db8:2::77")


@pytest.mark.parametrize("answers", [True, False])
def test_a_packet_of_the_fast_path_waits_as_well(answers):
    lab = Lab(FLOWTABLE, profile="linux-6.12")
    lab.client(udp(destination="10.0.2.77"))
    answer = ARP(op=2, hwsrc="02:00:00:00:02:77", psrc="10.0.2.77", hwdst=WAN_MAC, pdst="10.0.2.1")
    learn = Ether(src="02:00:00:00:02:77", dst=WAN_MAC) / answer
    lab.receive("wan0", learn)
    lab.receive("wan0", Ether(src="02:00:00:00:02:77", dst=WAN_MAC) / udp_reply("10.0.2.77"))
    wan = lab.box.topology.devices["wan0"]
    neighbour = lab.box.topology.neighbours.get(wan, bytes((10, 0, 2, 77)))
    assert neighbour is not None
    lab.box.topology.neighbours.delete(neighbour)
    (question,) = lab.client(udp(destination="10.0.2.77"))
    assert (question.ether.type, lab.statistics.bypass, lab.box.waiting) == (0x0806, 1, 1)
    if answers:
        (sent,) = lab.receive("wan0", learn)
        assert (sent.ether.dst, sent.ether[IP].ttl) == ("02:00:00:00:02:77", 63)
    else:
        lab.wait(5)
        assert lab.drops == {Drop.NEIGHBOUR_FAILED: 1}
    assert lab.box.waiting == 0


def test_fragments_leave_as_they_came_where_connections_are_tracked():
    lab = Lab(FLOWTABLE)
    pieces = fragment(IP(src=CLIENT, dst=SERVER, id=5) / UDP(sport=5000, dport=53) / (b"x" * 2000), 800)
    sent = [s for piece in pieces for s in lab.client(piece)]
    assert [len(s.frame) for s in sent] == [14 + len(piece) for piece in pieces]
    assert (lab.statistics.reassembled, lab.statistics.fragmented) == (2, 2)


def test_on_egress_lengths_include_the_ethernet_header():
    """Recorded on Linux 6.12: counters of egress chains count 14 bytes more than those of ingress chains."""
    lab = Lab(
        """
        table netdev t {
            chain e {
                type filter hook egress device "wan0" priority 0
                meta length 52 counter comment "leaving"
            }
            chain i {
                type filter hook ingress device "lan0" priority 0
                meta length 38 counter comment "arriving"
            }
        }
        """
    )
    lab.client(udp())
    listing = lab.listing()
    for comment, size in (("leaving", 52), ("arriving", 38)):
        assert f'counter packets 1 bytes {size} comment "{comment}"' in listing
