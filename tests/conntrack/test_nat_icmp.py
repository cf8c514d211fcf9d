"""Errors about translated connections, read by an independent dissector."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, ICMPerror, IPerror, TCPerror, UDPerror
from scapy.layers.inet6 import ICMPv6EchoRequest, IPerror6, IPv6

from flowtable.conntrack.connection import Status
from flowtable.packet.drop import Drop
from flowtable.packet.packet import Packet
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.nat import NatKind, NatRange
from tests.conntrack.wire import (
    CLIENT,
    CLIENT6,
    ROUTER,
    ROUTER6,
    SERVER,
    SERVER6,
    Lab,
    addr,
    icmp,
    icmp6,
    packet,
    right_checksums,
    state,
    tcp,
    udp,
    unreachable,
)


@pytest.fixture
def lab() -> Lab:
    """Clients are masqueraded, and 10.0.2.99 or fd02::99 is another server's port 8080."""
    lab = Lab()
    lab.rules[Hook.POSTROUTING] = [
        lambda p: lab.nat.setup(p, NatKind.MASQUERADE, NatRange()) if p.oif is lab.eth1 else 1
    ]
    lab.rules[Hook.PREROUTING] = [lambda p: lab.nat.setup(p, NatKind.DNAT, behind(p))]
    return lab


def behind(p: Packet) -> NatRange:
    server = addr("10.0.2.50" if p.family == 2 else "fd02::50")
    return NatRange(server, server, 8080, 8080) if p.l4proto in (6, 17) else NatRange(server, server)


def raw(p: Packet | None) -> bytes:
    assert p is not None
    assert right_checksums(bytes(p.data))
    return bytes(p.data)


def test_back_to_the_client(lab):
    out = raw(lab.forward(udp(CLIENT, SERVER, 5000, 53, b"question")))
    error = lab.forward(unreachable("10.0.2.77", ROUTER, out), back=True)
    assert state(error) == "related"
    seen = IP(raw(error))
    assert (seen.src, seen.dst) == (SERVER, CLIENT)
    quoted = seen[ICMP][IPerror]
    assert (quoted.src, quoted.dst) == (CLIENT, SERVER)
    assert (quoted[UDPerror].sport, quoted[UDPerror].dport) == (5000, 53)
    # The quoted packet is what the client sent, checksums included.
    assert raw(error)[28:] == udp(CLIENT, SERVER, 5000, 53, b"question")


@pytest.mark.parametrize("size", [20 + 8, 20 + 19, 20 + 20])
def test_as_much_as_is_quoted(lab, size):
    """Eight bytes of TCP have no checksum; short of a whole header, Linux leaves it as it is."""
    sent = tcp(CLIENT, SERVER, flags="S", seq=77)
    out = raw(lab.forward(sent))
    error = raw(lab.forward(unreachable("10.0.2.77", ROUTER, out[:size]), back=True))
    if size < 40:
        sent = sent[:36] + out[36:38] + sent[38:]
    assert error[28:] == sent[:size]


def test_on_to_the_server(lab):
    lab.forward(udp(CLIENT, SERVER, 5000, 53))
    answer = raw(lab.forward(udp("10.0.2.50", ROUTER, 8080, 5000, b"answer"), back=True))
    assert IP(answer).src == SERVER
    error = lab.forward(unreachable(CLIENT, SERVER, answer))
    assert state(error) == "related"
    seen = IP(raw(error))
    assert (seen.src, seen.dst) == (ROUTER, "10.0.2.50")
    assert raw(error)[28:] == udp("10.0.2.50", ROUTER, 8080, 5000, b"answer")


def test_about_echoes(lab):
    out = raw(lab.forward(icmp(CLIENT, SERVER, ident=9)))
    error = raw(lab.forward(unreachable("10.0.2.77", ROUTER, out), back=True))
    assert IP(error).dst == CLIENT
    assert IP(error)[ICMPerror].id == 9
    assert error[28:] == icmp(CLIENT, SERVER, ident=9)


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_ipv6(lab, kind):
    sent = tcp(CLIENT6, SERVER6, flags="S")
    out = raw(lab.forward(sent))
    assert IPv6(out)[TCP].dport == 8080
    error = lab.forward(unreachable("fd02::77", ROUTER6, out, kind=kind), back=True)
    assert state(error) == "related"
    seen = IPv6(raw(error))
    assert (seen.src, seen.dst) == (SERVER6, CLIENT6)
    assert (seen[IPerror6].src, seen[TCPerror].dport) == (CLIENT6, 443)
    assert raw(error)[48:] == sent


def test_ipv6_echoes(lab):
    sent = icmp6(CLIENT6, SERVER6, ident=9)
    out = raw(lab.forward(sent))
    assert IPv6(out)[ICMPv6EchoRequest].id == 9
    assert raw(lab.forward(unreachable("fd02::77", ROUTER6, out, kind=1), back=True))[48:] == sent


def test_destination_that_nobody_translates_is_left_alone():
    lab = Lab()
    sent = udp(CLIENT, SERVER)
    lab.forward(sent)
    error = unreachable("10.0.2.77", CLIENT, sent)
    assert raw(lab.forward(error, back=True)) == error


def test_redirects_are_dropped_where_addresses_change(lab):
    out = raw(lab.forward(udp(CLIENT, SERVER)))
    assert lab.forward(unreachable("10.0.2.77", ROUTER, out, kind=5, code=1), back=True) is None


def test_redirects_pass_where_they_do_not():
    lab = Lab()
    sent = udp(CLIENT, SERVER)
    lab.forward(sent)
    assert lab.forward(unreachable("10.0.2.77", CLIENT, sent, kind=5, code=1), back=True) is not None
    lab.only().status &= ~Status.SRC_NAT_DONE
    assert lab.forward(unreachable("10.0.2.77", CLIENT, sent, kind=5, code=1), back=True) is None


def test_wrong_checksum_is_not_translated():
    """Conntrack calls it invalid; where it may not look, NAT drops it."""
    lab = Lab()
    lab.topology.sysctls.nf_conntrack_checksum = 0
    lab.follow_sysctls()
    lab.rule(Hook.POSTROUTING, NatKind.MASQUERADE)
    out = raw(lab.forward(udp(CLIENT, SERVER)))
    error = unreachable("10.0.2.77", ROUTER, out)
    p = packet(error[:-1] + bytes((error[-1] ^ 1,)), lab.now)
    p.iif = lab.eth1
    assert not lab.stations(p, Hook.PREROUTING, lab.conntrack.incoming)
    assert p.drop is Drop.NAT


@pytest.mark.parametrize("shorter", [28 + 19, 28 + 20 + 7])
def test_too_short_to_translate(lab, shorter):
    """Such an error relates to nothing; attached to a connection all the same, it is dropped."""
    sent = udp(CLIENT, SERVER)
    out = raw(lab.forward(sent))
    p = packet(unreachable("10.0.2.77", ROUTER, out[: shorter - 28]), lab.now)
    p.ct, p.ctinfo = lab.only(), 4
    assert lab.nat.station(Hook.PREROUTING, ())(p) == 0
    assert p.drop is Drop.NAT


def test_later_fragments_are_not_translated(lab):
    out = bytearray(raw(lab.forward(udp(CLIENT, SERVER))))
    out[6:8] = b"\0\1"
    p = packet(unreachable("10.0.2.77", ROUTER, bytes(out)), lab.now)
    p.ct, p.ctinfo = lab.only(), 4
    assert lab.nat.station(Hook.PREROUTING, ())(p) == 0


def test_of_the_box_itself(lab):
    """What the router says of a packet it has translated already, in the client's terms."""
    out = raw(lab.forward(udp(CLIENT, SERVER)))
    p = packet(unreachable("10.0.1.1", ROUTER, out), lab.now)
    p.oif = lab.eth0
    assert lab.stations(p, Hook.OUTPUT, lab.conntrack.incoming)
    assert lab.stations(p, Hook.POSTROUTING)
    seen = IP(raw(p))
    assert seen.dst == CLIENT
    assert bytes(p.data)[28:] == udp(CLIENT, SERVER)
    assert UDP not in seen
