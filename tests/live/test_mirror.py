"""The mirror of a host says what ``ip`` says, at first and after every change."""

from __future__ import annotations

import os
import random
import socket
from contextlib import suppress
from ipaddress import ip_address
from typing import TypeVar

import pytest

from flowtable.live.mirror.mirror import Mirror
from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.bridge import Bridge
from flowtable.topology.device import DeviceKind
from flowtable.topology.event import (
    AddressChanged,
    Event,
    FdbChanged,
    LinkChanged,
    NeighbourChanged,
    PortChanged,
    RouteChanged,
    RulesChanged,
    SysctlChanged,
)
from flowtable.topology.macvlan import Macvlan, MacvlanMode
from flowtable.topology.route import RouteType
from scenarios.machine.namespace import MachineError
from tests.live.host import disagreement, follow, host, ip, run
from tests.live.hosts import in_namespace
from tests.namespace import needs_tun

ROUTER = (
    "link add lan0 address 02:00:00:00:01:01 type veth peer lan0x",
    "link add wan0 address 02:00:00:00:02:01 type veth peer wan0x",
    "link set lan0x up",
    "link set wan0x up",
    "link set lan0 up",
    "link set wan0 up mtu 1400",
    "address add 10.0.1.1/24 dev lan0",
    "address add 10.0.2.1/24 dev wan0",
    "address add 2001:db8:1::1/64 dev lan0 nodad",
    "address add 2001:db8:2::1/64 dev wan0 nodad",
    "route add default via 10.0.2.9",
    "route add default via 2001:db8:2::9",
)


E = TypeVar("E", bound=Event)


def events(mirror: Mirror) -> list[Event]:
    heard: list[Event] = []
    mirror.topology.subscribe(heard.append)
    return heard


@in_namespace
def test_devices_and_addresses():
    with host(*ROUTER, "link set lan0 group 7") as namespace, Mirror() as mirror:
        for link in ip(namespace, "address"):
            device = mirror.topology.devices[link["ifname"]]
            assert device.index == link["ifindex"]
            assert device.mtu == link["mtu"]
            assert device.up is ("UP" in link["flags"])
            assert device.name == "lo" or device.mac == bytes.fromhex(link["address"].replace(":", ""))
            told = {(a["local"], a["prefixlen"]) for a in link["addr_info"]}
            assert {_shown(a) for a in device.addresses} == told
        assert mirror.topology.devices["lan0"].group == 7
        assert mirror.topology.devices["lan0"].kind is DeviceKind.ETHERNET


def _shown(address):
    return str(ip_address(address.address)), address.prefixlen


@in_namespace
def test_all_routes_are_there():
    more = (
        "route add 10.9.0.0/16 via 10.0.2.9 metric 50 mtu 1300 src 10.0.1.1",
        "route add 10.8.0.0/16 nexthop via 10.0.2.8 nexthop via 10.0.1.8 weight 3",
        "route add blackhole 10.7.0.0/16",
        "route add unreachable 10.6.0.0/16 table 77",
        "-6 route add prohibit 2001:db8:7::/48",
        "-6 route add 2001:db8:8::/48 nexthop via 2001:db8:2::8 nexthop via 2001:db8:1::8",
        "route add 10.5.0.0/16 via 203.0.113.1 dev wan0 onlink",
        "route add 10.4.0.0/16 via inet6 2001:db8:2::4 dev wan0",
        "route add 10.3.0.0/16 tos 0x10 via 10.0.2.3",
        "route add throw 10.2.0.0/24 table 300",
    )
    with host(*ROUTER, *more) as namespace, Mirror() as mirror:
        topology = mirror.topology
        hops = 0
        for family in (4, 6):
            for told in ip(namespace, f"-{family}", "route", "show", "table", "all"):
                hops += len(told.get("nexthops", [None]))
        assert len(topology.fib4) + len(topology.fib6) == hops
        assert any("tos 0x10" in note for note in mirror.notes())
        route = topology.fib4.lookup(bytes((10, 9, 1, 1)))
        assert route is not None
        assert (route.metric, route.path_mtu, route.source) == (50, 1300, bytes((10, 0, 1, 1)))
        blackhole = topology.fib4.lookup(bytes((10, 7, 1, 1)))
        assert blackhole is not None and blackhole.type is RouteType.BLACKHOLE
        onlink = topology.fib4.lookup(bytes((10, 5, 1, 1)))
        assert onlink is not None and onlink.onlink
        via6 = topology.fib4.lookup(bytes((10, 4, 1, 1)))
        assert via6 is not None and via6.gateway is not None and len(via6.gateway) == 16
        local = topology.fib4.lookup(bytes((10, 0, 1, 1)))
        assert local is not None and local.type is RouteType.LOCAL
        assert local.device is topology.lo and local.oif is topology.devices["lan0"]


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("10.0.1.77", ()),
        ("10.9.9.9", ()),
        ("192.0.2.1", ("mark", "7")),
        ("192.0.2.1", ("from", "10.0.1.5", "iif", "lan0")),
        ("192.0.2.1", ("from", "10.0.1.5", "iif", "lan0", "mark", "7")),
        ("10.0.2.77", ("mark", "9")),
        ("198.51.100.1", ("mark", "9")),
        ("198.51.100.1", ("mark", "51820")),
    ],
)
@in_namespace
def test_routes_are_those_that_the_kernel_takes(target, arguments):
    rules = (
        "rule add priority 100 fwmark 0x7/0xf table 200",
        "rule add priority 101 from 10.0.1.0/24 iif lan0 table 201",
        "route add default via 10.0.2.200 table 200",
        "route add default via 10.0.2.201 table 201",
        "rule add priority 200 table main suppress_prefixlength 0",
        "rule add priority 201 not fwmark 51820 table 202",
        "route add default via 10.0.2.202 table 202",
    )
    with host(*ROUTER, *rules, "sysctl -wq net.ipv4.ip_forward=1") as namespace, Mirror() as mirror:
        [told] = ip(namespace, "route", "get", target, *arguments)
        words = dict(zip(arguments[::2], arguments[1::2], strict=True))
        devices = mirror.topology.devices
        route = mirror.topology.fib4.lookup(
            bytes(map(int, target.split("."))),
            iif=devices[words["iif"]] if "iif" in words else None,
            source=bytes(map(int, words["from"].split("."))) if "from" in words else None,
            mark=int(words.get("mark", 0)),
        )
        assert route is not None and route.device is not None
        assert route.device.name == told["dev"]
        gateway = told.get("gateway")
        assert route.gateway == (bytes(map(int, gateway.split("."))) if gateway else None)


@pytest.mark.parametrize("family", [4, 6])
@in_namespace
def test_of_several_next_hops_it_is_the_one_that_the_kernel_takes(family):
    four = family == 4
    hops = ("10.0.2.7", "10.0.1.7") if four else ("2001:db8:2::7", "2001:db8:1::7")
    prefix = "198.51.100.0/24" if four else "2001:db8:100::/48"
    commands = (
        f"-{family} route add {prefix} nexthop via {hops[0]} nexthop via {hops[1]}",
        "sysctl -wq net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
    )
    with host(*ROUTER, *commands) as namespace, Mirror() as mirror:
        fib = mirror.topology.fib(IPV4 if four else IPV6)
        lan = mirror.topology.devices["lan0"]
        taken = set()
        for number in range(1, 25):
            target = f"198.51.100.{number}" if four else f"2001:db8:100::{number}"
            source = "10.0.1.99" if four else "2001:db8:1::99"
            [told] = ip(namespace, f"-{family}", "route", "get", target, "from", source, "iif", "lan0")
            packed, own = ip_address(target).packed, ip_address(source).packed
            route = fib.lookup(packed, source=own, iif=lan)
            assert route is not None and route.gateway == ip_address(told["gateway"]).packed
            assert fib.lookup(packed, source=own, iif=lan) is route
            # The box's own packets, whose source is not chosen yet, are not asked for.
            assert fib.lookup(packed) is None
            taken.add(route.gateway)
        assert len(taken) == 2
        run(namespace, f"sysctl -wq net.ipv{family}.fib_multipath_hash_policy=1")
        mirror.topology.fib(fib.family).invalidate()
        assert fib.lookup(packed, source=own, iif=lan) is None
        run(namespace, "link set wan0 down")
        follow(mirror)
        only = fib.lookup(packed, source=own, iif=lan)
        assert only is not None and only.oif is lan


@in_namespace
def test_where_packets_may_go_another_way_there_is_none_for_flows():
    commands = (
        "rule add priority 100 ipproto udp dport 53 from 10.0.1.0/24 table 200",
        "rule add priority 101 not iif lan0 sport 7 to 203.0.113.0/24 table 200",
        "route add 10.3.0.0/16 via 10.0.2.3",
        "route add 10.3.0.0/16 tos 0x10 metric 7 via 10.0.2.4",
    )
    with host(*ROUTER, *commands) as namespace, Mirror() as mirror:
        fib = mirror.topology.fib4
        target = bytes((198, 51, 100, 1))
        assert fib.lookup(target, source=bytes((10, 0, 1, 5))) is None
        run(namespace, "rule del priority 101")
        follow(mirror)
        assert fib.lookup(target, source=bytes((10, 0, 1, 5))) is None
        elsewhere = fib.lookup(target, source=bytes((10, 0, 2, 5)))
        assert elsewhere is not None and elsewhere.gateway == bytes((10, 0, 2, 9))
        only_some = fib.lookup(bytes((10, 3, 1, 1)), source=bytes((10, 0, 2, 5)))
        assert only_some is not None and only_some.type is RouteType.UNREACHABLE
        assert len(mirror.notes()) == 2
        run(namespace, "rule del priority 100", "route del 10.3.0.0/16 tos 0x10")
        follow(mirror)
        all_of_them = fib.lookup(bytes((10, 3, 1, 1)))
        assert all_of_them is not None and all_of_them.gateway == bytes((10, 0, 2, 3))
        assert mirror.notes() == []


@in_namespace
def test_a_bridge_its_ports_and_stations():
    commands = (
        "link add br0 type bridge ageing_time 12300",
        "link set lan0x master br0",
        "link set br0 up",
        "bridge link set dev lan0x isolated on hairpin on learning off",
        "bridge fdb add 02:00:00:00:00:77 dev lan0x master static",
        "bridge fdb add 02:00:00:00:00:78 dev br0 self local",
    )
    with host(*ROUTER, *commands), Mirror() as mirror:
        bridge = mirror.topology.devices["br0"]
        assert isinstance(bridge, Bridge)
        [port] = bridge.ports.values()
        assert port.isolated and port.hairpin and not port.learning
        assert bridge.ageing_time == 123_000_000_000
        entry = bridge.fdb.get(bytes.fromhex("020000000077"), 0)
        assert entry is not None and entry.port is port
        own = bridge.fdb.get(bridge.mac, 0)
        assert own is not None and own.local


@needs_tun
@in_namespace
def test_macvlan_and_unknown_kinds():
    commands = (
        "link add mac0 link lan0 type macvlan mode bridge",
        "tuntap add tun0 mode tun",
        "tuntap add tap0 mode tap",
        "link set tun0 up",
        "route add 10.77.0.0/16 dev tun0",
    )
    with host(*ROUTER, *commands), Mirror() as mirror:
        devices = mirror.topology.devices
        macvlan = devices["mac0"]
        assert isinstance(macvlan, Macvlan)
        assert macvlan.lower is devices["lan0"] and macvlan.mode is MacvlanMode.BRIDGE
        assert devices["tun0"].kind is DeviceKind.OTHER
        assert devices["tap0"].kind is DeviceKind.ETHERNET
        assert any(note.startswith("tun0:") for note in mirror.notes())
        route = mirror.topology.fib4.lookup(bytes((10, 77, 1, 1)))
        assert route is not None and route.device is devices["tun0"]


@in_namespace
def test_each_change_is_the_event_that_it_is():
    with host(*ROUTER) as namespace, Mirror() as mirror:
        follow(mirror)
        heard = events(mirror)

        def after(command: str, kind: type[E]) -> list[E]:
            """What was heard of that kind; the kernel says other things of its own as well."""
            heard.clear()
            run(namespace, command)
            follow(mirror)
            return [event for event in heard if isinstance(event, kind)]

        def neighbours(command: str) -> list[bytes | None]:
            told = [event.neighbour for event in after(command, NeighbourChanged)]
            return [each.mac if each.valid else None for each in told if each.address == gateway]

        gateway = bytes((10, 0, 2, 9))
        [event] = after("route add 10.50.0.0/16 via 10.0.2.9", RouteChanged)
        assert not event.removed
        old = event.route
        new, gone = after("route replace 10.50.0.0/16 via 10.0.2.8", RouteChanged)
        assert not new.removed and new.route.gateway == bytes((10, 0, 2, 8))
        assert gone.removed and gone.route is old
        [event] = after("route del 10.50.0.0/16", RouteChanged)
        assert event.removed
        one, other = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
        assert neighbours(f"neigh add 10.0.2.9 lladdr {one.hex(':')} dev wan0") == [one]
        assert neighbours(f"neigh replace 10.0.2.9 lladdr {one.hex(':')} nud noarp dev wan0") == []
        assert neighbours(f"neigh replace 10.0.2.9 lladdr {other.hex(':')} dev wan0") == [other]
        # It fails, and is forgotten.
        assert neighbours("neigh del 10.0.2.9 dev wan0") == [None, None]
        assert after("rule add priority 5 fwmark 1 table 5", RulesChanged) == [RulesChanged(IPV4)]
        [link] = after("link set wan0 mtu 1300", LinkChanged)
        assert link.device.mtu == 1300
        assert after("link set lan0 group 9", LinkChanged) == []
        assert len(after("address add 10.0.3.1/32 dev lan0", AddressChanged)) == 1
        assert len(after("sysctl -wq net.ipv4.conf.lan0.rp_filter=1", SysctlChanged)) == 1
        assert mirror.overruns == 0


@in_namespace
def test_a_bridge_port_comes_moves_and_goes():
    with host(*ROUTER, "link add br0 type bridge", "link set br0 up") as namespace, Mirror() as mirror:
        heard = events(mirror)
        run(namespace, "link set lan0x master br0")
        follow(mirror)
        assert any(isinstance(event, PortChanged) and not event.removed for event in heard)
        heard.clear()
        run(namespace, "bridge fdb add 02:00:00:00:00:77 dev lan0x master static")
        follow(mirror)
        told = [event.entry.mac.hex() for event in heard if isinstance(event, FdbChanged)]
        # Others are learnt meanwhile: the hosts of the test talk IPv6.
        assert told.count("020000000077") == 1
        heard.clear()
        run(namespace, "bridge link set dev lan0x isolated on")
        follow(mirror)
        assert any(isinstance(event, PortChanged) for event in heard)
        heard.clear()
        run(namespace, "link set lan0x nomaster")
        follow(mirror)
        assert any(isinstance(event, PortChanged) and event.removed for event in heard)
        bridge = mirror.topology.devices["br0"]
        assert isinstance(bridge, Bridge) and not bridge.ports


@in_namespace
def test_a_device_that_goes_down_takes_its_routes_along_without_a_word():
    with host(*ROUTER, "route add 10.60.0.0/16 via 10.0.2.9") as namespace, Mirror() as mirror:
        run(namespace, "link set wan0 down")
        assert disagreement(mirror) == []
        assert mirror.topology.fib4.lookup(bytes((10, 60, 1, 1))) is None


@in_namespace
def test_renamed_removed_and_made_again():
    with host(*ROUTER) as namespace, Mirror() as mirror:
        lan = mirror.topology.devices["lan0"]
        run(namespace, "link set lan0 name inside")
        follow(mirror)
        assert mirror.topology.devices["inside"] is lan
        assert "lan0" not in mirror.topology.devices
        heard = events(mirror)
        run(namespace, "link del inside", f"link add lan0 index {lan.index} type veth peer lan0x")
        follow(mirror)
        again = mirror.topology.devices["lan0"]
        assert again is not lan and again.index == lan.index
        assert LinkChanged(lan, removed=True) in heard
        assert any(isinstance(event, RouteChanged) and event.removed for event in heard)


@in_namespace
def test_a_resynchronisation_with_nothing_new_is_heard_by_nobody():
    with host(*ROUTER, "route add 10.8.0.0/16 nexthop via 10.0.2.8 nexthop via 10.0.1.8"), Mirror() as mirror:
        follow(mirror)
        heard = events(mirror)
        mirror.resynchronise()
        assert heard == []


@in_namespace
def test_what_was_lost_is_read_anew():
    with host(*ROUTER) as namespace, Mirror() as mirror:
        with socket.socket(fileno=os.dup(mirror.fileno())) as narrow:
            narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        lines = "".join(f"route add 10.{100 + n // 256}.{n % 256}.0/24 via 10.0.2.9\n" for n in range(1000))
        namespace.run("ip", "-batch", "-", text=lines)
        assert disagreement(mirror) == []
        assert mirror.overruns > 0
        assert mirror.topology.fib4.lookup(bytes((10, 100, 7, 7))) is not None


@in_namespace
def test_what_was_undone_among_what_was_lost_does_not_come_back():
    with host(*ROUTER) as namespace, Mirror() as mirror:
        with socket.socket(fileno=os.dup(mirror.fileno())) as narrow:
            narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        routes = [f"10.{100 + n // 256}.{n % 256}.0/24" for n in range(500)]
        for verb in ("add", "del"):
            namespace.run("ip", "-batch", "-", text="".join(f"route {verb} {r} dev wan0\n" for r in routes))
        assert disagreement(mirror) == []
        assert mirror.overruns > 0
        route = mirror.topology.fib4.lookup(bytes((10, 100, 0, 7)))
        assert route is not None and route.prefixlen == 0


NAMES = ("d0", "d1", "d2", "d3")
COMMANDS = (
    "link set {d} up",
    "link set {d} down",
    "link set {d} mtu {mtu}",
    "link set {d} address 02:00:00:00:{n:02x}:0{m}",
    "address add 10.{n}.1.{m}/24 dev {d}",
    "address add 10.{n}.1.{m}/32 dev {d}",
    "address add 10.1.{n}.1 peer 10.2.{n}.{m} dev {d}",
    "address del 10.{n}.1.{m}/24 dev {d}",
    "address add 2001:db8:{n}::{m}/64 dev {d} nodad",
    "address del 2001:db8:{n}::{m}/64 dev {d}",
    "address flush dev {d}",
    "route add 172.16.{n}.0/24 via 10.{m}.1.2",
    "route add 172.16.{n}.0/24 dev {d} metric {m}",
    "route append 172.16.{n}.0/24 dev {d} metric {m}",
    "route prepend 172.16.{n}.0/24 dev {d} metric {m}",
    "route replace 172.16.{n}.0/24 dev {d} metric {m}",
    "route change 172.16.{n}.0/24 dev {d} metric {m}",
    "route del 172.16.{n}.0/24",
    "route add 172.17.{n}.0/24 nexthop dev {d} nexthop dev {e} weight {m}",
    "route replace 172.17.{n}.0/24 nexthop dev {e} nexthop dev {d}",
    "route add 172.18.{n}.0/24 dev {d} src 10.{m}.1.1",
    "route add blackhole 172.19.{n}.0/24 table {m}",
    "route del 172.19.{n}.0/24 table {m}",
    "-6 route add 2001:db8:f{n}::/48 dev {d} metric {m}",
    "-6 route append 2001:db8:f{n}::/48 via fe80::{m} dev {d}",
    "-6 route append 2001:db8:f{n}::/48 dev {e} metric {m}",
    "-6 route replace 2001:db8:f{n}::/48 dev {e} metric {m}",
    "-6 route add 2001:db8:e{n}::/48 nexthop via fe80::{m} dev {d} nexthop via fe80::{n} dev {e}",
    "-6 route replace 2001:db8:e{n}::/48 nexthop via fe80::{n} dev {d} nexthop via fe80::{m} dev {e}",
    "-6 route del 2001:db8:e{n}::/48",
    "-6 route del 2001:db8:f{n}::/48",
    "rule add priority {n} table {m}",
    "rule add priority {m} fwmark {n} table {m}",
    "rule add not from 10.0.0.0/8 table {m}",
    "rule del priority {m}",
    "-6 rule add priority {n} iif {d} table {m}",
    "-6 rule del priority {n}",
    "neigh replace 10.0.{n}.{m} lladdr 02:00:00:00:00:{n:02x} dev {d} nud stale",
    "neigh replace 2001:db8::{n} lladdr 02:00:00:00:00:{m:02x} dev {d} router",
    "neigh del 10.0.{n}.{m} dev {d}",
    "neigh flush dev {d}",
    "link add br{m} type bridge",
    "link set {d} master br{m}",
    "link set br{m} up",
    "link set {d} nomaster",
    "link del br{m}",
    "link set br{m} type bridge ageing_time {n}00",
    "bridge fdb replace 02:00:00:00:01:{n:02x} dev {d} master static",
    "bridge fdb replace 02:00:00:00:01:{n:02x} dev {e} master dynamic",
    "bridge fdb del 02:00:00:00:01:{n:02x} dev {d} master",
    "bridge link set dev {d} isolated on",
    "bridge link set dev {d} learning off flood off",
    "link add mac{n} link {d} type macvlan mode bridge",
    "link set mac{n} up",
    "link del mac{n}",
    "link add v{n} type veth peer w{n}",
    "link set v{n} up",
    "link set w{n} up",
    "address add 10.{n}.1.{m}/24 dev v{n}",
    "route add 172.16.{n}.0/24 dev v{n}",
    "link del v{n}",
    "link set v{n} name x{m}",
    "link set {d} group {n}",
    "nexthop add id {n} via 10.{m}.1.2 dev {d}",
    "route add 172.20.{n}.0/24 nhid {n}",
    "nexthop del id {n}",
    "sysctl -wq net.ipv4.conf.{d}.forwarding={bit}",
    "sysctl -wq net.ipv4.ip_forward={bit}",
    "sysctl -wq net.ipv6.conf.all.forwarding={bit}",
)


@pytest.mark.parametrize("seed", range(3))
@in_namespace
def test_after_any_commands_it_is_what_a_fresh_one_is(seed):
    chance = random.Random(seed)
    base = [
        line for name in NAMES for line in (f"link add {name} type veth peer {name}x", f"link set {name}x up")
    ]
    with host(*base) as namespace, Mirror() as mirror:
        for _ in range(8):
            done = []
            for _ in range(40):
                line = chance.choice(COMMANDS).format(
                    d=chance.choice(NAMES),
                    e=chance.choice(NAMES),
                    n=chance.randint(1, 6),
                    m=chance.randint(1, 4),
                    mtu=chance.choice((1000, 1280, 1400, 1500, 9000)),
                    bit=chance.randint(0, 1),
                )
                done.append(line)
            for line in done:
                # What is not possible at that moment the kernel refuses.
                with suppress(MachineError):
                    run(namespace, line)
            assert disagreement(mirror) == [], done
        assert mirror.overruns == 0
