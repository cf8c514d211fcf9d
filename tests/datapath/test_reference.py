"""The rules of the fast path one by one, in the order in which it looks at them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP, IPOption
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, GRE, Dot1Q, Ether
from scapy.packet import Raw

from flowtable.clock import SECOND
from flowtable.datapath.native import NativeDatapath
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.flows.datapath import Handover
from flowtable.flows.entry import FlowEntry, FlowFlag
from flowtable.flows.teardown import Teardown
from flowtable.packet import packet as wire
from flowtable.packet.miss import Miss
from flowtable.profile import DEFAULT, LINUX_5_13, LINUX_6_12, LINUX_6_18, PROFILES, Length, Profile
from flowtable.ruleset.family import Family
from flowtable.topology.neighbour import NeighbourState
from flowtable.topology.route import Route
from flowtable.topology.sysctl import NeighConf
from tests.datapath.twins import Ends
from tests.flows.support import (
    CLIENT,
    CLIENT_MAC,
    GATEWAY,
    GATEWAY_MAC,
    LAN_MAC,
    PUBLIC,
    START,
    WAN_MAC,
    World,
    frame,
    packed,
)

LINUX = [LINUX_5_13, LINUX_6_12, LINUX_6_18]
every_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


@every_profile
def test_a_hit_in_each_direction(profile: Profile) -> None:
    world = World(profile)
    connection = world.connect(snat=(PUBLIC, 61000))
    world.offload(connection)

    device, out = world.pass_frame(connection, size=100)
    assert device is world.wan
    sent = Ether(out)
    assert bytes.fromhex(sent.dst.replace(":", "")) == GATEWAY_MAC
    assert bytes.fromhex(sent.src.replace(":", "")) == WAN_MAC
    assert (sent[IP].src, sent[TCP].sport, sent[IP].ttl) == (PUBLIC, 61000, 63)

    device, out = world.pass_frame(connection, reply=True)
    assert device is world.lan
    sent = Ether(out)
    assert out[:12] == CLIENT_MAC + LAN_MAC
    assert (sent[IP].dst, sent[TCP].dport) == (CLIENT, 40000)


def test_dscp_flow_label_identification_and_payload_stay() -> None:
    world = World()
    for ipv6 in (False, True):
        connection = world.connect(wire.UDP, ipv6=ipv6, snat="192.0.2.1" if not ipv6 else "2001:db8:2::1")
        world.offload(connection)

        def colour(layers: Any) -> Any:
            if IP in layers:
                layers[IP].tos = 0xB9
            else:
                layers[IPv6].tc = 0xB9
            return layers

        raw = frame(connection, size=64, edit=colour)
        _, out = world.flowtable.datapath.process(raw, 2, START)  # type: ignore[misc]
        if ipv6:
            assert out[14:21] == raw[14:21]
        else:
            assert out[14:22] == raw[14:22]
        assert out[-64:] == raw[-64:]


@every_profile
def test_ttl_1_goes_up_and_ttl_2_leaves_with_1(profile: Profile) -> None:
    for ipv6 in (False, True):
        world = World(profile)
        connection = world.connect(ipv6=ipv6)
        world.offload(connection)
        for ttl in (0, 1):
            assert world.pass_frame(connection, ttl=ttl) is Miss.TTL_EXPIRED
        out = Ether(world.pass_frame(connection, ttl=2)[1])
        assert (out[IPv6].hlim if ipv6 else out[IP].ttl) == 1


@every_profile
def test_what_is_not_parsed(profile: Profile) -> None:
    world = World(profile)
    connection = world.connect()
    six = world.connect(ipv6=True)
    world.offload(connection)
    world.offload(six)

    def missed(which: Any, edit: Any) -> Any:
        return world.pass_frame(which, edit=edit)

    def field(layer: Any, **values: Any) -> Any:
        def edit(layers: Any) -> Any:
            for name, value in values.items():
                setattr(layers[layer], name, value)
            return layers

        return edit

    assert missed(connection, field(IP, flags="MF")) is Miss.FRAGMENT
    assert missed(connection, field(IP, frag=3)) is Miss.FRAGMENT
    assert missed(connection, field(IP, options=[IPOption(b"\x94\x04\0\0")])) is Miss.IP_OPTIONS
    assert missed(connection, field(IP, proto=132)) is Miss.PROTOCOL
    assert missed(connection, lambda f: Ether(bytes(f)[:40])) is Miss.TRUNCATED

    def fragmented(layers: Any) -> Any:
        return (
            Ether(src=layers.src, dst=layers.dst)
            / IPv6(src=layers[IPv6].src, dst=layers[IPv6].dst)
            / IPv6ExtHdrFragment(m=1)
            / Raw(bytes(layers[TCP]))
        )

    assert missed(six, fragmented) is Miss.FRAGMENT
    arp = bytes(Ether(src=CLIENT_MAC.hex(":"), dst=LAN_MAC.hex(":")) / ARP())
    assert world.flowtable.datapath.process(arp, 2, START) is Miss.NOT_IP


def test_the_family_of_the_table_decides_what_is_looked_at() -> None:
    for family, four, six in ((Family.IP, True, False), (Family.IP6, False, True), (Family.INET, True, True)):
        world = World(family=family)
        for ipv6, works in ((False, four), (True, six)):
            connection = world.connect(ipv6=ipv6)
            world.offload(connection)
            outcome = world.pass_frame(connection)
            assert isinstance(outcome, tuple) is works
            assert works or outcome is Miss.FAMILY


def test_no_entry_for_another_port_device_or_protocol() -> None:
    world = World()
    connection = world.connect()
    world.offload(connection)
    raw = frame(connection)
    assert world.flowtable.datapath.process(raw, 3, START) is Miss.NO_ENTRY
    assert world.pass_frame(world.connect(sport=40001)) is Miss.NO_ENTRY
    assert world.pass_frame(world.connect(wire.UDP)) is Miss.NO_ENTRY


def test_gre() -> None:
    world = World()
    connection = world.connect(wire.GRE)
    world.offload(connection)
    device, out = world.pass_frame(connection, size=60)
    assert device is world.wan
    raw = frame(connection, size=60)
    assert out[26:] == raw[26:], "nothing but TTL and header checksum changes"
    assert Ether(out)[IP].ttl == 63

    def version_1(layers: Any) -> Any:
        layers[GRE].version = 1
        return layers

    assert world.pass_frame(connection, edit=version_1) is Miss.GRE_VERSION
    six = world.connect(wire.GRE, ipv6=True)
    world.offload(six)
    out = world.pass_frame(six, reply=True)[1]
    assert Ether(out)[IPv6].hlim == 63
    assert World(LINUX_5_13).pass_frame(connection) is Miss.PROTOCOL


@every_profile
def test_a_packet_of_the_mtu_passes_and_one_more_byte_goes_up_unchanged(profile: Profile) -> None:
    for ipv6, header in ((False, 40), (True, 60)):
        world = World(profile)
        connection = world.connect(ipv6=ipv6)
        entry = world.offload(connection)
        assert isinstance(world.pass_frame(connection, size=1500 - header), tuple)
        assert world.pass_frame(connection, size=1500 - header + 1) is Miss.TOO_BIG
        assert not entry.torn_down


def test_the_mtu_of_a_route_counts() -> None:
    world = World()
    fib = world.topology.fib4
    fib.add(Route(fib.family, packed("198.51.100.0"), 24, gateway=packed(GATEWAY), mtu=1400))
    connection = world.connect()
    world.offload(connection)
    assert isinstance(world.pass_frame(connection, size=1360), tuple)
    assert world.pass_frame(connection, size=1361) is Miss.TOO_BIG
    assert isinstance(world.pass_frame(connection, reply=True, size=1460), tuple)


@pytest.mark.parametrize("flags", ["F", "FA", "R", "RA"])
@pytest.mark.parametrize("profile", [DEFAULT, LINUX_5_13, LINUX_6_12])
def test_fin_and_rst_tear_down_and_go_up(profile: Profile, flags: str) -> None:
    world = World(profile)
    connection = world.connect()
    world.offload(connection)
    assert world.pass_frame(connection, reply=True, flags=flags) is Miss.TCP_CLOSING
    assert world.reasons == [Teardown.RST if "R" in flags else Teardown.FIN]
    miss = world.pass_frame(connection)
    assert miss is (Miss.NO_ENTRY if profile is DEFAULT else Miss.TEARDOWN)


@pytest.mark.parametrize("flags", ["F", "FA", "R", "RA"])
def test_fin_and_rst_stay_on_the_fast_path_since_6_14(flags: str) -> None:
    world = World(LINUX_6_18)
    connection = world.connect()
    entry = world.offload(connection)
    assert isinstance(world.pass_frame(connection, flags="S"), tuple), "a SYN alone means nothing"
    assert isinstance(world.pass_frame(connection, flags=flags), tuple)
    assert entry.flags & FlowFlag.CLOSING
    assert isinstance(world.pass_frame(connection, reply=True), tuple)
    assert not world.ended
    assert world.pass_frame(connection, flags="S") is Miss.TCP_REOPEN
    assert world.reasons == [Teardown.REOPEN]


@pytest.mark.parametrize("datapath", [ReferenceDatapath, NativeDatapath])
def test_fin_and_syn_in_one_packet_that_waits_for_its_neighbour(datapath: Any) -> None:
    world = World(LINUX_6_18)
    connection = world.connect()
    entry = world.offload(connection)
    ends = Ends()
    fast = datapath(Family.INET, LINUX_6_18, ends)
    neighbour = world.topology.neighbours.get(world.wan, packed(GATEWAY))
    assert neighbour is not None
    world.topology.neighbours.delete(neighbour)
    fast.install(entry)

    def forward(flags: str) -> Any:
        return fast.process(frame(connection, flags=flags), 2, START)

    assert isinstance(forward("SF"), Handover)
    assert isinstance(forward("A"), Handover), "and the flow is CLOSING still"
    assert forward("S") is Miss.TCP_REOPEN
    assert [reason for _, reason, _ in ends.seen] == [Teardown.REOPEN]


def test_udp_has_no_flags() -> None:
    world = World()
    connection = world.connect(wire.UDP)
    world.offload(connection)

    def ones(layers: Any) -> Any:
        layers[UDP].remove_payload()
        return layers / Raw(b"\xff" * 20)

    assert isinstance(world.pass_frame(connection, edit=ones), tuple)


@pytest.mark.parametrize("profile", LINUX)
def test_the_mtu_comes_before_the_flags_and_the_flags_before_the_route(profile: Profile) -> None:
    world = World(profile)
    connection = world.connect()
    entry = world.offload(connection)
    for direction in entry.directions:
        direction.stale = True
    world.flowtable.datapath.install(entry)
    assert world.pass_frame(connection, flags="F", size=1461) is Miss.TOO_BIG
    assert not world.ended
    if profile is LINUX_6_18:
        assert world.pass_frame(connection, flags="F") is Miss.STALE_ROUTE
        assert entry.flags & FlowFlag.CLOSING
    else:
        assert world.pass_frame(connection, flags="F") is Miss.TCP_CLOSING
    assert world.pass_frame(connection, flags="F", size=1461) is Miss.TEARDOWN


# Length: Ethernet padding and packets cut short.


def test_padding_is_cut_off() -> None:
    world = World(counter=True)
    for connection in (world.connect(), world.connect(wire.UDP), world.connect(ipv6=True)):
        entry = world.offload(connection)
        raw = frame(connection)
        outcome = world.flowtable.datapath.process(raw + bytes(6), 2, START)
        assert isinstance(outcome, tuple) and len(outcome[1]) == len(raw)
        world.flowtable.look(entry)
        assert entry.directions[0].bytes == len(raw) - 14


@pytest.mark.parametrize("profile", LINUX)
def test_padding_passes_and_counts_in_the_kernel(profile: Profile) -> None:
    world = World(profile)
    connection = world.connect()
    entry = world.offload(connection)
    raw = frame(connection, size=1460)
    assert isinstance(world.flowtable.datapath.process(raw, 2, START), tuple)
    assert world.flowtable.datapath.process(raw + b"\0", 2, START) is Miss.TOO_BIG
    raw = frame(connection)
    outcome = world.flowtable.datapath.process(raw + b"padded", 2, START)
    assert isinstance(outcome, tuple) and outcome[1].endswith(b"padded")
    world.flowtable.look(entry)
    assert entry.directions[0].bytes == 1500 + 46


@pytest.mark.parametrize("ipv6", [False, True])
@pytest.mark.parametrize("l4proto", [wire.TCP, wire.UDP, wire.GRE])
def test_a_packet_cut_short(l4proto: int, ipv6: bool) -> None:
    for profile in (DEFAULT, LINUX_6_12):
        world = World(profile)
        connection = world.connect(l4proto, ipv6=ipv6)
        world.offload(connection)
        raw = frame(connection, size=100)[:-1]
        outcome = world.flowtable.datapath.process(raw, 2, START)
        if profile.length is Length.HEADER:
            assert outcome is Miss.TRUNCATED
        else:
            assert isinstance(outcome, tuple) and len(outcome[1]) == len(raw)


@pytest.mark.parametrize("ipv6", [False, True])
@pytest.mark.parametrize("l4proto", [wire.TCP, wire.UDP, wire.GRE])
def test_a_transport_header_outside_of_the_packet(l4proto: int, ipv6: bool) -> None:
    world = World()
    connection = world.connect(l4proto, ipv6=ipv6)
    world.offload(connection)
    raw = bytearray(frame(connection, size=100))
    minimum = {wire.TCP: 20, wire.UDP: 8, wire.GRE: 4}[l4proto]
    at, base = (18, 0) if ipv6 else (16, 20)
    raw[at : at + 2] = (base + minimum - 1).to_bytes(2)
    assert world.flowtable.datapath.process(bytes(raw), 2, START) is Miss.TRUNCATED
    raw[at : at + 2] = (base + minimum).to_bytes(2)
    assert isinstance(world.flowtable.datapath.process(bytes(raw), 2, START), tuple)


# The neighbour.


def forget_gateway(world: World) -> None:
    gateway = world.topology.neighbours.get(world.wan, packed(GATEWAY))
    assert gateway is not None
    world.topology.neighbours.delete(gateway)


def test_an_unresolved_neighbour_sends_the_packet_up_the_classic_path() -> None:
    world = World()
    connection = world.connect()
    entry = world.offload(connection)
    forget_gateway(world)
    assert world.pass_frame(connection) is Miss.NO_NEIGHBOUR
    assert not entry.torn_down
    assert isinstance(world.pass_frame(connection, reply=True), tuple)
    world.topology.neighbours.set(world.wan, packed(GATEWAY), bytes(6), NeighbourState.REACHABLE)
    assert world.pass_frame(connection)[1][:6] == bytes(6)


@pytest.mark.parametrize("profile", LINUX)
@pytest.mark.parametrize("l4proto", [wire.TCP, wire.UDP])
def test_the_kernel_hands_it_to_the_neighbour_layer_changed(profile: Profile, l4proto: int) -> None:
    world = World(profile)
    connection = world.connect(l4proto, snat=(PUBLIC, 5))
    entry = world.offload(connection)
    _, whole = world.pass_frame(connection, size=9)
    forget_gateway(world)
    outcome = world.pass_frame(connection, size=9)
    assert outcome == Handover(world.wan, packed(GATEWAY), whole[14:])
    assert type(outcome) is Handover
    world.flowtable.look(entry)
    assert entry.directions[0].packets == 2, "it was forwarded, and counts"
    world.topology.neighbours.set(world.wan, packed(GATEWAY), None, NeighbourState.FAILED)
    assert type(world.pass_frame(connection)) is Handover


@every_profile
def test_a_new_mac_address_is_used_at_once(profile: Profile) -> None:
    world = World(profile)
    connection = world.connect()
    world.offload(connection)
    world.topology.neighbours.set(world.wan, packed(GATEWAY), b"\x02abcde", NeighbourState.REACHABLE)
    assert world.pass_frame(connection)[1][:6] == b"\x02abcde"


@every_profile
def test_a_stale_neighbour_that_ages_is_confirmed_by_the_neighbour_layer(profile: Profile) -> None:
    world = World(profile, ipv4_neigh={"wan": NeighConf(base_reachable_time_ms=30000)})
    connection = world.connect()
    world.offload(connection)
    neighbours = world.topology.neighbours
    _, whole = world.pass_frame(connection)
    neighbours.set(world.wan, packed(GATEWAY), None, NeighbourState.STALE)
    assert world.pass_frame(connection) == Handover(world.wan, packed(GATEWAY), whole[14:])
    for state in (NeighbourState.DELAY, NeighbourState.PROBE, NeighbourState.REACHABLE):
        neighbours.set(world.wan, packed(GATEWAY), None, state)
        assert world.pass_frame(connection) == (world.wan, whole)


@every_profile
def test_a_stale_neighbour_that_does_not_age_is_good_enough(profile: Profile) -> None:
    world = World(profile)
    connection = world.connect()
    world.offload(connection)
    world.topology.neighbours.set(world.wan, packed(GATEWAY), None, NeighbourState.STALE)
    assert type(world.pass_frame(connection)) is tuple


# What the datapath promises to flows.


def test_counts_and_stamps() -> None:
    world = World()
    connection = world.connect()
    entry = world.offload(connection)
    world.pass_frame(connection, START + 1, size=10)
    world.pass_frame(connection, START + 2, size=20)
    world.pass_frame(connection, START + 3, reply=True)
    world.pass_frame(connection, START + 4, size=2000)
    world.flowtable.datapath.stats(entry)
    original, reply = entry.directions
    assert (original.packets, original.bytes, original.used) == (2, 110, START + 2)
    assert (reply.packets, reply.bytes, reply.used) == (1, 40, START + 3)


@pytest.mark.parametrize("profile", LINUX)
def test_two_refreshes_within_a_second_move_the_timeout_once(profile: Profile) -> None:
    """Vector 19."""
    world = World(profile)
    connection = world.connect()
    entry = world.offload(connection)
    stamps = []
    for now in (SECOND // 2, SECOND, SECOND + 1, SECOND * 3 // 2, 2 * SECOND + 1, 2 * SECOND + 2):
        world.pass_frame(connection, START + now, reply=now % 2 == 0)
        stamps.append(entry.refreshed - START)
    assert stamps == [0, 0, SECOND + 1, SECOND + 1, SECOND + 1, 2 * SECOND + 2]


def test_the_default_profile_stamps_each_packet() -> None:
    world = World()
    connection = world.connect()
    entry = world.offload(connection)
    world.pass_frame(connection, START + 1)
    assert entry.refreshed == START + 1


def test_an_entry_installed_later_hides_an_older_one_until_it_is_removed() -> None:
    world = World(LINUX_6_12)
    connection = world.connect()
    first = world.offload(connection)
    datapath = world.flowtable.datapath
    second, third = (FlowEntry(world.flowtable, connection, *first.directions, 0, START) for _ in range(2))
    datapath.install(second)
    datapath.install(third)

    def user() -> FlowEntry:
        before = {entry: count(entry) for entry in (first, second, third) if entry not in removed}
        world.pass_frame(connection)
        (changed,) = [entry for entry in before if count(entry) != before[entry]]
        return changed

    def count(entry: FlowEntry) -> int:
        datapath.stats(entry)
        return entry.directions[0].packets

    removed: set[FlowEntry] = set()
    assert user() is third
    removed.add(second)
    datapath.remove(second)
    assert user() is third
    removed.add(third)
    datapath.remove(third)
    assert user() is first
    datapath.remove(first)
    assert world.pass_frame(connection) is Miss.NO_ENTRY


def test_removing_what_is_not_installed() -> None:
    world = World()
    entry = world.offload()
    world.flowtable.datapath.remove(entry)
    for operation in (world.flowtable.datapath.remove, world.flowtable.datapath.stats):
        with pytest.raises(KeyError):
            operation(entry)


# Encapsulation: no device makes such entries yet, but the key knows of it.


def tagged(*tags: int, profile: Profile = DEFAULT) -> tuple[World, Any]:
    world = World(profile)
    connection = world.connect(snat=PUBLIC)
    entry = world.offload(connection)
    datapath = world.flowtable.datapath
    datapath.remove(entry)
    direction = entry.directions[0]
    direction.key = direction.key._replace(encap=tuple((tag, 0x8100) for tag in tags))
    datapath.install(entry)
    return world, connection


def push(*tcis: int) -> Any:
    def edit(layers: Any) -> Any:
        out = Ether(src=layers.src, dst=layers.dst)
        for tci in tcis:
            out = out / Dot1Q(prio=tci >> 13, vlan=tci & 0xFFF)
        return out / layers.payload

    return edit


def test_tags_are_part_of_the_key_and_taken_off() -> None:
    world, connection = tagged(10, 20)
    assert world.pass_frame(connection) is Miss.NO_ENTRY
    assert world.pass_frame(connection, edit=push(20, 10)) is Miss.NO_ENTRY
    assert world.pass_frame(connection, edit=push(1, 10, 20)) is Miss.NO_ENTRY
    assert world.pass_frame(connection, edit=push(1, 2, 3, 10, 20)) is Miss.ENCAPSULATION
    _, out = world.pass_frame(connection, edit=push(10, 20), size=50)
    plain = World()
    other = plain.connect(snat=PUBLIC)
    plain.offload(other)
    assert out == plain.pass_frame(other, size=50)[1]
    assert isinstance(world.pass_frame(connection, edit=push(10, 20), size=1460), tuple)
    assert world.pass_frame(connection, edit=push(10, 20), size=1461) is Miss.TOO_BIG


def test_the_priority_of_a_tag_matters_in_the_kernel_only() -> None:
    """Vector 16."""
    for profile, works in ((DEFAULT, True), (LINUX_6_12, False)):
        world, connection = tagged(10, profile=profile)
        assert isinstance(world.pass_frame(connection, edit=push(10)), tuple)
        outcome = world.pass_frame(connection, edit=push(5 << 13 | 10))
        assert isinstance(outcome, tuple) is works
        assert works or outcome is Miss.NO_ENTRY


def test_the_reference_takes_any_mix_of_decisions() -> None:
    profile = replace(DEFAULT, queue_unresolved=True, length=Length.FRAME)
    world = World(profile)
    connection = world.connect()
    world.offload(connection)
    forget_gateway(world)
    raw = frame(connection) + b"pad"
    outcome = world.flowtable.datapath.process(raw, 2, START)
    assert isinstance(outcome, Handover) and outcome.packet.endswith(b"pad")
    assert isinstance(world.flowtable.datapath, ReferenceDatapath)
