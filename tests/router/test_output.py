"""Output and postrouting: what the box makes itself, its rules, and the way it takes after them."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP, IPerror, UDPerror
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, IPv6

from flowtable.packet.drop import Drop
from tests.lab import CLIENT, CLIENT6, SERVER, Lab, box_with, udp

ROUTER, ROUTER6 = "10.0.1.1", "2001:db8:1::1"
PING = IP(src=CLIENT, dst=ROUTER) / ICMP(id=1, seq=1)
PING6 = IPv6(src=CLIENT6, dst=ROUTER6) / ICMPv6EchoRequest(id=1)


def output(rule: str, kind: str = "filter", priority: str = "0", family: str = "inet") -> str:
    return f"""
    table {family} t {{
        chain o {{
            type {kind} hook output priority {priority}
            {rule}
        }}
    }}
    """


def test_the_rules_see_what_the_box_makes():
    lab = Lab(output("counter"))
    lab.client(PING)
    lab.client(PING6)
    lab.client(IP(src=CLIENT, dst=SERVER, ttl=1) / UDP())
    # A question of neighbour discovery is one of its own packets; ARP is none at all.
    lab.client(IPv6(src=CLIENT6, dst="2001:db8:2::77") / UDP())
    lab.client(udp(destination="10.0.2.77"))
    # What is forwarded is not.
    lab.client(udp())
    assert "counter packets 4 " in lab.listing()
    assert lab.statistics.output == 4
    assert lab.statistics.postrouting == 7


@pytest.mark.parametrize(("rule", "drop"), [("drop", Drop.RULE), ("reject", Drop.REJECT)])
def test_the_rules_drop(rule, drop):
    lab = Lab(output(f"icmp type echo-reply {rule}"))
    assert lab.client(PING) == []
    assert lab.drops[drop] == 1
    assert len(lab.client(PING6)) == 1


def test_postrouting_rules():
    lab = Lab(
        """
        table inet t {
            chain p {
                type filter hook postrouting priority 0
                oifname "lan0" icmp type echo-reply drop
                oifname "wan0" udp dport 9 drop
                counter
            }
        }
        """
    )
    assert lab.client(PING) == lab.client(udp(dport=9)) == []
    assert lab.client(udp(dport=10)) != []
    assert lab.drops == {Drop.RULE: 2}
    assert "counter packets 1 " in lab.listing()


MASQUERADE = """
table inet t {
    chain s {
        type nat hook postrouting priority srcnat
        oifname "wan0" masquerade
    }
}
"""


@pytest.mark.parametrize("route_back", [True, False])
def test_a_packet_whose_destination_is_translated_is_routed_again(route_back):
    """The server does not answer ARP: the error about what bears the box's address is its client's."""
    lab = Lab(MASQUERADE)
    lab.client(udp(destination="10.0.2.77"))
    if not route_back:
        lab.box.topology.set_link(lab.box.topology.devices["lan0"], up=False)
    before = len(lab.sent)
    lab.wait(5)
    errors = [s for s in lab.sent[before:] if ICMP in s.ether]
    if route_back:
        assert [(s.device, s.ether[IP].dst, s.ether[IPerror].src) for s in errors] == [
            ("lan0", CLIENT, CLIENT)
        ]
        assert lab.drops == {Drop.NEIGHBOUR_FAILED: 1}
    else:
        assert errors == []
        assert lab.drops == {Drop.NEIGHBOUR_FAILED: 1, Drop.NO_ROUTE: 1}


def test_a_mark_does_not_change_the_way():
    """Not even that of packets whose way no table knows: those of neighbour discovery."""
    lab = Lab(output("meta mark set 7"))
    assert len(lab.client(PING)) == len(lab.client(PING6)) == 1
    (question,) = lab.client(IPv6(src=CLIENT6, dst="2001:db8:2::77") / UDP())
    assert (question.device, question.ether[ICMPv6ND_NS].tgt) == ("wan0", "2001:db8:2::77")
    asked = IPv6(src="fe80::99", dst="fe80::ff:fe00:101") / ICMPv6EchoRequest()
    (question,) = lab.client(asked)
    assert (question.device, question.ether[ICMPv6ND_NS].tgt) == ("lan0", "fe80::99")


def test_the_box_talks_to_itself():
    """An error about a packet of its own goes over the loopback device, through every hook but forward."""
    lab = Lab(
        """
        table inet t {
            chain p {
                type filter hook prerouting priority 0
                iifname "lo" counter comment "pre"
            }
            chain i {
                type filter hook input priority 0
                iifname "lo" counter comment "in"
            }
            chain o {
                type filter hook output priority 0
                oifname "lo" counter comment "out"
            }
        }
        """,
        box_file=box_with(net__ipv4__conf__lan0__accept_local=1, net__ipv4__conf__lan0__rp_filter=0),
    )
    # From itself, as it seems: the answer goes to itself.
    assert lab.client(IP(src="10.0.2.1", dst=ROUTER) / ICMP(id=1, seq=1) / b"abc") == []
    for place in ("pre", "in", "out"):
        assert f'counter packets 1 bytes 31 comment "{place}"' in lab.listing()
    assert (lab.statistics.output, lab.statistics.prerouting, lab.statistics.delivered) == (1, 2, 2)
    assert lab.statistics.transmit == 0


NAT = f"""
table inet t {{
    chain p {{
        type nat hook prerouting priority dstnat
        ip daddr 10.0.1.1 udp dport 53 dnat ip to {SERVER}:5353
    }}
    chain s {{
        type nat hook postrouting priority srcnat
        oifname "wan0" masquerade
    }}
}}
"""


def test_errors_about_translated_packets_are_translated_back():
    lab = Lab(NAT)
    (sent,) = lab.client(udp(destination=ROUTER))
    assert (sent.ether[IP].src, sent.ether[IP].dst, sent.ether[UDP].dport) == ("10.0.2.1", SERVER, 5353)
    # The box's own error about what it has translated already.
    (sent,) = lab.client(IP(src=CLIENT, dst=ROUTER, ttl=1) / UDP(sport=5000, dport=53))
    message = sent.ether[ICMP]
    assert (sent.ether[IP].src, sent.ether[IP].dst, message.type) == (ROUTER, CLIENT, 11)
    assert (message[IPerror].src, message[IPerror].dst, message[UDPerror].dport) == (CLIENT, ROUTER, 53)
    # One of the server's.
    about = IP(src="10.0.2.1", dst=SERVER, ttl=63) / UDP(sport=5000, dport=5353) / (b"x" * 10)
    (sent,) = lab.server(IP(src=SERVER, dst="10.0.2.1") / ICMP(type=3, code=3) / about)
    message = sent.ether[ICMP]
    assert (sent.device, sent.ether[IP].src, sent.ether[IP].dst) == ("lan0", ROUTER, CLIENT)
    assert (message[IPerror].src, message[IPerror].dst, message[UDPerror].dport) == (CLIENT, ROUTER, 53)
