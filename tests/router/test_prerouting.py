"""Prerouting: headers are checked before any rule sees the packet."""

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from flowtable.packet.drop import Drop
from tests.lab import CLIENT, CLIENT6, CLIENT_MAC, LAN_MAC, SERVER, SERVER6, Lab, udp

RULES = """
table inet t {
    chain p {
        type filter hook prerouting priority 0
        udp dport 9 drop
        counter
    }
}
"""
UDP6 = IPv6(src=CLIENT6, dst=SERVER6) / UDP()


@pytest.mark.parametrize(
    ("packet", "drop"),
    [
        (bytes(udp())[:19], Drop.IP_HEADER),
        (IP(src=CLIENT, dst=SERVER, version=6) / UDP(), Drop.IP_HEADER),
        (IP(src=CLIENT, dst=SERVER, ihl=4) / UDP(), Drop.IP_HEADER),
        (IP(src=CLIENT, dst=SERVER, ihl=15) / UDP(), Drop.IP_HEADER),
        (IP(src=CLIENT, dst=SERVER, len=19) / UDP(), Drop.IP_HEADER),
        (IP(src=CLIENT, dst=SERVER, chksum=1) / UDP(), Drop.IP_CHECKSUM),
        (IP(src=CLIENT, dst=SERVER, len=29) / UDP(), Drop.IP_TRUNCATED),
    ],
)
def test_headers(packet, drop):
    lab = Lab(RULES)
    raw = packet if isinstance(packet, bytes) else bytes(packet)
    assert lab.receive("lan0", bytes(Ether(src=CLIENT_MAC, dst=LAN_MAC, type=0x0800)) + raw) == []
    assert lab.drops == {drop: 1}
    assert "counter packets 0 " in lab.listing()
    assert (lab.statistics.prerouting, lab.statistics.routing) == (1, 0)


@pytest.mark.parametrize(
    ("packet", "drop"),
    [
        (bytes(UDP6)[:39], Drop.IP_HEADER),
        (IPv6(src=CLIENT6, dst=SERVER6, version=4) / UDP(), Drop.IP_HEADER),
        (IPv6(src=CLIENT6, dst=SERVER6, plen=9) / UDP(), Drop.IP_TRUNCATED),
        (IPv6(src="ff02::1", dst=SERVER6) / UDP(), Drop.MARTIAN_SOURCE),
        (IPv6(src="::1", dst=SERVER6) / UDP(), Drop.MARTIAN_SOURCE),
        (IPv6(src=CLIENT6, dst="::1") / UDP(), Drop.IP_HEADER),
        (IPv6(src=CLIENT6, dst="ff01::1") / UDP(), Drop.IP_HEADER),
        (IPv6(src=CLIENT6, dst="ff00::1") / UDP(), Drop.IP_HEADER),
    ],
)
def test_headers_6(packet, drop):
    lab = Lab(RULES)
    raw = packet if isinstance(packet, bytes) else bytes(packet)
    assert lab.receive("lan0", bytes(Ether(src=CLIENT_MAC, dst=LAN_MAC, type=0x86DD)) + raw) == []
    assert lab.drops == {drop: 1}
    assert (lab.statistics.prerouting, lab.statistics.routing) == (1, 0)


def test_the_rules():
    lab = Lab(RULES)
    assert lab.client(udp(dport=9)) == lab.client(IPv6(src=CLIENT6, dst=SERVER6) / UDP(dport=9)) == []
    assert len(lab.client(udp())) == len(lab.client(UDP6)) == 1
    assert lab.drops == {Drop.RULE: 2}
    assert "counter packets 2 " in lab.listing()


def test_padding_is_not_part_of_the_packet():
    lab = Lab(RULES)
    (sent,) = lab.receive("lan0", bytes(Ether(src=CLIENT_MAC, dst=LAN_MAC) / udp(size=1)) + bytes(17))
    assert len(sent.frame) == 14 + 29
    assert "counter packets 1 bytes 29" in lab.listing()
    (sent,) = lab.receive("lan0", bytes(Ether(src=CLIENT_MAC, dst=LAN_MAC) / UDP6) + bytes(17))
    assert len(sent.frame) == 14 + 48
