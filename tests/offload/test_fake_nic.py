"""A chip that executes the rules it is given, and nothing else, sends what the software path sends.

Generated frames, good ones and spoilt ones: whatever the chip forwards is byte for byte what the
reference forwards through the same device; and it forwards all that is in order.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q

from flowtable.clock import SECOND
from flowtable.conntrack.tuple import ORIGINAL, REPLY
from flowtable.flows.datapath import Outcome
from flowtable.packet import packet as wire
from flowtable.packet.checksum import delta
from flowtable.profile import LINUX_6_12
from flowtable.topology.hardware import ChipModel, Feature
from tests.datapath import twins
from tests.flows.stacks import STACKS
from tests.flows.support import PUBLIC, PUBLIC6, START, World
from tests.flows.test_stacks import DEEP, TUNNELS, ip

NOW = START + SECOND
LEVEL = [name for name in STACKS if name not in TUNNELS]
SHALLOW = [name for name in LEVEL if name not in ("three_tags", "pppoe_over_qinq")]
"""Stacks of two headers at most, which a rule can have."""
NAMES = st.sampled_from(LEVEL)
PROTOCOLS = st.sampled_from([wire.TCP, wire.UDP, wire.GRE])


def world_of(lan: str, wan: str, l4proto: int, *, ipv6: bool, nat: int) -> World:
    """One flow in the hardware of a world."""
    world = World(lan=STACKS[lan], wan=STACKS[wan], chip=ChipModel())
    public, target = (PUBLIC6, "2001:db8:2::77") if ipv6 else (PUBLIC, "192.0.2.77")
    snat = (public, 50000) if nat & 1 and l4proto != wire.GRE else None
    dnat = (target, 8443) if nat & 2 and l4proto != wire.GRE else None
    world.offload(world.connect(l4proto, ipv6=ipv6, snat=snat, dnat=dnat))
    world.flowtables.advance(NOW - 1)
    return world


@settings(max_examples=150, deadline=None)
@given(
    NAMES,
    NAMES,
    PROTOCOLS,
    st.booleans(),
    st.integers(0, 3),
    st.integers(0, 2**32),
)
def test_what_the_chip_forwards_software_forwards_just_so(
    lan: str, wan: str, l4proto: int, ipv6: bool, nat: int, seed: int
) -> None:
    world = world_of(lan, wan, l4proto, ipv6=ipv6, nat=nat)
    entry = next(iter(world.flowtable))
    random = Random(seed)
    assert world.switch is not None
    for _ in range(30):
        d = random.choice((ORIGINAL, REPLY))
        key = entry.directions[d].key
        stack = (world.lan_stack, world.wan_stack)[d]
        good = twins.frame(key, stack.mac, stack.station, random)
        frame = bytes(good) if random.randrange(2) else twins.spoil(good, key, random)
        sent = world.switch.forward(stack.port, frame, NOW)
        if sent is not None:
            assert world.flowtable.datapath.process(frame, stack.port.index, NOW) == sent


@pytest.mark.parametrize("name", LEVEL)
@pytest.mark.parametrize("side", ["lan", "wan"])
@pytest.mark.parametrize("nat", [0, 1, 2, 3])
def test_it_forwards_all_that_is_in_order(name: str, side: str, nat: int) -> None:
    """But a stack of three headers, of which no rule can be made."""
    lan, wan = (name, "nic") if side == "lan" else ("nic", name)
    for l4proto, ipv6 in ((wire.TCP, False), (wire.UDP, False), (wire.TCP, True), (wire.UDP, True)):
        world = world_of(lan, wan, l4proto, ipv6=ipv6, nat=nat)
        entry = next(iter(world.flowtable))
        assert world.switch is not None
        for reply, come, go in (
            (False, world.lan_stack, world.wan_stack),
            (True, world.wan_stack, world.lan_stack),
        ):
            frame = come.frame(ip(entry.connection, reply=reply, leaving=False), inward=True)
            leaving = go.frame(ip(entry.connection, reply=reply, leaving=True), inward=False)
            sent = world.switch.forward(come.port, frame, NOW)
            assert sent == ((go.port, leaving) if name in SHALLOW else None)


@pytest.mark.parametrize("name", [name for name in LEVEL if name not in DEEP])
def test_linux_s_rules_do_the_same_where_they_can(name: str) -> None:
    """QinQ they cannot: 802.1ad is no key and no action, and an action without a meaning stays."""
    for side in ("lan", "wan"):
        lan, wan = (name, "nic") if side == "lan" else ("nic", name)
        world = World(LINUX_6_12, lan=STACKS[lan], wan=STACKS[wan], chip=ChipModel())
        entry = world.offload(world.connect(wire.UDP, snat=PUBLIC))
        world.flowtables.advance(NOW - 1)
        assert world.switch is not None
        for reply, come, go in (
            (False, world.lan_stack, world.wan_stack),
            (True, world.wan_stack, world.lan_stack),
        ):
            frame = come.frame(ip(entry.connection, reply=reply, leaving=False), inward=True)
            leaving = go.frame(ip(entry.connection, reply=reply, leaving=True), inward=False)
            sent = world.switch.forward(come.port, frame, NOW)
            assert sent == (None if name in ("qinq", "service_tag_of_a_bridge") else (go.port, leaving))


def forwarded(world: World, frame: bytes, *, reply: bool = False) -> tuple[Outcome, Outcome | None]:
    stack = world.wan_stack if reply else world.lan_stack
    assert world.switch is not None
    sent = world.switch.forward(stack.port, frame, NOW)
    return world.flowtable.datapath.process(frame, stack.port.index, NOW), sent


def test_a_priority_that_would_be_lost_is_left_to_software() -> None:
    world = world_of("vlan", "vlan", wire.UDP, ipv6=False, nat=0)
    (entry,) = world.flowtable
    packet = ip(entry.connection, reply=False, leaving=False)
    frame = bytearray(world.lan_stack.frame(packet, inward=True))
    frame[14] |= 0xA0
    software, sent = forwarded(world, bytes(frame))
    assert sent is None
    assert isinstance(software, tuple) and software[1][14] & 0xE0 == 0xA0


def test_frames_to_others_are_not_the_chip_s_to_route() -> None:
    """Two hosts on a bridge may use the addresses of a routed flow."""
    world = world_of("bridge", "nic", wire.UDP, ipv6=False, nat=0)
    (entry,) = world.flowtable
    frame = world.lan_stack.frame(ip(entry.connection, reply=False, leaving=False), inward=True)
    assert forwarded(world, frame)[1] is not None
    assert forwarded(world, bytes.fromhex("0200000000ee") + frame[6:])[1] is None


def test_what_the_way_out_does_not_carry_goes_to_the_box() -> None:
    world = world_of("nic", "pppoe", wire.UDP, ipv6=False, nat=0)
    (entry,) = world.flowtable
    for size, fits in ((1492 - 28, True), (1492 - 27, False)):
        packet = ip(entry.connection, reply=False, leaving=False, size=0) / (b"x" * size)
        frame = world.lan_stack.frame(packet, inward=True)
        assert (forwarded(world, frame)[1] is not None) is fits


def test_three_tags_are_no_frame_of_a_flow_with_two() -> None:
    world = world_of("qinq", "nic", wire.UDP, ipv6=False, nat=0)
    (entry,) = world.flowtable
    frame = world.lan_stack.frame(ip(entry.connection, reply=False, leaving=False), inward=True)
    assert forwarded(world, frame)[1] is not None
    assert forwarded(world, frame[:12] + bytes(Dot1Q(vlan=1, type=0x88A8))[:4] + frame[12:])[1] is None


@pytest.mark.parametrize(
    ("feature", "wan", "connection"),
    [
        (Feature.NAT, "nic", {"snat": PUBLIC}),
        (Feature.IPV6, "nic", {"ipv6": True}),
        (Feature.IPV6_NAT, "nic", {"ipv6": True, "snat": PUBLIC6}),
        (Feature.VLAN, "vlan", {}),
        (Feature.QINQ, "qinq", {}),
        (Feature.DOT1AD, "qinq", {}),
        (Feature.PPPOE, "pppoe", {}),
    ],
)
def test_what_a_chip_lacks_it_refuses_by_name(feature: Feature, wan: str, connection: dict[str, Any]) -> None:
    world = World(wan=STACKS[wan], chip=ChipModel(lacks=frozenset({feature})))
    entry = world.offload(world.connect(wire.UDP, **connection))
    world.flowtables.advance(NOW - 1)
    assert entry.hardware is not None
    for side in entry.hardware.sides:
        assert not side.driver and side.failure is not None
        assert str(side.failure) == f"chip0: match or action that the hardware cannot do ({feature.value})"


def test_udp_without_a_checksum_stays_without() -> None:
    world = world_of("nic", "nic", wire.UDP, ipv6=False, nat=1)
    (entry,) = world.flowtable
    packet = ip(entry.connection, reply=False, leaving=False)
    packet[UDP].chksum = 0
    software, sent = forwarded(world, world.lan_stack.frame(packet, inward=True))
    assert software == sent and isinstance(sent, tuple)
    assert IP(sent[1][14:])[UDP].chksum == 0


def test_a_udp_checksum_that_comes_out_as_zero_is_sent_as_its_complement() -> None:
    world = world_of("nic", "nic", wire.UDP, ipv6=False, nat=1)
    (entry,) = world.flowtable
    direction = entry.directions[ORIGINAL]
    packet = ip(entry.connection, reply=False, leaving=False)
    packet[UDP].chksum = delta(direction.key.wire, direction.rewritten) % 0xFFFF
    software, sent = forwarded(world, world.lan_stack.frame(packet, inward=True))
    assert software == sent and isinstance(sent, tuple)
    assert IP(sent[1][14:])[UDP].chksum == 0xFFFF
