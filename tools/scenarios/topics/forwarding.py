"""The classic path without rules: forwarding, ICMP errors, fragments, path MTU."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, IPOption_RR
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP
from scapy.packet import Packet, Raw

from scenarios.author import (
    CLIENT,
    CLIENT6,
    LAN,
    LAN6,
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

ALL = "ff:ff:ff:ff:ff:ff"
DATA = bytes(range(256)) * 8
REFUSING = [
    {"to": "10.66.0.0/16", "type": "unreachable"},
    {"to": "10.67.0.0/16", "type": "prohibit"},
    {"to": "10.68.0.0/16", "type": "blackhole"},
    {"to": "2001:db8:66::/48", "type": "unreachable"},
    {"to": "2001:db8:67::/48", "type": "prohibit"},
    {"to": "2001:db8:68::/48", "type": "blackhole"},
]


TRACKED = """
table inet t {
    chain f {
        type filter hook forward priority filter; policy accept;
        ct state new counter
        counter
    }
}
"""


def ip(dst: str = SERVER, **fields: object) -> Packet:
    """An IPv4 header of the client's."""
    return IP(src=CLIENT, dst=dst, **{"id": 0x4242, **fields})


def datagram(size: int = 8, **fields: object) -> Packet:
    """A datagram of the client's."""
    return UDP(sport=5000, dport=53, **fields) / DATA[:size]


def pieces(packet: Packet, *cuts: int) -> list[Packet]:
    """An IPv4 packet in fragments of these payload sizes; the last takes the rest."""
    raw = bytes(packet)
    body, out, at = raw[20:], [], 0
    for cut in (*cuts, len(body)):
        part = body[at : at + cut]
        more = at + len(part) < len(body)
        out.append(
            IP(src=packet.src, dst=packet.dst, id=0x4242, proto=raw[9], frag=at // 8, flags=int(more)) / part
        )
        at += len(part)
        if not more:
            break
    return out


def pieces6(packet: Packet, *cuts: int) -> list[Packet]:
    """An IPv6 packet in fragments of these payload sizes; the last takes the rest."""
    raw = bytes(packet)
    body, out, at = raw[40:], [], 0
    for cut in (*cuts, len(body)):
        part = body[at : at + cut]
        more = at + len(part) < len(body)
        header = IPv6ExtHdrFragment(nh=raw[6], offset=at // 8, m=int(more), id=0x42424242)
        out.append(IPv6(src=packet.src, dst=packet.dst) / header / Raw(part))
        at += len(part)
        if not more:
            break
    return out


@scenario
def udp(s: Scenario) -> None:
    """A datagram each way, IPv4 and IPv6."""
    Udp(s).talk()
    Udp(s, src=CLIENT6, dst=SERVER6).talk()


@scenario
def tcp(s: Scenario) -> None:
    """A connection from its handshake to its end."""
    for connection in (Tcp(s), Tcp(s, src=CLIENT6, dst=SERVER6)):
        connection.open()
        connection.talk(2)
        connection.out("FA")
        connection.back("FA")
        connection.out("A")


@scenario
def other_protocols(s: Scenario) -> None:
    """What is neither TCP nor UDP is forwarded all the same."""
    for number in (1, 4, 41, 47, 50, 89, 132, 253):
        s.lan(ip(proto=number) / DATA[:64])
        s.lan(IPv6(src=CLIENT6, dst=SERVER6, nh=number) / Raw(DATA[:64]))


@scenario
def ttl(s: Scenario) -> None:
    """A packet that may make one more hop passes, one that may not is answered."""
    for hops in (2, 1, 0):
        s.lan(ip(ttl=hops) / datagram())
        s.lan(IPv6(src=CLIENT6, dst=SERVER6, hlim=hops) / datagram())
    s.lan(ip(ttl=1) / ICMP(id=1, seq=1) / b"x")
    s.lan(ip(ttl=1) / ICMP(type=3, code=3) / ip() / datagram())
    s.lan(ip(ttl=1) / datagram(1400))
    s.lan(IPv6(src=CLIENT6, dst=SERVER6, hlim=1) / datagram(1400))


@scenario
def refused_routes(s: Scenario) -> None:
    """Unreachable, prohibited, blackholed, and no route at all."""
    s.box = changed(router(), routes=REFUSING)
    for dst in ("10.66.0.1", "10.67.0.1", "10.68.0.1", "192.0.2.1"):
        s.lan(ip(dst) / datagram())
    for dst in ("2001:db8:66::1", "2001:db8:67::1", "2001:db8:68::1", "2001:db8:99::1"):
        s.lan(IPv6(src=CLIENT6, dst=dst) / datagram())


@scenario
def too_big(s: Scenario) -> None:
    """What must not be cut is answered with the MTU of the way out."""
    s.box = router(wan_mtu=1400)
    for size in (1372, 1373):
        s.lan(ip(flags="DF") / datagram(size))
    for size in (1352, 1353):
        s.lan(IPv6(src=CLIENT6, dst=SERVER6) / datagram(size))


@scenario
def too_big_for_a_route(s: Scenario) -> None:
    """The MTU of a route is smaller than that of its device."""
    routes = [
        {"to": "10.6.0.0/16", "via": SERVER, "mtu": 1000},
        {"to": "2001:db8:6::/48", "via": SERVER6, "dev": "wan0", "mtu": 1300},
    ]
    s.box = changed(router(), routes=routes)
    s.lan(ip("10.6.0.1", flags="DF") / datagram(1100))
    s.lan(ip("10.6.0.1") / datagram(1100))
    s.lan(IPv6(src=CLIENT6, dst="2001:db8:6::1") / datagram(1300))


@scenario
def cut(s: Scenario) -> None:
    """Packets are cut for the way out, fragments are cut again, options are copied."""
    s.box = router(wan_mtu=1000)
    s.lan(ip() / datagram(1400))
    s.lan(ip(tos=0xB8, ttl=7) / datagram(1400))
    s.lan(ip(options=[IPOption_NOP()] * 4) / datagram(1400))
    s.lan(ip(options=[IPOption_RR(length=11, routers=["0.0.0.0"] * 2)]) / datagram(1400))
    for piece in pieces(ip() / datagram(2000), 1400):
        s.lan(piece)


@scenario
def fragments(s: Scenario) -> None:
    """Fragments pass one by one where nobody tracks connections."""
    for piece in pieces(ip() / datagram(1400), 800, 400):
        s.lan(piece)
    for piece in reversed(pieces(ip() / datagram(1400), 800, 400)):
        s.lan(piece)
    for piece in pieces6(IPv6(src=CLIENT6, dst=SERVER6) / datagram(1400), 800):
        s.lan(piece)


@scenario
def fragments_tracked(s: Scenario) -> None:
    """Connection tracking puts fragments together, and the box cuts them again as they were."""
    s.rules = TRACKED
    for piece in pieces(ip() / datagram(1400), 800, 400):
        s.lan(piece)
    for piece in reversed(pieces(ip() / datagram(1400), 800, 400)):
        s.lan(piece)
    for piece in pieces6(IPv6(src=CLIENT6, dst=SERVER6) / datagram(1400), 800, 400):
        s.lan(piece)
    for piece in reversed(pieces6(IPv6(src=CLIENT6, dst=SERVER6) / datagram(1400), 800, 400)):
        s.lan(piece)


@scenario
def fragments_that_overlap(s: Scenario) -> None:
    """A packet whose fragments overlap is dropped; a fragment that comes twice is not counted."""
    s.rules = TRACKED
    first, second, third = pieces(ip() / datagram(1400), 800, 400)
    for piece in (first, first, second, third):
        s.lan(piece)
    body = bytes(ip() / datagram(1400))[20:]
    s.lan(ip(proto=17, flags=1) / body[:800])
    s.lan(ip(proto=17, frag=50, flags=1) / body[400:1200])
    s.lan(ip(proto=17, frag=150) / body[1200:])


@scenario
def fragments_incomplete(s: Scenario) -> None:
    """A packet that never gets whole: the sender is told, if the first fragment came."""
    s.rules = TRACKED
    s.box = router(net__ipv4__ipfrag_time=2, net__netfilter__nf_conntrack_frag6_timeout=2)
    s.lan(pieces(ip() / datagram(1400), 800)[0])
    s.lan(pieces(ip(SERVER, tos=4) / datagram(1200), 800)[1])
    s.lan(pieces6(IPv6(src=CLIENT6, dst=SERVER6) / datagram(1400), 800)[0])
    s.end(4)


@scenario
def options(s: Scenario) -> None:
    """IPv4 options on their way, and IPv6 extension headers."""
    s.lan(ip(options=[IPOption_RR(length=11, routers=["0.0.0.0"] * 2)]) / datagram())
    s.lan(ip(options=[IPOption_NOP()] * 4) / datagram())
    s.lan(ip(options=b"\x94\x04\x00\x00") / datagram())
    s.lan(IPv6(src=CLIENT6, dst=SERVER6) / IPv6ExtHdrHopByHop() / datagram())
    s.lan(IPv6(src=CLIENT6, dst=SERVER6) / IPv6ExtHdrDestOpt() / datagram())


@scenario
def local_answers(s: Scenario) -> None:
    """The box's own answers: echo, closed ports, unknown protocols."""
    s.lan(ip(LAN) / ICMP(id=5, seq=6) / DATA[:56])
    s.lan(ip(WAN, tos=0x2D) / ICMP(id=5, seq=6) / DATA[:56])
    s.lan(ip(LAN) / datagram(32))
    s.lan(ip(LAN) / TCP(sport=1111, dport=2222, flags="S", seq=100))
    s.lan(ip(LAN) / TCP(sport=1111, dport=2222, flags="A", seq=100, ack=777) / b"hello")
    s.lan(ip(LAN, proto=253) / DATA[:64])
    s.lan(IPv6(src=CLIENT6, dst=LAN6) / ICMPv6EchoRequest(id=5, seq=6, data=DATA[:56]))
    s.lan(IPv6(src=CLIENT6, dst=WAN6) / datagram(32))
    s.lan(IPv6(src=CLIENT6, dst=LAN6) / TCP(sport=1111, dport=2222, flags="S", seq=100))
    s.lan(IPv6(src=CLIENT6, dst=LAN6, nh=253) / Raw(DATA[:64]))


@scenario
def arp(s: Scenario) -> None:
    """Who answers which question; a neighbour that has to be found first; one that is not there."""
    s.lan(ARP(op=1, hwsrc=s.client.src, psrc=CLIENT, pdst=LAN), dst=ALL)
    s.lan(ARP(op=1, hwsrc=s.client.src, psrc=CLIENT, pdst=WAN), dst=ALL)
    s.lan(ARP(op=1, hwsrc=s.client.src, psrc=CLIENT, pdst="10.0.1.44"), dst=ALL)
    s.lan(ip("10.0.2.55") / datagram())
    s.wan(
        ARP(op=2, hwsrc="02:00:00:00:02:55", psrc="10.0.2.55", hwdst=s.server.dst, pdst=WAN),
        src="02:00:00:00:02:55",
    )
    s.lan(ip("10.0.2.55") / datagram())
    s.lan(ip("10.0.2.56") / datagram())
    s.end(4.5)


@scenario
def padding(s: Scenario) -> None:
    """Bytes behind the packet's end are cut off."""
    packet = bytes(ip() / datagram(4))
    s.lan(packet + bytes(14))
    packet = bytes(IPv6(src=CLIENT6, dst=SERVER6) / datagram(4))
    s.lan(packet + bytes(14))


@scenario
def malformed(s: Scenario) -> None:
    """Packets that are none: wrong checksum, wrong lengths, wrong version."""
    good = bytearray(bytes(ip() / datagram(16)))
    for at, value in ((10, 0x55), (0, 0x46), (0, 0x44), (0, 0x55), (3, 200), (3, 10)):
        bad = bytearray(good)
        bad[at] = value
        s.frame("lan0", s.client.frame(bytes(good))[:14] + bytes(bad))
    s.frame("lan0", s.client.frame(bytes(good))[:30])
    six = bytes(IPv6(src=CLIENT6, dst=SERVER6) / datagram(16))
    s.frame("lan0", s.client.frame(six)[:50])
    s.lan(bytes(good))


@scenario
def not_to_the_box(s: Scenario) -> None:
    """Frames to another station, to all, to a group."""
    for dst in ("02:00:00:00:01:77", ALL, "01:00:5e:00:00:01"):
        s.lan(ip() / datagram(), dst=dst)
    s.lan(ip(), dst="02:00:00:00:01:01")


@scenario
def sources_that_do_not_travel(s: Scenario) -> None:
    """Packets from addresses that cannot be anybody's."""
    for src in ("127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", LAN, WAN, "240.0.0.1"):
        s.lan(IP(src=src, dst=SERVER, id=0x4242) / datagram())
    for src in ("::", "::1", "ff02::1", "fe80::1:2", LAN6):
        s.lan(IPv6(src=src, dst=SERVER6) / datagram())


@scenario
def reverse_path_filter(s: Scenario) -> None:
    """A source that is routed elsewhere: strict on lan0."""
    s.box = router(net__ipv4__conf__lan0__rp_filter=1)
    s.lan(IP(src=SERVER, dst="10.0.2.55", id=0x4242) / datagram())
    s.lan(IP(src="203.0.113.5", dst=SERVER, id=0x4242) / datagram())
    s.wan(IP(src=CLIENT, dst=CLIENT, id=0x4242) / datagram())
    s.lan(ip() / datagram())


@scenario
def redirect(s: Scenario) -> None:
    """A packet that goes back where it came from: its sender is told of the better way."""
    neighbours = [
        {"address": "10.0.1.9", "dev": "lan0", "mac": "02:00:00:00:01:09"},
        {"address": "2001:db8:1::9", "dev": "lan0", "mac": "02:00:00:00:01:09"},
        {"address": "fe80::1:9", "dev": "lan0", "mac": "02:00:00:00:01:09"},
    ]
    routes = [
        {"to": "10.5.0.0/16", "via": "10.0.1.9"},
        {"to": "2001:db8:5::/48", "via": "fe80::1:9", "dev": "lan0"},
    ]
    s.box = changed(router(), routes=routes, neighbours=neighbours)
    s.lan(ip("10.5.0.1") / datagram())
    s.wait(1.2)
    s.lan(ip("10.0.1.9") / datagram())
    s.wait(1.2)
    s.lan(IPv6(src=CLIENT6, dst="2001:db8:5::1") / datagram())


@scenario
def routes_change(s: Scenario) -> None:
    """Routes come and go; the most specific wins, then the lowest metric."""
    s.box = changed(
        router(),
        neighbours=[{"address": "10.0.1.9", "dev": "lan0", "mac": "02:00:00:00:01:09"}],
        sysctls={"net.ipv4.conf.all.send_redirects": 0, "net.ipv4.conf.lan0.send_redirects": 0},
    )
    s.lan(ip("192.0.2.1") / datagram())
    s.event(route={"to": "default", "via": SERVER})
    s.lan(ip("192.0.2.1") / datagram())
    s.event(route={"to": "192.0.2.0/24", "via": "10.0.1.9"})
    s.lan(ip("192.0.2.1") / datagram())
    s.event(route={"to": "192.0.2.0/24", "via": "10.0.1.9", "delete": True})
    s.lan(ip("192.0.2.1") / datagram())


@scenario
def mtu_changes(s: Scenario) -> None:
    """A device gets a smaller MTU in the course of the run."""
    s.lan(ip(flags="DF") / datagram(1400))
    s.event(link={"dev": "wan0", "mtu": 1300})
    s.lan(ip(flags="DF") / datagram(1400))
    s.lan(ip() / datagram(1400))


@scenario
def forwarding_off(s: Scenario) -> None:
    """Forwarding is switched off and on again."""
    s.lan(ip() / datagram())
    s.event(sysctl={"net.ipv4.ip_forward": 0})
    s.lan(ip() / datagram())
    s.event(sysctl={"net.ipv4.ip_forward": 1})
    s.lan(ip() / datagram())


@scenario
def policy_routing(s: Scenario) -> None:
    """Rules choose a table by source and by mark."""
    s.box = changed(
        router(),
        neighbours=[{"address": "10.0.2.77", "dev": "wan0", "mac": "02:00:00:00:02:77"}],
        routes=[
            {"to": "default", "via": SERVER},
            {"to": "default", "via": "10.0.2.77", "table": 100},
            {"to": "203.0.113.0/24", "type": "unreachable", "table": 100},
        ],
    )
    s.box["rules"] = [
        {"priority": 100, "from": CLIENT, "table": 100},
        {"priority": 200, "from": "10.0.1.55", "action": "prohibit"},
    ]
    s.lan(ip("192.0.2.1") / datagram())
    s.lan(ip("203.0.113.1") / datagram())
    s.lan(IP(src="10.0.1.54", dst="192.0.2.1", id=0x4242) / datagram())
    s.lan(IP(src="10.0.1.55", dst="192.0.2.1", id=0x4242) / datagram())
