"""Whatever bytes a kernel sends, reading them ends, and what is read can be applied."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flowtable.live.mirror import address, kind, link, neighbour, route, rule, station, sysctl, vlan
from flowtable.live.mirror.links import LinkTable
from flowtable.live.mirror.routes import RouteTable
from flowtable.live.mirror.rule import RuleTable
from flowtable.netlink.attribute import attribute, attributes
from flowtable.netlink.message import error, messages
from flowtable.topology.device import Device, DeviceKind
from flowtable.topology.dsa import DsaPort, TagProtocol
from flowtable.topology.mirrored import MirroredTopology

values = st.one_of(
    st.binary(max_size=24),
    st.sampled_from([b"", b"\0", b"bridge\0", b"vlan\0", b"bond\0", b"ipip\0", b"sit\0", b"ppp\0", b"vrf\0"]),
    st.integers(0, 5).map(lambda number: number.to_bytes(4, "little")),
)
simple = st.lists(st.builds(attribute, st.integers(0, 60), values), max_size=8).map(b"".join)
nested = st.lists(st.builds(attribute, st.integers(0, 60), st.one_of(values, simple)), max_size=8).map(
    b"".join
)
deep = st.lists(
    st.builds(attribute, st.sampled_from([12, 18, 26, 8, 9, 22, 1, 2, 5, 43]), nested), max_size=6
).map(b"".join)
headers = st.builds(
    lambda family, rest: bytes((family,)) + rest, st.sampled_from([0, 2, 7, 10]), st.binary(max_size=15)
)
bodies = st.one_of(
    st.binary(max_size=80), st.builds(lambda a, b, c: a + b + c, headers, deep, st.one_of(simple, nested))
)


@settings(deadline=None, max_examples=300)
@given(bodies)
def test_any_body_is_a_record_or_none(body):
    for parse in (
        address.parse,
        link.parse,
        link.parse_port,
        neighbour.parse,
        route.parse,
        rule.parse,
        station.parse,
        vlan.parse,
    ):
        parse(body)
    list(vlan.parse_changes(body))


@settings(deadline=None, max_examples=100)
@given(st.lists(bodies, max_size=8), st.integers(0, 0xFFFF))
def test_any_record_can_be_applied(told, flags):
    topology = MirroredTopology()

    def nobody(_: int) -> None:
        pass

    links = LinkTable(
        topology,
        arrived=nobody,
        joined=nobody,
        departing=nobody,
        toggled=nobody,
        renamed=lambda *_: None,
        bridge_changed=lambda: None,
    )
    routes, rules, sysctls = RouteTable(topology), RuleTable(topology), sysctl.SysctlMirror(topology)
    for body in told:
        if (device := link.parse(body)) is not None:
            links.put(device)
        routes.told(route.parse(body), flags)
        if (asked := rule.parse(body)) is not None:
            rules.put(asked)
        sysctls.told(body)
    for body in told:
        for record in route.parse(body):
            routes.drop(routes.key(record))
        if (device := link.parse(body)) is not None:
            links.drop(device.index)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_datagram_is_some_messages(data):
    for message in messages(data):
        error(message)
        attributes(message.body)


@settings(deadline=None)
@given(
    st.sampled_from(
        ["vlan", "macvlan", "bridge", "bond", "vrf", "ipip", "ip6tnl", "sit", "ppp", "wireguard", ""]
    ),
    st.lists(st.builds(attribute, st.integers(0, 40), values), max_size=12).map(b"".join),
    st.sampled_from([1, 512, 65534]),
)
def test_any_description_of_a_kind_makes_a_device(name, data, hardware):
    record, _ = kind.parse("d0", hardware, name, data)
    device = kind.make(record, "d0", 7, None)
    assert kind.adapt(device, record) in (True, False)


def test_a_port_of_a_switch_chip(monkeypatch):
    """No kernel makes one out of nothing: as IFLA_INFO_KIND and IFLA_PHYS_PORT_NAME say it."""
    record, _ = kind.parse("lan1", 1, "dsa", b"", "p3")
    conduit = Device("eth0", 2)
    assert type(kind.make(record, "lan1", 7, conduit)) is Device
    monkeypatch.setattr(kind, "tagging", lambda name: {"eth0": TagProtocol.MTK}[name])
    port = kind.make(record, "lan1", 7, conduit)
    assert isinstance(port, DsaPort)
    assert (port.port, port.tag, port.lower) == (3, TagProtocol.MTK, conduit)
    assert kind.parse("lan1", 1, "dsa", b"", "")[0] == kind.PlainRecord(DeviceKind.ETHERNET)
