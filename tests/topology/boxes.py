"""Boxes that the tests of topology/ share."""

from __future__ import annotations

from ipaddress import ip_address

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.device import Address, AddrGenMode, Device
from flowtable.topology.fib import Fib
from flowtable.topology.route import Route, RouteTable
from flowtable.topology.topology import Topology

LAN_MAC = bytes.fromhex("020000000101")
WAN_MAC = bytes.fromhex("020000000201")


def packed(text: str) -> bytes:
    return ip_address(text).packed


def ethernet(name: str, index: int, *addresses: str, **options) -> Device:
    mac = bytes.fromhex(f"0200000000{index:02x}")
    return Device(name, index, mac=mac, addresses=[Address.parse(a) for a in addresses], **options)


def router(*, lan: tuple[str, ...] = (), wan: tuple[str, ...] = ()) -> Topology:
    """lan0 is 2 and wan0 is 3, without IPv6 link-local addresses unless they are given."""
    topology = Topology()
    topology.add_device(ethernet("lan0", 2, *lan, addrgenmode=AddrGenMode.NONE))
    topology.add_device(ethernet("wan0", 3, *wan, addrgenmode=AddrGenMode.NONE))
    return topology


def route(to: str, **options) -> Route:
    host, _, length = to.partition("/")
    destination = packed(host)
    for name in ("gateway", "source"):
        if isinstance(options.get(name), str):
            options[name] = packed(options[name])
    family = IPV4 if len(destination) == 4 else IPV6
    return Route(family, destination, int(length or len(destination) * 8), **options)


def shown(fib: Fib) -> list[str]:
    """Routes as ``ip route show table all`` prints them, without what it adds for others."""
    return sorted(line(route) for route in fib)


def line(route: Route) -> str:
    words = [] if route.type.value == "unicast" else [route.type.value]
    host = len(route.destination) * 8
    network = str(ip_address(route.destination))
    words.append(
        "default"
        if not route.prefixlen
        else network + ("" if route.prefixlen == host else f"/{route.prefixlen}")
    )
    if route.gateway is not None:
        words.append(f"via {ip_address(route.gateway)}")
    if route.oif is not None:
        words.append(f"dev {route.oif.name}")
    if route.table != RouteTable.MAIN:
        words.append(f"table {'local' if route.table == RouteTable.LOCAL else route.table}")
    if route.protocol.value == "kernel":
        words.append("proto kernel")
    if route.family == IPV4 and route.scope.name != "UNIVERSE":
        words.append(f"scope {route.scope.name.lower()}")
    if route.source is not None:
        words.append(f"src {ip_address(route.source)}")
    if route.metric or route.family == IPV6:
        words.append(f"metric {route.metric}")
    if route.mtu is not None:
        words.append(f"mtu {route.mtu}")
    if route.onlink:
        words.append("onlink")
    return " ".join(words)
