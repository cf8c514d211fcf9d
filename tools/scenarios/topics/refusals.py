"""Packets that do not add a flow where others would, each for a reason of its own."""

from __future__ import annotations

import hashlib
import hmac
import struct

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet

from scenarios.author import (
    CLIENT,
    SERVER,
    SERVER6,
    WAN,
    Box,
    Scenario,
    Tcp,
    Udp,
    changed,
    flowtable,
    router,
    scenario,
)

_KEY = bytes(range(20))
_INSIDE, _OUTSIDE = 0x101, 0x202
"""SPI of what comes in, and of what goes out."""
_REMOTE = "10.9.0.5"
_ESP, _IN_IP = 50, 4


def _state(source: str, destination: str, spi: int) -> str:
    """A security association without encryption, so that its packets can be told in advance."""
    return (
        f"xfrm state add src {source} dst {destination} proto esp spi {spi} mode tunnel "
        f'enc "ecb(cipher_null)" "" auth "hmac(sha1)" 0x{_KEY.hex()}'
    )


def _policy(way: str, source: str, destination: str, here: str, there: str) -> str:
    return (
        f"xfrm policy add dir {way} src {source} dst {destination} "
        f"tmpl src {here} dst {there} proto esp mode tunnel"
    )


def _gateway() -> Box:
    """The router with a tunnel of IPsec to 10.9.0.0/24, whose gateway is the server."""
    box = changed(router(), routes=[{"to": "10.9.0.0/24", "via": SERVER}])
    box["ipsec"] = [
        _state(WAN, SERVER, _OUTSIDE),
        _state(SERVER, WAN, _INSIDE),
        _policy("out", "10.0.1.0/24", "10.9.0.0/24", WAN, SERVER),
        _policy("fwd", "10.9.0.0/24", "10.0.1.0/24", SERVER, WAN),
    ]
    return box


def _sealed(packet: Packet, number: int) -> Packet:
    """A packet as the other gateway sends it (RFC 4303 section 2, HMAC-SHA1-96)."""
    data = bytes(packet)
    padding = bytes(range(1, 1 + -(len(data) + 2) % 4))
    body = struct.pack(">II", _INSIDE, number) + data + padding + bytes([len(padding), _IN_IP])
    check = hmac.digest(_KEY, body, hashlib.sha1)[:12]
    return IP(src=SERVER, dst=WAN, id=0x4242, proto=_ESP) / (body + check)


@scenario
def ipsec(s: Scenario) -> None:
    """Packets that leave by an IPsec policy may add a flow, packets that IPsec brought may not."""
    s.box, s.rules = _gateway(), flowtable()
    there = UDP(sport=5000, dport=53) / b"question"
    back = UDP(sport=53, dport=5000) / b"the answer"
    number = 0
    for step in "obbbooboo":
        if step == "o":
            s.lan(IP(src=CLIENT, dst=_REMOTE, id=0x4242) / there)
        else:
            number += 1
            s.wan(_sealed(IP(src=_REMOTE, dst=CLIENT, id=0x4242) / back, number))


@scenario
def ipsec_answers_only(s: Scenario) -> None:
    """A connection from behind the tunnel: only the answers may add the flow."""
    s.box, s.rules = _gateway(), flowtable(add="ip saddr 10.9.0.0/24 flow add @f")
    for number in range(1, 4):
        s.wan(_sealed(IP(src=_REMOTE, dst=CLIENT, id=0x4242) / UDP(sport=53, dport=5000) / b"ask", number))
        s.lan(IP(src=CLIENT, dst=_REMOTE, id=0x4242) / UDP(sport=5000, dport=53) / b"reply")


@scenario
def helper(s: Scenario) -> None:
    """The control connection of FTP has a helper that reads it all; one to another port has not."""
    s.rules = flowtable(
        before="""counter""",
        more="""
    ct helper ftp-standard {
        type "ftp" protocol tcp
        l3proto ip
    }
    chain pre {
        type filter hook prerouting priority filter; policy accept;
        tcp dport 21 ct helper set "ftp-standard"
    }
""",
    )
    for dport in (21, 2121):
        connection = Tcp(s, dport=dport)
        connection.open()
        connection.back("PA", b"220 ready\r\n")
        connection.out("PA", b"USER me\r\n")
        connection.back("PA", b"331 and the password?\r\n")


@scenario
def no_route_back(s: Scenario) -> None:
    """Senders to whom there is no route: for IPv4 their device will do, for IPv6 it will not."""
    s.box = changed(router(), neighbours=[{"address": "10.77.0.1", "dev": "lan0", "mac": s.client.src}])
    s.rules = flowtable()
    for _ in range(4):
        s.lan(IP(src="10.77.0.1", dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53) / b"who")
        s.lan(IPv6(src="2001:db8:77::1", dst=SERVER6) / UDP(sport=5000, dport=53) / b"who")
    s.wan(IP(src=SERVER, dst="10.77.0.1", id=0x4242) / UDP(sport=53, dport=5000) / b"you")
    s.wan(IPv6(src=SERVER6, dst="2001:db8:77::1") / UDP(sport=53, dport=5000) / b"you")


@scenario
def route_back_refused(s: Scenario) -> None:
    """The route to the sender is a blackhole, or unreachable."""
    s.box = changed(
        router(),
        routes=[
            {"to": "10.77.0.0/16", "type": "unreachable"},
            {"to": "10.78.0.0/16", "type": "blackhole"},
            {"to": "2001:db8:77::/48", "type": "unreachable"},
            {"to": "2001:db8:78::/48", "type": "blackhole"},
        ],
    )
    s.rules = flowtable()
    for _ in range(4):
        for number in (77, 78):
            s.lan(IP(src=f"10.{number}.0.1", dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53) / b"who")
            s.lan(IPv6(src=f"2001:db8:{number}::1", dst=SERVER6) / UDP(sport=5000, dport=53) / b"who")


@scenario
def invalid(s: Scenario) -> None:
    """Packets without a connection: invalid ones, between those of one that is offloaded later."""
    s.rules = flowtable(add="ct state invalid counter flow add @f\nct state established counter flow add @f")
    connection = Tcp(s)
    connection.out("S")
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / TCP(sport=40000, dport=443, flags="SRF"))
    connection.back("SA")
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53, chksum=0x1234) / b"wrong")
    connection.out("A")
    connection.talk(2)


@scenario
def own_packets_of_a_flow(s: Scenario) -> None:
    """Datagrams to the box itself do not pass the rule; those that are forwarded with them do."""
    s.box = changed(router(), services=[{"protocol": "udp", "port": 53, "address": WAN}])
    s.rules = flowtable()
    for _ in range(3):
        Udp(s, dst=WAN).out()
        Udp(s).talk(1)
