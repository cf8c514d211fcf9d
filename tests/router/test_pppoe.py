"""PPPoE sessions: what belongs to one, what does not, and what leaves."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE, PPPoED

from flowtable.packet.drop import Drop
from tests.router.stacks import HOST_A, HOST_B, lab, layers, ping, statistics

MAC = "02:00:00:00:01:01"
PEER = "02:00:00:00:09:09"
LAN = 'name: lan0, mac: "02:00:00:00:02:01", addresses: [192.168.1.1/24, "2001:db8:1::1/64"]'
WAN = f'name: wan0, mac: "{MAC}"'
VLAN7 = "name: wan0.7, kind: vlan, parent: wan0, id: 7"
PPP0 = (
    f'name: ppp0, kind: pppoe, parent: wan0.7, session: 4660, peer: "{PEER}", '
    'addresses: [{address: 100.64.0.1, peer: 100.64.0.254/32}, "2001:db8:2::1/64"]'
)
ROUTES = ["to: 0.0.0.0/0, dev: ppp0", 'to: "::/0", dev: ppp0']


@pytest.fixture
def bench():
    neighbours = [
        f'address: 192.168.1.9, dev: lan0, mac: "{HOST_A}"',
        f'address: "2001:db8:1::9", dev: lan0, mac: "{HOST_A}"',
    ]
    return lab(LAN, WAN, VLAN7, PPP0, routes=ROUTES, neighbours=neighbours)


def session(payload, sid=4660, src=PEER, dst=MAC, **fields):
    return Ether(src=src, dst=dst) / Dot1Q(vlan=7) / PPPoE(sessionid=sid, **fields) / payload


def test_out_of_the_session_and_into_it(bench):
    out = IP(src="192.168.1.9", dst="198.51.100.1", ttl=9) / UDP() / b"query"
    (sent,) = bench.receive("lan0", Ether(src=HOST_A, dst="02:00:00:00:02:01") / out)
    assert layers([sent]) == [("wan0", ["Ether", "Dot1Q", "PPPoE", "PPP", "IP", "UDP", "Raw"])]
    ether = sent.ether
    assert (ether.src, ether.dst, ether[Dot1Q].vlan) == (MAC, PEER, 7)
    assert (ether[PPPoE].version, ether[PPPoE].type, ether[PPPoE].code) == (1, 1, 0)
    assert (ether[PPPoE].sessionid, ether[PPPoE].len) == (4660, 2 + len(out))
    assert (ether[PPP].proto, ether[IP].ttl) == (0x21, 8)

    back = IP(src="198.51.100.1", dst="192.168.1.9", ttl=9) / UDP() / b"answer"
    (sent,) = bench.receive("wan0", session(PPP(proto=0x21) / back))
    assert layers([sent]) == [("lan0", ["Ether", "IP", "UDP", "Raw"])]
    assert (sent.ether.dst, sent.ether[IP].ttl) == (HOST_A, 8)
    assert statistics(bench, "ppp0") == (1, len(back), 1, len(out))
    assert statistics(bench, "wan0.7") == (1, 8 + len(back), 1, 14 + 8 + len(out))


def test_ipv6(bench):
    out = IPv6(src="2001:db8:1::9", dst="2001:db8:99::1") / UDP() / b"query"
    (sent,) = bench.receive("lan0", Ether(src=HOST_A, dst="02:00:00:00:02:01") / out)
    assert sent.ether[PPP].proto == 0x57
    echo = IPv6(src="2001:db8:99::1", dst="2001:db8:2::1") / ICMPv6EchoRequest()
    (sent,) = bench.receive("wan0", session(PPP(proto=0x57) / echo))
    assert sent.ether[IPv6].dst == "2001:db8:99::1"


def test_neighbour_discovery_without_addresses_to_discover(bench):
    """Ref: ndisc_send_na leaves the option out where addresses have no length."""
    asked = IPv6(src="2001:db8:2::9", dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt="2001:db8:2::1")
    (sent,) = bench.receive("wan0", session(PPP(proto=0x57) / asked))
    told = sent.ether[ICMPv6ND_NA]
    assert (sent.ether[IPv6].dst, told.tgt, len(told)) == ("2001:db8:2::9", "2001:db8:2::1", 24)


def test_nobody_is_asked_for_a_next_hop(bench):
    bench.receive("lan0", Ether(src=HOST_A, dst="02:00:00:00:02:01") / ping("192.168.1.9", "100.64.0.254"))
    assert layers(bench.sent) == [("wan0", ["Ether", "Dot1Q", "PPPoE", "PPP", "IP", "ICMP"])]
    assert bench.statistics.arp_sent == 0


def test_padding_behind_the_session_s_length_is_cut(bench):
    frame = bytes(session(PPP(proto=0x21) / ping("100.64.0.254", "100.64.0.1"))) + bytes(30)
    (sent,) = bench.receive("wan0", frame)
    assert sent.ether[ICMP].type == 0
    assert len(sent.frame) == 14 + 4 + 8 + 28


def test_a_protocol_field_of_one_byte_is_read(bench):
    """ppp_generic.c:ppp_decompress_proto takes it from any channel, though RFC 2516 forbids it here."""
    (sent,) = bench.receive("wan0", session(b"\x21" + bytes(ping("100.64.0.254", "100.64.0.1"))))
    assert sent.ether[ICMP].type == 0


PACKET = PPP(proto=0x21) / ping("100.64.0.254", "100.64.0.1")


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (session(PACKET, sid=4661), Drop.PPPOE_SESSION),
        (session(PACKET, src=HOST_B), Drop.PPPOE_SESSION),
        (Ether(src=PEER, dst=MAC) / PPPoE(sessionid=4660) / PACKET, Drop.PPPOE_SESSION),
        (session(PPP(proto=0xC021) / b"\x09\x01\x00\x08abcd"), Drop.PPP_CONTROL),
        (session(PPP(proto=0x8021) / b"\x01\x01\x00\x04"), Drop.PPP_CONTROL),
        (session(PPP(proto=0x8057) / b"\x01\x01\x00\x04"), Drop.PPP_CONTROL),
        (session(PACKET, len=200), Drop.PPPOE_MALFORMED),
        (session(b"", len=0), Drop.PPPOE_MALFORMED),
        (bytes(session(PACKET))[:22], Drop.PPPOE_MALFORMED),
        (Ether(src=PEER, dst=MAC) / Dot1Q(vlan=7) / PPPoED(code=0xA7), Drop.PPPOE_DISCOVERY),
        (Ether(src=PEER, dst="ff:ff:ff:ff:ff:ff") / PPPoED(code=0x09), Drop.PPPOE_DISCOVERY),
    ],
)
def test_what_is_no_packet_of_the_session(bench, frame, reason):
    assert bench.receive("wan0", frame) == []
    assert bench.drops == {reason: 1}


def test_two_sessions_with_one_number_and_two_peers():
    bench = lab(
        WAN,
        f'name: ppp0, kind: pppoe, parent: wan0, session: 1, peer: "{PEER}", addresses: [10.0.0.1/32]',
        f'name: ppp1, kind: pppoe, parent: wan0, session: 1, peer: "{HOST_B}", addresses: [10.0.0.2/32]',
        routes=["to: 10.9.0.0/16, dev: ppp0", "to: 10.8.0.0/16, dev: ppp1"],
    )
    for peer, source, own in ((PEER, "10.9.0.1", "10.0.0.1"), (HOST_B, "10.8.0.1", "10.0.0.2")):
        packet = PPP(proto=0x21) / ping(source, own)
        (sent,) = bench.receive("wan0", Ether(src=peer, dst=MAC) / PPPoE(sessionid=1) / packet)
        assert (sent.ether.dst, sent.ether[IP].src) == (peer, own)


def test_a_session_goes_with_the_device_below(bench):
    topology = bench.box.topology
    topology.set_link(topology.devices["wan0.7"], up=False)
    bench.receive("wan0", session(PACKET))
    assert bench.drops == {Drop.DEVICE_DOWN: 1}
    topology.set_link(topology.devices["wan0.7"], up=True)
    assert bench.receive("wan0", session(PACKET)) == []


def test_the_mtu_is_8_bytes_less(bench):
    packet = IP(src="192.168.1.9", dst="198.51.100.1", flags="DF") / UDP() / bytes(1465)
    (error,) = bench.receive("lan0", Ether(src=HOST_A, dst="02:00:00:00:02:01") / packet)
    assert (error.ether[ICMP].type, error.ether[ICMP].nexthopmtu) == (3, 1492)
