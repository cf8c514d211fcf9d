"""What holds for every box file: a written one reads back equal, a broken one is a BoxError."""

from __future__ import annotations

import re
from dataclasses import fields, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from flowtable.packet.packet import IPV4, IPV6, TCP, UDP
from flowtable.topology.boxfile import BoxError, dump, load
from flowtable.topology.device import Address, AddrGenMode, Device, Scope, address_scope
from flowtable.topology.error import TopologyError
from flowtable.topology.neighbour import VALID, NeighbourState
from flowtable.topology.route import REJECTING, Route, RouteType
from flowtable.topology.sysctl import Sysctls
from flowtable.topology.topology import Service, Topology
from tests.topology.boxes import shown
from tests.topology.test_boxfile import ROUTER, WRONG


def facts(topology: Topology) -> object:
    """All that a topology says, without the objects that say it."""
    return (
        [[getattr(device, f.name) for f in fields(device)] for device in topology.devices.values()],
        shown(topology.fib4),
        shown(topology.fib6),
        [
            [(r.destination, r.metric, r.gateway, r.oif and r.oif.name) for r in fib if r.gateway]
            for fib in (topology.fib4, topology.fib6)
        ],
        [(n.device.name, n.address, n.mac, n.state, n.valid, n.router) for n in topology.neighbours],
        topology.sysctls,
        topology.services,
    )


# One address in eight is in a subnet that others are in as well.
ipv4 = st.one_of(
    st.integers(1, 0xDFFFFFFF).map(lambda i: (i | 0x01000000).to_bytes(4)),
    st.integers(1, 254).map(lambda i: bytes((10, 0, 0, i))),
)
ipv6 = st.one_of(
    st.binary(min_size=14, max_size=14).map(lambda b: b"\x20\x01" + b),
    st.integers(1, 254).map(lambda i: b"\xfe\x80" + bytes(13) + bytes((i,))),
)
macs = st.binary(min_size=5, max_size=5).map(lambda b: b"\x02" + b)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8) | st.sampled_from(
    [
        "eth0.10",
        "null",
        "true",
        "no",
        "1e3",
        "0x1",
        "123",
        "-",
        "~",
        "a#b",
        "é",
        '"',
        "\\",
        "'",
        "{",
        "@",
        "!a",
    ]
)


@st.composite
def addresses(draw) -> Address:
    if draw(st.booleans()):
        packed, bits = draw(ipv4), 32
        family, peer = IPV4, draw(st.none() | ipv4)
        scope = draw(st.sampled_from([Scope.UNIVERSE, Scope.SITE, Scope.LINK, Scope.HOST]))
        broadcast = draw(st.none() | ipv4)
    else:
        packed, bits = draw(ipv6), 128
        family, peer, broadcast = IPV6, draw(st.none() | ipv6), None
        scope = address_scope(family, packed)
    return Address(
        family,
        packed,
        draw(st.integers(0, bits)),
        broadcast=broadcast,
        scope=scope,
        peer=peer,
        metric=draw(st.integers(0, 2**32 - 1)),
        noprefixroute=draw(st.booleans()),
        deprecated=draw(st.booleans()),
    )


@st.composite
def routes(draw, topology: Topology) -> Route:
    family, pool, bits = draw(st.sampled_from([(IPV4, ipv4, 32), (IPV6, ipv6, 128)]))
    prefixlen = draw(st.integers(0, bits))
    network = int.from_bytes(draw(pool)) >> bits - prefixlen << bits - prefixlen
    kind = draw(st.sampled_from(RouteType))
    own = [a.address for d in topology.devices.values() for a in d.addresses if a.family == family]
    ends = kind in REJECTING
    return Route(
        family,
        network.to_bytes(bits // 8),
        prefixlen,
        kind,
        gateway=None if ends else draw(st.none() | pool),
        device=None if ends else draw(st.sampled_from(list(topology.devices.values()))),
        metric=draw(st.integers(0, 2**32 - 1)),
        mtu=draw(st.none() | st.integers(1280, 65535)),
        source=draw(st.none() | st.sampled_from(own)) if own else None,
        onlink=draw(st.booleans()),
    )


@st.composite
def topologies(draw) -> Topology:
    sysctls = Sysctls()
    sysctls.set("net.ipv6.conf.all.forwarding", draw(st.integers(0, 1)))
    sysctls.set("net.ipv4.ip_default_ttl", draw(st.integers(1, 255)))
    topology = Topology(sysctls)
    for mac in draw(st.lists(macs, unique=True, max_size=3)):
        device = Device(
            draw(names),
            draw(st.integers(2, 9)),
            mac=mac,
            mtu=draw(st.integers(68, 65535)),
            up=draw(st.booleans()),
            group=draw(st.integers(0, 9)),
            addrgenmode=draw(st.sampled_from(AddrGenMode)),
        )
        try:
            topology.add_device(device)
        except TopologyError:
            continue
        sysctls.set(f"net/ipv4/conf/{device.name}/rp_filter", draw(st.integers(0, 2)))
    devices = list(topology.devices.values())
    taken: set[bytes] = set()
    for address in draw(st.lists(addresses(), max_size=6)):
        if address.address in taken:
            continue
        taken.add(address.address)
        try:
            topology.add_address(draw(st.sampled_from(devices)), address)
        except TopologyError:
            continue
    for _ in range(draw(st.integers(0, 4))):
        route = draw(routes(topology))
        try:
            topology.fib(route.family).add(route)
        except TopologyError:
            continue
    for address, state in draw(st.lists(st.tuples(ipv4 | ipv6, st.sampled_from(NeighbourState)), max_size=3)):
        mac = draw(macs if state in VALID else st.none() | macs)
        topology.neighbours.set(
            draw(st.sampled_from(devices)), address, mac, state, router=draw(st.booleans())
        )
    own = st.none() | st.sampled_from([a.address for a in topology.lo.addresses])
    services = st.builds(Service, st.sampled_from([TCP, UDP]), st.integers(1, 65535), own)
    topology.services += draw(st.lists(services, unique=True, max_size=3))
    return topology


@settings(max_examples=50)
@given(topologies())
def test_what_is_written_reads_back_equal(topology):
    text = dump(topology)
    again = load(text)
    assert facts(again) == facts(topology)
    assert dump(again) == text


@st.composite
def broken(draw):
    """A box file with pieces cut out, doubled, moved and replaced."""
    text = draw(st.sampled_from([ROUTER, WRONG, dump(load(ROUTER))]))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        target = draw(st.integers(0, len(text)))
        match draw(st.integers(0, 3)):
            case 0:
                text = text[:start] + text[end:]
            case 1:
                text = text[:target] + text[start:end] + text[target:]
            case 2:
                text = text[:start] + draw(st.sampled_from(TOKENS)) + text[end:]
            case _:
                text = text[:start] + draw(st.text(max_size=3)) + text[end:]
    return text


TOKENS = [
    *("- ", "? ", ": ", ":\n", "\n", "\n  ", "\t", "{", "}", "[", "]", ",", "|\n", ">-\n", "#", "<<: "),
    *("&a ", "*a", "!!str ", "!<x> ", "---\n", "...\n", "%YAML 1.1\n", "\ufeff", "\x00", "\x85", "\ud800"),
    *("'", '"', '"\\x', '"\\Uffffffff"', '"\\ud800"', "null", "true", "~", "-1", "0x10", "1e9", ".inf"),
    *("99999999999999999999", "9" * 5000, "٣", "\u2028", "lo", "default", "0.0.0.0/0", "::/0", "ff02::1"),
    *("255.255.255.255", "fe80::1%1", "10.0.0.1/8", "devices", "name", "addresses", "net.ipv4.conf."),
]


def check(text: str | bytes) -> None:
    try:
        topology = load(text)
    except BoxError as error:
        assert error.problems
        for line in str(error).split("\n"):
            assert re.match(r"box\.yaml:[1-9]\d*:[1-9]\d*: \S", line), line
        str(error).encode()
        return
    assert facts(load(dump(topology))) == facts(topology)


@settings(max_examples=50)
@given(broken())
def test_a_broken_file_is_a_box_error(text):
    check(text)


@given(st.text(st.sampled_from("ab:-{}[]&*!|>'\"%@`#?, \n\t01.\\\ufeff"), max_size=40))
def test_any_text_is_a_box_error(text):
    check(text)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_box_error(raw):
    check(raw)


def test_the_properties_tell_two_boxes_apart():
    one, other = load(ROUTER), load(ROUTER)
    assert facts(one) == facts(other)
    lan = other.devices["lan0"]
    first = lan.addresses[0]
    lan.addresses[0] = replace(first, metric=1)
    assert facts(one) != facts(other)
