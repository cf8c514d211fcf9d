"""A host in a network namespace of its own, and all that a topology says of one, to be compared."""

from __future__ import annotations

import json
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flowtable.live.mirror.mirror import Mirror
from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.bond import Bond
from flowtable.topology.bridge import Bridge
from flowtable.topology.device import IPV6_MIN_MTU
from flowtable.topology.topology import Topology
from scenarios.machine.namespace import Namespace

QUIET = (
    "sysctl -wq net.ipv6.conf.default.accept_dad=0",
    "sysctl -wq net.ipv6.conf.default.router_solicitations=0",
)
"""IPv6 addresses are there at once."""


@contextmanager
def host(*commands: str) -> Iterator[Namespace]:
    """A namespace in which the commands were run; the process is in it.

    Each command is a line for ``ip``, or for another program that it begins with.
    """
    namespace = Namespace()
    try:
        with namespace.inside():
            run(namespace, *QUIET, "link set lo up", *commands)
            yield namespace
    finally:
        namespace.close()


def run(namespace: Namespace, *commands: str) -> None:
    for command in commands:
        words = command.split()
        program = () if words[0] in ("bridge", "sysctl", "ip") else ("ip",)
        namespace.run(*program, *words)


def ip(namespace: Namespace, *arguments: str) -> list[dict[str, Any]]:
    """What ``ip -j`` says."""
    answer: list[dict[str, Any]] = json.loads(namespace.run("ip", "-j", "-d", *arguments) or "[]")
    return answer


def follow(mirror: Mirror, seconds: float = 0.1) -> None:
    """Let a mirror read until nothing comes any more: the kernel tells of some changes a moment later."""
    while select.select([mirror], [], [], seconds)[0]:
        mirror.read()


def state(topology: Topology) -> dict[str, Any]:
    """All that matters of a topology, as values."""
    return {
        "devices": {device.index: _device(device) for device in topology.devices.values()},
        "addresses": {
            (device.name, family): [a for a in device.addresses if a.family == family]
            for device in topology.devices.values()
            for family in (IPV4, IPV6)
        },
        "routes": {family: _routes(topology, family) for family in (IPV4, IPV6)},
        "rules": [list(topology.fib4.rules), list(topology.fib6.rules)],
        "neighbours": {
            (n.device.name, n.address.hex(), n.mac if n.valid else None, n.valid, n.router)
            for n in topology.neighbours
        },
        "sysctls": {
            name: value for name, value in topology.sysctls.stated() if not _without_ipv6(topology, name)
        },
    }


def _without_ipv6(topology: Topology, name: str) -> bool:
    """Whether it is a sysctl that a device has only while its MTU is large enough for IPv6."""
    small = [device.name for device in topology.devices.values() if device.mtu < IPV6_MIN_MTU]
    return any(name.startswith((f"net.ipv6.conf.{n}.", f"net.ipv6.neigh.{n}.")) for n in small)


def _device(device: Any) -> tuple[object, ...]:
    facts = [getattr(device, name) for name in ("name", "kind", "mac", "mtu", "up", "addrgenmode")]
    # Of a device that is down Linux does not tell that its group or options are others.
    facts.append(device.group if device.up else None)
    facts += [device.lower and device.lower.name, device.master and device.master.name]
    facts += [sorted(upper.name for upper in device.uppers)]
    facts.append(getattr(device, "mode", None) if device.up else None)
    for own in ("vid", "protocol", "policy", "local", "remote", "ttl", "table", "session", "peer"):
        facts.append(getattr(device, own, None))
    match device:
        case Bridge():
            if device.up:
                facts += [device.vlan_filtering, device.vlan_protocol, device.vlan_default_pvid]
                facts += [device.ageing_time, sorted(device.vlans.members.items()), device.vlans.pvid]
            facts.append({index: _port(port) for index, port in device.ports.items()})
            facts.append({(e.mac, e.vid, e.port and e.port.device.name, e.state) for e in device.fdb})
        case Bond():
            facts += [sorted(slave.name for slave in device.slaves), device.active and device.active.name]
        case _:
            pass
    return tuple(facts)


def _port(port: Any) -> tuple[object, ...]:
    flags = ("state", "learning", "flood", "mcast_flood", "bcast_flood", "hairpin", "isolated")
    return *(getattr(port, flag) for flag in flags), sorted(port.vlans.members.items()), port.vlans.pvid


def _routes(topology: Topology, family: int) -> dict[tuple[object, ...], list[tuple[object, ...]]]:
    """By what they are for, in the order in which they are considered."""
    found: dict[tuple[object, ...], list[tuple[object, ...]]] = {}
    fib = topology.fib(family)
    for route in fib:
        key = (route.table, route.destination, route.prefixlen)
        if key not in found:
            found[key] = [
                (
                    r.type,
                    r.gateway,
                    r.device and r.device.name,
                    r.oif and r.oif.name,
                    r.metric,
                    r.mtu,
                    r.source,
                    r.onlink,
                    r.scope,
                    r.protocol,
                )
                for r in fib._table(route).at(route)
            ]
            if family == IPV6:
                # Of one metric all are used, in no order.
                found[key].sort(key=str)
    return found


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two states differ, and how."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            line
            for key in one.keys() | other.keys()
            for line in differences(one.get(key), other.get(key), f"{where}/{key}")
        ]
    return [] if one == other else [f"{where}: {one} != {other}"]


def disagreement(mirror: Mirror, seconds: float = 10) -> list[str]:
    """How a mirror differs from a fresh one, once the kernel has said all that there is to say."""
    end = time.monotonic() + seconds
    while True:
        follow(mirror, 0.05)
        with Mirror() as fresh:
            found = differences(state(mirror.topology), state(fresh.topology))
        if not found or time.monotonic() > end:
            return found
