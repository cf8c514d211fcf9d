"""What holds for every box file: a written one reads back equal, a broken one is a BoxError."""

from __future__ import annotations

import re
from dataclasses import fields, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from flowtable.clock import SECOND
from flowtable.packet.packet import ETHERTYPE_QINQ, ETHERTYPE_VLAN, IPV4, IPV6, TCP, UDP
from flowtable.topology.bond import Bond, BondMode, XmitHashPolicy
from flowtable.topology.boxfile import BoxError, dump, load
from flowtable.topology.bridge import Bridge, BridgePort, PortState, VlanTable
from flowtable.topology.device import Address, AddrGenMode, Device, DeviceKind, Scope, address_scope
from flowtable.topology.dsa import DsaPort, TagProtocol
from flowtable.topology.error import TopologyError
from flowtable.topology.fdb import Fdb, FdbEntry, FdbState
from flowtable.topology.macvlan import Macvlan, MacvlanMode
from flowtable.topology.neighbour import VALID, NeighbourState
from flowtable.topology.pppoe import Pppoe
from flowtable.topology.route import NOWHERE, Route, RouteTable, RouteType
from flowtable.topology.rule import STANDARD, Rule, RuleAction
from flowtable.topology.sysctl import Sysctls
from flowtable.topology.topology import Service, Topology
from flowtable.topology.tunnel import Tunnel
from flowtable.topology.vlan import Vlan
from flowtable.topology.vrf import Vrf
from tests.topology.boxes import shown
from tests.topology.test_boxfile import ROUTER, WRONG
from tests.topology.test_boxfile_layer2 import LAYER2


def facts(topology: Topology) -> object:
    """All that a topology says, without the objects that say it."""
    return (
        [[said(getattr(device, f.name)) for f in fields(device)] for device in topology.devices.values()],
        shown(topology.fib4),
        shown(topology.fib6),
        list(topology.fib4.rules),
        list(topology.fib6.rules),
        [
            [(r.destination, r.metric, r.gateway, r.oif and r.oif.name) for r in fib if r.gateway]
            for fib in (topology.fib4, topology.fib6)
        ],
        [(n.device.name, n.address, n.mac, n.state, n.valid, n.router) for n in topology.neighbours],
        topology.sysctls,
        topology.services,
    )


def said(value: object) -> object:
    """A device's attribute with other objects by their names."""
    match value:
        case Device():
            return value.name
        case list():
            return [said(member) for member in value]
        case dict():
            return [(key, said(member)) for key, member in value.items()]
        case BridgePort():
            return [said(getattr(value, f.name)) for f in fields(value) if f.name != "bridge"]
        case Fdb():
            return sorted((e.vid, e.mac, said(e.port), e.state.value, e.derived) for e in value)
        case VlanTable():
            return sorted(value.members.items()), value.pvid
        case _:
            return value


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
    ends = kind in NOWHERE
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
        table=draw(tables),
    )


vids = st.integers(1, 4094)
protocols = st.sampled_from([ETHERTYPE_VLAN, ETHERTYPE_QINQ])


@st.composite
def vlan_tables(draw) -> VlanTable:
    table = VlanTable()
    first = draw(vids)
    for vid in range(first, min(first + draw(st.integers(0, 4)), 4095)):
        table.add(vid, untagged=draw(st.booleans()))
    if table.members and draw(st.booleans()):
        vid = draw(st.sampled_from(sorted(table.members)))
        table.add(vid, pvid=True, untagged=table.members[vid])
    return table


@st.composite
def stacked(draw, topology: Topology) -> Device:
    """A device that stands on another, or that others will belong to; it may be one Linux refuses."""
    name, index = f"x{len(topology.devices)}", draw(st.integers(2, 40))
    lower = draw(st.sampled_from(list(topology.devices.values())))
    mtu, mac = draw(st.integers(68, 1600)), draw(macs)
    match draw(st.sampled_from(DeviceKind)):
        case DeviceKind.VLAN:
            vid, protocol = draw(vids), draw(protocols)
            return Vlan(name, index, mac=mac, mtu=mtu, lower=lower, vid=vid, protocol=protocol)
        case DeviceKind.PPPOE:
            session = draw(st.integers(1, 65534))
            return Pppoe(name, index, mtu=mtu, lower=lower, session=session, peer=draw(macs))
        case DeviceKind.DSA:
            port, tag = draw(st.integers(0, 31)), draw(st.sampled_from(TagProtocol))
            return DsaPort(name, index, mac=mac, mtu=mtu, lower=lower, port=port, tag=tag)
        case DeviceKind.MACVLAN:
            mode = draw(st.sampled_from(MacvlanMode))
            mac = lower.mac if mode is MacvlanMode.PASSTHRU else mac
            return Macvlan(name, index, mac=mac, mtu=mtu, lower=lower, mode=mode)
        case DeviceKind.BOND:
            mode, policy = draw(st.sampled_from(BondMode)), draw(st.sampled_from(XmitHashPolicy))
            policy = XmitHashPolicy.LAYER2 if mode is BondMode.ACTIVE_BACKUP else policy
            return Bond(name, index, mac=mac, mtu=mtu, mode=mode, policy=policy)
        case DeviceKind.BRIDGE:
            return Bridge(
                name,
                index,
                mac=mac,
                mtu=mtu,
                ageing_time=draw(st.integers(0, 600)) * SECOND,
                vlan_filtering=draw(st.booleans()),
                vlan_protocol=draw(protocols),
                vlan_default_pvid=draw(st.integers(0, 4094)),
            )
        case DeviceKind.VRF:
            return Vrf(name, index, mtu=mtu, table=draw(st.integers(1, 2**32 - 1)))
        case DeviceKind.IPIP | DeviceKind.SIT | DeviceKind.IP6IP6 as kind:
            outer = ipv6 if kind is DeviceKind.IP6IP6 else ipv4
            return Tunnel(
                name,
                index,
                kind=kind,
                mtu=mtu,
                lower=draw(st.none() | st.just(lower)),
                local=draw(outer),
                remote=draw(outer),
                ttl=draw(st.integers(0, 255)),
                encaplimit=draw(st.none() | st.integers(0, 255)) if kind is DeviceKind.IP6IP6 else None,
            )
        case _:
            return Device(name, index, mac=mac, mtu=mtu)


def add_layer2(draw, topology: Topology) -> None:
    """Stack devices, enslave some, give ports their settings and bridges what they have learnt."""
    for _ in range(draw(st.integers(0, 6))):
        device = draw(stacked(topology))
        if device.kind is DeviceKind.ETHERNET and any(
            device.mac == other.mac for other in topology.devices.values()
        ):
            continue
        device.up = device.admin_up = draw(st.booleans())
        try:
            topology.add_device(device)
        except TopologyError:
            continue
    masters = [d for d in topology.devices.values() if isinstance(d, (Bridge, Bond, Vrf))]
    for device in list(topology.devices.values()) if masters else ():
        try:
            topology.enslave(device, draw(st.sampled_from(masters)))
        except TopologyError:
            continue
    for master in masters:
        match master:
            case Bond():
                for slave in draw(st.lists(st.sampled_from(master.slaves))) if master.slaves else ():
                    if slave.up and master.mode is BondMode.ACTIVE_BACKUP:
                        topology.set_active(master, slave)
            case Bridge():
                for port in master.ports.values():
                    state, hairpin = draw(st.sampled_from(PortState)), draw(st.booleans())
                    topology.set_port(port, state=state, hairpin=hairpin)
                    if draw(st.booleans()):
                        topology.set_vlans(port, draw(vlan_tables()))
                    vid = draw(st.sampled_from([0, *port.vlans.members]))
                    mac, life = draw(macs), draw(st.sampled_from(FdbState))
                    if master.fdb.get(mac, vid) is None:
                        master.fdb.add(FdbEntry(mac, vid, port, life))
                if draw(st.booleans()):
                    topology.set_vlans(master, draw(vlan_tables()))
            case _:
                pass


tables = st.sampled_from(RouteTable) | st.integers(1, 2**32 - 1)


@st.composite
def rules(draw, pool: st.SearchStrategy[bytes], bits: int) -> Rule:
    def network() -> tuple[bytes, int] | None:
        if draw(st.booleans()):
            return None
        prefixlen = draw(st.integers(0, bits))
        value = int.from_bytes(draw(pool)) >> bits - prefixlen << bits - prefixlen
        return value.to_bytes(bits // 8), prefixlen

    action = draw(st.sampled_from([action for action in RuleAction if action is not RuleAction.UNKNOWN]))
    mask = draw(st.integers(0, 2**32 - 1))
    return Rule(
        draw(st.integers(0, 2**32 - 1)),
        action,
        draw(tables) if action is RuleAction.LOOKUP else 0,
        network(),
        network(),
        draw(st.none() | st.sampled_from(["lo", "eth9", "true"])),
        draw(st.none() | st.just("eth9")),
        draw(st.integers(0, 2**32 - 1)) if mask else 0,
        mask,
        invert=draw(st.booleans()),
        suppress_prefixlength=draw(st.none() | st.integers(0, 128)),
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
    add_layer2(draw, topology)
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
    for fib, pool, bits in ((topology.fib4, ipv4, 32), (topology.fib6, ipv6, 128)):
        for rule in draw(st.lists(rules(pool, bits), max_size=2, unique=True)):
            fib.add_rule(rule)
        if draw(st.booleans()):
            fib.remove_rule(draw(st.sampled_from(STANDARD)))
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
    text = draw(st.sampled_from([ROUTER, LAYER2, WRONG, dump(load(ROUTER))]))
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
