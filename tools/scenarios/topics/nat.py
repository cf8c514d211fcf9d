"""Address translation of each kind, its clashes, and ICMP errors through it."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6
from scapy.packet import Packet

from scenarios.author import (
    CLIENT,
    CLIENT6,
    LAN,
    SERVER,
    SERVER6,
    WAN,
    WAN6,
    Scenario,
    Tcp,
    Udp,
    changed,
    router,
    scenario,
)
from scenarios.topics.forwarding import DATA, pieces

SECOND, SECOND_MAC = "10.0.1.50", "02:00:00:00:01:50"


def nat(post: str = "", pre: str = "", *, family: str = "inet", more: str = "") -> str:
    """Rules that translate."""
    return f"""
table {family} n {{
    chain pre {{
        type nat hook prerouting priority dstnat; policy accept;
        {pre}
    }}
    chain post {{
        type nat hook postrouting priority srcnat; policy accept;
        {post}
    }}
    {more}
}}
"""


def second(s: Scenario, dst: str = SERVER, sport: int = 5000, dport: int = 53) -> None:
    """A datagram of a second client."""
    s.lan(IP(src=SECOND, dst=dst, id=0x4242) / UDP(sport=sport, dport=dport) / b"two", src=SECOND_MAC)


def two_clients(s: Scenario) -> None:
    """A box that knows a second client."""
    s.box = changed(router(), neighbours=[{"address": SECOND, "dev": "lan0", "mac": SECOND_MAC}])


def quoting(kind: int, code: int, packet: Packet, unused: int = 0) -> Packet:
    """An ICMP error about a packet."""
    return ICMP(type=kind, code=code, unused=unused) / bytes(packet)[:128]


@scenario
def masquerade(s: Scenario) -> None:
    """The client's address becomes the router's; ports stay where they can."""
    s.rules = nat('oifname "wan0" masquerade')
    Udp(s, seen_src=WAN).talk(2)
    Tcp(s, seen_src=WAN).open()
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / ICMP(id=7, seq=1) / b"ping")
    s.wan(IP(src=SERVER, dst=WAN, id=0x4242) / ICMP(type=0, id=7, seq=1) / b"ping")
    Udp(s, src=CLIENT6, dst=SERVER6, seen_src=WAN6).talk(1)


@scenario
def masquerade_to_ports(s: Scenario) -> None:
    """Masquerade to a range of one port."""
    s.rules = nat('oifname "wan0" meta l4proto udp masquerade to :6000')
    Udp(s, seen_src=WAN, seen_sport=6000).talk(2)


@scenario
def clash(s: Scenario) -> None:
    """Two clients use the same port: the second gets the other one of two."""
    two_clients(s)
    s.rules = nat('oifname "wan0" udp sport 5000 snat ip to 10.0.2.1:5000-5001')
    Udp(s, seen_src=WAN).talk(1)
    second(s)
    s.wan(IP(src=SERVER, dst=WAN, id=0x4242) / UDP(sport=53, dport=5001) / b"for the second")


@scenario
def no_port_left(s: Scenario) -> None:
    """Two clients and one port: the second client's packet is dropped."""
    two_clients(s)
    s.rules = nat('oifname "wan0" udp sport 5000 snat ip to 10.0.2.1:5000')
    Udp(s, seen_src=WAN).talk(1)
    second(s)
    second(s, dport=54)


@scenario
def snat(s: Scenario) -> None:
    """Source translation to an address, a range, and not at all."""
    s.rules = nat(
        "udp dport 53 snat ip to 10.0.2.8\nudp dport 54 snat ip to 10.0.2.16-10.0.2.31\n"
        "udp dport 55 accept\nudp dport 56 snat ip to 10.0.2.9:7000"
    )
    for dport in (53, 54, 55, 56):
        Udp(s, dport=dport).out()


@scenario
def snat_persistent(s: Scenario) -> None:
    """The same client gets the same address of a range, whatever it talks to."""
    neighbour = {"address": "10.0.2.98", "dev": "wan0", "mac": s.server.src}
    s.box = changed(router(), neighbours=[neighbour])
    s.rules = nat("snat ip to 10.0.2.16-10.0.2.31 persistent")
    for dst in (SERVER, "10.0.2.98"):
        Udp(s, dst=dst, dport=53).out()


@scenario
def dnat(s: Scenario) -> None:
    """Port forwards from outside: address, port, both."""
    s.rules = nat(
        pre='iifname "wan0" tcp dport 80 dnat ip to 10.0.1.99\n'
        'iifname "wan0" udp dport 53 dnat ip to 10.0.1.99:5353\n'
        'iifname "wan0" tcp dport 8000-8100 dnat ip to 10.0.1.99:443'
    )
    for dport, inner in ((80, 80), (8010, 443)):
        s.wan(
            IP(src=SERVER, dst=WAN, id=0x4242) / TCP(sport=40000, dport=dport, flags="S", seq=1, window=500)
        )
        answer = TCP(sport=inner, dport=40000, flags="SA", seq=9, ack=2, window=500)
        s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / answer)
    s.wan(IP(src=SERVER, dst=WAN, id=0x4242) / UDP(sport=1024, dport=53) / b"question")
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=5353, dport=1024) / b"answer")


@scenario
def dnat_map(s: Scenario) -> None:
    """A map of ports to hosts."""
    s.rules = nat(pre='iifname "wan0" dnat ip to udp dport map { 53 : 10.0.1.99, 54 : 10.0.1.50 }')
    two_clients(s)
    for dport in (53, 54, 55):
        s.wan(IP(src=SERVER, dst=WAN, id=0x4242) / UDP(sport=1024, dport=dport) / b"question")


@scenario
def hairpin(s: Scenario) -> None:
    """A client reaches its neighbour through the router's outer address, and sees the router."""
    two_clients(s)
    s.rules = nat(
        "ip saddr 10.0.1.0/24 ip daddr 10.0.1.0/24 masquerade",
        "ip daddr 10.0.2.1 udp dport 53 dnat ip to 10.0.1.50:5353",
    )
    s.lan(IP(src=CLIENT, dst=WAN, id=0x4242) / UDP(sport=5000, dport=53) / b"question")
    s.lan(IP(src=SECOND, dst=LAN, id=0x4242) / UDP(sport=5353, dport=5000) / b"answer", src=SECOND_MAC)


@scenario
def redirect(s: Scenario) -> None:
    """Redirected to the router itself, where nobody listens."""
    s.rules = nat(pre='iifname "lan0" udp dport 53 redirect to :9999')
    Udp(s).out()
    Udp(s, src=CLIENT6, dst=SERVER6).out()


@scenario
def twice(s: Scenario) -> None:
    """Destination and source of one connection are translated."""
    s.rules = nat('oifname "wan0" masquerade', "ip daddr 192.0.2.5 tcp dport 1666 dnat ip to 10.0.2.99:443")
    connection = Tcp(s, dst="192.0.2.5", dport=1666, seen_src=WAN, seen_dst=SERVER, seen_dport=443)
    connection.open()
    connection.talk(2)


@scenario
def six(s: Scenario) -> None:
    """IPv6: masquerade, snat, dnat."""
    s.rules = nat(
        'oifname "wan0" udp dport 53 masquerade\noifname "wan0" udp dport 54 snat ip6 to 2001:db8:2::8',
        'iifname "wan0" udp dport 55 dnat ip6 to [2001:db8:1::99]:56',
    )
    Udp(s, src=CLIENT6, dst=SERVER6, seen_src=WAN6).talk(1)
    Udp(s, src=CLIENT6, dst=SERVER6, dport=54, seen_src="2001:db8:2::8").talk(1)
    s.wan(IPv6(src=SERVER6, dst=WAN6) / UDP(sport=9, dport=55) / b"question")
    s.lan(IPv6(src=CLIENT6, dst=SERVER6) / UDP(sport=56, dport=9) / b"answer")


@scenario
def range6(s: Scenario) -> None:
    """A range of IPv6 addresses: which client gets which."""
    s.rules = nat('oifname "wan0" snat ip6 to 2001:db8:2:1::10-2001:db8:2:3::ff')
    s.box = changed(router(), routes=[{"to": "2001:db8:9::/48", "via": SERVER6, "dev": "wan0"}])
    for last in range(1, 6):
        Udp(s, src=CLIENT6, dst=f"2001:db8:9::{last}").out()


@scenario
def errors_about_tcp(s: Scenario) -> None:
    """ICMP errors about a masqueraded TCP segment: quoted whole, and its first eight bytes."""
    s.rules = nat('oifname "wan0" masquerade')
    Tcp(s, seen_src=WAN).open()
    sent = IP(src=WAN, dst=SERVER, id=0x4242, ttl=60) / TCP(
        sport=40000, dport=443, flags="A", seq=1001, ack=5001
    )
    for size in (40, 28):
        error = ICMP(type=3, code=1) / bytes(sent)[:size]
        s.wan(IP(src="10.0.2.254", dst=WAN, id=0x4242) / error)


@scenario
def prefixes(s: Scenario) -> None:
    """One network for another, address by address."""
    s.rules = nat("snat ip prefix to ip saddr map { 10.0.1.0/24 : 198.51.100.0/24 }", family="ip")
    Udp(s).out()


@scenario
def udp_without_a_checksum(s: Scenario) -> None:
    """No checksum stays no checksum."""
    s.rules = nat('oifname "wan0" masquerade')
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53, chksum=0) / b"x")
    s.wan(IP(src=SERVER, dst=WAN, id=0x4242) / UDP(sport=53, dport=5000, chksum=0) / b"x")


@scenario
def fragments(s: Scenario) -> None:
    """Fragments are put together for translation and cut again."""
    s.rules = nat('oifname "wan0" masquerade')
    packet = IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53) / DATA[:1400]
    for piece in pieces(packet, 800):
        s.lan(piece)
    packet = IP(src=SERVER, dst=WAN, id=0x4242) / UDP(sport=53, dport=5000) / DATA[:1400]
    for piece in reversed(pieces(packet, 800)):
        s.wan(piece)


@scenario
def errors_about_translated_packets(s: Scenario) -> None:
    """ICMP errors of each kind from beyond: what they quote is translated back."""
    s.rules = nat('oifname "wan0" masquerade')
    Udp(s, seen_src=WAN).talk(1)
    sent = IP(src=WAN, dst=SERVER, id=0x4242, ttl=60) / UDP(sport=5000, dport=53) / b"question"
    for kind, code in ((3, 0), (3, 1), (3, 3), (3, 4), (3, 13), (4, 0), (11, 0), (11, 1), (12, 0)):
        s.wan(IP(src="10.0.2.254", dst=WAN, id=0x4242) / quoting(kind, code, sent))
    s.wan(IP(src="10.0.2.254", dst=WAN, id=0x4242) / ICMP(type=5, code=1, gw="10.0.2.253") / bytes(sent)[:28])


@scenario
def errors_about_port_forwards(s: Scenario) -> None:
    """ICMP errors from the inside about a forwarded port."""
    s.rules = nat(pre='iifname "wan0" udp dport 53 dnat ip to 10.0.1.99:5353')
    s.wan(IP(src=SERVER, dst=WAN, id=0x4242) / UDP(sport=1024, dport=53) / b"question")
    got = IP(src=SERVER, dst=CLIENT, id=0x4242, ttl=63) / UDP(sport=1024, dport=5353) / b"question"
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / quoting(3, 3, got))
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / quoting(3, 4, got, unused=1280))


@scenario
def errors_about_nothing(s: Scenario) -> None:
    """ICMP errors that are about no connection, or cut too short."""
    s.rules = nat('oifname "wan0" masquerade')
    Udp(s, seen_src=WAN).talk(1)
    other = IP(src=WAN, dst=SERVER, id=0x4242) / UDP(sport=5999, dport=53) / b"x"
    mine = IP(src=WAN, dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53) / b"x"
    s.wan(IP(src="10.0.2.254", dst=WAN, id=0x4242) / quoting(3, 3, other))
    s.wan(IP(src="10.0.2.254", dst=WAN, id=0x4242) / ICMP(type=3, code=3) / bytes(mine)[:24])
    s.wan(IP(src="10.0.2.254", dst=WAN, id=0x4242) / ICMP(type=3, code=3) / bytes(mine)[:12])
    s.wan(IP(src="10.0.2.254", dst=WAN, id=0x4242) / ICMP(type=3, code=3, chksum=0x1234) / bytes(mine)[:28])


@scenario
def own_errors(s: Scenario) -> None:
    """The router's own errors about packets that it translated before."""
    s.box = router(wan_mtu=1400)
    s.rules = nat('oifname "wan0" masquerade', 'iifname "wan0" udp dport 53 dnat ip to 10.0.1.99:5353')
    Udp(s, seen_src=WAN).out(ttl=1)
    Udp(s, seen_src=WAN).out(DATA[:1400], flags="DF")
    s.wan(IP(src=SERVER, dst=WAN, id=0x4242, ttl=1) / UDP(sport=1024, dport=53) / b"question")


@scenario
def errors_six(s: Scenario) -> None:
    """Packet too big about a masqueraded IPv6 packet."""
    s.rules = nat('oifname "wan0" masquerade')
    Udp(s, src=CLIENT6, dst=SERVER6, seen_src=WAN6).talk(1)
    sent = IPv6(src=WAN6, dst=SERVER6, hlim=60) / UDP(sport=5000, dport=53) / b"question"
    s.wan(IPv6(src="2001:db8:2::fe", dst=WAN6) / ICMPv6PacketTooBig(mtu=1280) / bytes(sent))


@scenario
def address_goes(s: Scenario) -> None:
    """The address that connections were masqueraded with goes: they are forgotten."""
    s.rules = nat('oifname "wan0" masquerade')
    s.box["devices"][1]["addresses"].append("10.0.2.7/24")
    Udp(s, seen_src=WAN).talk(1)
    s.event(address={"dev": "wan0", "address": "10.0.2.1/24", "delete": True})
    s.wait(0.5)
    Udp(s, sport=5001, seen_src=WAN).out()


@scenario
def echo_clash(s: Scenario) -> None:
    """Two clients ping with the same identifier."""
    two_clients(s)
    s.rules = nat('oifname "wan0" ip protocol icmp snat ip to 10.0.2.1:7-8')
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / ICMP(id=7, seq=1) / b"ping")
    s.lan(IP(src=SECOND, dst=SERVER, id=0x4242) / ICMP(id=7, seq=1) / b"ping", src=SECOND_MAC)
    s.wan(IP(src=SERVER, dst=WAN, id=0x4242) / ICMP(type=0, id=8, seq=1) / b"ping")


@scenario
def rules_change(s: Scenario) -> None:
    """A connection keeps its translation when the rule goes; a new one has none."""
    s.rules = nat('oifname "wan0" masquerade')
    Udp(s, seen_src=WAN).talk(1)
    s.event(ruleset="flush chain inet n post")
    Udp(s, seen_src=WAN).talk(1)
    Udp(s, sport=5001).talk(1)
    s.event(conntrack="flush")
    Udp(s).talk(1)
