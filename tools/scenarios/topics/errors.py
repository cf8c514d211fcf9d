"""Errors about packets on their way: what cannot go on, does not fit, never gets whole, is rejected."""

from __future__ import annotations

from scapy.layers.inet import ICMP, TCP, UDP, IPOption_Timestamp
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6EchoRequest,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.packet import Raw

from scenarios.author import Scenario, scenario
from scenarios.topics.answers import (
    A4,
    A6,
    A6L,
    B4,
    B6,
    DATA,
    R4A,
    R4B,
    R6A,
    R6B,
    a,
    ask,
    built,
    group,
    ip,
    ip6,
    pieces,
    pieces6,
)

_TRACKED = """
table inet t {
    chain f {
        type filter hook forward priority 0
        ct state established accept
    }
}
"""
_REJECTED = """
table inet t {
    chain p {
        type filter hook prerouting priority 0
        udp dport 7001 reject with icmpx type host-unreachable
        tcp dport 7001 reject with tcp reset
    }
    chain f {
        type filter hook forward priority 0
        ct state established accept
        tcp dport 7002 reject with tcp reset
        tcp dport 7003 reject
        udp dport 7002 reject with icmpx type admin-prohibited
        meta l4proto 253 reject
    }
    chain i {
        type filter hook input priority 0
        tcp dport 7004 reject with tcp reset
        udp dport 7004 reject with icmpx type no-route
        meta l4proto { icmp, icmpv6 } reject
    }
}
"""
_TRANSLATED = """
table inet t {
    chain pre {
        type nat hook prerouting priority dstnat
        ip daddr 10.1.0.1 udp dport 5353 dnat ip to 10.2.0.2:53
        ip6 daddr 2001:db8:1::1 udp dport 5353 dnat ip6 to [2001:db8:2::2]:53
        ip daddr 10.1.0.1 udp dport 5354 dnat ip to 10.66.0.1:53
    }
    chain post {
        type nat hook postrouting priority srcnat
        oifname "b0" masquerade
    }
    chain f {
        type filter hook forward priority 0
        tcp dport 7002 reject with tcp reset
        udp dport 7002 reject
    }
}
"""


@scenario
def forwarding(s: Scenario) -> None:
    """Errors about packets that cannot go on, redirects, and packets that are cut."""
    ask(
        s,
        {
            "ttl runs out": [a(ip(B4, ttl=1, tos=0x10) / UDP(sport=1111, dport=2222) / DATA[:200])],
            "ttl runs out on a large packet": [a(ip(B4, ttl=1) / UDP(sport=1111, dport=2222) / DATA[:1400])],
            "ttl of an echo runs out": [a(ip(B4, ttl=1) / ICMP(id=5, seq=6) / DATA[:64])],
            "ttl of an error runs out": [
                a(ip(B4, ttl=1) / ICMP(type=3, code=3) / ip(A4) / UDP(sport=1, dport=2))
            ],
            "ttl of a later fragment runs out": [a(ip(B4, ttl=1, frag=5, proto=17) / DATA[:64])],
            "ttl of a first fragment runs out": [a(ip(B4, ttl=1, flags=1, proto=17) / DATA[:64])],
            "ttl of a broadcast frame runs out": [
                group(ip(B4, ttl=1) / UDP(sport=1111, dport=2222) / b"abc")
            ],
            "no route": [a(ip("203.0.113.5") / UDP(sport=1111, dport=2222) / b"abc")],
            "unreachable route": [a(ip("10.66.1.1") / UDP(sport=1111, dport=2222) / b"abc")],
            "prohibit route": [a(ip("10.67.1.1") / UDP(sport=1111, dport=2222) / b"abc")],
            "blackhole route": [a(ip("10.68.1.1") / UDP(sport=1111, dport=2222) / b"abc")],
            "too big for the link": [a(ip(B4, flags="DF") / UDP(sport=1111, dport=2222) / DATA[:1460])],
            "too big for the route": [
                a(ip("10.6.0.1", flags="DF") / UDP(sport=1111, dport=2222) / DATA[:1100])
            ],
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
        },
    )


@scenario
def forwarding6(s: Scenario) -> None:
    """The same over IPv6."""
    ask(
        s,
        {
            "hop limit runs out": [a(ip6(B6, hlim=1) / UDP(sport=1111, dport=2222) / DATA[:200])],
            "hop limit runs out on a large packet": [
                a(ip6(B6, hlim=1) / UDP(sport=1111, dport=2222) / DATA[:1400])
            ],
            "hop limit of an error runs out": [
                a(ip6(B6, hlim=1) / ICMPv6TimeExceeded() / ip6(A6) / UDP(sport=1, dport=2))
            ],
            "hop limit of a later fragment runs out": [
                a(ip6(B6, hlim=1) / IPv6ExtHdrFragment(nh=17, offset=5, m=1, id=0x42424242) / DATA[:64])
            ],
            "no route 6": [a(ip6("2001:db8:9::1") / UDP(sport=1111, dport=2222) / b"abc")],
            "unreachable route 6": [a(ip6("2001:db8:66::1") / UDP(sport=1111, dport=2222) / b"abc")],
            "prohibit route 6": [a(ip6("2001:db8:67::1") / UDP(sport=1111, dport=2222) / b"abc")],
            "blackhole route 6": [a(ip6("2001:db8:68::1") / UDP(sport=1111, dport=2222) / b"abc")],
            "too big 6": [a(ip6(B6) / UDP(sport=1111, dport=2222) / DATA[:1440])],
            "redirect 6": [a(ip6("2001:db8:5::1") / UDP(sport=1111, dport=2222) / DATA[:41])],
            "redirect 6 on the link": [a(ip6("2001:db8:1::9") / UDP(sport=1111, dport=2222) / b"abc")],
            "link-local source leaves the link": [
                a(IPv6(src=A6L, dst=B6) / UDP(sport=1111, dport=2222) / b"abc")
            ],
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
        },
    )


@scenario
def reassembly(s: Scenario) -> None:
    """Fragments where connections are tracked: put together, cut again, dropped."""
    s.rules = _TRACKED
    ask(
        s,
        {
            "fragments pass": [
                a(p) for p in pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 1000, 800)
            ],
            "fragments in reverse": [
                a(p) for p in reversed(pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 1000, 800))
            ],
            "fragments that must be cut again": [
                a(p) for p in pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 1480)
            ],
            "fragments with DF": [
                a(p) for p in pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 1360, df=True)
            ],
            "fragments with DF that do not fit": [
                a(p) for p in pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 1480, df=True)
            ],
            "the same fragment twice": [
                a(p)
                for p in (lambda f: [f[0], f[0], f[1], f[1], f[2]])(
                    pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 800, 800)
                )
            ],
            "overlapping fragments": [
                a(p)
                for p in (lambda f, g: [f[0], g[1], f[1], f[2]])(
                    pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 800, 800),
                    pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 600, 800),
                )
            ],
            "first fragment alone": [a(pieces(built(ip(B4) / UDP(sport=1111, dport=2222) / DATA), 800)[0])],
            "first fragment alone, to the router": [
                a(pieces(built(ip(R4A) / UDP(sport=1111, dport=2222) / DATA), 800)[0])
            ],
            "last fragment alone, to the router": [
                a(pieces(built(ip(R4A) / UDP(sport=1111, dport=2222) / DATA), 800)[-1])
            ],
        },
    )


@scenario
def reassembly6(s: Scenario) -> None:
    """The same over IPv6."""
    s.rules = _TRACKED
    ask(
        s,
        {
            "fragments6 pass": [
                a(p) for p in pieces6(built(ip6(B6) / UDP(sport=1111, dport=2222) / DATA), 1000, 800)
            ],
            "fragments6 in reverse": [
                a(p)
                for p in reversed(pieces6(built(ip6(B6) / UDP(sport=1111, dport=2222) / DATA), 1000, 800))
            ],
            "fragments6 that do not fit": [
                a(p) for p in pieces6(built(ip6(B6) / UDP(sport=1111, dport=2222) / DATA), 1432)
            ],
            "atomic fragment6": [
                a(p) for p in pieces6(built(ip6(B6) / UDP(sport=1111, dport=2222) / DATA[:100]), 1000)
            ],
            "overlapping fragments6": [
                a(p)
                for p in (lambda f, g: [f[0], g[1], f[1], f[2]])(
                    pieces6(built(ip6(B6) / UDP(sport=1111, dport=2222) / DATA), 800, 800),
                    pieces6(built(ip6(B6) / UDP(sport=1111, dport=2222) / DATA), 600, 800),
                )
            ],
            "first fragment6 alone": [
                a(pieces6(built(ip6(B6) / UDP(sport=1111, dport=2222) / DATA), 800)[0])
            ],
            "fragment6 without its headers": [
                a(
                    ip6(B6)
                    / IPv6ExtHdrFragment(nh=6, offset=0, m=1, id=0x42424242)
                    / Raw(bytes(TCP(sport=1111, dport=2222))[:16])
                )
            ],
            "fragment6 of no multiple of 8": [
                a(ip6(B6) / IPv6ExtHdrFragment(nh=17, offset=0, m=1, id=0x42424242) / DATA[:101])
            ],
        },
    )


@scenario
def rejected(s: Scenario) -> None:
    """What `reject` answers at each hook."""
    s.rules = _REJECTED
    ask(
        s,
        {
            "in prerouting": [a(ip(B4) / UDP(sport=1111, dport=7001) / b"abc")],
            "in prerouting, for the router": [a(ip(R4B) / UDP(sport=1111, dport=7001) / b"abc")],
            "reset in prerouting": [a(ip(B4) / TCP(sport=1111, dport=7001, flags="S", seq=9))],
            "forwarded udp": [a(ip(B4, tos=0x10) / UDP(sport=1111, dport=7002) / DATA[:700])],
            "forwarded tcp": [a(ip(B4) / TCP(sport=1111, dport=7003, flags="S", seq=9))],
            "reset of a syn": [a(ip(B4, tos=0x10, ttl=3) / TCP(sport=1111, dport=7002, flags="S", seq=9))],
            "reset of an ack": [a(ip(B4) / TCP(sport=1112, dport=7002, flags="A", ack=9) / b"abc")],
            "a reset": [a(ip(B4) / TCP(sport=1113, dport=7002, flags="R", seq=9))],
            "udp with a wrong checksum": [a(ip(B4) / UDP(sport=1111, dport=7002, chksum=5) / b"abc")],
            "tcp with a wrong checksum": [a(ip(B4) / TCP(sport=1111, dport=7002, chksum=5))],
            "unknown protocol": [a(ip(B4, proto=253) / DATA[:64])],
            "unknown protocol that sums up": [a(ip(B4, proto=253) / b"\xff\xff")],
            "udp to the router": [a(ip(R4A) / UDP(sport=1111, dport=7004) / b"abc")],
            "reset by the router": [a(ip(R4A) / TCP(sport=1111, dport=7004, flags="S", seq=9))],
            "echo": [a(ip(R4A) / ICMP(id=5, seq=6) / b"abc")],
            "echo to the broadcast": [group(ip("10.1.0.255") / ICMP(id=5, seq=6) / b"abc")],
        },
    )


@scenario
def rejected6(s: Scenario) -> None:
    """The same over IPv6."""
    s.rules = _REJECTED
    ask(
        s,
        {
            "in prerouting 6": [a(ip6(B6) / UDP(sport=1111, dport=7001) / b"abc")],
            "reset in prerouting 6": [a(ip6(B6) / TCP(sport=1111, dport=7001, flags="S", seq=9))],
            "forwarded udp6": [a(ip6(B6, tc=0x10) / UDP(sport=1111, dport=7002) / DATA[:1300])],
            "forwarded tcp6": [a(ip6(B6) / TCP(sport=1111, dport=7003, flags="S", seq=9))],
            "reset of a syn 6": [a(ip6(B6, tc=0x10) / TCP(sport=1111, dport=7002, flags="S", seq=9))],
            "reset of an ack 6": [a(ip6(B6) / TCP(sport=1112, dport=7002, flags="A", ack=9) / b"abc")],
            "udp6 with a wrong checksum": [a(ip6(B6) / UDP(sport=1111, dport=7002, chksum=5) / b"abc")],
            "unknown protocol 6": [a(ip6(B6, nh=253) / DATA[:64])],
            "udp6 to the router": [a(ip6(R6A) / UDP(sport=1111, dport=7004) / b"abc")],
            "reset by the router 6": [a(ip6(R6A) / TCP(sport=1111, dport=7004, flags="S", seq=9))],
            "echo6": [a(ip6(R6A) / ICMPv6EchoRequest(id=5, seq=6, data=b"abc"))],
            "echo6 to all nodes": [
                group(ip6("ff02::1", hlim=1) / ICMPv6EchoRequest(id=5, seq=6, data=b"x"), "33:33:00:00:00:01")
            ],
        },
    )


@scenario
def translated(s: Scenario) -> None:
    """Errors about translated packets show what their sender has sent."""
    s.rules = _TRANSLATED
    ask(
        s,
        {
            "ttl runs out": [a(ip(R4A, ttl=1) / UDP(sport=1111, dport=5353) / b"abc")],
            "forwarded": [a(ip(R4A) / UDP(sport=1112, dport=5353) / b"abc")],
            "cut": [a(p) for p in pieces(built(ip(R4A) / UDP(sport=1113, dport=5353) / DATA), 1480)],
            "too big": [a(ip(R4A, flags="DF") / UDP(sport=1114, dport=5353) / DATA[:1460])],
            "to an unreachable route": [a(ip(R4A) / UDP(sport=1115, dport=5354) / b"abc")],
            "rejected": [a(ip(B4) / UDP(sport=1116, dport=7002) / b"abc")],
            "reset": [a(ip(B4) / TCP(sport=1117, dport=7002, flags="S", seq=9))],
            "nobody answers": [a(ip("10.2.0.79") / UDP(sport=1118, dport=2222) / b"abc")],
            "hop limit runs out": [a(ip6(R6A, hlim=1) / UDP(sport=1111, dport=5353) / b"abc")],
            "forwarded 6": [a(ip6(R6A) / UDP(sport=1112, dport=5353) / b"abc")],
            "too big 6": [a(ip6(R6A) / UDP(sport=1114, dport=5353) / DATA[:1440])],
            "rejected 6": [a(ip6(B6) / UDP(sport=1116, dport=7002) / b"abc")],
            "nobody answers 6": [a(ip6("2001:db8:2::79") / UDP(sport=1118, dport=2222) / b"abc")],
        },
    )
