"""The choice of addresses and ports."""

from __future__ import annotations

from collections import Counter

import pytest

from flowtable.conntrack.connection import Connection
from flowtable.conntrack.core import Conntrack
from flowtable.conntrack.nat_mangle import DESTINATION, SOURCE
from flowtable.conntrack.nat_tuple import MAX_ATTEMPTS, unique_tuple
from flowtable.conntrack.tuple import Tuple
from flowtable.packet.jhash import jhash2, scale
from flowtable.packet.packet import GRE, ICMP, ICMPV6, IPV4, IPV6, TCP, UDP
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.nat import NatKind, NatRange
from flowtable.topology.sysctl import Sysctls
from tests.conntrack.wire import CLIENT, CLIENT6, SERVER, SERVER6, Lab, addr, addresses, icmp, udp


def tuple_(l4proto: int, src: str, sport: int, dst: str, dport: int) -> Tuple:
    family = IPV6 if ":" in src else IPV4
    return Tuple(family, l4proto, addr(src), addr(dst), sport, dport)


def chosen(
    first: str | None = None, last: str | None = None, low: int = 0, high: int | None = None, **flags
) -> NatRange:
    return NatRange(
        None if first is None else addr(first),
        None if first is None else addr(last or first),
        low,
        low if high is None else high,
        **flags,
    )


def choose(
    current: Tuple, nat_range: NatRange, side: int = SOURCE, *, conntrack: Conntrack | None = None
) -> Tuple:
    inverse = current.invert()
    assert inverse is not None
    table = Conntrack(Sysctls()) if conntrack is None else conntrack
    return unique_tuple(table, Connection(current, inverse), current, nat_range, side)


def occupied(*mapped: Tuple) -> Conntrack:
    """A table of connections whose packets look like these when they are through."""
    conntrack = Conntrack(Sysctls())
    for number, out in enumerate(mapped):
        original = out._replace(
            src=addr("10.3.0.0")[:2] + number.to_bytes(2) if out.l3proto == IPV4 else out.dst
        )
        reply = out.invert()
        assert reply is not None
        connection = Connection(original, reply)
        connection.expires = 10**12
        conntrack.insert(connection, 0)
    return conntrack


PACKET = tuple_(UDP, CLIENT, 5000, SERVER, 53)


def test_port_stays_if_it_is_free():
    assert choose(PACKET, chosen("10.0.2.200")) == PACKET._replace(src=addr("10.0.2.200"))


def test_everything_stays_if_it_is_in_the_range():
    assert choose(PACKET, chosen("10.0.1.0", "10.0.1.255", 4000, 6000)) == PACKET


@pytest.mark.parametrize(
    ("port", "low", "high"),
    [(1, 1, 511), (511, 1, 511), (512, 600, 1023), (1023, 600, 1023), (1024, 1024, 65535)],
)
def test_port_that_is_taken_changes_within_its_class(port, low, high):
    want = PACKET._replace(src=addr("10.0.2.200"), sport=port)
    for seed in range(20):
        conntrack = occupied(want)
        conntrack.random = type(conntrack.random)(seed)
        new = choose(PACKET._replace(sport=port), chosen("10.0.2.200"), conntrack=conntrack)
        assert new.src == want.src
        assert low <= new.sport <= high
        assert new.sport != port


def test_destination_port_does_not_change_without_a_range():
    want = PACKET._replace(dst=addr("10.0.2.50"))
    assert choose(PACKET, chosen("10.0.2.50"), DESTINATION, conntrack=occupied(want)) == want


def test_destination_range_is_tried_from_its_begin():
    free = PACKET._replace(dst=addr("10.0.2.50"))
    nat_range = chosen("10.0.2.50", low=8080, high=8089)
    assert choose(PACKET, nat_range, DESTINATION) == free._replace(dport=8080)
    taken = [free._replace(dport=port) for port in range(8080, 8084)]
    assert choose(PACKET, nat_range, DESTINATION, conntrack=occupied(*taken)) == free._replace(dport=8084)


def test_single_destination_port_is_taken_as_it_is():
    want = PACKET._replace(dst=addr("10.0.2.50"), dport=8080)
    new = choose(
        PACKET._replace(dport=8080), chosen("10.0.2.50", low=8080), DESTINATION, conntrack=occupied(want)
    )
    assert new == want


@pytest.mark.parametrize("free", [2000, 2037, 2099])
def test_last_free_port_of_a_range_is_found(free):
    base = PACKET._replace(src=addr("10.0.2.200"))
    taken = [base._replace(sport=port) for port in range(2000, 2100) if port != free]
    assert choose(PACKET, chosen("10.0.2.200", low=2000, high=2099), conntrack=occupied(*taken)).sport == free


def test_reversed_range():
    assert 2000 <= choose(PACKET, chosen("10.0.2.200", low=2005, high=2000)).sport <= 2005


def test_search_of_a_full_range_ends():
    """Linux tries 128 ports from a random one, then fewer from others, and gives up."""
    tried = []

    class Full(Conntrack):
        def taken(self, key, connection):
            tried.append(key[-1])
            return True

    assert choose(PACKET, chosen("10.0.2.200"), conntrack=Full(Sysctls())).sport >= 1024
    # The port that the packet has, then 128 + 64 + 32 + 16 + 8.
    assert len(tried) == 1 + MAX_ATTEMPTS + 64 + 32 + 16 + 8
    first = [ports & 0xFFFF for ports in tried[1:129]]
    assert first == list(range(first[0], first[0] + 128))


@pytest.mark.parametrize("flags", [{"random": True}, {"fully_random": True}])
def test_random_ports(flags):
    conntrack = Conntrack(Sysctls())
    ports = {choose(PACKET, chosen("10.0.2.200", **flags), conntrack=conntrack).sport for _ in range(50)}
    assert len(ports) > 40
    assert min(ports) >= 1024


def test_random_destination_port_of_a_range():
    conntrack = Conntrack(Sysctls())
    nat_range = chosen("10.0.2.50", low=8000, high=8999, random=True)
    ports = {choose(PACKET, nat_range, DESTINATION, conntrack=conntrack).dport for _ in range(50)}
    assert len(ports) > 30
    assert ports <= set(range(8000, 9000))


def test_same_seed_same_ports():
    def ports(seed: int) -> list[int]:
        conntrack = Conntrack(Sysctls(), seed)
        return [
            choose(PACKET, chosen("10.0.2.200", random=True), conntrack=conntrack).sport for _ in range(9)
        ]

    assert ports(3) == ports(3) != ports(4)


class TestQueries:
    PING = tuple_(ICMP, CLIENT, 7, SERVER, 8 << 8)

    def test_identifier_stays_if_it_is_free(self):
        assert choose(self.PING, chosen("10.0.2.200")) == self.PING._replace(src=addr("10.0.2.200"))

    def test_identifier_that_is_taken(self):
        want = self.PING._replace(src=addr("10.0.2.200"))
        new = choose(self.PING, chosen("10.0.2.200"), conntrack=occupied(want))
        assert new.sport != 7
        assert new._replace(sport=7) == want

    def test_range_of_identifiers(self):
        want = self.PING._replace(src=addr("10.0.2.200"), sport=501)
        new = choose(self.PING, chosen("10.0.2.200", low=500, high=501), conntrack=occupied(want))
        assert new.sport == 500

    def test_destination_side_changes_the_identifier_as_well(self):
        want = self.PING._replace(dst=addr("10.0.2.50"))
        new = choose(self.PING, chosen("10.0.2.50"), DESTINATION, conntrack=occupied(want))
        assert new.dst == want.dst
        assert new.sport != 7

    def test_icmpv6(self):
        ping = tuple_(ICMPV6, CLIENT6, 7, SERVER6, 128 << 8)
        want = ping._replace(src=addr("fd02::200"))
        new = choose(ping, chosen("fd02::200"), conntrack=occupied(want))
        assert new.src == want.src
        assert new.sport != 7


@pytest.mark.parametrize("l4proto", [GRE, 89])
def test_protocols_without_ports_take_what_there_is(l4proto):
    packet = tuple_(l4proto, CLIENT, 0, SERVER, 0)
    want = packet._replace(src=addr("10.0.2.200"))
    assert choose(packet, chosen("10.0.2.200"), conntrack=occupied(want)) == want
    assert choose(packet, chosen("10.0.2.200", low=1, high=5)) == want


class TestAddresses:
    def test_of_a_range(self):
        clients = [f"10.0.{i}.{j}" for i in range(8) for j in range(1, 40)]
        seen = Counter(
            choose(tuple_(TCP, c, 1, SERVER, 80), chosen("10.9.0.10", "10.9.0.13")).src for c in clients
        )
        assert set(seen) == {addr(f"10.9.0.{i}") for i in range(10, 14)}
        assert max(seen.values()) < 2 * min(seen.values())

    def test_are_the_same_for_the_same_ends(self):
        nat_range = chosen("10.9.0.0", "10.9.255.255")
        sources = {choose(tuple_(TCP, CLIENT, port, SERVER, 80), nat_range).src for port in range(1000, 1020)}
        assert len(sources) == 1

    def test_depend_on_the_destination(self):
        sources = {
            choose(tuple_(TCP, CLIENT, 1, f"10.0.2.{i}", 80), chosen("10.9.0.0", "10.9.0.255")).src
            for i in range(1, 9)
        }
        assert len(sources) > 4

    def test_do_not_depend_on_it_if_persistent(self):
        nat_range = chosen("10.9.0.0", "10.9.0.255", persistent=True)
        assert (
            len({choose(tuple_(TCP, CLIENT, 1, f"10.0.2.{i}", 80), nat_range).src for i in range(1, 9)}) == 1
        )


# What Linux 6.18 chose (conntrack -L): source, destination and protocol of a new connection,
# and where it was translated to.
RECORDED = [
    (SOURCE, "10.0.1.99", "10.0.2.99", chosen("10.0.2.200", "10.0.2.209"), "10.0.2.206"),
    (SOURCE, "10.0.1.98", "10.0.2.52", chosen("10.0.2.200", "10.0.2.209"), "10.0.2.204"),
    (SOURCE, "10.0.1.99", "10.0.2.50", chosen("10.0.2.200", "10.0.2.209"), "10.0.2.205"),
    (SOURCE, "10.0.1.98", "10.0.2.50", chosen("10.0.2.200", "10.0.2.209"), "10.0.2.203"),
    (SOURCE, "10.0.1.98", "10.0.2.99", chosen("10.0.2.200", "10.0.2.205", persistent=True), "10.0.2.205"),
    (SOURCE, "10.0.1.99", "10.0.2.51", chosen("10.0.2.200", "10.0.2.205", persistent=True), "10.0.2.200"),
    (DESTINATION, "10.0.1.99", "10.0.2.50", chosen("10.0.2.50", "10.0.2.52"), "10.0.2.51"),
    (SOURCE, "fd01::99", "fd02::51", chosen("fd02::200", "fd02::20f"), "fd02::203"),
    (SOURCE, "fd01::98", "fd02::50", chosen("fd02::200", "fd02::20f"), "fd02::209"),
    (SOURCE, "fd01::99", "fd02::50", chosen("fd02::200", "fd02::20f"), "fd02::20b"),
    # Across a 32-bit border its arithmetic leaves the range; so does ours.
    (SOURCE, "fd01::50", "fd02::99", chosen("fd09::fffe:0", "fd09::1:0:3"), "fd09::1:ffff:2be9"),
    (SOURCE, "fd01::51", "fd02::99", chosen("fd09::fffe:0", "fd09::1:0:3"), "fd09::66b2:e0d8"),
    (
        SOURCE,
        "fd01::50",
        "fd02::99",
        chosen("fd09::", "fd09::ffff:ffff:ffff:ffff", persistent=True),
        "fd09::7dc4:41a6",
    ),
]


@pytest.mark.parametrize(("side", "src", "dst", "nat_range", "choice"), RECORDED)
def test_addresses_as_linux_chooses_them(side, src, dst, nat_range, choice):
    new = choose(tuple_(TCP, src, 1, dst, 80), nat_range, side)
    assert (new.src if side == SOURCE else new.dst) == addr(choice)


HASHES = """deadbeef 4b85f272 c63839c5 61bc9050 635d1f8f 56775255 a7449745 80359b22 4541259b"""
"""What the kernel's jhash2, compiled, makes of the first 0 to 8 of the words below."""


def test_hash():
    words = [i * 0x9E3779B9 + 1 & 0xFFFFFFFF for i in range(8)]
    assert [jhash2(words[:n], n * 17) for n in range(9)] == [int(text, 16) for text in HASHES.split()]


def test_scale():
    assert [scale(value, 10) for value in (0, 2**31, 2**32 - 1)] == [0, 5, 9]


class TestSourceKeepsItsMapping:
    """Endpoint-independent mapping, as far as it goes: the same source, the same outside."""

    @pytest.fixture
    def lab(self) -> Lab:
        lab = Lab()
        lab.rule(Hook.POSTROUTING, NatKind.SNAT, chosen("10.0.2.200", "10.0.2.209", 2000, 60000))
        return lab

    def outside(self, lab: Lab, *ends) -> tuple[str, int]:
        p = lab.forward(udp(*ends))
        assert p is not None
        return addresses(p)[:2]

    def test_whomever_it_talks_to(self, lab):
        first = self.outside(lab, CLIENT, SERVER, 1000, 53)
        assert first[1] >= 2000
        for i in range(50, 60):
            assert self.outside(lab, CLIENT, f"10.0.2.{i}", 1000, 53) == first

    def test_not_if_that_is_taken(self, lab):
        first = self.outside(lab, CLIENT, SERVER, 1000, 53)
        other = next(iter(lab.conntrack))
        lab.conntrack.insert(occupied_by(other), lab.now)
        assert self.outside(lab, CLIENT, "10.0.2.50", 1000, 53) != first

    def test_not_after_it_is_gone(self, lab):
        self.outside(lab, CLIENT, SERVER, 1000, 53)
        lab.conntrack.flush(lab.now)
        assert list(lab.conntrack.sharing_source((UDP, addr(CLIENT), 1000, 0))) == []

    def test_not_with_random(self):
        lab = Lab()
        lab.rule(Hook.POSTROUTING, NatKind.SNAT, chosen("10.0.2.200", low=2000, high=60000, random=True))
        outside = {self.outside(lab, CLIENT, f"10.0.2.{i}", 1000, 53) for i in range(50, 60)}
        assert len(outside) > 5


def occupied_by(other: Connection) -> Connection:
    """A connection to 10.0.2.50 that has the outside address and port of another."""
    reply = other.reply._replace(src=addr("10.0.2.50"))
    original = other.original._replace(src=addr("10.0.1.1"), dst=addr("10.0.2.50"))
    connection = Connection(original, reply)
    connection.expires = 10**12
    return connection


def test_exhausted_range_drops():
    lab = Lab()
    lab.rule(Hook.POSTROUTING, NatKind.SNAT, chosen("10.0.2.200", low=2000, high=2002))
    ports = set()
    for source in range(50, 53):
        p = lab.forward(udp(f"10.0.1.{source}", SERVER, 5))
        assert p is not None
        ports.add(addresses(p)[1])
    assert ports == {2000, 2001, 2002}
    assert lab.forward(udp("10.0.1.53", SERVER, 5)) is None
    # Another destination, and all three are free again.
    assert lab.forward(udp("10.0.1.53", "10.0.2.50", 5)) is not None


def test_exhausted_identifiers_drop():
    lab = Lab()
    lab.rule(Hook.POSTROUTING, NatKind.SNAT, chosen("10.0.2.200", low=2000, high=2001))
    assert [lab.forward(icmp(f"10.0.1.{i}", SERVER)) is not None for i in (50, 51, 52)] == [True, True, False]
