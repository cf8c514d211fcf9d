"""Every row of `flow add`'s conditions refuses what it is there to refuse, in its order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flowtable.conntrack.connection import Connection, Status, TcpState
from flowtable.conntrack.tuple import Tuple
from flowtable.flows.offer import Offer
from flowtable.flows.refusal import Refusal
from flowtable.packet.packet import GRE, ICMP, IPV4, TCP, UDP, CtInfo, Packet
from flowtable.profile import DEFAULT, LINUX_5_13, LINUX_6_12, LINUX_6_18, Profile
from flowtable.topology.route import Route, RouteType
from tests.flows.support import CLIENT, PUBLIC, SERVER, START, World, declaration, packed

SCTP = 132


def test_an_established_connection_is_added() -> None:
    world = World()
    connection = world.connect()
    assert world.add(connection) is None
    assert connection.offloaded
    assert len(world.flowtable) == 1


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("l4proto", [TCP, UDP, GRE])
@pytest.mark.parametrize("reply", [False, True])
def test_either_direction_of_either_family_may_add(family: str, l4proto: int, reply: bool) -> None:
    world = World()
    assert world.add(world.connect(l4proto, ipv6=family == "ipv6"), reply=reply) is None


def test_ipv4_options_refuse_but_a_tos_does_not() -> None:
    world = World()
    connection = world.connect()
    packet = world.packet(connection)
    packet.data[0] = 0x46
    assert world.flowtable.add(packet, START) is Refusal.IP_OPTIONS
    packet.data[0] = 0x45
    packet.data[1] = 0xFF
    assert world.flowtable.add(packet, START) is None


def test_an_ipv6_traffic_class_is_no_header_length() -> None:
    world = World()
    packet = world.packet(world.connect(ipv6=True))
    packet.data[0] = 0x6F
    assert world.flowtable.add(packet, START) is None


def test_without_a_connection() -> None:
    world = World()
    packet = world.packet(world.connect())
    packet.ct = None
    assert world.flowtable.add(packet, START) is Refusal.NO_CONNECTION


def icmp_error(world: World, connection: Connection) -> Packet:
    packet = world.packet(connection, reply=True)
    packet.l4proto = ICMP
    packet.data[20:] = b"\x03\x01" + bytes(6) + bytes(28)
    packet.ctinfo = CtInfo.RELATED_REPLY
    return packet


@pytest.mark.parametrize(
    ("profile", "expected"), [(DEFAULT, Refusal.RELATED), (LINUX_6_12, None), (LINUX_5_13, None)]
)
def test_an_icmp_error_adds_only_where_the_kernel_lets_it(profile: Profile, expected: Refusal | None) -> None:
    world = World(profile)
    assert world.flowtable.add(icmp_error(world, world.connect(UDP)), START) is expected


def test_tcp_header_cut_short() -> None:
    world = World()
    packet = world.packet(world.connect())
    del packet.data[-1]
    assert world.flowtable.add(packet, START) is Refusal.TCP_HEADER


@pytest.mark.parametrize("flags", ["F", "FA", "R", "RA", "FPA"])
@pytest.mark.parametrize("profile", [DEFAULT, LINUX_5_13, LINUX_6_12, LINUX_6_18])
def test_fin_and_rst(profile: Profile, flags: str) -> None:
    world = World(profile)
    assert world.add(world.connect(), flags=flags) is Refusal.TCP_CLOSING


@pytest.mark.parametrize("state", [s for s in TcpState if s is not TcpState.ESTABLISHED])
def test_tcp_has_to_be_established(state: TcpState) -> None:
    for profile in (DEFAULT, LINUX_6_12, LINUX_6_18):
        world = World(profile)
        assert world.add(world.connect(state=state)) is Refusal.NOT_ESTABLISHED
    world = World(LINUX_5_13)
    assert world.add(world.connect(state=state)) is None


def test_tcp_has_to_be_assured() -> None:
    status = Status.CONFIRMED | Status.SEEN_REPLY
    world = World()
    assert world.add(world.connect(status=status)) is Refusal.NOT_ASSURED
    world = World(LINUX_5_13)
    assert world.add(world.connect(status=status)) is None


def test_the_syn_ack_adds_in_5_13_as_the_documentation_says() -> None:
    world = World(LINUX_5_13)
    connection = world.connect(state=TcpState.SYN_RECV, status=Status.CONFIRMED | Status.SEEN_REPLY)
    assert world.add(connection, reply=True, flags="SA") is None


def test_udp_needs_neither_reply_nor_assurance() -> None:
    world = World()
    assert world.add(world.connect(UDP, status=Status.CONFIRMED)) is None


def test_gre_with_nat() -> None:
    for profile in (DEFAULT, LINUX_6_12):
        world = World(profile)
        assert world.add(world.connect(GRE, snat=PUBLIC)) is Refusal.GRE_NAT


def test_gre_with_a_key() -> None:
    world = World()
    connection = world.connect(GRE)
    packet = world.packet(connection)
    connection.original = connection.original._replace(dport=9)
    assert world.flowtable.add(packet, START) is Refusal.GRE_KEY


def test_gre_before_5_18() -> None:
    world = World(LINUX_5_13)
    assert world.add(world.connect(GRE)) is Refusal.PROTOCOL


@pytest.mark.parametrize("l4proto", [ICMP, SCTP])
def test_other_protocols(l4proto: int) -> None:
    world = World()
    connection = world.connect(UDP)
    packet = world.packet(connection)
    packet.l4proto = l4proto
    connection.original = connection.original._replace(l4proto=l4proto)
    assert world.flowtable.add(packet, START) is Refusal.PROTOCOL


@pytest.mark.parametrize(
    ("bit", "expected"),
    [
        (Status.SEQ_ADJUST, Refusal.SEQ_ADJUST),
        (Status.NAT_CLASH, Refusal.NAT_CLASH),
        (Status.OFFLOAD, Refusal.OFFLOADED),
    ],
)
def test_status_bits(bit: int, expected: Refusal) -> None:
    world = World()
    connection = world.connect()
    connection.status |= bit
    assert world.add(connection) is expected


def test_helper() -> None:
    world = World()
    connection = world.connect()
    connection.helper = "ftp"
    assert world.add(connection) is Refusal.HELPER


def test_the_first_packet_of_a_connection() -> None:
    world = World()
    assert world.add(world.connect(UDP, status=0)) is Refusal.UNCONFIRMED


def test_a_second_flow_add_of_the_same_connection() -> None:
    world = World()
    connection = world.connect()
    assert world.add(connection) is None
    assert world.add(connection) is Refusal.OFFLOADED
    assert len(world.flowtable) == 1


def test_no_route_back() -> None:
    for profile in (DEFAULT, LINUX_6_12):
        world = World(profile)
        connection = world.connect(ipv6=True)
        packet = world.packet(connection)
        for route in [r for r in world.topology.fib6 if r.prefixlen == 0 or r.device is world.lan]:
            world.topology.fib6.remove(route)
        assert world.flowtable.add(packet, START) is Refusal.NO_ROUTE
        assert not connection.offloaded, "a refusal leaves no mark"


def test_a_route_back_that_ends_packets() -> None:
    world = World()
    connection = world.connect()
    world.topology.fib4.add(Route(IPV4, packed(CLIENT), 32, RouteType.UNREACHABLE))
    assert world.add(connection) is Refusal.NO_ROUTE


@pytest.mark.parametrize(
    ("devices", "refusal"),
    [
        (("lan",), Refusal.OUTPUT_DEVICE),
        (("wan",), Refusal.INPUT_DEVICE),
        (("other",), Refusal.INPUT_DEVICE),
        ((), Refusal.INPUT_DEVICE),
    ],
)
def test_devices_that_are_not_listed(devices: tuple[str, ...], refusal: Refusal) -> None:
    world = World(devices=devices)
    connection = world.connect()
    assert world.add(connection) is refusal
    assert not connection.offloaded
    world = World(LINUX_6_12, devices=devices)
    assert world.add(world.connect()) is None


def test_a_dying_connection() -> None:
    world = World()
    connection = world.connect()
    packet = world.packet(connection)
    world.conntrack.delete(connection, START)
    assert world.flowtable.add(packet, START) is Refusal.DYING
    assert not connection.offloaded


ORDER: list[tuple[Refusal, Callable[[World, Packet, Connection], None]]] = [
    (Refusal.IP_OPTIONS, lambda w, p, c: p.data.__setitem__(0, 0x46)),
    (Refusal.TCP_CLOSING, lambda w, p, c: p.data.__setitem__(33, 0x11)),
    (Refusal.NOT_ESTABLISHED, lambda w, p, c: setattr(c.tcp, "state", TcpState.FIN_WAIT)),
    (Refusal.NOT_ASSURED, lambda w, p, c: setattr(c, "status", c.status & ~Status.ASSURED)),
    (Refusal.HELPER, lambda w, p, c: setattr(c, "helper", "sip")),
    (Refusal.SEQ_ADJUST, lambda w, p, c: setattr(c, "status", c.status | Status.SEQ_ADJUST)),
    (Refusal.NAT_CLASH, lambda w, p, c: setattr(c, "status", c.status | Status.NAT_CLASH)),
    (Refusal.UNCONFIRMED, lambda w, p, c: setattr(c, "status", c.status & ~Status.CONFIRMED)),
    (Refusal.OFFLOADED, lambda w, p, c: setattr(c, "status", c.status | Status.OFFLOAD)),
    (Refusal.INPUT_DEVICE, lambda w, p, c: w.flowtable.declare(declaration(devices=()))),
    (Refusal.DYING, lambda w, p, c: setattr(c, "status", c.status | Status.DYING)),
]


def test_the_first_condition_in_the_kernels_order_is_the_one_that_refuses() -> None:
    world = World()
    connection = world.connect()
    packet = world.packet(connection)
    for expected, spoil in reversed(ORDER):
        spoil(world, packet, connection)
        assert world.flowtable.add(packet, START) is expected


def test_success_makes_tcp_tracking_liberal_for_good() -> None:
    world = World()
    connection = world.connect()
    world.add(connection)
    assert connection.tcp is not None
    assert all(window.flags & 0x08 for window in connection.tcp.seen)


@pytest.mark.parametrize("reply", [False, True])
def test_a_connection_is_added_without_a_packet_as_its_packet_would_add_it(reply: bool) -> None:
    by_packet, without = World(), World()
    entry = by_packet.offload(by_packet.connect(snat=PUBLIC), reply=reply)
    connection = without.connect(snat=PUBLIC)
    offer = Offer.of(without.packet(connection, reply=reply), connection)
    assert without.flowtable.add_connection(offer, START) is None
    same = without.flowtables.entry(connection)
    assert same is not None and connection.offloaded
    for one, other in zip(entry.directions, same.directions, strict=True):
        assert (one.key, one.rewritten, one.mtu, one.mark) == (
            other.key,
            other.rewritten,
            other.mtu,
            other.mark,
        )
    assert without.flowtable.add_connection(offer, START) is Refusal.OFFLOADED


def test_every_refusal_says_what_where_and_with_what_effect() -> None:
    for refusal in Refusal:
        assert refusal.text and refusal.effect and ":" in refusal.ref


def test_tuples_of_the_support_are_what_a_masquerading_router_sees() -> None:
    connection = World().connect(snat=(PUBLIC, 50000))
    assert connection.original == Tuple(IPV4, TCP, packed(CLIENT), packed(SERVER), 40000, 443)
    assert connection.reply == Tuple(IPV4, TCP, packed(SERVER), packed(PUBLIC), 443, 50000)
