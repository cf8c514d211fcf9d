"""The rule made of a flow: every match key and every action of nf_flow_table_offload.c."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowtable.conntrack.tuple import ORIGINAL, REPLY
from flowtable.flows.hardware import OffloadFailure
from flowtable.offload.build import build
from flowtable.offload.needs import needs
from flowtable.offload.rule import (
    Accept,
    Action,
    Checksum,
    Header,
    Mangle,
    PppoePush,
    Redirect,
    Rule,
    Tag,
    VlanPop,
    VlanPush,
)
from flowtable.packet import packet as wire
from flowtable.profile import DEFAULT, LINUX_6_12, Profile
from flowtable.topology.hardware import ChipModel, Feature
from flowtable.topology.neighbour import NeighbourState
from tests.flows.stacks import SESSION, STACKS
from tests.flows.support import (
    CLIENT,
    CLIENT6,
    CLIENT_MAC,
    GATEWAY,
    GATEWAY_MAC,
    LAN_MAC,
    PUBLIC,
    PUBLIC6,
    SERVER,
    SERVER6,
    WAN_MAC,
    World,
    packed,
)

BOTH = pytest.mark.parametrize("profile", [DEFAULT, LINUX_6_12], ids=lambda p: p.name)
KEEP_FIRST, KEEP_SECOND = 0xFFFF0000, 0x0000FFFF


def made(
    profile: Profile = LINUX_6_12,
    lan: str = "nic",
    wan: str = "nic",
    l4proto: int = wire.TCP,
    **connection: Any,
) -> tuple[World, Rule, Rule]:
    world = World(profile, lan=STACKS[lan], wan=STACKS[wan], chip=ChipModel())
    entry = world.offload(world.connect(l4proto, **connection))
    rules = [build(entry, d, profile) for d in (ORIGINAL, REPLY)]
    assert all(isinstance(rule, Rule) for rule in rules), rules
    original, reply = rules
    assert isinstance(original, Rule) and isinstance(reply, Rule)
    return world, original, reply


def failed(profile: Profile = LINUX_6_12, lan: str = "nic", wan: str = "nic", d: int = ORIGINAL) -> Any:
    world = World(profile, lan=STACKS[lan], wan=STACKS[wan], chip=ChipModel())
    return build(world.offload(world.connect(wire.UDP)), d, profile)


def macs(source: bytes, destination: bytes) -> list[Action]:
    return [
        Mangle(Header.ETHERNET, 4, KEEP_FIRST, int.from_bytes(source[:2])),
        Mangle(Header.ETHERNET, 8, 0, int.from_bytes(source[2:])),
        Mangle(Header.ETHERNET, 0, 0, int.from_bytes(destination[:4])),
        Mangle(Header.ETHERNET, 4, KEEP_SECOND, int.from_bytes(destination[4:]) << 16),
    ]


# Match keys, spec 5.4.


@BOTH
def test_ingress_ifindex(profile: Profile) -> None:
    world, original, reply = made(profile, "vlan", "pppoe_over_vlan")
    assert original.match.ingress is world.lan_stack.port
    assert reply.match.ingress is world.wan_stack.port


@BOTH
def test_vlan(profile: Profile) -> None:
    _, original, reply = made(profile, "vlan")
    assert original.match.vlan == Tag(10, 0x8100)
    assert original.match.cvlan is reply.match.vlan is None


@BOTH
def test_pppoe_over_vlan_has_the_vlan_as_vlan(profile: Profile) -> None:
    _, _, reply = made(profile, wan="pppoe_over_vlan")
    assert reply.match.vlan is not None and reply.match.cvlan is None


def test_cvlan() -> None:
    """Of two tags of 802.1Q the inner one; in Linux the inner one is the only one under 802.1ad."""
    world, original, _ = made(DEFAULT, "qinq")
    assert (original.match.vlan, original.match.cvlan) == (Tag(100, 0x88A8), Tag(10, 0x8100))
    _, original, _ = made(LINUX_6_12, "qinq")
    assert (original.match.vlan, original.match.cvlan) == (Tag(10, 0x8100), None)
    for profile in (DEFAULT, LINUX_6_12):
        world = World(profile, lan=STACKS["nic"], wan=STACKS["nic"], chip=ChipModel())
        entry = world.offload(world.connect())
        first = entry.directions[ORIGINAL]
        first.entrance = _with_tags(first.entrance, (7, 0x8100), (8, 0x8100))
        rule = build(entry, ORIGINAL, profile)
        assert isinstance(rule, Rule)
        assert (rule.match.vlan, rule.match.cvlan) == (Tag(7, 0x8100), Tag(8, 0x8100))


def _with_tags(side: Any, *encap: tuple[int, int]) -> Any:
    return replace(side, encap=encap, push=encap)


@BOTH
def test_what_the_switch_chip_takes_off_is_no_key(profile: Profile) -> None:
    """Ref: in_vlan_ingress of struct flow_offload_tuple."""
    world = World(profile, lan=STACKS["dsa_in_bridge"], chip=ChipModel())
    entry = world.offload(world.connect())
    rule = build(entry, ORIGINAL, profile)
    assert isinstance(rule, Rule)
    assert rule.match.vlan is None
    assert VlanPop() not in rule.actions


@BOTH
def test_addresses_protocol_and_ports(profile: Profile) -> None:
    _, original, reply = made(profile, snat=PUBLIC)
    match = original.match
    assert (match.ethertype, match.protocol) == (0x0800, wire.TCP)
    assert (match.source, match.destination, match.ports) == (packed(CLIENT), packed(SERVER), (40000, 443))
    match = reply.match
    assert (match.source, match.destination, match.ports) == (packed(SERVER), packed(PUBLIC), (443, 40000))
    _, original, _ = made(profile, ipv6=True, l4proto=wire.UDP)
    match = original.match
    assert (match.ethertype, match.protocol) == (0x86DD, wire.UDP)
    assert (match.source, match.destination) == (packed(CLIENT6), packed(SERVER6))


@BOTH
def test_gre_has_no_ports(profile: Profile) -> None:
    _, original, _ = made(profile, l4proto=wire.GRE)
    assert (original.match.protocol, original.match.ports) == (wire.GRE, None)


@BOTH
def test_fin_and_rst_go_to_the_box(profile: Profile) -> None:
    assert made(profile)[1].match.tcp_flags == 0x05
    assert made(profile, l4proto=wire.UDP)[1].match.tcp_flags == 0


def test_linux_has_no_keys_for_8021ad_and_sessions() -> None:
    _, original, reply = made(LINUX_6_12, "qinq", "pppoe")
    assert original.match.vlan == Tag(10, 0x8100)
    assert reply.match.session is None
    for key in ("station", "peer"):
        assert getattr(original.match, key) is None
    assert original.mtu is None and not original.match.no_priority


def test_sound_rules_have_all_that_the_software_path_looks_at() -> None:
    _, original, reply = made(DEFAULT, "vlan", "pppoe")
    assert (original.match.session, reply.match.session) == (0, SESSION)
    assert original.match.station == LAN_MAC
    assert reply.match.peer is not None and original.match.peer is None
    assert (original.mtu, reply.mtu) == (1492, 1500)
    assert not original.match.no_priority, "the priority of a tag without a partner is lost anyway"
    _, original, _ = made(DEFAULT, "vlan", "vlan")
    assert original.match.no_priority, "that of one with a partner goes along, which no action does"


# Actions, spec 5.5.


@BOTH
def test_the_order_of_all_actions(profile: Profile) -> None:
    world, original, reply = made(profile, "vlan", "pppoe", snat=(PUBLIC, 5000), dnat=("192.0.2.77", 8080))
    source, destination = packed(PUBLIC), packed(SERVER)
    peer = reply.match.peer or bytes.fromhex("0200000000ac")
    assert list(original.actions) == [
        *macs(WAN_MAC, peer),
        VlanPop(),
        PppoePush(SESSION),
        Mangle(Header.IPV4, 12, 0, int.from_bytes(source)),
        Mangle(Header.TCP, 0, KEEP_SECOND, 5000 << 16),
        Mangle(Header.IPV4, 16, 0, int.from_bytes(destination)),
        Mangle(Header.TCP, 0, KEEP_FIRST, 443),
        Checksum(True, wire.TCP),
        Redirect(world.wan_stack.port),
    ]
    assert list(reply.actions) == [
        *macs(LAN_MAC, CLIENT_MAC),
        VlanPush(10, 0x8100),
        Mangle(Header.IPV4, 16, 0, int.from_bytes(packed(CLIENT))),
        Mangle(Header.TCP, 0, KEEP_FIRST, 40000),
        Mangle(Header.IPV4, 12, 0, int.from_bytes(packed("192.0.2.77"))),
        Mangle(Header.TCP, 0, KEEP_SECOND, 8080 << 16),
        Checksum(True, wire.TCP),
        Redirect(world.lan_stack.port),
    ]


@BOTH
def test_without_translation_there_is_no_checksum(profile: Profile) -> None:
    world, original, _ = made(profile)
    assert list(original.actions) == [*macs(WAN_MAC, GATEWAY_MAC), Redirect(world.wan)]


@BOTH
def test_ipv6_addresses_are_four_words_and_no_checksum(profile: Profile) -> None:
    world, original, _ = made(profile, l4proto=wire.UDP, ipv6=True, snat=PUBLIC6)
    source = packed(PUBLIC6)
    words = [int.from_bytes(source[at : at + 4]) for at in range(0, 16, 4)]
    assert list(original.actions) == [
        *macs(WAN_MAC, GATEWAY_MAC),
        *(Mangle(Header.IPV6, 8 + 4 * i, 0, word) for i, word in enumerate(words)),
        Mangle(Header.UDP, 0, KEEP_SECOND, 40000 << 16),
        Redirect(world.wan),
    ]


def test_two_tags_are_popped_and_pushed() -> None:
    """Linux pushes the outer one first; 802.1ad it neither pops nor pushes, but leaves a slot."""
    _, original, reply = made(DEFAULT, "qinq")
    assert [a for a in original.actions if a == VlanPop()] == [VlanPop(), VlanPop()]
    assert [a for a in reply.actions if isinstance(a, VlanPush)] == [
        VlanPush(10, 0x8100),
        VlanPush(100, 0x88A8),
    ]
    _, original, reply = made(LINUX_6_12, "qinq")
    assert [a for a in original.actions if a == VlanPop()] == [VlanPop()]
    assert [a for a in reply.actions if isinstance(a, VlanPush | Accept)] == [
        Accept(),
        VlanPush(10, 0x8100),
    ]


@BOTH
def test_a_session_over_a_vlan(profile: Profile) -> None:
    _, original, _ = made(profile, wan="pppoe_over_vlan")
    pushed = [type(a) for a in original.actions if isinstance(a, VlanPush | PppoePush)]
    outside_first = [VlanPush, PppoePush]
    assert pushed == (outside_first if profile is LINUX_6_12 else outside_first[::-1])


@BOTH
def test_behind_a_bridge_the_port_and_the_mac_address_of_the_bridge(profile: Profile) -> None:
    world, _, reply = made(profile, "bridge")
    assert list(reply.actions) == [*macs(LAN_MAC, CLIENT_MAC), Redirect(world.lan_stack.port)]


def test_the_cookie_is_the_flow_s_and_the_direction_s() -> None:
    _, original, reply = made()
    assert original.cookie.flow == reply.cookie.flow
    assert (original.cookie.direction, reply.cookie.direction) == (ORIGINAL, REPLY)


# What no rule can be made of, spec 5.3 and 5.5.


@pytest.mark.parametrize("name", ["ipip", "ip6ip6", "ipip_over_vlan"])
def test_tunnels(name: str) -> None:
    world = World(DEFAULT, wan=STACKS[name], chip=ChipModel())
    entry = world.offload(world.connect(wire.UDP, ipv6=name == "ip6ip6"))
    assert build(entry, ORIGINAL, DEFAULT) is build(entry, REPLY, DEFAULT) is OffloadFailure.TUNNEL


@pytest.mark.parametrize("name", ["three_tags", "pppoe_over_qinq"])
def test_more_than_two_headers(name: str) -> None:
    assert failed(DEFAULT, wan=name) is OffloadFailure.ENCAPSULATION


def test_a_neighbour_that_is_not_known() -> None:
    world = World(DEFAULT, chip=ChipModel())
    entry = world.offload(world.connect(wire.UDP))
    world.topology.neighbours.set(world.wan, packed(GATEWAY), None, NeighbourState.FAILED)
    assert build(entry, ORIGINAL, DEFAULT) is OffloadFailure.NO_NEIGHBOUR
    assert isinstance(build(entry, REPLY, DEFAULT), Rule)


def test_what_no_flow_is_yet() -> None:
    """Another protocol, a device without MAC addresses: refused by name all the same."""
    world = World(DEFAULT, chip=ChipModel())
    entry = world.offload(world.connect(wire.UDP))
    original, reply = entry.directions
    original.key = original.key._replace(l4proto=wire.SCTP)
    assert build(entry, ORIGINAL, DEFAULT) is OffloadFailure.PROTOCOL
    reply.exit = replace(reply.exit, port=world.topology.lo)
    assert build(entry, REPLY, DEFAULT) is OffloadFailure.NO_DEVICE


def test_more_actions_than_a_rule_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(LINUX_6_12, chip=ChipModel())
    entry = world.offload(world.connect(wire.UDP))
    monkeypatch.setattr("flowtable.offload.build.MAX_ACTIONS", 4)
    assert build(entry, ORIGINAL, LINUX_6_12) is OffloadFailure.ACTIONS
    monkeypatch.setattr("flowtable.offload.build.MAX_ACTIONS", 5)
    assert isinstance(build(entry, ORIGINAL, LINUX_6_12), Rule)


def test_every_failure_has_its_words() -> None:
    for failure in OffloadFailure:
        assert failure.text and failure.effect and ":" in failure.ref


# What a rule needs of a chip.


@pytest.mark.parametrize(
    ("lan", "wan", "connection", "expected"),
    [
        ("nic", "nic", {}, set()),
        ("nic", "nic", {"snat": PUBLIC}, {Feature.NAT}),
        ("nic", "nic", {"ipv6": True}, {Feature.IPV6}),
        ("nic", "nic", {"ipv6": True, "snat": PUBLIC6}, {Feature.IPV6, Feature.IPV6_NAT}),
        ("vlan", "nic", {}, {Feature.VLAN}),
        ("qinq", "nic", {}, {Feature.VLAN, Feature.QINQ, Feature.DOT1AD}),
        ("nic", "pppoe", {}, {Feature.PPPOE}),
        ("nic", "nic", {"l4proto": wire.GRE}, {Feature.GRE}),
    ],
)
def test_needs(lan: str, wan: str, connection: dict[str, Any], expected: set[Feature]) -> None:
    _, original, reply = made(DEFAULT, lan, wan, **connection)
    assert needs(original) == needs(reply) == expected


def test_the_page_has_every_failure() -> None:
    page = (Path(__file__).parents[2] / "docs" / "hardware.md").read_text()
    for failure in OffloadFailure:
        assert f"| `{failure.name}` | {failure.text}: {failure.effect} |" in page
