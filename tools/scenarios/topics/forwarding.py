"""The classic path without rules."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import IPv6

from scenarios.author import CLIENT, CLIENT6, SERVER, SERVER6, Scenario, scenario


@scenario
def udp(s: Scenario) -> None:
    """A datagram each way, IPv4 and IPv6."""
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53) / b"question")
    s.wan(IP(src=SERVER, dst=CLIENT, id=0x4242) / UDP(sport=53, dport=5000) / b"answer")
    s.lan(IPv6(src=CLIENT6, dst=SERVER6) / UDP(sport=5000, dport=53) / b"question")
    s.wan(IPv6(src=SERVER6, dst=CLIENT6) / UDP(sport=53, dport=5000) / b"answer")


@scenario
def ttl(s: Scenario) -> None:
    """A packet that may make one more hop passes, one that may not is answered."""
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242, ttl=2) / UDP(sport=5000, dport=53) / b"x")
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242, ttl=1) / UDP(sport=5000, dport=53) / b"x")
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242, ttl=1) / ICMP(id=1, seq=1) / b"x")
