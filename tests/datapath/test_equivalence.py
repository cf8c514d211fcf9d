"""The precomputed path does what the steps do, on any frame and for any translation."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Connection
from flowtable.flows.datapath import Handover
from flowtable.packet import packet as wire
from flowtable.packet.miss import Miss
from tests.datapath.naive import Way, forward
from tests.flows.support import CLIENT_MAC, GATEWAY_MAC, LAN_MAC, START, WAN_MAC, World, frame

ports = st.integers(1, 0xFFFF)


def address(ipv6: bool) -> st.SearchStrategy[str]:
    raw = st.binary(min_size=3, max_size=3)
    if ipv6:
        return raw.map(lambda b: str(ip_address(b"\x20\x01\x0d\xb8" + bytes(9) + b)))
    return raw.map(lambda b: str(ip_address(b"\xc6" + b)))


@st.composite
def flows(draw: st.DrawFn) -> dict[str, Any]:
    ipv6 = draw(st.booleans())
    return {
        "l4proto": draw(st.sampled_from([wire.TCP, wire.UDP])),
        "ipv6": ipv6,
        "sport": draw(ports),
        "dport": draw(ports),
        "snat": draw(st.none() | st.tuples(address(ipv6), ports)),
        "dnat": draw(st.none() | st.tuples(address(ipv6), ports)),
    }


def ways(connection: Connection) -> list[Way]:
    """Both directions, as nf_flow_nat_ip has them."""
    original, reply = connection.original, connection.reply
    key = (original.l3proto, original.l4proto)
    snat, dnat = connection.status & 1 << 4, connection.status & 1 << 5
    return [
        Way(
            (2, *key, original.src + original.dst + ports_of(original), ()),
            ("source", reply.dst, reply.dport) if snat else None,
            ("destination", reply.src, reply.sport) if dnat else None,
            1500,
            "wan",
            GATEWAY_MAC + WAN_MAC,
        ),
        Way(
            (3, *key, reply.src + reply.dst + ports_of(reply), ()),
            ("destination", original.src, original.sport) if snat else None,
            ("source", original.dst, original.dport) if dnat else None,
            1500,
            "lan",
            CLIENT_MAC + LAN_MAC,
        ),
    ]


def ports_of(this: Any) -> bytes:
    return bytes(this.sport.to_bytes(2) + this.dport.to_bytes(2))


def compare(world: World, connection: Connection, raw: bytes, iif: int) -> Any:
    outcome = world.flowtable.datapath.process(raw, iif, START + SECOND)
    expected = forward(ways(connection), raw, iif)
    if isinstance(outcome, Miss):
        assert outcome.name == expected
    else:
        assert not isinstance(outcome, Handover)
        assert (outcome[0].name, outcome[1]) == expected
    return outcome


@settings(deadline=None)
@given(
    flows(),
    st.booleans(),
    st.integers(0, 1480),
    st.integers(0, 255),
    st.sampled_from(["", "A", "PA", "S", "F", "R", "FA"]),
    st.sampled_from([None, 0, 0xFFFF, 0x1234]),
    st.integers(0, 20),
)
@example(
    {"l4proto": wire.UDP, "ipv6": False, "sport": 1, "dport": 2, "snat": ("198.0.0.1", 3), "dnat": None},
    False,
    0,
    64,
    "",
    0,
    18,
)
def test_frames_of_the_flow(
    flow: dict[str, Any],
    reply: bool,
    size: int,
    ttl: int,
    flags: str,
    check: int | None,
    padding: int,
) -> None:
    world = World()
    connection = world.connect(**flow)
    world.offload(connection)

    def damage(layers: Any) -> Any:
        if check is not None:
            layers[TCP if flow["l4proto"] == wire.TCP else UDP].chksum = check
        return layers

    raw = frame(connection, reply=reply, size=size, ttl=ttl, flags=flags, edit=damage) + bytes(padding)
    iif = 3 if reply else 2
    outcome = compare(world, connection, raw, iif)
    if isinstance(outcome, tuple) and check is None:
        assert_checksums_right(outcome[1])


def assert_checksums_right(raw: bytes) -> None:
    """Let scapy compute every checksum anew and compare."""
    layers = Ether(raw)
    again = layers.copy()
    for kind in (IP, TCP, UDP):
        if kind in again:
            del again[kind].chksum
    assert bytes(again) == raw
    assert IP in layers or IPv6 in layers


@settings(deadline=None)
@given(st.data(), flows(), st.booleans())
def test_any_bytes_changed_or_cut_off(data: st.DataObject, flow: dict[str, Any], reply: bool) -> None:
    world = World()
    connection = world.connect(**flow)
    world.offload(connection)
    raw = bytearray(frame(connection, reply=reply, size=30))
    for at in data.draw(st.lists(st.integers(12, len(raw) - 1), max_size=3)):
        raw[at] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.integers(0, len(raw))) :]
    compare(world, connection, bytes(raw), 3 if reply else 2)


@settings(deadline=None)
@given(flows(), st.booleans())
def test_a_udp_checksum_that_comes_out_as_zero(flow: dict[str, Any], reply: bool) -> None:
    flow = {**flow, "l4proto": wire.UDP}
    world = World()
    connection = world.connect(**flow)
    world.offload(connection)
    at = (54 if flow["ipv6"] else 34) + 6

    def sent(check: int) -> bytes:
        def preset(layers: Any) -> Any:
            layers[UDP].chksum = check
            return layers

        outcome = compare(world, connection, frame(connection, reply=reply, edit=preset), 3 if reply else 2)
        raw: bytes = outcome[1]
        return raw[at : at + 2]

    # What checksum 1 became tells what everything is moved by, so which one ends at zero.
    moved = (int.from_bytes(sent(1)) - 1) % 0xFFFF
    translated = bool(flow["snat"] or flow["dnat"])
    assert sent((0xFFFF - moved) % 0xFFFF or 0xFFFF) == b"\xff\xff"
    assert sent(0) == b"\0\0", "no checksum stays none"
    assert translated or not moved
