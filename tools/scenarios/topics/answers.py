"""What a router answers: echo, closed ports, ARP, neighbour discovery, and silence where that is right.

Each scenario is a series of cases, in the order in which the box gets them: what a case leaves behind
(half a packet, an empty bucket) is there in the next.
"""

from __future__ import annotations

from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_LSRR, IPOption_RR
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from scenarios.author import Box, Scenario, scenario

A_MAC, A_ROUTER_MAC = "02:00:00:00:01:02", "02:00:00:00:01:01"
B_MAC, B_ROUTER_MAC = "02:00:00:00:02:02", "02:00:00:00:02:01"
C_MAC = "02:00:00:00:01:09"

A4, R4A, B4, R4B = "10.1.0.2", "10.1.0.1", "10.2.0.2", "10.2.0.1"
A6, R6A, B6, R6B = "2001:db8:1::2", "2001:db8:1::1", "2001:db8:2::2", "2001:db8:2::1"
A6L, R6AL = "fe80::1:2", "fe80::ff:fe00:101"

DATA = bytes(range(256)) * 8


BOX: Box = {
    "devices": [
        {"name": "a0", "mac": A_ROUTER_MAC, "addresses": [f"{R4A}/24", f"{R6A}/64"]},
        {"name": "b0", "mac": B_ROUTER_MAC, "mtu": 1400, "addresses": [f"{R4B}/24", f"{R6B}/64"]},
    ],
    "neighbours": [
        {"address": address, "dev": device, "mac": mac}
        for address, device, mac in (
            (A4, "a0", A_MAC),
            ("10.1.0.9", "a0", C_MAC),
            (B4, "b0", B_MAC),
            (A6, "a0", A_MAC),
            ("2001:db8:1::9", "a0", C_MAC),
            ("fe80::1:2", "a0", A_MAC),
            ("fe80::1:9", "a0", C_MAC),
            (B6, "b0", B_MAC),
        )
    ],
    "routes": [
        {"to": "10.5.0.0/16", "via": "10.1.0.9"},
        {"to": "10.6.0.0/16", "via": B4, "mtu": 1000},
        {"to": "10.66.0.0/16", "type": "unreachable"},
        {"to": "10.67.0.0/16", "type": "prohibit"},
        {"to": "10.68.0.0/16", "type": "blackhole"},
        {"to": "2001:db8:5::/48", "via": "fe80::1:9", "dev": "a0"},
        {"to": "2001:db8:66::/48", "type": "unreachable"},
        {"to": "2001:db8:67::/48", "type": "prohibit"},
        {"to": "2001:db8:68::/48", "type": "blackhole"},
    ],
    "sysctls": {
        "net.ipv4.ip_forward": 1,
        "net.ipv6.conf.all.forwarding": 1,
        "net.ipv4.icmp_ratemask": 0,
        "net.ipv6.icmp.ratelimit": 0,
        "net.ipv4.ipfrag_time": 2,
        "net.netfilter.nf_conntrack_frag6_timeout": 2,
    },
}
"""A router between hosts A and B; host C is on A's side as well."""

Cases = dict[str, list[tuple[str, bytes]]]
"""Devices and frames by the name of what they show."""


def ask(s: Scenario, cases: Cases) -> None:
    """Send the frames of all cases, one after the other."""
    s.box = BOX
    for name, frames in cases.items():
        if "route" in name or "redirect" in name:
            # Errors of these kinds are limited to one a second for each sender.
            s.wait(1.1)
        for device, frame in frames:
            s.frame(device, frame)
        if "answers" in name or "alone" in name:
            s.wait(4.5)
    s.end(0.5)


def a(packet: Any) -> tuple[str, bytes]:
    """A frame that host A sends to the router."""
    return "a0", bytes(Ether(src=A_MAC, dst=A_ROUTER_MAC) / packet)


def ip(dst: str, **fields: Any) -> Any:
    """An IPv4 header of host A."""
    return IP(src=A4, dst=dst, id=0x4242, **fields)


def ip6(dst: str, **fields: Any) -> Any:
    """An IPv6 header of host A."""
    return IPv6(src=A6, dst=dst, **fields)


def group(packet: Any, mac: str = "ff:ff:ff:ff:ff:ff") -> tuple[str, bytes]:
    """A frame that host A sends to more than the router."""
    return "a0", bytes(Ether(src=A_MAC, dst=mac) / packet)


def pieces(packet: Any, *cuts: int, df: bool = False) -> list[Any]:
    """An IPv4 packet in fragments of those payload sizes; the last takes the rest."""
    raw = bytes(packet)
    body, out, at = raw[20:], [], 0
    for cut in (*cuts, len(body)):
        part = body[at : at + cut]
        last = at + len(part) == len(body)
        flags = (0 if last else 1) | (2 if df else 0)
        out.append(ip(packet.dst, proto=packet.proto, frag=at // 8, flags=flags) / Raw(part))
        at += len(part)
        if last:
            break
    return out


def pieces6(packet: Any, *cuts: int) -> list[Any]:
    """An IPv6 packet in fragments of those payload sizes; the last takes the rest."""
    raw = bytes(packet)
    body, out, at = raw[40:], [], 0
    for cut in (*cuts, len(body)):
        part = body[at : at + cut]
        last = at + len(part) == len(body)
        header = IPv6ExtHdrFragment(nh=packet.nh, offset=at // 8, m=0 if last else 1, id=0x42424243)
        out.append(ip6(packet.dst) / header / Raw(part))
        at += len(part)
        if last:
            break
    return out


def built(packet: Any) -> Any:
    """The packet with lengths and checksums filled in."""
    return type(packet)(bytes(packet))


_OVERLONG = [IPOption_RR(length=12, routers=["0.0.0.0"])]
"""A record route that is longer than the header."""


@scenario
def echo_and_closed_ports(s: Scenario) -> None:
    """What the box answers to packets for itself."""
    ask(
        s,
        {
            "echo": [a(ip(R4A, tos=0x2D) / ICMP(id=5, seq=6) / DATA[:56])],
            "echo with a code": [a(ip(R4A) / ICMP(code=3, id=5, seq=6) / b"abc")],
            "echo to the far address": [a(ip(R4B) / ICMP(id=5, seq=6) / DATA[:56])],
            "echo with record route": [
                a(
                    ip(R4A, options=[IPOption_RR(length=23, routers=["0.0.0.0"] * 5)])
                    / ICMP(id=5, seq=6)
                    / b"x"
                )
            ],
            "echo to the broadcast": [group(ip("10.1.0.255") / ICMP(id=5, seq=6) / b"x")],
            "echo with a wrong checksum": [a(ip(R4A) / ICMP(id=5, seq=6, chksum=0x1234) / b"x")],
            "echo larger than the link": [
                a(p) for p in pieces(built(ip(R4A) / ICMP(id=5, seq=6) / DATA), 1480)
            ],
            "timestamp": [a(ip(R4A) / ICMP(type=13, id=5, seq=6, ts_ori=1234, ts_rx=0, ts_tx=0))],
            "udp to a closed port": [a(ip(R4A, tos=0x2D) / UDP(sport=1111, dport=2222) / DATA[:32])],
            "large udp to a closed port": [a(ip(R4A) / UDP(sport=1111, dport=2222) / DATA[:1400])],
            "udp to a closed port with record route": [
                a(
                    ip(R4A, options=[IPOption_RR(length=11, routers=["0.0.0.0"] * 2)])
                    / UDP(sport=1111, dport=2222)
                    / DATA[:600]
                )
            ],
            "udp with a wrong checksum": [a(ip(R4A) / UDP(sport=1111, dport=2222, chksum=0x1234) / b"abc")],
            "udp without a checksum": [a(ip(R4A) / UDP(sport=1111, dport=2222, chksum=0) / b"abc")],
            "udp to the broadcast": [group(ip("10.1.0.255") / UDP(sport=1111, dport=2222) / b"abc")],
            "udp with bytes behind it": [a(ip(R4A) / UDP(sport=1111, dport=2222, len=11) / b"abcdef")],
            "syn to a closed port": [
                a(
                    ip(R4A, tos=0x2B, ttl=9)
                    / TCP(sport=1111, dport=2222, flags="S", seq=100, options=[("MSS", 1460)])
                )
            ],
            "fin with data to a closed port": [
                a(ip(R4A) / TCP(sport=1111, dport=2222, flags="F", seq=0xFFFFFFFE) / b"hello")
            ],
            "ack to a closed port": [
                a(ip(R4A) / TCP(sport=1111, dport=2222, flags="A", seq=100, ack=777) / b"hello")
            ],
            "rst to a closed port": [a(ip(R4A) / TCP(sport=1111, dport=2222, flags="R", seq=100))],
            "syn with a wrong checksum": [a(ip(R4A) / TCP(sport=1111, dport=2222, flags="S", chksum=0x1234))],
            "unknown protocol": [a(ip(R4A, proto=253) / DATA[:64])],
            "error about nothing": [a(ip(R4A) / ICMP(type=3, code=3) / ip(A4) / UDP(sport=1, dport=2))],
        },
    )


@scenario
def echo_and_closed_ports6(s: Scenario) -> None:
    """The same over IPv6, with options and routing headers."""
    ask(
        s,
        {
            "echo6": [a(ip6(R6A, tc=0x2D, fl=0x12345) / ICMPv6EchoRequest(id=5, seq=6, data=DATA[:56]))],
            "echo6 to the far address": [a(ip6(R6B) / ICMPv6EchoRequest(id=5, seq=6, data=DATA[:56]))],
            "echo6 to all nodes": [
                group(ip6("ff02::1", hlim=1) / ICMPv6EchoRequest(id=5, seq=6, data=b"x"), "33:33:00:00:00:01")
            ],
            "echo6 to all routers": [
                group(ip6("ff02::2", hlim=1) / ICMPv6EchoRequest(id=5, seq=6, data=b"x"), "33:33:00:00:00:02")
            ],
            "echo6 to another group": [
                group(
                    ip6("ff02::77", hlim=1) / ICMPv6EchoRequest(id=5, seq=6, data=b"x"), "33:33:00:00:00:77"
                )
            ],
            "echo6 to the subnet-router anycast": [
                a(ip6("2001:db8:1::") / ICMPv6EchoRequest(id=5, seq=6, data=b"x"))
            ],
            "echo6 from a link-local address": [
                a(IPv6(src=A6L, dst=R6AL) / ICMPv6EchoRequest(id=5, seq=6, data=b"x"))
            ],
            "echo6 with a wrong checksum": [a(ip6(R6A) / ICMPv6EchoRequest(id=5, seq=6, cksum=0x1234))],
            "udp6 to a closed port": [a(ip6(R6A, tc=0x2D) / UDP(sport=1111, dport=2222) / DATA[:32])],
            "large udp6 to a closed port": [a(ip6(R6A) / UDP(sport=1111, dport=2222) / DATA[:1400])],
            "udp6 without a checksum": [a(ip6(R6A) / UDP(sport=1111, dport=2222, chksum=0) / b"abc")],
            "udp6 to all nodes": [
                group(ip6("ff02::1", hlim=1) / UDP(sport=1111, dport=2222) / b"abc", "33:33:00:00:00:01")
            ],
            "syn6 to a closed port": [
                a(
                    ip6(R6A, tc=0x2B)
                    / TCP(sport=1111, dport=2222, flags="S", seq=100, options=[("MSS", 1440)])
                )
            ],
            "ack6 to a closed port": [
                a(ip6(R6A) / TCP(sport=1111, dport=2222, flags="A", seq=100, ack=777) / b"hello")
            ],
            "rst6 to a closed port": [a(ip6(R6A) / TCP(sport=1111, dport=2222, flags="R", seq=100))],
            "unknown protocol 6": [a(ip6(R6A, nh=253) / DATA[:64])],
            "unknown protocol 6 behind options": [a(ip6(R6A) / IPv6ExtHdrDestOpt(nh=253) / DATA[:64])],
            "no next header": [a(ip6(R6A, nh=59) / DATA[:8])],
            "unknown option to skip": [
                a(
                    ip6(R6A)
                    / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x1E, optdata=b"abcd")])
                    / ICMPv6EchoRequest(id=5, seq=6)
                )
            ],
            "unknown option to report": [
                a(
                    ip6(R6A)
                    / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x9E, optdata=b"abcd")])
                    / ICMPv6EchoRequest(id=5, seq=6)
                )
            ],
            "unknown option to drop": [
                a(
                    ip6(R6A)
                    / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x5E, optdata=b"abcd")])
                    / ICMPv6EchoRequest(id=5, seq=6)
                )
            ],
            "routing header that ends here": [
                a(ip6(R6A) / IPv6ExtHdrRouting(segleft=0, addresses=[B6]) / ICMPv6EchoRequest(id=5, seq=6))
            ],
            "routing header that goes on": [
                a(ip6(R6A) / IPv6ExtHdrRouting(segleft=1, addresses=[B6]) / ICMPv6EchoRequest(id=5, seq=6))
            ],
        },
    )


@scenario
def addresses_and_options(s: Scenario) -> None:
    """Addresses that do not travel, IPv4 options, priority tags."""
    ask(
        s,
        {
            "to the network without a route, 0.0.0.0/8": [
                a(ip("0.1.2.3") / UDP(sport=1111, dport=2222) / b"abc")
            ],
            "to nobody": [a(ip("0.0.0.0") / UDP(sport=1111, dport=2222) / b"abc")],
            "to loopback": [a(ip("127.0.0.1") / UDP(sport=1111, dport=2222) / b"abc")],
            "to the last network": [a(ip("240.0.0.1") / UDP(sport=1111, dport=2222) / b"abc")],
            "from the network 0.0.0.0/8": [
                a(IP(src="0.1.2.3", dst=B4, id=0x4242) / UDP(sport=1111, dport=2222) / b"abc")
            ],
            "from nobody": [a(IP(src="0.0.0.0", dst=B4, id=0x4242) / UDP(sport=1111, dport=2222) / b"abc")],
            "from loopback": [
                a(IP(src="127.0.0.9", dst=B4, id=0x4242) / UDP(sport=1111, dport=2222) / b"abc")
            ],
            "from the router": [a(IP(src=R4B, dst=B4, id=0x4242) / UDP(sport=1111, dport=2222) / b"abc")],
            "from a group": [
                a(IP(src="224.0.0.9", dst=B4, id=0x4242) / UDP(sport=1111, dport=2222) / b"abc")
            ],
            "from the last network": [
                a(IP(src="240.0.0.1", dst=B4, id=0x4242) / UDP(sport=1111, dport=2222) / b"abc")
            ],
            "from elsewhere": [
                a(IP(src="203.0.113.5", dst=B4, id=0x4242) / UDP(sport=1111, dport=2222) / b"abc")
            ],
            "record of the route": [
                a(
                    ip(B4, options=[IPOption_RR(length=11, routers=["0.0.0.0"] * 2)])
                    / UDP(sport=1111, dport=2222)
                )
            ],
            "source route": [
                a(
                    ip(R4A, options=[IPOption_LSRR(length=7, routers=[B4])])
                    / UDP(sport=1111, dport=2222)
                    / b"abc"
                )
            ],
            "option too long": [a(ip(B4, options=_OVERLONG) / UDP(sport=1111, dport=2222) / b"abc")],
            "option too long, to the far address": [
                a(ip(R4B, options=_OVERLONG) / UDP(sport=1111, dport=2222))
            ],
            "option too long, to loopback": [
                a(ip("127.0.0.1", options=_OVERLONG) / UDP(sport=1111, dport=2222))
            ],
            "option too long, without a route": [
                a(ip("203.0.113.5", options=_OVERLONG) / UDP(sport=1111, dport=2222) / b"abc")
            ],
            "option too long, blackhole route": [
                a(ip("10.68.1.1", options=_OVERLONG) / UDP(sport=1111, dport=2222) / b"abc")
            ],
            "echo with a priority tag": [a(Dot1Q(vlan=0, prio=3) / ip(R4A) / ICMP(id=5, seq=6) / b"abc")],
            "echo with a tag": [a(Dot1Q(vlan=5, prio=3) / ip(R4A) / ICMP(id=5, seq=6) / b"abc")],
        },
    )


@scenario
def arp(s: Scenario) -> None:
    """ARP requests and probes, for the box and for others."""
    ask(
        s,
        {
            "arp request": [group(ARP(op=1, hwsrc=A_MAC, psrc=A4, pdst=R4A))],
            "arp request for the far address": [group(ARP(op=1, hwsrc=A_MAC, psrc=A4, pdst=R4B))],
            "arp request for somebody else": [group(ARP(op=1, hwsrc=A_MAC, psrc=A4, pdst="10.1.0.44"))],
            "arp probe": [group(ARP(op=1, hwsrc=A_MAC, psrc="0.0.0.0", pdst=R4A))],
            "arp probe for the far address": [group(ARP(op=1, hwsrc=A_MAC, psrc="0.0.0.0", pdst=R4B))],
            "arp request for loopback": [group(ARP(op=1, hwsrc=A_MAC, psrc=A4, pdst="127.0.0.1"))],
            "arp request in the router's name": [group(ARP(op=1, hwsrc=A_MAC, psrc=R4A, pdst=R4A))],
            "arp for another protocol": [group(ARP(ptype=0x86DD, op=1, hwsrc=A_MAC, psrc=A4, pdst=R4A))],
            "arp with another operation": [group(ARP(op=8, hwsrc=A_MAC, psrc=A4, pdst=R4A))],
        },
    )


@scenario
def neighbour_discovery(s: Scenario) -> None:
    """Solicitations that are right, and that are not."""
    ask(
        s,
        {
            "solicitation": [
                group(
                    IPv6(src=A6, dst="ff02::1:ff00:1", hlim=255)
                    / ICMPv6ND_NS(tgt=R6A)
                    / ICMPv6NDOptSrcLLAddr(lladdr=A_MAC),
                    "33:33:ff:00:00:01",
                )
            ],
            "solicitation by unicast": [
                a(IPv6(src=A6, dst=R6A, hlim=255) / ICMPv6ND_NS(tgt=R6A) / ICMPv6NDOptSrcLLAddr(lladdr=A_MAC))
            ],
            "solicitation without a link-layer address": [
                a(IPv6(src=A6, dst=R6A, hlim=255) / ICMPv6ND_NS(tgt=R6A))
            ],
            "solicitation for a duplicate": [
                group(
                    IPv6(src="::", dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt=R6A), "33:33:ff:00:00:01"
                )
            ],
            "solicitation for a duplicate with a link-layer address": [
                group(
                    IPv6(src="::", dst="ff02::1:ff00:1", hlim=255)
                    / ICMPv6ND_NS(tgt=R6A)
                    / ICMPv6NDOptSrcLLAddr(lladdr=A_MAC),
                    "33:33:ff:00:00:01",
                )
            ],
            "solicitation for the far address": [
                group(
                    IPv6(src=A6, dst="ff02::1:ff00:1", hlim=255)
                    / ICMPv6ND_NS(tgt=R6B)
                    / ICMPv6NDOptSrcLLAddr(lladdr=A_MAC),
                    "33:33:ff:00:00:01",
                )
            ],
            "solicitation from off the link": [
                group(
                    IPv6(src=A6, dst="ff02::1:ff00:1", hlim=254)
                    / ICMPv6ND_NS(tgt=R6A)
                    / ICMPv6NDOptSrcLLAddr(lladdr=A_MAC),
                    "33:33:ff:00:00:01",
                )
            ],
            "solicitation with a wrong checksum": [
                group(
                    IPv6(src=A6, dst="ff02::1:ff00:1", hlim=255)
                    / ICMPv6ND_NS(tgt=R6A, cksum=0x1234)
                    / ICMPv6NDOptSrcLLAddr(lladdr=A_MAC),
                    "33:33:ff:00:00:01",
                )
            ],
            "solicitation with an empty option": [
                group(
                    IPv6(src=A6, dst="ff02::1:ff00:1", hlim=255)
                    / ICMPv6ND_NS(tgt=R6A)
                    / Raw(b"\x01\x00" + bytes(6)),
                    "33:33:ff:00:00:01",
                )
            ],
        },
    )


@scenario
def unknown_neighbours(s: Scenario) -> None:
    """Neighbours that have to be asked for: one answers, one does not."""
    ask(
        s,
        {
            "nobody answers": [a(ip("10.2.0.77") / UDP(sport=1111, dport=2222) / b"abc")],
            "somebody answers": [
                a(ip("10.2.0.78") / UDP(sport=1111, dport=2222) / b"abc"),
                (
                    "b0",
                    bytes(
                        Ether(src="02:00:00:00:02:78", dst=B_ROUTER_MAC)
                        / ARP(
                            op=2,
                            hwsrc="02:00:00:00:02:78",
                            psrc="10.2.0.78",
                            hwdst=B_ROUTER_MAC,
                            pdst=R4B,
                        )
                    ),
                ),
                a(ip("10.2.0.78") / UDP(sport=1111, dport=2222) / b"def"),
            ],
            "nobody answers 6": [a(ip6("2001:db8:2::77") / UDP(sport=1111, dport=2222) / b"abc")],
            "somebody answers 6": [
                a(ip6("2001:db8:2::78") / UDP(sport=1111, dport=2222) / b"abc"),
                (
                    "b0",
                    bytes(
                        Ether(src="02:00:00:00:02:78", dst=B_ROUTER_MAC)
                        / IPv6(src="2001:db8:2::78", dst="fe80::ff:fe00:201", hlim=255)
                        / ICMPv6ND_NA(tgt="2001:db8:2::78", R=0, S=1, O=1)
                        / ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:02:78")
                    ),
                ),
                a(ip6("2001:db8:2::78") / UDP(sport=1111, dport=2222) / b"def"),
            ],
        },
    )
