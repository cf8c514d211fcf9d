"""Flows through every kind of stack: where they are looked up, and what they look like when they leave."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet as Scapy
from scapy.packet import Raw

from flowtable.conntrack.connection import Connection
from flowtable.flows.side import Transmit
from flowtable.packet import packet as wire
from flowtable.packet.miss import Miss
from flowtable.profile import DEFAULT, LINUX_6_12, Length, Profile
from flowtable.topology.tunnel import Tunnel
from tests.flows.stacks import FAMILIES, STACKS, Stack
from tests.flows.support import PUBLIC, PUBLIC6, START, World

TUNNELS = ("ipip", "ipip_over_vlan", "ip6ip6")
DEEP = ("qinq_8021ad_inside", "three_tags", "pppoe_over_qinq")
"""What Linux does not accelerate: 802.1ad inside, three tags, PPPoE over two."""


def ip(connection: Connection, *, reply: bool, leaving: bool, size: int = 40, ttl: int = 64) -> Scapy:
    """A packet of the connection, as it arrives or as it leaves."""
    here, there = connection.tuple(reply), connection.tuple(not reply)
    src, dst, sport, dport = here.src, here.dst, here.sport, here.dport
    if leaving:
        src, dst, sport, dport = there.dst, there.src, there.dport, there.sport
        ttl -= 1
    source, target = str(ip_address(src)), str(ip_address(dst))
    if here.l3proto == wire.IPV4:
        header: Scapy = IP(src=source, dst=target, ttl=ttl, id=7, tos=0x20, flags="DF")
    else:
        header = IPv6(src=source, dst=target, hlim=ttl, fl=5, tc=0x20)
    if here.l4proto == wire.TCP:
        header = header / TCP(sport=sport, dport=dport, flags="A", seq=1, ack=1)
    else:
        header = header / UDP(sport=sport, dport=dport)
    return header / Raw(bytes(range(size)))


def families(*names: str) -> list[int]:
    both = (4, 6)
    return [v for v in both if all(v in FAMILIES.get(name, both) for name in names)]


def exchange(world: World, connection: Connection, profile: Profile) -> None:
    """A packet each way: what arrives on one stack leaves on the other, translated."""
    for reply in (False, True):
        come, go = world.lan_stack, world.wan_stack
        if reply:
            come, go = go, come
        arriving = come.frame(ip(connection, reply=reply, leaving=False), inward=True)
        outcome = world.flowtable.datapath.process(arriving, come.port.index, START)
        assert not isinstance(outcome, Miss), outcome
        leaving = ip(connection, reply=reply, leaving=True)
        if profile.push_encap:
            assert outcome == (go.port, go.frame(leaving, inward=False))
        elif go.direct:
            exit_ = go.topmost or go.port
            assert outcome == (exit_, bare(go, exit_).frame(leaving, inward=False))
        else:
            assert outcome == (go.routed, bare(go, go.routed).frame(leaving, inward=False))


def bare(stack: Stack, device: Any) -> Stack:
    """What a stack is handed at a device that puts everything on itself."""
    if not device.ethernet:
        return replace(stack, layers=[], mac=bytes(6), station=bytes(6))
    return replace(stack, layers=[], mac=stack.mac)


def world_with(side: str, name: str, profile: Profile = DEFAULT) -> World:
    return World(profile, lan=STACKS[name]) if side == "lan" else World(profile, wan=STACKS[name])


CASES = [
    (side, name, l4proto, version, nat)
    for side, name in product(("lan", "wan"), STACKS)
    for l4proto, version, nat in product((wire.TCP, wire.UDP), families(name), (False, True))
]


@pytest.mark.parametrize(("side", "name", "l4proto", "version", "nat"), CASES)
def test_every_stack_on_either_side(side: str, name: str, l4proto: int, version: int, nat: bool) -> None:
    world = world_with(side, name)
    snat = (PUBLIC if version == 4 else PUBLIC6) if nat else None
    connection = world.connect(l4proto, ipv6=version == 6, snat=snat)
    entry = world.offload(connection)
    exchange(world, connection, DEFAULT)
    world.flowtable.look(entry)
    size = len(ip(connection, reply=False, leaving=True))
    assert [(d.packets, d.bytes) for d in entry.directions] == [(1, size), (1, size)]


@pytest.mark.parametrize(("side", "name"), list(product(("lan", "wan"), STACKS)))
def test_linux_gives_packets_to_the_routed_device_or_below_the_bridge(side: str, name: str) -> None:
    world = world_with(side, name, LINUX_6_12)
    stack: Stack = getattr(world, f"{side}_stack")
    for version in families(name):
        connection = world.connect(wire.UDP, ipv6=version == 6)
        entry = world.offload(connection)
        toward = entry.directions[side == "lan"]
        assert toward.transmit is (Transmit.DIRECT if stack.direct else Transmit.NEIGH)
        assert not toward.exit.push
        if name not in TUNNELS + DEEP:
            exchange(world, connection, LINUX_6_12)


@pytest.mark.parametrize("name", DEEP)
def test_what_is_too_deep_for_linux_stays_on_the_classic_path_on_arrival(name: str) -> None:
    world = World(LINUX_6_12, lan=STACKS[name])
    connection = world.connect(wire.UDP)
    world.offload(connection)
    arriving = world.lan_stack.frame(ip(connection, reply=False, leaving=False), inward=True)
    outcome = world.flowtable.datapath.process(arriving, world.lan_stack.port.index, START)
    assert outcome in (Miss.ENCAPSULATION, Miss.NO_ENTRY)


NAMES = st.sampled_from(sorted(STACKS))


@settings(max_examples=60, deadline=None)
@given(NAMES, NAMES, st.sampled_from([4, 6]), st.booleans(), st.sampled_from([wire.TCP, wire.UDP]))
def test_any_stack_to_any_other(lan: str, wan: str, version: int, nat: bool, l4proto: int) -> None:
    # One tunnel per box: both would have the same ends.
    if version not in families(lan, wan) or (lan in TUNNELS and wan in TUNNELS):
        return
    world = World(lan=STACKS[lan], wan=STACKS[wan])
    snat = (PUBLIC if version == 4 else PUBLIC6, 50000) if nat else None
    connection = world.connect(l4proto, ipv6=version == 6, snat=snat)
    world.offload(connection)
    exchange(world, connection, DEFAULT)


@pytest.mark.parametrize("name", [name for name in STACKS if name not in TUNNELS])
@pytest.mark.parametrize("profile", [DEFAULT, LINUX_6_12], ids=lambda p: p.name)
def test_the_mtu_is_that_of_the_ip_packet_whatever_is_around_it(name: str, profile: Profile) -> None:
    if profile is LINUX_6_12 and name in DEEP:
        return
    world = World(profile, lan=STACKS[name])
    connection = world.connect(wire.UDP)
    world.offload(connection)
    for size, fits in ((1472, True), (1473, False)):
        packet = ip(connection, reply=False, leaving=False, size=0) / Raw(bytes(size))
        arriving = world.lan_stack.frame(packet, inward=True)
        outcome = world.flowtable.datapath.process(arriving, world.lan_stack.port.index, START)
        assert (outcome is Miss.TOO_BIG) is not fits


@pytest.mark.parametrize(("name", "overhead"), [("ipip", 20), ("ipip_over_vlan", 20), ("ip6ip6", 40)])
def test_a_tunnel_takes_its_header_off_the_mtu(name: str, overhead: int) -> None:
    world = World(wan=STACKS[name])
    world.topology.set_link(world.wan, mtu=1500)
    connection = world.connect(wire.UDP, ipv6=overhead == 40)
    world.offload(connection)
    limit = 1500 - overhead
    empty = len(ip(connection, reply=False, leaving=False, size=0))
    for size, fits in ((limit, True), (limit + 1, False)):
        packet = ip(connection, reply=False, leaving=False, size=0) / Raw(bytes(size - empty))
        outcome = world.flowtable.datapath.process(
            world.lan_stack.frame(packet, inward=True), world.lan_stack.port.index, START
        )
        assert (outcome is Miss.TOO_BIG) is not fits


@pytest.mark.parametrize("name", list(STACKS))
def test_padding_is_cut_off_and_a_frame_cut_short_goes_up(name: str) -> None:
    world = World(lan=STACKS[name])
    stack = world.lan_stack
    connection = world.connect(wire.UDP, ipv6=name == "ip6ip6")
    world.offload(connection)
    arriving = stack.frame(ip(connection, reply=False, leaving=False, size=8), inward=True)
    process = world.flowtable.datapath.process
    whole = process(arriving, stack.port.index, START)
    assert process(arriving + bytes(30), stack.port.index, START) == whole
    for size in range(len(arriving)):
        assert process(arriving[:size], stack.port.index, START) in (Miss.TRUNCATED, Miss.NOT_IP)


@pytest.mark.parametrize("name", ["pppoe", "ipip"])
def test_headers_that_disagree_on_the_length_go_up(name: str) -> None:
    """The PPPoE header, or the outer IP header, holds less than the packet says it is."""
    for length, works in ((Length.HEADER, False), (Length.FRAME, True)):
        world = World(replace(DEFAULT, length=length), lan=STACKS[name])
        stack = world.lan_stack
        connection = world.connect(wire.UDP)
        world.offload(connection)
        arriving = bytearray(stack.frame(ip(connection, reply=False, leaving=False), inward=True))
        at = 18 if name == "pppoe" else 16
        arriving[at : at + 2] = (int.from_bytes(arriving[at : at + 2]) - 1).to_bytes(2)
        outcome = world.flowtable.datapath.process(bytes(arriving), stack.port.index, START)
        assert isinstance(outcome, tuple) is works
        assert works or outcome is Miss.TRUNCATED


@pytest.mark.parametrize("name", [n for n in STACKS if n not in ("nic", "dsa", "macvlan", "bond", "ip6ip6")])
def test_a_frame_for_another_station_is_not_the_flows(name: str) -> None:
    """Two hosts on a bridge may use the addresses of a routed flow: their frames are bridged."""
    for profile, works in ((DEFAULT, False), (LINUX_6_12, True)):
        if works and name in TUNNELS + DEEP:
            continue
        world = World(profile, lan=STACKS[name])
        stack = world.lan_stack
        connection = world.connect(wire.UDP)
        world.offload(connection)
        other = replace(stack, mac=b"\x02other")
        arriving = other.frame(ip(connection, reply=False, leaving=False), inward=True)
        outcome = world.flowtable.datapath.process(arriving, stack.port.index, START)
        assert isinstance(outcome, tuple) is works
        assert works or outcome is Miss.STATION


def test_a_session_is_with_one_concentrator() -> None:
    world = World(wan=STACKS["pppoe"])
    connection = world.connect(wire.UDP)
    world.offload(connection)
    stranger = replace(world.wan_stack, station=b"\x02other")
    arriving = stranger.frame(ip(connection, reply=True, leaving=False), inward=True)
    outcome = world.flowtable.datapath.process(arriving, world.wan_stack.port.index, START)
    assert outcome is Miss.STATION


# Priority bits.


def with_priorities(frame: bytes, *priorities: int) -> bytes:
    """The frame with a priority in each of its tags."""
    out = bytearray(frame)
    for number, priority in enumerate(priorities):
        out[14 + 4 * number] |= priority << 5
    return bytes(out)


@pytest.mark.parametrize(
    ("lan", "wan", "given", "kept"),
    [
        ("vlan", "vlan", (5,), (5,)),
        ("qinq", "qinq", (5, 3), (5, 3)),
        ("qinq", "vlan", (5, 3), (5,)),
        ("vlan", "qinq", (5,), (5, 0)),
        ("nic", "vlan", (), (0,)),
        ("vlan", "nic", (5,), ()),
        ("vlan", "pppoe_over_vlan", (7,), (7,)),
        ("pppoe_over_vlan", "bridge_pvid_tagged", (6,), (6,)),
        ("three_tags", "three_tags", (1, 2, 3), (1, 2, 3)),
    ],
)
def test_priorities_go_along_paired_from_the_outside(
    lan: str, wan: str, given: tuple[int, ...], kept: tuple[int, ...]
) -> None:
    """Vector 16, fixed."""
    world = World(lan=STACKS[lan], wan=STACKS[wan])
    connection = world.connect(wire.UDP)
    world.offload(connection)
    come, go = world.lan_stack, world.wan_stack
    arriving = with_priorities(come.frame(ip(connection, reply=False, leaving=False), inward=True), *given)
    leaving = with_priorities(go.frame(ip(connection, reply=False, leaving=True), inward=False), *kept)
    assert world.flowtable.datapath.process(arriving, come.port.index, START) == (go.port, leaving)


def test_a_priority_keeps_linux_on_the_classic_path() -> None:
    """Vector 16, as it is."""
    world = World(LINUX_6_12, lan=STACKS["vlan"])
    connection = world.connect(wire.UDP)
    world.offload(connection)
    frame = world.lan_stack.frame(ip(connection, reply=False, leaving=False), inward=True)
    process = world.flowtable.datapath.process
    assert isinstance(process(frame, world.lan_stack.port.index, START), tuple)
    assert process(with_priorities(frame, 5), world.lan_stack.port.index, START) is Miss.NO_ENTRY


# Tunnels.


@pytest.mark.parametrize("name", ["ipip", "ip6ip6"])
def test_congestion_goes_into_a_tunnel_and_stays_outside_of_the_fast_path_on_its_way_out(name: str) -> None:
    """RFC 6040: the outer header says ECT for CE; CE there is the packet's, which changes or ends it."""
    world = World(wan=STACKS[name])
    connection = world.connect(wire.UDP, ipv6=name == "ip6ip6")
    world.offload(connection)
    stack, process = world.wan_stack, world.flowtable.datapath.process
    at = 15

    def inside(mark: int, *, reply: bool, leaving: bool) -> Scapy:
        packet = ip(connection, reply=reply, leaving=leaving)
        if IP in packet:
            packet.tos = mark
        else:
            packet.tc = mark
        return packet

    for mark, outer in ((0, 0), (1, 1), (2, 2), (3, 2)):
        arriving = world.lan_stack.frame(inside(mark, reply=False, leaving=False), inward=True)
        _, out = process(arriving, world.lan_stack.port.index, START)  # type: ignore[misc]
        carried = out[at] & 3 if name == "ipip" else out[at] >> 4 & 3
        assert carried == outer

    taken_over = {(3, 0), (3, 1), (3, 2), (1, 2)}
    for outer, mark in product(range(4), range(4)):
        marked = bytearray(stack.frame(inside(mark, reply=True, leaving=False), inward=True))
        marked[at] = marked[at] & ~3 | outer if name == "ipip" else marked[at] & 0x0F | outer << 4
        outcome = process(bytes(marked), stack.port.index, START)
        assert (outcome is Miss.CONGESTION) is ((outer, mark) in taken_over)


def test_a_tunnel_with_a_ttl_of_its_own() -> None:
    world = World(wan=STACKS["ipip"])
    assert isinstance(world.wan, Tunnel)
    world.wan.ttl = 200
    connection = world.connect(wire.UDP)
    world.offload(connection)
    arriving = world.lan_stack.frame(ip(connection, reply=False, leaving=False), inward=True)
    _, out = world.flowtable.datapath.process(arriving, world.lan_stack.port.index, START)  # type: ignore[misc]
    assert (Ether(out)[IP].ttl, Ether(out)[IP].payload.ttl) == (200, 63)


def test_an_outer_ttl_that_ends_here() -> None:
    world = World(lan=STACKS["ipip"])
    connection = world.connect(wire.UDP)
    world.offload(connection)
    arriving = bytearray(world.lan_stack.frame(ip(connection, reply=False, leaving=False), inward=True))
    arriving[22] = 1
    outcome = world.flowtable.datapath.process(bytes(arriving), world.lan_stack.port.index, START)
    assert outcome is Miss.TTL_EXPIRED


@pytest.mark.parametrize("name", ["vlan_with_a_mac", "bridge", "vlan_on_bridge_tagged", "pppoe_over_vlan"])
def test_the_address_of_the_device_below_is_the_boxs_too(name: str) -> None:
    world = World(lan=STACKS[name])
    stack = world.lan_stack
    connection = world.connect(wire.UDP)
    world.offload(connection)
    frame = stack.frame(ip(connection, reply=False, leaving=False), inward=True)
    assert isinstance(
        world.flowtable.datapath.process(stack.port.mac + frame[6:], stack.port.index, START), tuple
    )
