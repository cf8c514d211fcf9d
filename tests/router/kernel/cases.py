"""What is sent to a Linux router to record its answers; needs scapy, for the recorder only.

Each case is a list of frames for the router's devices ``a0`` and ``b0``, sent one after the
other. ``BOX`` is the router, for Linux (``record.py``) and for the box under test alike.
"""

from __future__ import annotations

from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_LSRR, IPOption_RR, IPOption_Timestamp
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

A_MAC, A_ROUTER_MAC = "02:00:00:00:01:02", "02:00:00:00:01:01"
B_MAC, B_ROUTER_MAC = "02:00:00:00:02:02", "02:00:00:00:02:01"
C_MAC = "02:00:00:00:01:09"

A4, R4A, B4, R4B = "10.1.0.2", "10.1.0.1", "10.2.0.2", "10.2.0.1"
A6, R6A, B6, R6B = "2001:db8:1::2", "2001:db8:1::1", "2001:db8:2::2", "2001:db8:2::1"
A6L, R6AL = "fe80::1:2", "fe80::ff:fe00:101"

DATA = bytes(range(256)) * 8


def a(packet: Any) -> tuple[str, bytes]:
    """A frame that host A sends to the router."""
    return "a0", bytes(Ether(src=A_MAC, dst=A_ROUTER_MAC) / packet)


def ip(dst: str, **fields: Any) -> Any:
    return IP(src=A4, dst=dst, id=7, **fields)


def ip6(dst: str, **fields: Any) -> Any:
    return IPv6(src=A6, dst=dst, **fields)


def group(packet: Any, mac: str = "ff:ff:ff:ff:ff:ff") -> tuple[str, bytes]:
    """A frame that host A sends to more than the router."""
    return "a0", bytes(Ether(src=A_MAC, dst=mac) / packet)


def bad(packet: Any, at: int) -> Any:
    """The packet with one byte changed."""
    raw = bytearray(bytes(packet))
    raw[at] ^= 0xFF
    return Raw(bytes(raw))


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
        header = IPv6ExtHdrFragment(nh=packet.nh, offset=at // 8, m=0 if last else 1, id=9)
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


CASES: dict[str, list[tuple[str, bytes]]] = {
    # Local delivery, IPv4.
    "echo": [a(ip(R4A, tos=0x2D) / ICMP(id=5, seq=6) / DATA[:56])],
    "echo with a code": [a(ip(R4A) / ICMP(code=3, id=5, seq=6) / b"abc")],
    "echo to the far address": [a(ip(R4B) / ICMP(id=5, seq=6) / DATA[:56])],
    "echo with record route": [
        a(ip(R4A, options=[IPOption_RR(length=23, routers=["0.0.0.0"] * 5)]) / ICMP(id=5, seq=6) / b"x")
    ],
    "echo to the broadcast": [group(ip("10.1.0.255") / ICMP(id=5, seq=6) / b"x")],
    "echo with a wrong checksum": [a(ip(R4A) / ICMP(id=5, seq=6, chksum=0x1234) / b"x")],
    "echo larger than the link": [a(p) for p in pieces(built(ip(R4A) / ICMP(id=5, seq=6) / DATA), 1480)],
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
        a(ip(R4A, tos=0x2B, ttl=9) / TCP(sport=1111, dport=2222, flags="S", seq=100, options=[("MSS", 1460)]))
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
    # Forwarding, IPv4.
    "ttl runs out": [a(ip(B4, ttl=1, tos=0x10) / UDP(sport=1111, dport=2222) / DATA[:200])],
    "ttl runs out on a large packet": [a(ip(B4, ttl=1) / UDP(sport=1111, dport=2222) / DATA[:1400])],
    "ttl of an echo runs out": [a(ip(B4, ttl=1) / ICMP(id=5, seq=6) / DATA[:64])],
    "ttl of an error runs out": [a(ip(B4, ttl=1) / ICMP(type=3, code=3) / ip(A4) / UDP(sport=1, dport=2))],
    "ttl of a later fragment runs out": [a(ip(B4, ttl=1, frag=5, proto=17) / DATA[:64])],
    "ttl of a first fragment runs out": [a(ip(B4, ttl=1, flags=1, proto=17) / DATA[:64])],
    "ttl of a broadcast frame runs out": [group(ip(B4, ttl=1) / UDP(sport=1111, dport=2222) / b"abc")],
    "no route": [a(ip("203.0.113.5") / UDP(sport=1111, dport=2222) / b"abc")],
    "unreachable route": [a(ip("10.66.1.1") / UDP(sport=1111, dport=2222) / b"abc")],
    "prohibit route": [a(ip("10.67.1.1") / UDP(sport=1111, dport=2222) / b"abc")],
    "blackhole route": [a(ip("10.68.1.1") / UDP(sport=1111, dport=2222) / b"abc")],
    "too big for the link": [a(ip(B4, flags="DF") / UDP(sport=1111, dport=2222) / DATA[:1460])],
    "too big for the route": [a(ip("10.6.0.1", flags="DF") / UDP(sport=1111, dport=2222) / DATA[:1100])],
    "cut for the link": [a(ip(B4) / UDP(sport=1111, dport=2222) / DATA[:1460])],
    "cut for the link, with options": [
        a(
            ip(
                B4,
                options=[IPOption_Timestamp(length=4, pointer=5, flg=0, oflw=0), b"\x94\x04\x00\x01"],
            )
            / UDP(sport=1111, dport=2222)
            / DATA[:1440]
        )
    ],
    "cut for the route": [a(ip("10.6.0.1") / UDP(sport=1111, dport=2222) / DATA[:1400])],
    "a fragment cut": [a(ip(B4, flags=1, frag=100, proto=17) / DATA[:1480])],
    "redirect": [a(ip("10.5.0.1") / UDP(sport=1111, dport=2222) / b"abc")],
    "redirect on the link": [a(ip("10.1.0.9") / UDP(sport=1111, dport=2222) / b"abc")],
    # Local delivery, IPv6.
    "echo6": [a(ip6(R6A, tc=0x2D, fl=0x12345) / ICMPv6EchoRequest(id=5, seq=6, data=DATA[:56]))],
    "echo6 to the far address": [a(ip6(R6B) / ICMPv6EchoRequest(id=5, seq=6, data=DATA[:56]))],
    "echo6 to all nodes": [
        group(ip6("ff02::1", hlim=1) / ICMPv6EchoRequest(id=5, seq=6, data=b"x"), "33:33:00:00:00:01")
    ],
    "echo6 to all routers": [
        group(ip6("ff02::2", hlim=1) / ICMPv6EchoRequest(id=5, seq=6, data=b"x"), "33:33:00:00:00:02")
    ],
    "echo6 to another group": [
        group(ip6("ff02::77", hlim=1) / ICMPv6EchoRequest(id=5, seq=6, data=b"x"), "33:33:00:00:00:77")
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
        a(ip6(R6A, tc=0x2B) / TCP(sport=1111, dport=2222, flags="S", seq=100, options=[("MSS", 1440)]))
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
    # Addresses that do not travel, and options of IPv4.
    "to the network without a route, 0.0.0.0/8": [a(ip("0.1.2.3") / UDP(sport=1111, dport=2222) / b"abc")],
    "to nobody": [a(ip("0.0.0.0") / UDP(sport=1111, dport=2222) / b"abc")],
    "to loopback": [a(ip("127.0.0.1") / UDP(sport=1111, dport=2222) / b"abc")],
    "to the last network": [a(ip("240.0.0.1") / UDP(sport=1111, dport=2222) / b"abc")],
    "from the network 0.0.0.0/8": [a(IP(src="0.1.2.3", dst=B4, id=7) / UDP(sport=1111, dport=2222) / b"abc")],
    "from nobody": [a(IP(src="0.0.0.0", dst=B4, id=7) / UDP(sport=1111, dport=2222) / b"abc")],
    "from loopback": [a(IP(src="127.0.0.9", dst=B4, id=7) / UDP(sport=1111, dport=2222) / b"abc")],
    "from the router": [a(IP(src=R4B, dst=B4, id=7) / UDP(sport=1111, dport=2222) / b"abc")],
    "from a group": [a(IP(src="224.0.0.9", dst=B4, id=7) / UDP(sport=1111, dport=2222) / b"abc")],
    "from the last network": [a(IP(src="240.0.0.1", dst=B4, id=7) / UDP(sport=1111, dport=2222) / b"abc")],
    "from elsewhere": [a(IP(src="203.0.113.5", dst=B4, id=7) / UDP(sport=1111, dport=2222) / b"abc")],
    "record of the route": [
        a(ip(B4, options=[IPOption_RR(length=11, routers=["0.0.0.0"] * 2)]) / UDP(sport=1111, dport=2222))
    ],
    "source route": [
        a(ip(R4A, options=[IPOption_LSRR(length=7, routers=[B4])]) / UDP(sport=1111, dport=2222) / b"abc")
    ],
    "option too long": [a(ip(B4, options=_OVERLONG) / UDP(sport=1111, dport=2222) / b"abc")],
    "option too long, to the far address": [a(ip(R4B, options=_OVERLONG) / UDP(sport=1111, dport=2222))],
    "option too long, to loopback": [a(ip("127.0.0.1", options=_OVERLONG) / UDP(sport=1111, dport=2222))],
    "option too long, without a route": [
        a(ip("203.0.113.5", options=_OVERLONG) / UDP(sport=1111, dport=2222) / b"abc")
    ],
    "option too long, blackhole route": [
        a(ip("10.68.1.1", options=_OVERLONG) / UDP(sport=1111, dport=2222) / b"abc")
    ],
    "echo with a priority tag": [a(Dot1Q(vlan=0, prio=3) / ip(R4A) / ICMP(id=5, seq=6) / b"abc")],
    "echo with a tag": [a(Dot1Q(vlan=5, prio=3) / ip(R4A) / ICMP(id=5, seq=6) / b"abc")],
    # Forwarding, IPv6.
    "hop limit runs out": [a(ip6(B6, hlim=1) / UDP(sport=1111, dport=2222) / DATA[:200])],
    "hop limit runs out on a large packet": [a(ip6(B6, hlim=1) / UDP(sport=1111, dport=2222) / DATA[:1400])],
    "hop limit of an error runs out": [
        a(ip6(B6, hlim=1) / ICMPv6TimeExceeded() / ip6(A6) / UDP(sport=1, dport=2))
    ],
    "hop limit of a later fragment runs out": [
        a(ip6(B6, hlim=1) / IPv6ExtHdrFragment(nh=17, offset=5, m=1, id=3) / DATA[:64])
    ],
    "no route 6": [a(ip6("2001:db8:9::1") / UDP(sport=1111, dport=2222) / b"abc")],
    "unreachable route 6": [a(ip6("2001:db8:66::1") / UDP(sport=1111, dport=2222) / b"abc")],
    "prohibit route 6": [a(ip6("2001:db8:67::1") / UDP(sport=1111, dport=2222) / b"abc")],
    "blackhole route 6": [a(ip6("2001:db8:68::1") / UDP(sport=1111, dport=2222) / b"abc")],
    "too big 6": [a(ip6(B6) / UDP(sport=1111, dport=2222) / DATA[:1440])],
    "redirect 6": [a(ip6("2001:db8:5::1") / UDP(sport=1111, dport=2222) / DATA[:41])],
    "redirect 6 on the link": [a(ip6("2001:db8:1::9") / UDP(sport=1111, dport=2222) / b"abc")],
    "link-local source leaves the link": [a(IPv6(src=A6L, dst=B6) / UDP(sport=1111, dport=2222) / b"abc")],
    "from nobody 6": [a(IPv6(src="::", dst=B6) / UDP(sport=1111, dport=2222) / b"abc")],
    "to nobody, no route 6": [a(ip6("::") / UDP(sport=1111, dport=2222) / b"abc")],
    "from the router 6": [a(IPv6(src=R6B, dst=B6) / UDP(sport=1111, dport=2222) / b"abc")],
    "link-local destination": [a(ip6("fe80::1:2") / UDP(sport=1111, dport=2222) / b"abc")],
    "hop-by-hop option to skip": [
        a(
            ip6(B6)
            / IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0x1E, optdata=b"abcd")])
            / UDP(sport=1111, dport=2222)
        )
    ],
    "hop-by-hop option to drop": [
        a(
            ip6(B6)
            / IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0x5E, optdata=b"abcd")])
            / UDP(sport=1111, dport=2222)
        )
    ],
    "hop-by-hop option to report": [
        a(
            ip6(B6)
            / IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0x9E, optdata=b"abcd")])
            / UDP(sport=1111, dport=2222)
        )
    ],
    # ARP.
    "arp request": [group(ARP(op=1, hwsrc=A_MAC, psrc=A4, pdst=R4A))],
    "arp request for the far address": [group(ARP(op=1, hwsrc=A_MAC, psrc=A4, pdst=R4B))],
    "arp request for somebody else": [group(ARP(op=1, hwsrc=A_MAC, psrc=A4, pdst="10.1.0.44"))],
    "arp probe": [group(ARP(op=1, hwsrc=A_MAC, psrc="0.0.0.0", pdst=R4A))],
    "arp probe for the far address": [group(ARP(op=1, hwsrc=A_MAC, psrc="0.0.0.0", pdst=R4B))],
    "arp request for loopback": [group(ARP(op=1, hwsrc=A_MAC, psrc=A4, pdst="127.0.0.1"))],
    "arp request in the router's name": [group(ARP(op=1, hwsrc=A_MAC, psrc=R4A, pdst=R4A))],
    "arp for another protocol": [group(ARP(ptype=0x86DD, op=1, hwsrc=A_MAC, psrc=A4, pdst=R4A))],
    "arp with another operation": [group(ARP(op=8, hwsrc=A_MAC, psrc=A4, pdst=R4A))],
    # Neighbour discovery.
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
    "solicitation without a link-layer address": [a(IPv6(src=A6, dst=R6A, hlim=255) / ICMPv6ND_NS(tgt=R6A))],
    "solicitation for a duplicate": [
        group(IPv6(src="::", dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt=R6A), "33:33:ff:00:00:01")
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
            IPv6(src=A6, dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt=R6A) / Raw(b"\x01\x00" + bytes(6)),
            "33:33:ff:00:00:01",
        )
    ],
    # Neighbours that have to be asked for.
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
    # Reassembly, with connections tracked.
    "tracked: fragments pass": [
        a(p) for p in pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 1000, 800)
    ],
    "tracked: fragments in reverse": [
        a(p) for p in reversed(pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 1000, 800))
    ],
    "tracked: fragments that must be cut again": [
        a(p) for p in pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 1480)
    ],
    "tracked: fragments with DF": [
        a(p) for p in pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 1360, df=True)
    ],
    "tracked: fragments with DF that do not fit": [
        a(p) for p in pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 1480, df=True)
    ],
    "tracked: the same fragment twice": [
        a(p)
        for p in (lambda f: [f[0], f[0], f[1], f[1], f[2]])(
            pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 800, 800)
        )
    ],
    "tracked: overlapping fragments": [
        a(p)
        for p in (lambda f, g: [f[0], g[1], f[1], f[2]])(
            pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 800, 800),
            pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 600, 800),
        )
    ],
    "tracked: first fragment alone": [a(pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 800)[0])],
    "tracked: first fragment alone, to the router": [
        a(pieces(built(ip(R4A) / UDP(sport=1111, dport=2222) / DATA), 800)[0])
    ],
    "tracked: last fragment alone, to the router": [
        a(pieces(built(ip(R4A) / UDP(sport=1111, dport=2222) / DATA), 800)[-1])
    ],
    "tracked: fragments6 pass": [
        a(p) for p in pieces6(built(ip6(B6) / UDP(sport=1111, dport=2222) / DATA), 1000, 800)
    ],
    "tracked: fragments6 in reverse": [
        a(p) for p in reversed(pieces6(built(ip6(B6) / UDP(sport=1111, dport=2222) / DATA), 1000, 800))
    ],
    "tracked: fragments6 that do not fit": [
        a(p) for p in pieces6(built(ip6(B6) / UDP(sport=1111, dport=2222) / DATA), 1432)
    ],
    "tracked: atomic fragment6": [
        a(p) for p in pieces6(built(ip6(B6) / UDP(sport=1111, dport=2222) / DATA[:100]), 1000)
    ],
    "tracked: overlapping fragments6": [
        a(p)
        for p in (lambda f, g: [f[0], g[1], f[1], f[2]])(
            pieces6(built(ip6(B6) / UDP(sport=1111, dport=2222) / DATA), 800, 800),
            pieces6(built(ip6(B6) / UDP(sport=1111, dport=2222) / DATA), 600, 800),
        )
    ],
    "tracked: first fragment6 alone": [
        a(pieces6(built(ip6(B6) / UDP(sport=1111, dport=2222) / DATA), 800)[0])
    ],
    "tracked: fragment6 without its headers": [
        a(
            ip6(B6)
            / IPv6ExtHdrFragment(nh=6, offset=0, m=1, id=3)
            / Raw(bytes(TCP(sport=1111, dport=2222))[:16])
        )
    ],
    "tracked: fragment6 of no multiple of 8": [
        a(ip6(B6) / IPv6ExtHdrFragment(nh=17, offset=0, m=1, id=3) / DATA[:101])
    ],
    # Rules that reject.
    "rejected: in prerouting": [a(ip(B4) / UDP(sport=1111, dport=7001) / b"abc")],
    "rejected: in prerouting, for the router": [a(ip(R4B) / UDP(sport=1111, dport=7001) / b"abc")],
    "rejected: reset in prerouting": [a(ip(B4) / TCP(sport=1111, dport=7001, flags="S", seq=9))],
    "rejected: forwarded udp": [a(ip(B4, tos=0x10) / UDP(sport=1111, dport=7002) / DATA[:700])],
    "rejected: forwarded tcp": [a(ip(B4) / TCP(sport=1111, dport=7003, flags="S", seq=9))],
    "rejected: reset of a syn": [a(ip(B4, tos=0x10, ttl=3) / TCP(sport=1111, dport=7002, flags="S", seq=9))],
    "rejected: reset of an ack": [a(ip(B4) / TCP(sport=1112, dport=7002, flags="A", ack=9) / b"abc")],
    "rejected: a reset": [a(ip(B4) / TCP(sport=1113, dport=7002, flags="R", seq=9))],
    "rejected: udp with a wrong checksum": [a(ip(B4) / UDP(sport=1111, dport=7002, chksum=5) / b"abc")],
    "rejected: tcp with a wrong checksum": [a(ip(B4) / TCP(sport=1111, dport=7002, chksum=5))],
    "rejected: unknown protocol": [a(ip(B4, proto=253) / DATA[:64])],
    "rejected: unknown protocol that sums up": [a(ip(B4, proto=253) / b"\xff\xff")],
    "rejected: udp to the router": [a(ip(R4A) / UDP(sport=1111, dport=7004) / b"abc")],
    "rejected: reset by the router": [a(ip(R4A) / TCP(sport=1111, dport=7004, flags="S", seq=9))],
    "rejected: echo": [a(ip(R4A) / ICMP(id=5, seq=6) / b"abc")],
    "rejected: echo to the broadcast": [group(ip("10.1.0.255") / ICMP(id=5, seq=6) / b"abc")],
    "rejected: in prerouting 6": [a(ip6(B6) / UDP(sport=1111, dport=7001) / b"abc")],
    "rejected: reset in prerouting 6": [a(ip6(B6) / TCP(sport=1111, dport=7001, flags="S", seq=9))],
    "rejected: forwarded udp6": [a(ip6(B6, tc=0x10) / UDP(sport=1111, dport=7002) / DATA[:1300])],
    "rejected: forwarded tcp6": [a(ip6(B6) / TCP(sport=1111, dport=7003, flags="S", seq=9))],
    "rejected: reset of a syn 6": [a(ip6(B6, tc=0x10) / TCP(sport=1111, dport=7002, flags="S", seq=9))],
    "rejected: reset of an ack 6": [a(ip6(B6) / TCP(sport=1112, dport=7002, flags="A", ack=9) / b"abc")],
    "rejected: udp6 with a wrong checksum": [a(ip6(B6) / UDP(sport=1111, dport=7002, chksum=5) / b"abc")],
    "rejected: unknown protocol 6": [a(ip6(B6, nh=253) / DATA[:64])],
    "rejected: udp6 to the router": [a(ip6(R6A) / UDP(sport=1111, dport=7004) / b"abc")],
    "rejected: reset by the router 6": [a(ip6(R6A) / TCP(sport=1111, dport=7004, flags="S", seq=9))],
    "rejected: echo6": [a(ip6(R6A) / ICMPv6EchoRequest(id=5, seq=6, data=b"abc"))],
    "rejected: echo6 to all nodes": [
        group(ip6("ff02::1", hlim=1) / ICMPv6EchoRequest(id=5, seq=6, data=b"x"), "33:33:00:00:00:01")
    ],
    # Errors about translated packets show what their sender has sent.
    "translated: ttl runs out": [a(ip(R4A, ttl=1) / UDP(sport=1111, dport=5353) / b"abc")],
    "translated: forwarded": [a(ip(R4A) / UDP(sport=1112, dport=5353) / b"abc")],
    "translated: cut": [a(p) for p in pieces(built(ip(R4A) / UDP(sport=1113, dport=5353) / DATA), 1480)],
    "translated: too big": [a(ip(R4A, flags="DF") / UDP(sport=1114, dport=5353) / DATA[:1460])],
    "translated: to an unreachable route": [a(ip(R4A) / UDP(sport=1115, dport=5354) / b"abc")],
    "translated: rejected": [a(ip(B4) / UDP(sport=1116, dport=7002) / b"abc")],
    "translated: reset": [a(ip(B4) / TCP(sport=1117, dport=7002, flags="S", seq=9))],
    "translated: nobody answers": [a(ip("10.2.0.79") / UDP(sport=1118, dport=2222) / b"abc")],
    "translated: hop limit runs out": [a(ip6(R6A, hlim=1) / UDP(sport=1111, dport=5353) / b"abc")],
    "translated: forwarded 6": [a(ip6(R6A) / UDP(sport=1112, dport=5353) / b"abc")],
    "translated: too big 6": [a(ip6(R6A) / UDP(sport=1114, dport=5353) / DATA[:1440])],
    "translated: rejected 6": [a(ip6(B6) / UDP(sport=1116, dport=7002) / b"abc")],
    "translated: nobody answers 6": [a(ip6("2001:db8:2::79") / UDP(sport=1118, dport=2222) / b"abc")],
}
"""Frames by the name of what they show."""
