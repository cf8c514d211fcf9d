"""A mirrored host without what a box has by itself, so that its box file says what is particular."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Final

from flowtable.packet.packet import IPV4
from flowtable.topology.bridge import Bridge
from flowtable.topology.device import Address, AddrGenMode, DeviceKind, link_local
from flowtable.topology.rule import STANDARD
from flowtable.topology.sysctl import Ipv4Conf, Ipv6Conf, NeighConf

if TYPE_CHECKING:
    from flowtable.topology.fib import Fib
    from flowtable.topology.mirrored import MirroredTopology
    from flowtable.topology.topology import Service

_LINUX: Final = {
    **dict.fromkeys(("forwarding", "rp_filter", "accept_local", "route_localnet"), 0),
    **dict.fromkeys(("arp_ignore", "arp_announce", "arp_accept"), 0),
    "send_redirects": 1,
    "hop_limit": 64,
    "mcast_solicit": 3,
    "ucast_solicit": 3,
    "retrans_time_ms": 1000,
    "unres_qlen": 101,
    "delay_first_probe_time": 5,
    "gc_stale_time": 60,
}
"""What devices have from Linux."""
_LEFT_OUT: Final = (("all", "hop_limit"), ("default", "forwarding"))
"""What counts for no device: it has its own, or that of ``all``."""
_Conf = Ipv4Conf | Ipv6Conf | NeighConf


def reduce(topology: MirroredTopology, services: list[Service]) -> None:
    """Make a host, which nobody mirrors any more, a box.

    Gone are sysctls that are as everywhere, neighbours that did not answer, addresses of bridges
    and ports in forwarding databases, and devices without a use that come with kinds of tunnels.
    Neighbours of a box do not age, unless it is said, so how long they last is not kept.
    """
    topology.services[:] = services
    for neighbour in topology.neighbours:
        if not (neighbour.valid and neighbour.mac is not None and neighbour.device.ethernet):
            topology.neighbours.delete(neighbour)
    for device in list(topology.devices.values()):
        nameless = device.kind is DeviceKind.OTHER or (device.ethernet and not any(device.mac))
        if nameless and not device.up and not device.addresses and not device.uppers:
            topology.remove_device(device)
            continue
        device.addresses[:] = [_without_usual_broadcast(address) for address in device.addresses]
        if isinstance(device, Bridge):
            own = device.own_stations()
            for entry in device.fdb:
                entry.derived = entry.local and (entry.vid, entry.mac) in own
                if entry.vid and not device.vlan_filtering:
                    device.fdb.remove(entry)
        lacks = not any(link_local(address.address) for address in device.addresses)
        if device.up and device.ethernet and lacks:
            # It would get one.
            device.addrgenmode = AddrGenMode.NONE
        elif device.addrgenmode is AddrGenMode.NONE and not lacks:
            device.addrgenmode = AddrGenMode.EUI64
    _complete(topology.fib6)
    sysctls = topology.sysctls
    for table in (sysctls.ipv4_conf, sysctls.ipv6_conf, sysctls.ipv4_neigh, sysctls.ipv6_neigh):
        _reduce(table)


def _complete(fib6: Fib) -> None:
    """A box has a rule for the empty table ``default`` in IPv6 as well, which Linux has not."""
    *needed, last = STANDARD
    rules = list(fib6.rules)
    asked = any(route.table == last.table for route in fib6)
    if all(rule in rules for rule in needed) and last not in rules and not asked:
        fib6.set_rules([*rules, last])


def _without_usual_broadcast(address: Address) -> Address:
    """The last address of a subnet is its broadcast address anyway."""
    if address.family != IPV4 or address.prefixlen >= 31:
        return address
    last = int.from_bytes(address.on_link) | (1 << 32 - address.prefixlen) - 1
    return replace(address, broadcast=None) if address.broadcast == last.to_bytes(4) else address


def _reduce(table: dict[str, Ipv4Conf] | dict[str, Ipv6Conf] | dict[str, NeighConf]) -> None:
    """Forget what a device has that it would have anyway."""
    table.pop("lo", None)
    known: dict[str, _Conf] = dict(table)
    stated = {
        name: {field.name: getattr(conf, field.name) for field in fields(conf)}
        for name, conf in known.items()
    }
    every, default = stated.get("all", {}), stated.get("default", {})
    for name, values in stated.items():
        for leaf, value in values.items():
            left_out = leaf == "base_reachable_time_ms" or (name, leaf) in _LEFT_OUT
            if left_out or value == _implied(name, leaf, every, default):
                setattr(known[name], leaf, None)


def _implied(name: str, leaf: str, every: dict[str, int], default: dict[str, int]) -> int | None:
    """What a device has if nothing is said of it; ``all`` and ``default`` have what Linux gives them."""
    general = name in ("all", "default")
    if leaf == "forwarding" and not general:
        return every.get(leaf)
    if not general:
        return default.get(leaf, _LINUX[leaf])
    return _LINUX[leaf]
