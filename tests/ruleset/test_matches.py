"""What matches are true of which packets."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.packet import Raw

from flowtable.packet.packet import CtInfo
from tests.ruleset.box import connection, matches, packet

SYN = IP(src="10.0.0.1", dst="192.0.2.1", ttl=64, tos=0xB9, id=7) / TCP(sport=1000, dport=80, flags="S")
DNS = IP(src="10.0.0.1", dst="10.0.0.53") / UDP(sport=5353, dport=53)
PING = IP(src="10.0.0.1", dst="192.0.2.1") / ICMP(type=8, id=5, seq=3)
SYN6 = IPv6(src="2001:db8::1", dst="fe80::2", hlim=9, tc=0xB9, fl=0x12345) / TCP(sport=1000, dport=80)
PING6 = IPv6(src="2001:db8::1", dst="fe80::2") / ICMPv6EchoRequest(id=5)
LATER = IP(src="10.0.0.1", dst="192.0.2.1", frag=10, proto=6) / Raw(bytes(40))


@pytest.mark.parametrize(
    "match",
    [
        "ip saddr 10.0.0.1",
        "ip saddr 10.0.0.0/8",
        "ip saddr 10.0.0.0/30",
        "ip saddr 0.0.0.0/0",
        "ip saddr 10.0.0.0-10.0.0.2",
        "ip saddr { 10.0.0.1, 10.0.0.2 }",
        "ip saddr { 10.0.0.0/24, 11.0.0.5 }",
        "ip saddr != 10.0.0.2",
        "ip saddr != { 10.0.0.2, 10.0.0.3 }",
        "ip saddr != 10.0.0.2-10.0.0.3",
        "ip saddr & 255.0.0.255 == 10.0.0.1",
        "ip saddr > 10.0.0.0",
        "ip daddr 192.0.2.1",
        "ip ttl 64",
        "ip ttl 60-70",
        "ip ttl > 63",
        "ip ttl <= 64",
        "ip dscp ef",
        "ip ecn 1",
        "ip version 4",
        "ip hdrlength 5",
        "ip id 7",
        "ip length 40",
        "ip protocol tcp",
        "ip frag-off & 0x1fff == 0",
        "tcp dport 80",
        "tcp sport 1000",
        "tcp dport 1-80",
        "tcp dport { 22, 80 }",
        "tcp dport { 1-79, 80-90 }",
        "tcp dport != 22",
        "tcp dport >= 80",
        "tcp dport & 1 == 0",
        "tcp doff 5",
        "tcp flags syn",
        "tcp flags syn,ack",
        "tcp flags == syn",
        "tcp flags != syn,ack",
        "tcp flags ! ack,rst",
        "tcp flags syn / syn,ack",
        "tcp flags & (fin|syn|rst|ack) == syn",
        "tcp flags { syn, ack }",
        "tcp flags & syn == syn",
        "th dport 80",
        "meta l4proto tcp",
        "meta l4proto { tcp, udp }",
        "meta l4proto != udp",
        "meta nfproto ipv4",
        "meta protocol ip",
        "meta length 40",
        "meta length > 39",
        "meta mark 0x10",
        "meta mark & 0xf0 == 0x10",
        "meta mark & 0x100 == 0",
        "meta mark ^ 0x11 == 0x1",
        "meta mark | 1 == 0x11",
        "meta mark 1-16",
        "meta mark { 1, 16 }",
        "meta pkttype host",
        "meta priority none",
        'iifname "lan0"',
        'iifname "lan*"',
        'iifname != "wan*"',
        'iifname { "eth0", "lan0" }',
        'iifname { "lan*", "eth0" }',
        'iifname != { "wan*", "eth0" }',
        'oifname "wan0"',
        "iif lan0",
        "iif { lan0, eth0 }",
        "iif != wan0",
        "iif 2",
        "oif wan0",
        "meta nfproto ipv4 tcp dport 80",
        "meta l4proto tcp th dport 80",
        "ip saddr 10.0.0.1 ip daddr 192.0.2.1 tcp sport 1000 tcp dport 80",
    ],
)
def test_true_of_a_syn(match: str) -> None:
    assert matches(match, packet(SYN, mark=16))


@pytest.mark.parametrize(
    "match",
    [
        "ip saddr 10.0.0.2",
        "ip saddr != 10.0.0.1",
        "ip saddr != 10.0.0.0/8",
        "ip saddr 11.0.0.0/8",
        "ip saddr != { 10.0.0.1, 10.0.0.2 }",
        "ip saddr != 10.0.0.0-10.0.0.3",
        "ip6 saddr 2001:db8::1",
        "ip6 saddr != 2001:db8::1",
        "ip6 hoplimit != 3",
        "tcp dport 81",
        "tcp dport != 80",
        "udp dport 80",
        "udp dport != 80",
        "icmp type != echo-request",
        "tcp flags ack",
        "tcp flags == syn,ack",
        "tcp flags ! syn",
        "tcp flags 0x0",
        "tcp flags & (syn|ack) != syn",
        "meta mark 5",
        'iifname "lan1"',
        'iifname "wan*"',
        'iifname != "lan*"',
        "iif wan0",
        "meta nfproto ipv6",
        "ip protocol udp",
    ],
)
def test_false_of_a_syn(match: str) -> None:
    assert not matches(match, packet(SYN, mark=16))


@pytest.mark.parametrize(
    ("match", "true"),
    [
        ("ip6 saddr 2001:db8::1", True),
        ("ip6 saddr 2001:db8::/32", True),
        ("ip6 saddr 2001:db8::/33", True),
        ("ip6 daddr { ::1, fe80::/10 }", True),
        ("ip6 daddr fe80::1-fe80::5", True),
        ("ip6 daddr != fe80::2", False),
        ("ip6 hoplimit 9", True),
        ("ip6 dscp ef", True),
        ("ip6 ecn ect1", True),
        ("ip6 flowlabel 0x12345", True),
        ("ip6 version 6", True),
        ("ip6 nexthdr tcp", True),
        ("ip6 length 20", True),
        ("meta protocol ip6", True),
        ("tcp dport 80", True),
        ("ip saddr != 10.0.0.1", False),
        ("ip protocol tcp", False),
    ],
)
def test_ipv6(match: str, true: bool) -> None:
    assert matches(match, packet(SYN6)) is true


@pytest.mark.parametrize(
    ("match", "true"),
    [
        ("icmp type echo-request", True),
        ("icmp type { echo-reply, echo-request }", True),
        ("icmp type echo-reply", False),
        ("icmp code 0", True),
        ("icmp id 5", True),
        ("icmp sequence 3", True),
        ("icmp mtu 3", False),
        ("icmpv6 type echo-request", False),
        ("tcp dport 0-65535", False),
    ],
)
def test_icmp(match: str, true: bool) -> None:
    assert matches(match, packet(PING)) is true


def test_icmpv6() -> None:
    assert matches("icmpv6 type echo-request", packet(PING6))
    assert matches("icmpv6 id 5", packet(PING6))
    assert not matches("icmp type 128", packet(PING6))


def test_udp_rules_do_not_match_tcp() -> None:
    assert matches("udp dport 53", packet(DNS))
    assert not matches("tcp dport 53", packet(DNS))
    assert matches("th dport 53", packet(DNS))


@pytest.mark.parametrize("match", ["tcp dport 0", "tcp dport != 5", "th dport 0", "tcp flags ! syn"])
def test_later_fragments_have_no_ports(match: str) -> None:
    assert not matches(match, packet(LATER))
    assert matches("meta l4proto tcp", packet(LATER))


@pytest.mark.parametrize(
    "match",
    [
        "tcp dport 53",
        "tcp dport != 80",
        "tcp dport < 80",
        "tcp dport 1-100",
        "tcp dport { 53, 54 }",
        "tcp dport != { 80, 81 }",
        "tcp flags 0xfe",
        "tcp flags ! syn",
        "tcp flags != syn",
        "tcp flags & syn != syn",
        "tcp dport vmap { 53 : accept }",
        "meta mark set tcp dport map { 53 : 1 }",
        "ip6 saddr != ::1",
        "ip6 hoplimit < 255",
        "icmp type != echo-reply",
    ],
)
def test_fields_of_other_protocols_are_not_read(match: str) -> None:
    assert not matches(match, packet(DNS))


def test_truncated_headers_match_nothing() -> None:
    short = packet(IP(src="10.0.0.1", dst="192.0.2.1", proto=6) / Raw(b"\x03\xe8"))
    assert matches("tcp sport 1000", short)
    assert not matches("tcp dport != 80", short)
    assert not matches("tcp dport 0-65535", short)
    assert not matches("tcp flags ! syn", short)
    assert not matches("tcp sequence != 5", short)


def test_where_there_is_no_device() -> None:
    nowhere = packet(SYN, iif=None, oif=None)
    assert matches('iifname != "lan0"', nowhere)
    assert matches("iif 0", nowhere)
    assert matches("oif != wan0", nowhere)
    assert not matches('oifname "wan0"', nowhere)
    assert not matches('iifname "l*"', nowhere)


def test_implied_protocol_in_each_family() -> None:
    assert matches("tcp dport 80", packet(SYN), family="ip")
    assert matches("tcp dport 80", packet(SYN6), family="ip6")
    assert not matches("udp dport 80", packet(SYN), family="ip")
    assert matches("ip saddr 10.0.0.1", packet(SYN), family="ip")


class TestConntrack:
    @pytest.mark.parametrize(
        ("ctinfo", "state"),
        [
            (CtInfo.ESTABLISHED, "established"),
            (CtInfo.RELATED, "related"),
            (CtInfo.NEW, "new"),
            (CtInfo.ESTABLISHED_REPLY, "established"),
            (CtInfo.RELATED_REPLY, "related"),
        ],
    )
    def test_state(self, ctinfo: CtInfo, state: str) -> None:
        tracked = packet(SYN, ct=connection(), ctinfo=ctinfo)
        others = {"established", "related", "new", "invalid", "untracked"} - {state}
        assert matches(f"ct state {state}", tracked)
        assert matches(f"ct state {{ {state}, invalid }}", tracked)
        assert matches(f"ct state == {state}", tracked)
        assert matches(f"ct state ! {','.join(others)}", tracked)
        assert not matches(f"ct state {','.join(others)}", tracked)
        assert not matches(f"ct state ! {state}", tracked)
        assert matches("ct state != established,related", tracked), "compares with 6, a trap of nft's"

    def test_state_always_has_a_value(self) -> None:
        assert matches("ct state invalid", packet(SYN))
        assert matches("ct state untracked", packet(SYN, ctinfo=CtInfo.UNTRACKED))
        assert not matches("ct state invalid", packet(SYN, ctinfo=CtInfo.UNTRACKED))

    @pytest.mark.parametrize(
        "match",
        [
            "ct status snat",
            "ct status assured,dnat",
            "ct status & (assured|snat) == assured|snat",
            "ct status ! dnat",
            "ct status != dnat",
            "ct mark 7",
            "ct mark & 0x3 == 3",
            "ct mark != 8",
            "ct zone 3",
            "ct direction original",
            "ct expiration 50s",
            "ct expiration > 40s",
            "ct l3proto ipv4",
            "ct protocol tcp",
            "ct id 9",
            "ct packets 8",
            "ct bytes 800",
            "ct avgpkt 100",
            "ct original packets 5",
            "ct reply packets > 2",
            "ct reply bytes 300",
            "ct original ip saddr 10.0.0.1",
            "ct reply ip saddr 192.0.2.1",
            "ct original ip daddr 192.0.2.0/24",
            "tcp dport 80 ct original proto-src 1000",
            "tcp dport 80 ct reply proto-dst 1000",
        ],
    )
    def test_attributes(self, match: str) -> None:
        ct = connection(
            status=4 | 16,
            mark=7,
            zone=3,
            helper="ftp",
            expires=60 * 10**9,
            ident=9,
            packets=[5, 3],
            bytes=[500, 300],
        )
        assert matches(match, packet(SYN, ct=ct, time=10 * 10**9))

    @pytest.mark.parametrize(
        "match",
        [
            "ct status ! snat",
            "ct mark 0",
            "ct mark != 5",
            "ct direction original",
            "ct zone != 3",
            "ct packets < 9",
            "ct original ip saddr != 1.1.1.1",
            'ct helper != "ftp"',
        ],
    )
    def test_nothing_to_read_without_a_connection(self, match: str) -> None:
        assert not matches(match, packet(SYN))

    @pytest.mark.parametrize("match", ["ct helper ftp", 'ct helper != "sip"'])
    def test_helper_is_that_of_the_connection_that_expected_this_one(self, match: str) -> None:
        assert not matches(match, packet(SYN, ct=connection(helper="ftp")))

    def test_counts_are_zero_without_accounting(self) -> None:
        assert matches("ct packets 0", packet(SYN, ct=connection()))
        assert not matches("ct original packets > 20", packet(SYN, ct=connection()))

    def test_addresses_of_the_other_family(self) -> None:
        assert not matches("ct original ip6 saddr != ::1", packet(SYN, ct=connection()))

    def test_direction(self) -> None:
        reply = packet(SYN, ct=connection(), ctinfo=CtInfo.ESTABLISHED_REPLY)
        assert matches("ct direction reply", reply)
        assert not matches("ct direction original", reply)


def test_named_sets() -> None:
    more = (
        "set a { type ipv4_addr; flags interval; elements = { 10.0.0.0/24, 172.16.0.1 }; }\n"
        "set p { type inet_service; elements = { 80, 443 }; }\n"
        'set n { type ifname; flags interval; elements = { "lan*", "eth0" }; }'
    )
    assert matches("ip saddr @a tcp dport @p iifname @n", packet(SYN), more=more)
    assert not matches("ip saddr != @a", packet(SYN), more=more)
    assert not matches("ip daddr @a", packet(SYN), more=more)
