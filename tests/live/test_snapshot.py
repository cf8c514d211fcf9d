"""The box file of a host that was built from a box file says what that one says."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from flowtable.cli import main
from flowtable.live.snapshot import services
from flowtable.live.snapshot.text import snapshot
from flowtable.packet.packet import IPV4, IPV6, TCP, UDP
from flowtable.topology.boxfile import load
from flowtable.topology.bridge import Bridge
from flowtable.topology.mirrored import MirroredTopology
from flowtable.topology.route import RouteProtocol
from flowtable.topology.topology import Service, Topology
from scenarios.machine.machine import Machine
from tests.live.host import host, run
from tests.live.hosts import in_namespace
from tests.namespace import needs_tun, require

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BOXES = [
    EXAMPLES / "home-router",
    EXAMPLES / "documentation",
    *(EXAMPLES / "boxes" / name for name in ("docker-host", "macvlan-host", "multi-wan", "wifi-ap")),
]
"""What every kernel builds that tests are run on."""


def taken() -> str:
    """What ``flowtable snapshot`` writes here."""
    result = CliRunner().invoke(main, ["snapshot"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def said(box: Topology) -> dict[str, Any]:
    """What a box is, without what Linux numbers and orders."""
    devices: dict[str, Any] = {}
    for device in box.devices.values():
        facts = [device.kind, device.mac, device.mtu, device.up, device.group]
        facts += [device.lower and device.lower.name, device.master and device.master.name]
        facts.append({a for a in device.addresses if a.address[:2] != b"\xfe\x80"})
        if isinstance(device, Bridge):
            facts += [device.vlan_filtering, device.ageing_time // 10**9]
            facts.append(
                {(e.mac, e.port and e.port.device.name, e.state) for e in device.fdb if not e.derived}
            )
        devices[device.name] = facts
    routes = {
        (
            r.destination,
            r.prefixlen,
            r.type,
            r.gateway,
            r.oif and r.oif.name,
            r.metric,
            r.mtu,
            r.source,
            r.table,
        )
        for family in (IPV4, IPV6)
        for r in box.fib(family)
        if r.protocol is RouteProtocol.STATIC
    }
    return {
        "devices": devices,
        "routes": routes,
        "rules": [list(box.fib4.rules), list(box.fib6.rules)],
        "neighbours": {(n.device.name, n.address, n.mac, n.router) for n in box.neighbours},
        "forwarding": [box.sysctls.ip_forward(), box.sysctls.ip6_forward()],
        "rp_filter": {name: box.sysctls.rp_filter(name) for name in box.devices if name != "lo"},
        "services": set(box.services),
    }


@pytest.mark.parametrize("path", BOXES, ids=lambda path: path.name)
@in_namespace
def test_a_host_built_from_a_box_file_has_that_box_file(path):
    require("nft", "ethtool", "bridge")
    text = (path / "box.yaml").read_text()
    with Machine(YAML(typ="safe", pure=True).load(text), "") as machine, machine.near.inside():
        written = taken()
    assert "Left out" not in written, written
    was, is_ = said(load(text)), said(load(written))
    for part in was:
        assert is_[part] == was[part], written


@needs_tun
@in_namespace
def test_what_a_box_file_cannot_say_is_a_comment():
    commands = (
        "link add lan0 address 02:00:00:00:01:01 type veth peer lan0x address 02:00:00:00:01:01",
        "link set lan0x up",
        "link set lan0 up",
        "address add 10.0.1.1/24 dev lan0",
        "tuntap add wg0 mode tun",
        "link set wg0 up",
        "route add 10.9.0.0/16 dev wg0",
        "route add 10.8.0.0/16 tos 0x10 via 10.0.1.9",
        "rule add priority 90 dport 53 table 100",
        "rule add priority 91 not fwmark 7 table 100",
        "route add blackhole default table 100",
        "route add default via 10.0.1.9",
    )
    with host(*commands):
        written = taken()
    box = load(written)
    assert "wg0" not in box.devices
    assert "# Left out: " in written
    assert "  # - name: wg0" in written
    assert "# {to: 10.9.0.0/16, dev: wg0}" in written or "# - {to: 10.9.0.0/16, dev: wg0}" in written
    assert "# wg0: flows do not use this device (tun)" in written
    assert "flows that it may be for are refused, because of tos 0x10" in written
    assert "flows that it may be for are refused (dport)" in written
    route = box.fib4.lookup(bytes((192, 0, 2, 1)), mark=8)
    assert route is not None and route.table == 100
    assert box.fib4.lookup(bytes((192, 0, 2, 1)), mark=7) is not route
    # Two cards have one MAC address: the box has the first.
    assert len([name for name in box.devices if name.startswith("lan0")]) == 1


def test_an_empty_host():
    box = MirroredTopology()
    written = snapshot(box, ["A note."])
    assert written.startswith("# A note.\n")
    assert load(written).devices["lo"].name == "lo"


@in_namespace
def test_what_listens():
    with (
        host() as namespace,
        namespace.inside(),
        socket.create_server(("127.0.0.1", 4001)),
        socket.create_server(("::", 4002), family=socket.AF_INET6, dualstack_ipv6=True),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("0.0.0.0", 4003))
        assert set(services.read()) == {
            Service(TCP, 4001, bytes((127, 0, 0, 1))),
            Service(TCP, 4002),
            Service(UDP, 4003),
        }


@in_namespace
def test_rules_of_ipv6_stand_beside_the_usual_ones():
    with host("-6 rule add priority 90 not from 2001:db8::/32 table 100"):
        written = taken()
    lines = written[written.index("rules:") : written.index("sysctls:")].splitlines()
    assert lines == ["rules:", '  - {priority: 90, from: "2001:db8::/32", table: 100, not: true}']


@in_namespace
def test_sysctls_that_differ():
    commands = (
        "sysctl -wq net.ipv4.conf.default.rp_filter=2",
        "link add lan0 type veth peer lan0x",
        "sysctl -wq net.ipv4.ip_forward=1 net.ipv4.conf.lan0x.rp_filter=1 net.ipv6.conf.lan0.hop_limit=9",
        "sysctl -wq net.ipv4.conf.lan0.forwarding=0",
    )
    with host(*commands) as namespace:
        run(namespace, "link set lo up")
        written = taken()
    stated = dict(load(written).sysctls.stated())
    stated.pop("net.ipv6.icmp.ratelimit", None)
    assert stated == {
        "net.ipv4.ip_forward": 1,
        "net.ipv4.conf.default.rp_filter": 2,
        "net.ipv4.conf.lan0x.rp_filter": 1,
        "net.ipv4.conf.lan0.forwarding": 0,
        "net.ipv6.conf.lan0.hop_limit": 9,
    }
