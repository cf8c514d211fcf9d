"""Whatever comes: nothing is raised, translating there and back is nothing, checksums are right."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, in4_chksum
from scapy.layers.inet6 import IPv6, in6_chksum
from scapy.utils import checksum

from flowtable.conntrack.core import Conntrack
from flowtable.packet.packet import Packet
from flowtable.packet.parse import parse_ipv4, parse_ipv6
from flowtable.ruleset.hook import Hook
from flowtable.topology.sysctl import Sysctls
from tests.conntrack.rulesets import RULES, install
from tests.conntrack.traffic import MixedTraffic, TcpTraffic
from tests.conntrack.wire import (
    CLIENT,
    CLIENT6,
    SERVER,
    SERVER6,
    Lab,
    icmp,
    icmp6,
    ip,
    right_checksums,
    tcp,
    udp,
    unreachable,
)

PROTOCOLS = st.sampled_from([1, 6, 17, 47, 58, 50, 255]) | st.integers(0, 255)
EXTENSIONS = st.sampled_from([0, 43, 44, 51, 59, 60, 6, 17, 58])


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """IP packets that the parser takes, with anything behind their header."""
    payload = draw(st.binary(max_size=120))
    if draw(st.booleans()):
        if draw(st.booleans()):
            payload = udp(CLIENT, SERVER)[: draw(st.integers(0, 40))] + payload
            payload = draw(st.sampled_from([b"\3\1\0\0\0\0\0\0", b"\5\1\0\0\0\0\0\0"])) + payload
        return ip(CLIENT, SERVER, draw(PROTOCOLS), payload)
    if draw(st.booleans()):
        return ip(
            CLIENT6, SERVER6, draw(EXTENSIONS), bytes((draw(EXTENSIONS), draw(st.integers(0, 3)))) + payload
        )
    return ip(CLIENT6, SERVER6, draw(PROTOCOLS), payload)


@settings(max_examples=150, deadline=None)
@given(st.lists(frames(), max_size=5), st.sampled_from(sorted(RULES)), st.booleans())
def test_nothing_is_raised(raws, rules, verified):
    lab = Lab()
    lab.topology.sysctls.nf_conntrack_checksum = int(verified)
    lab.follow_sysctls()
    install(lab, rules)
    for number, raw in enumerate(raws):
        parse = parse_ipv4 if raw[0] >> 4 == 4 else parse_ipv6
        p = parse(raw, 0, lab.eth0, lab.now + number)
        if not isinstance(p, Packet):
            continue
        size = len(p.data)
        p.oif = lab.eth1
        if lab.stations(p, Hook.PREROUTING, lab.conntrack.incoming):
            lab.stations(p, Hook.POSTROUTING)
        assert len(p.data) == size


def udp_without_checksum(raw: bytes) -> bool:
    header, l4proto = (20, raw[9]) if raw[0] >> 4 == 4 else (40, raw[6])
    return l4proto == 17 and raw[header + 6 : header + 8] == b"\0\0"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(sorted(RULES)), st.booleans())
def test_checksums_stay_as_right_as_they_were(seed, rules, one):
    """Of packets, and by an independent dissector; what was wrong is not put right."""
    rnd = random.Random(seed)
    lab = Lab()
    install(lab, rules)
    traffic = TcpTraffic(rnd, masqueraded=rules == "masquerade") if one else MixedTraffic(rnd)
    for _ in range(12):
        side, raw = traffic.step()
        p = lab.forward(raw, back=side == "b")
        if p is None:
            continue
        out = bytes(p.data)
        assert right_checksums(out) == right_checksums(raw)
        if out[0] >> 4 == 4:
            assert checksum(out[:20]) == 0
        if out[0] >> 4 == 4 and out[9] in (6, 17):
            right = in4_chksum(out[9], IP(out), out[20:]) == 0
        elif out[0] >> 4 == 6 and out[6] in (6, 17, 58):
            right = in6_chksum(out[6], IPv6(out), out[40:]) == 0
        else:
            right = right_checksums(raw)
        assert right == right_checksums(raw) or udp_without_checksum(out)
        if isinstance(traffic, MixedTraffic):
            traffic.came_out.append(("b" if side == "a" else "a", out))


def opposite(raw: bytes) -> bytes:
    """The same packet, sent back: addresses and ports swapped, which leaves the checksums right."""
    if raw[0] >> 4 == 4:
        ends, head, thoff = raw[16:20] + raw[12:16], raw[:12], 20
    else:
        ends, head, thoff = raw[24:40] + raw[8:24], raw[:8], 40
    return head + ends + raw[thoff + 2 : thoff + 4] + raw[thoff : thoff + 2] + raw[thoff + 4 :]


ports = st.integers(1, 65535)


@settings(max_examples=60, deadline=None)
@given(st.booleans(), st.booleans(), ports, st.sampled_from([80, 81, 82]), st.binary(max_size=50))
def test_there_and_back_is_nothing(v6, is_tcp, sport, dport, data):
    """What the server returns as it came arrives at the client as it was sent."""
    lab = Lab()
    install(lab, "both")
    client, server = (CLIENT6, SERVER6) if v6 else (CLIENT, SERVER)
    if is_tcp:
        sent = tcp(client, server, sport, dport, "S", 1, 0, data=data)
    else:
        sent = udp(client, server, sport, dport, data)
    for _ in range(2):
        out = lab.forward(sent)
        assert out is not None
        assert bytes(out.data) != sent
        back = lab.forward(opposite(bytes(out.data)), back=True)
        assert back is not None
        assert opposite(bytes(back.data)) == sent


@settings(max_examples=40, deadline=None)
@given(st.booleans(), ports, st.sampled_from([80, 81, 82]), st.binary(max_size=50), st.integers(8, 60))
def test_errors_quote_what_was_sent(v6, sport, dport, data, size):
    lab = Lab()
    install(lab, "both")
    client, server = (CLIENT6, SERVER6) if v6 else (CLIENT, SERVER)
    header = 40 if v6 else 20
    sent = udp(client, server, sport, dport, data)
    out = lab.forward(sent)
    assert out is not None
    raw = bytes(out.data)
    outside = opposite(raw)[24:40] if v6 else opposite(raw)[16:20]
    text = ":".join(outside.hex(":", 2).split(":")) if v6 else ".".join(map(str, outside))
    router = "fd02::77" if v6 else "10.0.2.77"
    error = lab.forward(unreachable(router, text, raw[: header + size], kind=1 if v6 else 3), back=True)
    assert error is not None
    assert right_checksums(bytes(error.data))
    assert bytes(error.data)[header + 8 :] == sent[: header + size]


@pytest.mark.parametrize(
    "raw",
    [icmp(CLIENT, SERVER), icmp6(CLIENT6, SERVER6), udp(CLIENT, SERVER), tcp(CLIENT6, SERVER6, flags="S")],
)
def test_every_cut_of_a_packet(raw):
    header = 20 if raw[0] >> 4 == 4 else 40
    for size in range(header, len(raw)):
        cut = ip(
            *((CLIENT, SERVER) if header == 20 else (CLIENT6, SERVER6)),
            raw[9] if header == 20 else raw[6],
            raw[header:size],
        )
        lab = Lab()
        install(lab, "both")
        lab.forward(cut)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 3))
def test_same_traffic_same_connections(seed, box_seed):
    def run() -> list[str]:
        rnd = random.Random(seed)
        lab = Lab(seed=box_seed)
        install(lab, "both")
        traffic = MixedTraffic(rnd)
        out = []
        for _ in range(15):
            side, raw = traffic.step()
            p = lab.forward(raw, back=side == "b")
            out.append("" if p is None else p.data.hex())
            if p is not None:
                traffic.came_out.append(("b" if side == "a" else "a", bytes(p.data)))
        return out + [repr((c.original, c.reply, c.status, c.ident)) for c in lab.conntrack]

    assert run() == run()


def test_table_is_empty_when_everything_has_timed_out():
    """Nothing is left behind in any of its indexes."""
    rnd = random.Random(7)
    lab = Lab()
    install(lab, "both")
    for _ in range(60):
        traffic = TcpTraffic(rnd, masqueraded=False) if rnd.random() < 0.5 else MixedTraffic(rnd)
        for _ in range(10):
            side, raw = traffic.step()
            lab.forward(raw, back=side == "b")
    conntrack: Conntrack = lab.conntrack
    assert len(conntrack) > 100
    lab.now += 10**9 * Sysctls().nf_conntrack_tcp_timeout_established + 10**12
    conntrack.expire(lab.now)
    for index in (
        conntrack._entries,
        conntrack._connections,
        conntrack._droppable,
        conntrack._sources,
        conntrack._plans,
    ):
        assert not index
