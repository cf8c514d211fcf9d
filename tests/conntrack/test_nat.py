"""Translation, end to end: what goes out, what comes back, and what is remembered."""

from __future__ import annotations

import pytest

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Status, TcpState
from flowtable.conntrack.listing import conntrack_line
from flowtable.conntrack.nat_mangle import SOURCE, manipulate
from flowtable.conntrack.removal import Removal
from flowtable.conntrack.tuple import Tuple
from flowtable.packet.drop import Drop
from flowtable.packet.packet import IPV4, CtInfo, Packet
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.nat import NatKind, NatRange
from flowtable.topology.device import Address
from tests.conntrack.wire import (
    CLIENT,
    CLIENT6,
    ROUTER,
    ROUTER6,
    SERVER,
    SERVER6,
    Lab,
    addr,
    addresses,
    gre,
    icmp,
    icmp6,
    ip,
    packet,
    right_checksums,
    state,
    tcp,
    udp,
)


def to(first: str, last: str | None = None, low: int = 0, high: int | None = None, **flags: bool) -> NatRange:
    return NatRange(addr(first), addr(last or first), low, low if high is None else high, **flags)


def ends(p: Packet | None) -> tuple[str, int, str, int]:
    assert p is not None
    assert right_checksums(bytes(p.data))
    return addresses(p)


@pytest.fixture
def lab() -> Lab:
    return Lab()


class TestSource:
    def test_there_and_back(self, lab):
        lab.rule(Hook.POSTROUTING, NatKind.SNAT, to("10.0.2.200"))
        assert ends(lab.forward(udp(CLIENT, SERVER))) == ("10.0.2.200", 5000, SERVER, 53)
        assert ends(lab.forward(udp(SERVER, "10.0.2.200", 53, 5000), back=True)) == (SERVER, 53, CLIENT, 5000)
        assert ends(lab.forward(udp(CLIENT, SERVER))) == ("10.0.2.200", 5000, SERVER, 53)
        assert lab.only().status & Status.NAT_MASK == Status.SRC_NAT
        assert lab.only().status & Status.NAT_DONE_MASK == Status.NAT_DONE_MASK

    def test_rules_see_the_first_packet_only(self, lab):
        calls = []

        def chain(p):
            calls.append(p)
            return lab.nat.setup(p, NatKind.SNAT, to("10.0.2.200"))

        lab.rules[Hook.POSTROUTING] = [chain]
        for _ in range(3):
            assert ends(lab.forward(udp(CLIENT, SERVER)))[0] == "10.0.2.200"
        lab.forward(udp(SERVER, "10.0.2.200", 53, 5000), back=True)
        assert len(calls) == 1

    def test_first_chain_that_translates_is_the_last(self, lab):
        calls = []

        def chain(address):
            def run(p):
                calls.append(address)
                return lab.nat.setup(p, NatKind.SNAT, to(address))

            return run

        lab.rules[Hook.POSTROUTING] = [chain("10.0.2.201"), chain("10.0.2.202")]
        assert ends(lab.forward(udp(CLIENT, SERVER)))[0] == "10.0.2.201"
        assert calls == ["10.0.2.201"]

    def test_chain_that_drops(self, lab):
        lab.rules[Hook.POSTROUTING] = [lambda p: 0]
        assert lab.forward(udp(CLIENT, SERVER)) is None
        assert len(lab.conntrack) == 0

    def test_second_nat_statement_is_refused(self, lab):
        p = packet(udp(CLIENT, SERVER), lab.now)
        lab.conntrack.incoming(p)
        p.oif = lab.eth1
        assert lab.nat.setup(p, NatKind.SNAT, to("10.0.2.200")) == 1
        assert lab.nat.setup(p, NatKind.SNAT, to("10.0.2.201")) == 0
        assert p.drop is Drop.NAT

    def test_not_for_confirmed_or_untracked_ones(self, lab):
        p = lab.forward(udp(CLIENT, SERVER))
        assert p is not None
        assert lab.nat.setup(p, NatKind.SNAT, to("10.0.2.200")) == 1
        assert not lab.only().status & Status.SRC_NAT
        p.ct = None
        assert lab.nat.setup(p, NatKind.SNAT, to("10.0.2.200")) == 1

    def test_port_only(self, lab):
        lab.rule(Hook.POSTROUTING, NatKind.SNAT, NatRange(min_port=7000, max_port=7000))
        assert ends(lab.forward(tcp(CLIENT, SERVER, flags="S"))) == (CLIENT, 7000, SERVER, 443)
        assert ends(lab.forward(tcp(SERVER, CLIENT, 443, 7000, "SA", 1, 1), back=True)) == (
            SERVER,
            443,
            CLIENT,
            40000,
        )

    def test_prefix(self, lab):
        lab.rule(Hook.POSTROUTING, NatKind.SNAT, to("10.0.2.64", "10.0.2.127", netmap=True))
        assert ends(lab.forward(udp("10.0.1.99", SERVER)))[0] == "10.0.2.99"
        assert ends(lab.forward(udp("10.0.1.2", SERVER)))[0] == "10.0.2.66"

    def test_prefix6_of_the_destination(self, lab):
        lab.rule(
            Hook.PREROUTING, NatKind.DNAT, to("fd02:0:0:7::", "fd02:0:0:7:ffff:ffff:ffff:ffff", netmap=True)
        )
        assert ends(lab.forward(udp(CLIENT6, SERVER6)))[2] == "fd02:0:0:7::99"


class TestDestination:
    def test_there_and_back(self, lab):
        lab.rule(Hook.PREROUTING, NatKind.DNAT, to("10.0.2.50", low=8080))
        assert ends(lab.forward(tcp(CLIENT, SERVER, dport=80, flags="S"))) == (
            CLIENT,
            40000,
            "10.0.2.50",
            8080,
        )
        assert ends(lab.forward(tcp("10.0.2.50", CLIENT, 8080, 40000, "SA", 1, 1), back=True)) == (
            SERVER,
            80,
            CLIENT,
            40000,
        )
        assert lab.only().status & Status.NAT_MASK == Status.DST_NAT

    def test_with_the_source_as_well(self, lab):
        lab.rule(Hook.PREROUTING, NatKind.DNAT, to("10.0.2.50", low=8080))
        lab.rule(Hook.POSTROUTING, NatKind.MASQUERADE)
        assert ends(lab.forward(tcp(CLIENT, SERVER, dport=80, flags="S"))) == (
            ROUTER,
            40000,
            "10.0.2.50",
            8080,
        )
        assert ends(lab.forward(tcp("10.0.2.50", ROUTER, 8080, 40000, "SA", 1, 1), back=True)) == (
            SERVER,
            80,
            CLIENT,
            40000,
        )
        assert ends(lab.forward(tcp(CLIENT, SERVER, dport=80, seq=1, ack=2))) == (
            ROUTER,
            40000,
            "10.0.2.50",
            8080,
        )
        assert conntrack_line(lab.only(), lab.now) == (
            "tcp      6 432000 ESTABLISHED src=10.0.1.99 dst=10.0.2.99 sport=40000 dport=80"
            " src=10.0.2.50 dst=10.0.2.1 sport=8080 dport=40000 [ASSURED] mark=0 use=1"
        )

    def test_hairpin(self, lab):
        """A client reaches its neighbour by the router's address, and is reached by it."""
        lab.rule(Hook.PREROUTING, NatKind.DNAT, to("10.0.1.50", low=8080))
        lab.rule(Hook.POSTROUTING, NatKind.MASQUERADE)
        p = packet(tcp(CLIENT, ROUTER, dport=80, flags="S"), lab.now)
        p.iif = p.oif = lab.eth0
        assert lab.stations(p, Hook.PREROUTING, lab.conntrack.incoming)
        assert lab.stations(p, Hook.POSTROUTING)
        assert ends(p) == ("10.0.1.1", 40000, "10.0.1.50", 8080)
        q = packet(tcp("10.0.1.50", "10.0.1.1", 8080, 40000, "SA", 1, 1), lab.now)
        q.iif = q.oif = lab.eth0
        assert lab.stations(q, Hook.PREROUTING, lab.conntrack.incoming)
        assert lab.stations(q, Hook.POSTROUTING)
        assert ends(q) == (ROUTER, 80, CLIENT, 40000)

    def test_of_the_box_itself(self, lab):
        lab.rule(Hook.OUTPUT, NatKind.DNAT, to("10.0.2.50", low=8080))
        p = lab.send(tcp(ROUTER, SERVER, dport=80, flags="S"))
        assert ends(p) == (ROUTER, 40000, "10.0.2.50", 8080)
        assert ends(lab.deliver(tcp("10.0.2.50", ROUTER, 8080, 40000, "SA", 1, 1))) == (
            SERVER,
            80,
            ROUTER,
            40000,
        )

    def test_source_of_what_is_delivered(self, lab):
        lab.rule(Hook.INPUT, NatKind.SNAT, to("10.9.9.9"))
        assert ends(lab.deliver(udp(CLIENT, "10.0.1.1"))) == ("10.9.9.9", 5000, "10.0.1.1", 53)
        assert ends(lab.send(udp("10.0.1.1", "10.9.9.9", 53, 5000))) == ("10.0.1.1", 53, CLIENT, 5000)


@pytest.mark.parametrize(
    ("client", "server", "router"), [(CLIENT, SERVER, ROUTER), (CLIENT6, SERVER6, ROUTER6)]
)
class TestProtocols:
    @pytest.fixture
    def masquerading(self) -> Lab:
        lab = Lab()
        lab.rule(Hook.POSTROUTING, NatKind.MASQUERADE)
        return lab

    def test_tcp(self, masquerading, client, server, router):
        lab = masquerading
        assert ends(lab.forward(tcp(client, server, flags="S"))) == (router, 40000, server, 443)
        assert ends(lab.forward(tcp(server, router, 443, 40000, "SA", 7, 1), back=True)) == (
            server,
            443,
            client,
            40000,
        )
        assert ends(lab.forward(tcp(client, server, seq=1, ack=8, data=b"odd"))) == (
            router,
            40000,
            server,
            443,
        )

    def test_udp_without_a_checksum_stays_without(self, masquerading, client, server, router):
        raw = bytearray(udp(client, server))
        raw[-7:-5] = b"\0\0"
        for _ in range(2):
            p = masquerading.forward(bytes(raw))
            assert ends(p)[0] == router
            assert p is not None and p.data[-7:-5] == b"\0\0"

    def test_echo(self, masquerading, client, server, router):
        lab = masquerading
        echo, ask, answer = (icmp6, 128, 129) if ":" in client else (icmp, 8, 0)
        assert ends(lab.forward(echo(client, server, ask)))[0] == router
        assert ends(lab.forward(echo(server, router, answer), back=True))[2] == client

    def test_echo_identifier(self, client, server, router):
        lab = Lab()
        lab.rule(Hook.POSTROUTING, NatKind.MASQUERADE, NatRange(min_port=500, max_port=500))
        echo, ask, answer = (icmp6, 128, 129) if ":" in client else (icmp, 8, 0)
        p = lab.forward(echo(client, server, ask, ident=7))
        assert ends(p)[0] == router
        assert p is not None and p.data[p.thoff + 4 : p.thoff + 6] == (500).to_bytes(2)
        q = lab.forward(echo(server, router, answer, ident=500), back=True)
        assert ends(q)[2] == client
        assert q is not None and q.data[q.thoff + 4 : q.thoff + 6] == (7).to_bytes(2)

    def test_gre_and_others(self, masquerading, client, server, router):
        lab = masquerading
        for raw, answer in (
            (gre(client, server), gre(server, router)),
            (ip(client, server, 50, b"esp payload"), ip(server, router, 50, b"back")),
        ):
            assert ends(lab.forward(raw))[0] == router
            assert ends(lab.forward(answer, back=True))[2] == client

    def test_a_rule_may_change_the_packet_in_between(self, masquerading, client, server, router):
        """Then what it changed is translated, not put back."""
        lab = masquerading
        lab.forward(tcp(client, server, flags="S"))
        lab.forward(tcp(server, router, 443, 40000, "SA", 7, 1), back=True)
        p = packet(tcp(client, server, seq=1, ack=8), lab.now)
        p.iif, p.oif = lab.eth0, lab.eth1
        assert lab.stations(p, Hook.PREROUTING, lab.conntrack.incoming)
        elsewhere = "10.0.1.77" if ":" not in client else "fd01::77"
        p.data[:] = tcp(elsewhere, server, 41111, 443, "A", 1, 8)
        assert lab.stations(p, Hook.POSTROUTING)
        assert ends(p) == (router, 40000, server, 443)


def test_pptp_call_identifier_names_the_receiver(lab):
    lab.rule(Hook.PREROUTING, NatKind.DNAT, to("10.0.2.50", low=0x99))
    p = lab.forward(gre(CLIENT, SERVER, bytes.fromhex("3001880b00040012")))
    assert ends(p)[2] == "10.0.2.50"


@pytest.mark.parametrize(
    ("header", "passes"), [(b"\0\0\x08\0abcd", True), (b"\0\0\x08\0", False), (b"\0\7\x08\0abcd", False)]
)
def test_gre_that_cannot_be_read_is_dropped(lab, header, passes):
    lab.rule(Hook.PREROUTING, NatKind.DNAT, to("10.0.2.50"))
    assert (lab.forward(gre(CLIENT, SERVER, header, b"")) is not None) == passes


def test_gre_that_is_cut_off_later_is_dropped_as_well(lab):
    lab.rule(Hook.PREROUTING, NatKind.DNAT, to("10.0.2.50"))
    assert lab.forward(gre(CLIENT, SERVER)) is not None
    assert lab.forward(gre("10.0.2.50", CLIENT), back=True) is not None
    p = packet(gre(CLIENT, SERVER, b"\0\0\x08\0", b""), lab.now)
    p.iif = lab.eth0
    assert not lab.stations(p, Hook.PREROUTING, lab.conntrack.incoming)
    assert p.drop is Drop.NAT


class TestUnusualHeaders:
    """Of established connections, whose packets are rewritten in one go where they are plain."""

    @pytest.fixture
    def lab(self) -> Lab:
        lab = Lab()
        lab.rule(Hook.PREROUTING, NatKind.DNAT, to("10.0.2.50", low=8080))
        lab.rule(Hook.POSTROUTING, NatKind.MASQUERADE)
        lab.forward(udp(CLIENT, SERVER))
        lab.forward(udp("10.0.2.50", ROUTER, 8080, 5000), back=True)
        return lab

    def test_options(self, lab):
        plain = udp(CLIENT, SERVER)
        p = lab.forward(ip(CLIENT, SERVER, 17, plain[20:], options=b"\x94\4\0\0"))
        assert ends(p) == (ROUTER, 5000, "10.0.2.50", 8080)
        assert state(p) == "established"

    def test_destination_that_a_rule_has_changed(self, lab):
        p = packet(udp(CLIENT, SERVER), lab.now)
        p.iif = lab.eth0
        lab.conntrack.incoming(p)
        p.data[:] = udp(CLIENT, "10.9.9.9", 5000, 99)
        assert lab.nat.station(Hook.PREROUTING, ())(p) == 1
        assert ends(p) == (CLIENT, 5000, "10.0.2.50", 8080)


@pytest.mark.parametrize(
    ("l4proto", "size", "changed"),
    [
        (6, 7, False),
        (6, 8, True),
        (17, 7, False),
        (1, 7, False),
        (1, 8, True),
        (58, 7, False),
        (47, 7, False),
        (99, 0, True),
    ],
)
def test_transport_headers_that_break_off(l4proto, size, changed):
    """What cannot be translated is not changed at all."""
    raw = ip(CLIENT, SERVER, l4proto, bytes(size))
    data = bytearray(raw)
    target = Tuple(IPV4, l4proto, addr(ROUTER), addr(SERVER), 7, 8)
    assert manipulate(data, 0, 20, target, SOURCE) == changed
    assert (bytes(data) != raw) == changed


class TestNullBinding:
    """Without a rule: a connection keeps what it has, unless answers to it could not be told apart."""

    def test_nothing_changes(self, lab):
        raw = udp(CLIENT, SERVER)
        p = lab.forward(raw)
        assert p is not None and bytes(p.data) == raw
        assert lab.only().status & Status.NAT_MASK == 0
        assert lab.only().rewrites is None

    def test_port_that_is_taken(self, lab):
        """The router masquerades a client to its own address and port, then uses those itself."""
        lab.rules[Hook.POSTROUTING] = [
            lambda p: lab.nat.setup(p, NatKind.MASQUERADE, NatRange()) if p.iif is lab.eth0 else 1
        ]
        assert ends(lab.forward(udp(CLIENT, SERVER)))[:2] == (ROUTER, 5000)
        source, port, *_ = ends(lab.send(udp(ROUTER, SERVER)))
        assert source == ROUTER
        assert port >= 1024 and port != 5000
        assert ends(lab.deliver(udp(SERVER, ROUTER, 53, port))) == (SERVER, 53, ROUTER, 5000)

    def test_destination_that_cannot_be_told_apart(self, lab):
        lab.rules[Hook.PREROUTING] = [
            lambda p: lab.nat.setup(p, NatKind.DNAT, to("10.0.2.50")) if addresses(p)[2] == SERVER else 1
        ]
        assert ends(lab.forward(udp(CLIENT, SERVER))) == (CLIENT, 5000, "10.0.2.50", 53)
        source, port, destination, _ = ends(lab.forward(udp(CLIENT, "10.0.2.50")))
        assert (source, destination) == (CLIENT, "10.0.2.50")
        assert port != 5000


class TestMasquerade:
    @pytest.fixture
    def lab(self) -> Lab:
        lab = Lab()
        lab.rule(Hook.POSTROUTING, NatKind.MASQUERADE)
        return lab

    def test_address_of_the_subnet_of_the_next_hop(self, lab):
        lab.topology.add_address(lab.eth1, Address.parse("192.168.7.1/24"))
        assert ends(lab.forward(udp(CLIENT, "192.168.7.9")))[0] == "192.168.7.1"
        assert ends(lab.forward(udp(CLIENT, "8.8.8.8")))[0] == ROUTER

    def test_without_an_address(self, lab):
        for address in list(lab.eth1.addresses):
            lab.topology.remove_address(lab.eth1, address)
        p = lab.forward(udp(CLIENT, SERVER))
        # As inet_select_addr has it, another device's address will do.
        assert ends(p)[0] == "10.0.1.1"
        for address in list(lab.eth0.addresses):
            lab.topology.remove_address(lab.eth0, address)
        assert lab.forward(udp(CLIENT, SERVER, 5001)) is None

    def test_own_packets_without_an_address_are_left_alone(self, lab):
        p = lab.send(udp("0.0.0.0", "255.255.255.255", 68, 67))
        assert ends(p) == ("0.0.0.0", 68, "255.255.255.255", 67)

    def test_device_down(self, lab):
        removed = []
        lab.conntrack.subscribe(lambda c, now, reason: removed.append((c.original.sport, reason)))
        lab.forward(udp(CLIENT, SERVER, 1))
        lab.rules.clear()
        lab.forward(udp(CLIENT, SERVER, 2))
        lab.topology.set_link(lab.eth0, up=False)
        lab.topology.set_link(lab.eth1, mtu=1400)
        assert removed == []
        lab.topology.set_link(lab.eth1, up=False)
        assert removed == [(1, Removal.MASQUERADE)]

    def test_device_gone(self, lab):
        lab.forward(udp(CLIENT, SERVER))
        lab.topology.remove_device(lab.eth1)
        assert len(lab.conntrack) == 0

    def test_address_gone(self, lab):
        lab.forward(udp(CLIENT, SERVER))
        lab.topology.add_address(lab.eth1, Address.parse("192.168.7.1/24"))
        lab.forward(udp(CLIENT, "192.168.7.9"))
        lab.topology.remove_address(lab.eth1, Address.parse("192.168.7.1/24"))
        assert [c.original.dst for c in lab.conntrack] == [addr(SERVER)]

    def test_routed_elsewhere(self, lab):
        lab.topology.sysctls.nf_conntrack_acct = 1
        lab.follow_sysctls()
        removed = []
        lab.conntrack.subscribe(lambda c, now, reason: removed.append(reason))
        lab.forward(tcp(CLIENT, SERVER, flags="S"))
        lab.forward(tcp(SERVER, ROUTER, 443, 40000, "SA", 7, 1), back=True)
        connection = lab.only()
        p = packet(tcp(CLIENT, SERVER, seq=1, ack=8), lab.now)
        p.iif = p.oif = lab.eth0
        assert lab.stations(p, Hook.PREROUTING, lab.conntrack.incoming)
        assert not lab.stations(p, Hook.POSTROUTING)
        assert p.drop is Drop.NAT
        assert removed == [Removal.ROUTE_CHANGED]
        # Counted on its way in, and once more on its way out.
        assert connection.packets == [3, 1]

    def test_routed_elsewhere_before_an_answer(self, lab):
        lab.forward(udp(CLIENT, SERVER))
        p = packet(udp(CLIENT, SERVER), lab.now)
        p.iif = p.oif = lab.eth0
        assert lab.stations(p, Hook.PREROUTING, lab.conntrack.incoming)
        assert not lab.stations(p, Hook.POSTROUTING)
        assert len(lab.conntrack) == 0

    def test_even_where_nothing_needs_to_change(self, lab):
        lab.send(udp(ROUTER, SERVER))
        assert lab.only().masquerade == lab.eth1.index
        assert not lab.only().status & Status.SRC_NAT
        lab.topology.set_link(lab.eth1, up=False)
        assert len(lab.conntrack) == 0


class TestRedirect:
    def test_to_the_first_address_of_the_device(self, lab):
        lab.topology.add_address(lab.eth0, Address.parse("192.168.7.1/24"))
        lab.rule(Hook.PREROUTING, NatKind.REDIRECT, NatRange(min_port=3128, max_port=3128))
        assert ends(lab.deliver(tcp(CLIENT, SERVER, dport=80, flags="S"))) == (
            CLIENT,
            40000,
            "10.0.1.1",
            3128,
        )
        assert ends(lab.send(tcp("10.0.1.1", CLIENT, 3128, 40000, "SA", 1, 1))) == (SERVER, 80, CLIENT, 40000)

    def test_ipv6(self, lab):
        lab.rule(Hook.PREROUTING, NatKind.REDIRECT)
        assert ends(lab.deliver(udp(CLIENT6, SERVER6)))[2] == "fd01::1"

    @pytest.mark.parametrize("destination", ["fe80::77", "ff02::fb"])
    def test_link_local_destinations_need_the_like(self, lab, destination):
        lab.rule(Hook.PREROUTING, NatKind.REDIRECT)
        address = ends(lab.deliver(udp("fe80::99", destination)))[2]
        assert address.startswith("fe80::")

    @pytest.mark.parametrize(
        ("source", "destination", "loopback"), [(ROUTER, SERVER, "127.0.0.1"), (ROUTER6, SERVER6, "::1")]
    )
    def test_of_the_box_itself(self, lab, source, destination, loopback):
        lab.rule(Hook.OUTPUT, NatKind.REDIRECT)
        assert ends(lab.send(udp(source, destination)))[2] == loopback

    def test_without_an_address(self, lab):
        for address in list(lab.eth0.addresses):
            lab.topology.remove_address(lab.eth0, address)
        lab.rule(Hook.PREROUTING, NatKind.REDIRECT)
        p = packet(udp(CLIENT, SERVER), lab.now)
        p.iif = lab.eth0
        assert not lab.stations(p, Hook.PREROUTING, lab.conntrack.incoming)
        assert p.drop is Drop.NAT

    def test_without_a_device(self, lab):
        lab.rule(Hook.PREROUTING, NatKind.REDIRECT)
        p = packet(udp(CLIENT, SERVER), lab.now)
        assert not lab.stations(p, Hook.PREROUTING, lab.conntrack.incoming)


class TestPortReuse:
    """A range with no free port: a connection that has ended gives way, one that lives does not."""

    def ended(self, *, seq: int, state: TcpState, status: int = 0) -> tuple[Lab, list[Removal]]:
        lab = Lab()
        lab.rule(Hook.POSTROUTING, NatKind.SNAT, to("10.0.2.200", low=2000, high=2001))
        for port in (1, 2):
            assert lab.forward(tcp(CLIENT, SERVER, port, flags="S", seq=1000)) is not None
        for connection in lab.conntrack:
            assert connection.tcp is not None
            connection.tcp.state = state
            connection.status |= status
        removed: list[Removal] = []
        lab.conntrack.subscribe(lambda c, now, reason: removed.append(reason))
        passed = lab.forward(tcp(CLIENT, SERVER, 3, flags="S", seq=seq)) is not None
        assert passed == bool(removed)
        return lab, removed

    def test_of_one_in_time_wait(self):
        lab, removed = self.ended(seq=5000, state=TcpState.TIME_WAIT)
        assert removed == [Removal.PORT_REUSED]
        assert len(lab.conntrack) == 2

    def test_not_of_one_that_lives(self):
        assert self.ended(seq=5000, state=TcpState.ESTABLISHED)[1] == []

    def test_not_with_a_lower_sequence_number(self):
        assert self.ended(seq=900, state=TcpState.TIME_WAIT)[1] == []

    def test_not_with_a_fixed_timeout(self):
        assert self.ended(seq=5000, state=TcpState.TIME_WAIT, status=Status.FIXED_TIMEOUT)[1] == []

    def test_not_of_an_offloaded_one(self):
        """Linux removes it, but tries the next port; and takes the last, for want of another."""
        lab, removed = self.ended(seq=5000, state=TcpState.TIME_WAIT, status=Status.OFFLOAD)
        assert removed == [Removal.PORT_REUSED] * 2
        assert len(lab.conntrack) == 1


class TestHookOrder:
    def test_invalid_packets_pass_untranslated(self, lab):
        lab.rule(Hook.POSTROUTING, NatKind.MASQUERADE)
        raw = tcp(CLIENT, SERVER, flags="SF")
        p = lab.forward(raw)
        assert p is not None and bytes(p.data) == raw
        assert state(p) == "invalid"

    def test_connections_from_before_nat_stay_as_they_are(self, lab):
        lab.translating = False
        lab.forward(udp(CLIENT, SERVER))
        lab.forward(udp(SERVER, CLIENT, 53, 5000), back=True)
        lab.translating = True
        lab.rule(Hook.POSTROUTING, NatKind.MASQUERADE)
        assert ends(lab.forward(udp(CLIENT, SERVER)))[0] == CLIENT

    def test_reset_of_a_reject_rule(self, lab):
        """It belongs to a connection that is not confirmed, and must look like the server's."""
        lab.rule(Hook.PREROUTING, NatKind.DNAT, to("10.0.2.50", low=8080))
        p = packet(tcp(CLIENT, SERVER, dport=80, flags="S"), lab.now)
        p.iif = lab.eth0
        assert lab.stations(p, Hook.PREROUTING, lab.conntrack.incoming)
        answer = packet(tcp("10.0.2.50", CLIENT, 8080, 40000, "RA", 0, 1), lab.now)
        answer.ct, answer.ctinfo, answer.oif = p.ct, int(CtInfo.RELATED_REPLY), lab.eth0
        assert lab.stations(answer, Hook.OUTPUT, lab.conntrack.incoming)
        assert lab.stations(answer, Hook.POSTROUTING)
        assert ends(answer) == (SERVER, 80, CLIENT, 40000)
        assert len(lab.conntrack) == 0

    def test_looped_packets_are_translated_once(self, lab):
        lab.rule(Hook.OUTPUT, NatKind.REDIRECT)
        p = lab.send(udp(ROUTER, SERVER))
        assert p is not None
        before = bytes(p.data)
        p.oif, p.iif = None, lab.topology.lo
        assert lab.stations(p, Hook.PREROUTING, lab.conntrack.incoming)
        assert lab.stations(p, Hook.INPUT)
        assert bytes(p.data) == before


def test_expiry_frees_the_port(lab):
    lab.rule(Hook.POSTROUTING, NatKind.SNAT, to("10.0.2.200", low=2000))
    assert lab.forward(udp(CLIENT, SERVER, 1)) is not None
    assert lab.forward(udp(CLIENT, SERVER, 2)) is None
    lab.now += 30 * SECOND
    assert ends(lab.forward(udp(CLIENT, SERVER, 2)))[1] == 2000
