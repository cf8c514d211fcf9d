"""Packets of all kinds at a flowtable: which take the fast path, which add a flow, and which do neither."""

from __future__ import annotations

from scapy.layers.inet import IP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop
from scapy.layers.l2 import GRE

from scenarios.author import (
    CLIENT,
    CLIENT6,
    SERVER,
    SERVER6,
    WAN,
    Scenario,
    Tcp,
    Udp,
    flowtable,
    router,
    scenario,
)
from scenarios.topics.flow.vectors import ACCT, MASQUERADE
from scenarios.topics.forwarding import DATA, pieces, pieces6
from scenarios.topics.nat import quoting
from scenarios.topics.sctp import WAYS, Association


@scenario
def counter_and_padding(s: Scenario) -> None:
    """Ethernet padding on the fast path: forwarded and counted."""
    s.box = router(**ACCT)
    s.rules = flowtable(options="counter")
    Udp(s).talk(2)
    packet = bytes(IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53) / b"ab")
    s.lan(packet + bytes(16))
    packet = bytes(IP(src=SERVER, dst=CLIENT, id=0x4242) / UDP(sport=53, dport=5000) / b"ab")
    s.wan(packet + bytes(16))


@scenario
def counter_and_translation(s: Scenario) -> None:
    """Accounting of a masqueraded flow, with packets of both paths."""
    s.box = router(wan_mtu=1400, **ACCT)
    s.rules = flowtable(options="counter", more=MASQUERADE)
    udp = Udp(s, seen_src=WAN)
    udp.talk(2)
    udp.out(DATA[:1400])
    udp.talk(1)


@scenario
def fragments(s: Scenario) -> None:
    """Fragments of an offloaded flow take the classic path."""
    s.rules = flowtable()
    Udp(s).talk(2)
    packet = IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53) / DATA[:1400]
    for piece in pieces(packet, 800):
        s.lan(piece)
    Udp(s, src=CLIENT6, dst=SERVER6).talk(2)
    for piece in pieces6(IPv6(src=CLIENT6, dst=SERVER6) / UDP(sport=5000, dport=53) / DATA[:1400], 800):
        s.lan(piece)
    Udp(s).talk(1)


@scenario
def options(s: Scenario) -> None:
    """IPv4 options and IPv6 extension headers take the classic path."""
    s.rules = flowtable()
    Udp(s).talk(2)
    Udp(s).out(options=[IPOption_NOP()] * 4)
    Udp(s, src=CLIENT6, dst=SERVER6).talk(2)
    udp = UDP(sport=5000, dport=53) / b"x"
    s.lan(IPv6(src=CLIENT6, dst=SERVER6) / IPv6ExtHdrDestOpt() / udp)
    s.lan(IPv6(src=CLIENT6, dst=SERVER6) / IPv6ExtHdrHopByHop() / udp)
    Udp(s).talk(1)


@scenario
def options_do_not_add(s: Scenario) -> None:
    """A packet with IPv4 options does not add a flow."""
    s.rules = flowtable()
    Udp(s).out()
    Udp(s).back(options=[IPOption_NOP()] * 4)
    Udp(s).back(options=[IPOption_NOP()] * 4)
    Udp(s).talk(2)


@scenario
def malformed(s: Scenario) -> None:
    """What looks like a packet of the flow: wrong checksum, cut short, an odd header length."""
    s.rules = flowtable()
    Udp(s).talk(2)
    good = bytes(IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53) / b"question")
    for at, value in ((10, 0x55), (26, 0x55), (3, 200), (3, 29), (0, 0x46), (0, 0x65), (6, 0x80)):
        bad = bytearray(good)
        bad[at] = value
        s.frame("lan0", s.client.frame(good)[:14] + bytes(bad))
    s.frame("lan0", s.client.frame(good)[: 14 + 24])
    s.frame("lan0", s.client.frame(good)[: 14 + 30])
    Udp(s).talk(1)


@scenario
def tcp_header_cut(s: Scenario) -> None:
    """TCP segments whose header is not whole, or says that it is longer."""
    s.rules = flowtable()
    connection = Tcp(s)
    connection.open()
    connection.talk(1)
    segment = bytes(connection.segment_out("A"))
    s.lan(segment[:32])
    longer = bytearray(segment)
    longer[32] = 0xF0
    s.lan(bytes(longer))
    shorter = bytearray(segment)
    shorter[32] = 0x20
    s.lan(bytes(shorter))


@scenario
def tcp_wrong_checksum(s: Scenario) -> None:
    """The fast path does not look at transport checksums."""
    s.rules = flowtable(more=MASQUERADE)
    connection = Tcp(s, seen_src=WAN)
    connection.open()
    connection.talk(1)
    segment = connection.segment_out("PA", b"x")
    segment.payload.chksum = 0x1234
    s.lan(segment)


@scenario
def tcp_out_of_window(s: Scenario) -> None:
    """Nobody looks at windows on the fast path, nor afterwards."""
    s.rules = flowtable(before="ct state invalid counter drop")
    connection = Tcp(s)
    connection.open()
    connection.talk(1)
    connection.out("PA", b"far", seq=connection.seq + 300000)
    connection.back("PA", DATA[:1400])
    connection.out("PA", DATA[:1400], seq=connection.seq - 300000)


@scenario
def tcp_not_established(s: Scenario) -> None:
    """A connection that was picked up in the middle is added when it is assured."""
    s.rules = flowtable()
    connection = Tcp(s)
    connection.out("PA", b"question")
    connection.out("PA", b"question")
    connection.back("PA", b"answer")
    connection.talk(2)


@scenario
def tcp_one_way(s: Scenario) -> None:
    """A connection of which only one direction passes is never assured."""
    s.rules = flowtable()
    connection = Tcp(s)
    connection.out("S")
    connection.out("A")
    for _ in range(3):
        connection.out("PA", b"x")


@scenario
def fin_does_not_add(s: Scenario) -> None:
    """A FIN or RST is the first that the rule sees of an established connection: it adds nothing."""
    s.rules = flowtable(add='iifname "wan0" flow add @f')
    for sport, flags in ((40001, "FA"), (40002, "RA")):
        connection = Tcp(s, sport=sport)
        connection.open()
        connection.back(flags)


@scenario
def tcp_handshake_without_data(s: Scenario) -> None:
    """A connection that is closed right after its handshake."""
    s.rules = flowtable()
    connection = Tcp(s)
    connection.open()
    connection.out("FA")
    connection.back("FA")
    connection.out("A")


@scenario
def gre(s: Scenario) -> None:
    """GRE without a key is offloaded, with a key not, PPTP's not."""
    s.rules = flowtable()
    for number, header in enumerate((GRE(proto=0x0800), GRE(proto=0x0800, key_present=1, key=77))):
        there = f"10.0.2.{99 - number}"
        for _ in range(3):
            s.lan(IP(src=CLIENT, dst=there, id=0x4242) / header / DATA[:20])
            s.wan(IP(src=there, dst=CLIENT, id=0x4242) / header / DATA[:20])
    s.box["neighbours"].append({"address": "10.0.2.98", "dev": "wan0", "mac": s.server.src})
    pptp = bytes.fromhex("3001880b0004001100000001") + b"data"
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242, proto=47) / pptp)
    for _ in range(3):
        s.lan(IP(src=CLIENT, dst="10.0.2.97", id=0x4242, proto=47) / pptp)
        s.wan(IP(src="10.0.2.97", dst=CLIENT, id=0x4242, proto=47) / pptp)
    s.box["neighbours"].append({"address": "10.0.2.97", "dev": "wan0", "mac": s.server.src})


@scenario
def gre_translated(s: Scenario) -> None:
    """Translated GRE is not offloaded."""
    s.rules = flowtable(more=MASQUERADE)
    for _ in range(3):
        s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / GRE(proto=0x0800) / DATA[:20])
        s.wan(IP(src=SERVER, dst=WAN, id=0x4242) / GRE(proto=0x0800) / DATA[:20])


@scenario
def errors_about_a_flow(s: Scenario) -> None:
    """ICMP errors about an offloaded flow take the classic path, translated back."""
    s.rules = flowtable(more=MASQUERADE)
    Udp(s, seen_src=WAN).talk(3)
    sent = IP(src=WAN, dst=SERVER, id=0x4242, ttl=60) / UDP(sport=5000, dport=53) / b"question"
    for kind, code in ((3, 1), (3, 4), (11, 0)):
        s.wan(IP(src="10.0.2.254", dst=WAN, id=0x4242) / quoting(kind, code, sent))
    Udp(s, seen_src=WAN).talk(1)


@scenario
def sctp(s: Scenario) -> None:
    """An SCTP association with a flowtable."""
    s.rules = flowtable()
    association = Association(s)
    association.steps(WAYS["established"])
    association.steps("data <sack data <sack")
