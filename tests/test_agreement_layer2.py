"""With devices on top of each other, and while they change, both paths still put out the same bytes.

As in ``test_agreement``, with any stack of devices on either side: VLANs, sessions, bridges,
switch ports, bonds, tunnels. What the skipped devices count has to be the same as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether
from scapy.packet import Packet as Scapy

from flowtable.clock import SECOND
from flowtable.datapath.native import NativeDatapath
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.flows.teardown import Teardown
from flowtable.offload.bindings import OffloadPolicy
from flowtable.packet.packet import IPV4
from flowtable.profile import DEFAULT, PROFILES, Profile
from flowtable.router import Box
from flowtable.ruleset import parse
from flowtable.ruleset.family import Family
from flowtable.topology.bond import Bond
from flowtable.topology.bridge import Bridge, PortState
from flowtable.topology.device import Address, Device, DeviceKind
from flowtable.topology.fdb import FdbState
from flowtable.topology.hardware import Chip, ChipModel, Eviction
from flowtable.topology.macvlan import Macvlan
from flowtable.topology.neighbour import NeighbourState
from flowtable.topology.pppoe import Pppoe
from flowtable.topology.route import Route
from flowtable.topology.sysctl import Sysctls
from flowtable.topology.topology import Topology
from tests.flows.stacks import FAMILIES, STACKS, Builder, Stack
from tests.flows.support import CLIENT_MAC, GATEWAY_MAC, LAN_MAC, WAN_MAC, packed
from tests.lab import CLIENT, CLIENT6, SERVER, SERVER6, START
from tests.test_agreement import Conversation

WIRES = (DeviceKind.ETHERNET, DeviceKind.DSA)
TUNNELS = ("ipip", "ipip_over_vlan", "ip6ip6")
FLOWTABLE = "flowtable f { hook ingress priority filter; devices = { %s }; counter; }"
RULES = """
table inet gw {
    FLOWTABLE
    chain forward {
        type filter hook forward priority filter; policy drop;
        OFFLOAD
        ct state established,related accept
        iifname "lan" accept
    }
}
table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        oifname "wan" masquerade
    }
}
"""


@dataclass(frozen=True)
class Sent:
    device: str
    frame: bytes


@dataclass
class Rig:
    """A client behind one stack, a server behind another, and the box between them."""

    lan: str
    wan: str
    offloads: bool
    profile: Profile = DEFAULT
    datapath: Any = ReferenceDatapath
    chip: ChipModel | None = None
    now: int = START
    sent: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.topology = topology = Topology(forwarding())
        self.stacks = (
            STACKS[self.lan](Builder(topology, "lan", LAN_MAC, CLIENT_MAC)),
            STACKS[self.wan](Builder(topology, "wan", WAN_MAC, GATEWAY_MAC)),
        )
        lan, wan = self.stacks
        for device, addresses in (
            (lan.routed, ("10.0.1.1/24", "2001:db8:1::1/64")),
            (wan.routed, ("10.0.2.1/24", "2001:db8:2::1/64")),
        ):
            for address in addresses:
                topology.add_address(device, Address.parse(address))
        for stack, hosts, mac in (
            (lan, (CLIENT, CLIENT6), CLIENT_MAC),
            (wan, (SERVER, SERVER6), GATEWAY_MAC),
        ):
            for host in hosts:
                topology.neighbours.set(stack.routed, packed(host), mac, NeighbourState.PERMANENT)
        devices = {port.name for stack in self.stacks for port in ports(stack)}
        rules = RULES.replace("FLOWTABLE", FLOWTABLE % ", ".join(sorted(devices)))
        rules = rules.replace("OFFLOAD", "meta l4proto { tcp, udp } flow add @f" if self.offloads else "")
        if self.chip is not None:
            # On every wire; what stands on a bond or a macvlan stays in software.
            wires = [d for d in topology.devices.values() if d.name in devices and d.kind in WIRES]
            topology.hardware.add(Chip("chip0", tuple(wires), self.chip))
            topology.hardware.queue_latency = 0
            rules = rules.replace("counter;", "counter; flags offload;")
        self.box = Box(
            topology,
            parse(rules, "ruleset.nft"),
            profile=self.profile,
            datapath=self.datapath,
            offload=OffloadPolicy.PREFER,
            transmit=lambda device, frame, time: self.sent.append(Sent(device.name, told(frame))),
        )
        self.box.advance(self.now)

    def receive(self, packet: Scapy) -> list[Sent]:
        """A packet arrives from its side; what leaves."""
        stack = self.stacks[packet.src in (SERVER, SERVER6)]
        self.sent.clear()
        self.box.receive(wire(stack.port), stack.frame(packet, inward=True), self.now)
        return list(self.sent)

    def wait(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        self.box.advance(self.now)

    @property
    def counted(self) -> dict[str, tuple[int, int, int, int]]:
        """What every device that stands on others has counted."""
        self.box.flowtables.synchronise_all()
        return {
            device.name: (s.rx_packets, s.rx_bytes, s.tx_packets, s.tx_bytes)
            for device in self.topology.devices.values()
            if (s := device.statistics)
        }


def forwarding() -> Sysctls:
    sysctls = Sysctls()
    sysctls.set("net.ipv4.ip_forward", 1)
    sysctls.set("net.ipv6.conf.all.forwarding", 1)
    # What the bypass forwards needs no acknowledgement that conntrack sees, see test_agreement.
    sysctls.set("net.netfilter.nf_conntrack_tcp_timeout_unacknowledged", 432000)
    # Nor does conntrack judge by windows what was once offloaded.
    sysctls.set("net.netfilter.nf_conntrack_tcp_be_liberal", 1)
    return sysctls


def ports(stack: Stack) -> list[Device]:
    """Where frames of a stack may arrive: all ports of its bridge."""
    bridge = stack.port.master
    return [p.device for p in bridge.ports.values()] if isinstance(bridge, Bridge) else [stack.port]


def wire(port: Device) -> Device:
    """The device at the bottom on which frames of a port arrive."""
    match port:
        case Bond(active=Device() as slave):
            return slave
        case Macvlan(lower=Device() as lower):
            return lower
        case _:
            return port


def told(frame: bytes) -> bytes:
    """The frame without the identification of a tunnel's IPv4 header.

    It is drawn on the classic path and 0 on the other, and of no meaning in what may not be
    fragmented (RFC 6864).
    """
    layers = Ether(frame)
    if IP not in layers or layers[IP].proto != 4:
        return bytes(frame)
    assert layers[IP].flags == "DF"
    layers[IP].id = 0
    del layers[IP].chksum
    return bytes(layers)


def pair(lan: str, wan: str) -> tuple[Rig, Rig]:
    return Rig(lan, wan, True), Rig(lan, wan, False)


def with_chip(lan: str, wan: str, chip: ChipModel, datapath: Any = ReferenceDatapath) -> tuple[Rig, Rig]:
    """A box whose chip forwards, and one whose chip has nothing to do."""
    return Rig(lan, wan, True, chip=chip, datapath=datapath), Rig(lan, wan, False, chip=chip)


def conversations(*names: str) -> list[Conversation]:
    """TCP and UDP, of the IP versions that go through stacks."""
    every = [
        Conversation(4, True, 40000),
        Conversation(4, False, 5000),
        Conversation(6, True, 40001),
        Conversation(6, False, 5001),
    ]
    return [talk for talk in every if all(talk.family in FAMILIES.get(name, (4, 6)) for name in names)]


def usable(lan: str, wan: str) -> bool:
    """Both would be tunnels with the same ends."""
    return not (lan in TUNNELS and wan in TUNNELS)


@pytest.mark.parametrize(
    ("lan", "wan"), [("nic", name) for name in STACKS] + [(name, "nic") for name in STACKS if name != "nic"]
)
def test_every_stack(lan: str, wan: str) -> None:
    fast, slow = pair(lan, wan)
    talks = conversations(lan, wan)
    turns = 16
    for turn in range(turns):
        for talk in talks:
            for packet in talk.packet(turn % 3 == 1, "data", turn, None):
                assert fast.receive(packet) == slow.receive(packet)
    assert fast.counted == slow.counted
    assert not slow.box.statistics.bypass
    assert fast.box.statistics.bypass > (turns - 5) * len(talks)


actions = st.tuples(
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from(("data", "data", "data", "close", "large", "expiring", "last hop", "fragments")),
    st.integers(0, 200),
    st.sampled_from((0.0, 0.01, 0.01, 1.2, 31.0)),
)
NAMES = st.sampled_from(sorted(STACKS))


@settings(max_examples=40, deadline=None)
@given(NAMES, NAMES, st.lists(actions, min_size=10, max_size=40))
def test_any_two_stacks(lan: str, wan: str, script: list[Any]) -> None:
    if not usable(lan, wan):
        return
    fast, slow = pair(lan, wan)
    talks = conversations(lan, wan)
    for index, reply, kind, size, pause in script:
        for rig in (fast, slow):
            rig.wait(pause)
        for packet in talks[index % len(talks)].packet(reply, kind, size, None):
            assert fast.receive(packet) == slow.receive(packet)
    assert fast.counted == slow.counted


# Changes on the way. Frames come from where the stations are then.


def settle(rig: Rig, stack: Stack) -> None:
    """Who lives there is known again, after the device forgot its neighbours."""
    hosts = (CLIENT, CLIENT6) if stack is rig.stacks[0] else (SERVER, SERVER6)
    if stack.routed.up:
        for host in hosts:
            rig.topology.neighbours.set(stack.routed, packed(host), stack.station, NeighbourState.PERMANENT)


def move(rig: Rig, stack: Stack, value: int) -> None:
    """The station moves to another port of its bridge, without a word."""
    others = ports(stack)
    stack.port = others[(others.index(stack.port) + 1) % len(others)]


def announce(rig: Rig, stack: Stack, value: int) -> None:
    """The station tells everybody where it is: a frame that the box itself has no use for."""
    hello = replace(stack, mac=b"\xff" * 6).frame(IP(src="0.0.0.0", dst="255.255.255.255"), inward=True)
    rig.box.receive(wire(stack.port), hello, rig.now)


def replaced(rig: Rig, stack: Stack, value: int) -> None:
    """Another station has the addresses now."""
    if stack.routed.ethernet:
        stack.station = bytes.fromhex("0200000005") + bytes((value % 3,))
        settle(rig, stack)


def other_mac(rig: Rig, stack: Stack, value: int) -> None:
    # A bridge floods frames to a VLAN device on it that has an address of its own, as Linux does.
    over_bridge = isinstance(stack.routed.lower, Bridge)
    if stack.routed.ethernet and stack.port.kind is not DeviceKind.BOND and not over_bridge:
        stack.mac = bytes.fromhex("0200000006") + bytes((value % 3 + 8 * rig.stacks.index(stack),))
        rig.topology.set_link(stack.routed, mac=stack.mac)
        settle(rig, stack)


def other_mtu(rig: Rig, stack: Stack, value: int) -> None:
    """Of the routed device, or of the port of a bridge only."""
    bridged = isinstance(stack.port.master, Bridge)
    device = stack.port if value & 1 and bridged else stack.routed
    rig.topology.set_link(device, mtu=min(device.mtu, 1300 + value % 3 * 80))


def down_and_up(rig: Rig, stack: Stack, value: int) -> None:
    """Any device of the stack, for some time."""
    prefix = stack.routed.name
    own = [device for device in rig.topology.devices.values() if device.name.startswith(prefix)]
    device = own[value % len(own)]
    if device.admin_up:
        rig.topology.set_link(device, up=False)
    for device in own:
        if value & 1 and not device.up:
            rig.topology.set_link(device, up=True)
    settle(rig, stack)


def forget(rig: Rig, stack: Stack, value: int) -> None:
    for bridge in bridges(rig, stack):
        bridge.fdb.flush(lambda entry: entry.state is FdbState.DYNAMIC)


def block(rig: Rig, stack: Stack, value: int) -> None:
    for bridge in bridges(rig, stack):
        for port in bridge.ports.values():
            blocked = value & 1 and port.device is stack.port
            rig.topology.set_port(port, state=PortState.BLOCKING if blocked else PortState.FORWARDING)


def bridges(rig: Rig, stack: Stack) -> list[Bridge]:
    prefix = stack.routed.name
    return [d for d in rig.topology.devices.values() if isinstance(d, Bridge) and d.name.startswith(prefix)]


EVENTS = (move, announce, replaced, other_mac, other_mtu, down_and_up, forget, block)
steps = st.one_of(
    actions,
    actions,
    actions,
    st.tuples(st.sampled_from(EVENTS), st.integers(0, 1), st.integers(0, 7)),
)
CHANGING = st.sampled_from(sorted(name for name in STACKS if name not in TUNNELS))


@settings(max_examples=40, deadline=None)
@given(CHANGING, CHANGING, st.lists(steps, min_size=10, max_size=40))
def test_whatever_changes_below(lan: str, wan: str, script: list[Any]) -> None:
    fast, slow = pair(lan, wan)
    talks = conversations()
    for talk in talks:
        for turn in range(5):
            for packet in talk.packet(turn % 2 == 1, "data", turn, None):
                assert fast.receive(packet) == slow.receive(packet)
    for step in script:
        if len(step) == 3:
            event, side, value = step
            for rig in (fast, slow):
                event(rig, rig.stacks[side], value)
            continue
        index, reply, kind, size, pause = step
        for rig in (fast, slow):
            rig.wait(pause)
        for packet in talks[index].packet(reply, kind, size, None):
            assert fast.receive(packet) == slow.receive(packet)


def test_the_changes_happen_to_flows() -> None:
    """Not one of the changes is one to a box without flows, and most flows outlive the harmless ones."""
    for event in EVENTS:
        fast, slow = pair("bridge", "vlan_on_bridge_tagged")
        talks = conversations()
        for turn in range(24):
            if turn == 16:
                assert len(list(fast.box.flowtables.entries())) == len(talks)
                for rig in (fast, slow):
                    event(rig, rig.stacks[0], 1)
            for talk in talks:
                for packet in talk.packet(turn % 3 == 1, "data", turn, None):
                    assert fast.receive(packet) == slow.receive(packet)
        assert fast.box.statistics.bypass > 40


# The same with a chip on the wires, which takes what it can of every flow.

CHIPS = st.sampled_from(
    [
        ChipModel(),
        ChipModel(entries=3, eviction=Eviction.LRU),
        ChipModel(entries=8, ways=2, bind_threshold=2, counter_interval=SECOND // 10),
        ChipModel(ageing=SECOND, insert_latency=SECOND // 1000, insert_rate=1000),
    ]
)
IN_SOFTWARE = ("bond", "vlan_on_bond", "macvlan", "three_tags", "pppoe_over_qinq")
ON_CHIPS = st.sampled_from(sorted(name for name in STACKS if name not in (*TUNNELS, *IN_SOFTWARE)))
CONDUITS = ("dsa", "dsa_vlan", "dsa_in_bridge")
"""Where the conduit and the ports of a switch count what goes through them, and not what does not."""


@pytest.mark.parametrize(
    ("lan", "wan"), [("nic", name) for name in STACKS] + [(name, "nic") for name in STACKS if name != "nic"]
)
def test_every_stack_in_hardware(lan: str, wan: str) -> None:
    fast, slow = with_chip(lan, wan, ChipModel())
    talks = conversations(lan, wan)
    for turn in range(16):
        for talk in talks:
            for packet in talk.packet(turn % 3 == 1, "data", turn, None):
                assert fast.receive(packet) == slow.receive(packet)
        for rig in (fast, slow):
            rig.wait(0.01)
    counted = fast.counted
    forwarded = fast.box.statistics.hardware
    in_software = {lan, wan}.intersection(IN_SOFTWARE + TUNNELS)
    assert (forwarded == 0) if in_software else (forwarded > 10 * len(talks))
    if lan not in CONDUITS and wan not in CONDUITS:
        assert counted == slow.counted


@settings(max_examples=60, deadline=None)
@given(
    ON_CHIPS,
    ON_CHIPS,
    CHIPS,
    st.sampled_from([ReferenceDatapath, NativeDatapath]),
    st.lists(steps, min_size=10, max_size=40),
)
def test_whatever_changes_below_hardware(
    lan: str, wan: str, chip: ChipModel, datapath: Any, script: list[Any]
) -> None:
    fast, slow = with_chip(lan, wan, chip, datapath)
    talks = conversations()
    for talk in talks:
        for turn in range(6):
            for packet in talk.packet(turn % 2 == 1, "data", turn, None):
                assert fast.receive(packet) == slow.receive(packet)
            for rig in (fast, slow):
                rig.wait(0.01)
    for step in script:
        if len(step) == 3:
            event, side, value = step
            for rig in (fast, slow):
                event(rig, rig.stacks[side], value)
                rig.wait(0.01)
            continue
        index, reply, kind, size, pause = step
        for rig in (fast, slow):
            rig.wait(pause + 0.01)
        for packet in talks[index].packet(reply, kind, size, None):
            assert fast.receive(packet) == slow.receive(packet)


def test_the_changes_happen_to_flows_in_hardware() -> None:
    for event in EVENTS:
        fast, slow = with_chip("bridge", "vlan_on_bridge_tagged", ChipModel())
        talks = conversations()
        for turn in range(24):
            if turn == 16:
                assert fast.box.statistics.hardware > 20
                for rig in (fast, slow):
                    event(rig, rig.stacks[0], 1)
            for talk in talks:
                for packet in talk.packet(turn % 3 == 1, "data", turn, None):
                    assert fast.receive(packet) == slow.receive(packet)
            for rig in (fast, slow):
                rig.wait(0.01)
        assert fast.box.statistics.hardware > 40, event


# Roaming, in the words of the users who ran into it.


def talking(lan: str, wan: str = "nic", profile: Profile = DEFAULT) -> tuple[Rig, Conversation]:
    """A client and a server whose UDP packets take the fast path both ways."""
    rig = Rig(lan, wan, True, profile)
    talk = Conversation(4, False, 5000)
    for turn in range(6):
        for packet in talk.packet(turn % 2 == 1, "data", turn, None):
            rig.receive(packet)
    assert rig.box.statistics.bypass == 4
    return rig, talk


def answer(rig: Rig, talk: Conversation) -> tuple[str, str]:
    """A packet to the client: on which device it leaves, and to which MAC address."""
    (packet,) = talk.packet(True, "data", 9, None)
    (sent,) = rig.receive(packet)
    return sent.device, sent.frame[:6].hex(":")


HERE = CLIENT_MAC.hex(":")


@pytest.mark.parametrize("lan", ["bridge", "bridge_pvid_tagged", "vlan_on_bridge_untagged"])
def test_a_client_roams_and_says_so(lan: str) -> None:
    rig, talk = talking(lan)
    stack = rig.stacks[0]
    assert answer(rig, talk) == ("lan-0", HERE)
    move(rig, stack, 0)
    announce(rig, stack, 0)
    before = rig.box.statistics.bypass
    assert answer(rig, talk) == ("lan-1", HERE)
    assert rig.box.statistics.bypass == before + 1, "and it never left the fast path"


def test_a_client_roams_in_silence() -> None:
    rig, talk = talking("bridge")
    move(rig, rig.stacks[0], 0)
    assert answer(rig, talk) == ("lan-0", HERE), "nobody knows yet"
    (packet,) = talk.packet(False, "data", 9, None)
    assert len(rig.receive(packet)) == 1
    assert answer(rig, talk) == ("lan-1", HERE)


def test_linux_leaves_a_client_that_roamed_alone_for_as_long_as_it_is_sent_to() -> None:
    rig, talk = talking("bridge", profile=PROFILES["linux-6.12"])
    move(rig, rig.stacks[0], 0)
    announce(rig, rig.stacks[0], 0)
    for _ in range(60):
        rig.wait(2)
        assert answer(rig, talk) == ("lan-0", HERE)
    rig.wait(40)
    assert answer(rig, talk) == ("lan-1", HERE)


def test_a_client_roams_to_where_the_flowtable_is_not() -> None:
    rig, talk = talking("bridge")
    flowtable = rig.box.flowtables.get(Family.INET, "gw", "f")
    flowtable.declare(replace(flowtable.declaration, devices=("lan-0", "wan")))
    move(rig, rig.stacks[0], 0)
    announce(rig, rig.stacks[0], 0)
    before = rig.box.statistics.bypass
    assert answer(rig, talk) == ("lan-1", HERE)
    assert rig.box.statistics.bypass == before
    assert rig.box.statistics.teardowns[Teardown.MOVED] == 1


def test_a_port_goes_down_and_the_client_comes_back_on_another() -> None:
    rig, talk = talking("bridge")
    rig.topology.set_link(rig.topology.devices["lan-0"], up=False)
    assert rig.box.statistics.teardowns[Teardown.DEVICE] == 1
    move(rig, rig.stacks[0], 0)
    (packet,) = talk.packet(False, "data", 9, None)
    rig.receive(packet)
    assert answer(rig, talk) == ("lan-1", HERE)


def test_a_device_gets_another_mac_address_under_flows_in_c() -> None:
    """Flows change over to the new address one by one; what the last one leaves is the new address."""
    rig = Rig("bridge", "nic", True, datapath=NativeDatapath)
    talks = conversations()
    for turn in range(24):
        if turn == 12:
            other_mac(rig, rig.stacks[0], 1)
            before = rig.box.statistics.bypass
        for talk in talks:
            for packet in talk.packet(turn % 3 == 1, "data", turn, None):
                assert len(rig.receive(packet)) == 1
    assert rig.box.statistics.bypass - before >= 11 * len(talks)
    rig.wait(62)
    assert not list(rig.box.flowtables.entries())


def test_a_gateway_is_replaced() -> None:
    rig, talk = talking("nic", "vlan")
    replaced(rig, rig.stacks[1], 1)
    (packet,) = talk.packet(False, "data", 9, None)
    (sent,) = rig.receive(packet)
    assert sent.frame[:6] == rig.stacks[1].station
    assert not rig.box.statistics.teardowns


def test_a_route_moves_to_another_device() -> None:
    rig, talk = talking("nic", "vlan")
    rig.topology.fib4.add(Route(IPV4, packed(CLIENT), 32, device=rig.stacks[1].routed))
    assert rig.box.statistics.teardowns[Teardown.ROUTE] == 1
    rig.topology.neighbours.set(rig.stacks[1].routed, packed(CLIENT), b"\x02there", NeighbourState.PERMANENT)
    assert answer(rig, talk) == ("wan-0", b"\x02there".hex(":"))


def test_a_session_is_dialled_anew() -> None:
    rig, talk = talking("nic", "pppoe_over_vlan")
    old = rig.stacks[1].routed
    assert isinstance(old, Pppoe)
    rig.topology.remove_device(old)
    assert not list(rig.box.flowtables.entries())
    session = Pppoe("wan", old.index, mtu=1492, lower=old.lower, session=0x77, peer=old.peer)
    rig.topology.add_device(session)
    rig.topology.add_address(session, Address.parse("10.0.2.1/24"))
    (packet,) = talk.packet(False, "data", 9, None)
    (sent,) = rig.receive(packet)
    assert sent.frame[20:22] == b"\x00\x77"


# The same with the flow in hardware.


def in_hardware(lan: str, wan: str = "nic") -> tuple[Rig, Conversation]:
    """A client and a server whose UDP packets a chip forwards both ways."""
    rig = Rig(lan, wan, True, chip=ChipModel())
    talk = Conversation(4, False, 5000)
    for turn in range(6):
        for packet in talk.packet(turn % 2 == 1, "data", turn, None):
            rig.receive(packet)
        rig.wait(0.01)
    assert rig.box.statistics.hardware == 4
    return rig, talk


def forwarded_by_the_chip(rig: Rig, talk: Conversation) -> tuple[str, str]:
    """A packet to the client, which the chip has to forward."""
    before = rig.box.statistics.hardware
    said = answer(rig, talk)
    assert rig.box.statistics.hardware == before + 1
    return said


@pytest.mark.parametrize("lan", ["bridge", "bridge_pvid_tagged", "vlan_on_bridge_untagged"])
def test_a_client_roams_and_its_rules_follow(lan: str) -> None:
    rig, talk = in_hardware(lan)
    assert forwarded_by_the_chip(rig, talk) == ("lan-0", HERE)
    move(rig, rig.stacks[0], 0)
    announce(rig, rig.stacks[0], 0)
    rig.wait(0.01)
    assert forwarded_by_the_chip(rig, talk) == ("lan-1", HERE)
    (packet,) = talk.packet(False, "data", 9, None)
    before = rig.box.statistics.hardware
    assert len(rig.receive(packet)) == 1
    assert rig.box.statistics.hardware == before + 1, "from the new port as well"


def test_a_client_roams_in_silence_from_hardware() -> None:
    """Nobody knows until it says something; its first packet is none of a rule, and tells all."""
    rig, talk = in_hardware("bridge")
    move(rig, rig.stacks[0], 0)
    assert forwarded_by_the_chip(rig, talk) == ("lan-0", HERE)
    (packet,) = talk.packet(False, "data", 9, None)
    assert len(rig.receive(packet)) == 1
    rig.wait(0.01)
    assert forwarded_by_the_chip(rig, talk) == ("lan-1", HERE)


def test_a_client_roams_to_where_neither_flowtable_nor_chip_is() -> None:
    rig, talk = in_hardware("bridge")
    flowtable = rig.box.flowtables.get(Family.INET, "gw", "f")
    flowtable.declare(replace(flowtable.declaration, devices=("lan-0", "wan")))
    move(rig, rig.stacks[0], 0)
    announce(rig, rig.stacks[0], 0)
    rig.wait(0.01)
    before = rig.box.statistics.hardware
    assert answer(rig, talk) == ("lan-1", HERE)
    assert rig.box.statistics.hardware == before


def test_a_gateway_is_replaced_in_hardware() -> None:
    rig, talk = in_hardware("nic", "vlan")
    replaced(rig, rig.stacks[1], 1)
    rig.wait(0.01)
    (packet,) = talk.packet(False, "data", 9, None)
    before = rig.box.statistics.hardware
    (sent,) = rig.receive(packet)
    assert sent.frame[:6] == rig.stacks[1].station
    assert rig.box.statistics.hardware == before + 1


def test_a_route_moves_and_the_rules_go() -> None:
    rig, talk = in_hardware("nic", "vlan")
    rig.topology.fib4.add(Route(IPV4, packed(CLIENT), 32, device=rig.stacks[1].routed))
    rig.topology.neighbours.set(rig.stacks[1].routed, packed(CLIENT), b"\x02there", NeighbourState.PERMANENT)
    rig.wait(0.01)
    assert rig.box.chips is not None and not len(rig.box.chips.switches[0])
    assert answer(rig, talk) == ("wan-0", b"\x02there".hex(":"))


def test_a_session_is_dialled_anew_in_hardware() -> None:
    rig, talk = in_hardware("nic", "pppoe_over_vlan")
    old = rig.stacks[1].routed
    assert isinstance(old, Pppoe)
    rig.topology.remove_device(old)
    rig.wait(0.01)
    assert rig.box.chips is not None and not len(rig.box.chips.switches[0])
    session = Pppoe("wan", old.index, mtu=1492, lower=old.lower, session=0x77, peer=old.peer)
    rig.topology.add_device(session)
    rig.topology.add_address(session, Address.parse("10.0.2.1/24"))
    for number in range(4):
        (packet,) = talk.packet(False, "data", number, None)
        (sent,) = rig.receive(packet)
        assert sent.frame[20:22] == b"\x00\x77"
        rig.wait(0.01)
    assert len(rig.box.chips.switches[0]), "and it is in hardware again"
