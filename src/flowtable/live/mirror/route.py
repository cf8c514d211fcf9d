"""Routes. Ref: net/ipv4/fib_semantics.c:fib_dump_info, net/ipv6/route.c:rt6_fill_node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from struct import Struct
from typing import Final

from flowtable.live.mirror.rtnetlink import AF_INET, FAMILIES
from flowtable.netlink.attribute import attributes, u32
from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.device import Scope
from flowtable.topology.route import NOWHERE, RouteProtocol, RouteType

_HEADER: Final = Struct("=BBBBBBBBI")
_NEXT_HOP: Final = Struct("=HBBi")
_DST: Final = 1
_OIF: Final = 4
_GATEWAY: Final = 5
_PRIORITY: Final = 6
_PREFSRC: Final = 7
_METRICS: Final = 8
_MULTIPATH: Final = 9
_TABLE: Final = 15
_VIA: Final = 18
_ENCAP: Final = 22
_METRIC_MTU: Final = 2
_DEAD: Final = 0x1
_ONLINK: Final = 0x4
_CLONED: Final = 0x200
_KERNEL: Final = 2
_TYPES: Final = {
    1: RouteType.UNICAST,
    2: RouteType.LOCAL,
    3: RouteType.BROADCAST,
    4: RouteType.ANYCAST,
    5: RouteType.MULTICAST,
    6: RouteType.BLACKHOLE,
    7: RouteType.UNREACHABLE,
    8: RouteType.PROHIBIT,
    9: RouteType.THROW,
}
_SCOPES: Final = {scope.value: scope for scope in Scope}


@dataclass(frozen=True, slots=True)
class Hop:
    """A next hop.

    Attributes:
        index: of the device.
        gateway: 4 or 16 bytes, None when the destination is on the link.
        weight: how much of the traffic it gets, of the sum of all.
        onlink: the gateway is on the link although no route says so.
        encap: packets leave with a header that topologies do not know, as of MPLS.
        dead: no packet goes there, but others of the route's next hops are alive. IPv4 only.
    """

    index: int
    gateway: bytes | None
    weight: int = 1
    onlink: bool = False
    encap: bool = False
    dead: bool = False


@dataclass(frozen=True, slots=True)
class RouteRecord:
    """A route.

    Attributes:
        family: ``IPV4`` or ``IPV6``.
        destination: network address, 4 or 16 bytes.
        prefixlen: its length in bits.
        tos: the only type of service that it is for; 0 for every one.
        source_length: prefix length of the only source addresses that it is for; 0 for every one.
        table: number of its table.
        metric: the lowest wins.
        type: what happens to packets that take it.
        protocol: KERNEL for what the kernel made of addresses.
        scope: distance to the destination, IPv4 only.
        source: preferred source address.
        mtu: path MTU in bytes, None for the device's.
        hops: where packets may go; none for the types that end a packet.
    """

    family: int
    destination: bytes
    prefixlen: int
    tos: int
    source_length: int
    table: int
    metric: int
    type: RouteType
    protocol: RouteProtocol
    scope: Scope
    source: bytes | None
    mtu: int | None
    hops: tuple[Hop, ...]


def parse(body: bytes) -> list[RouteRecord]:
    """The route in a message; none if it is of another family, or a cached answer.

    Linux keeps a route of IPv6 with several next hops as several routes, which come and go apart.
    """
    if len(body) < _HEADER.size:
        return []
    family, prefixlen, source_length, tos, table, protocol, scope, kind, flags = _HEADER.unpack_from(body)
    size = FAMILIES.get(family)
    if size is None or flags & _CLONED or kind not in _TYPES:
        return []
    values = attributes(body, _HEADER.size)
    four = family == AF_INET
    type_ = _TYPES[kind]
    metrics = attributes(values.get(_METRICS, b""))
    record = RouteRecord(
        family=IPV4 if four else IPV6,
        destination=values.get(_DST, bytes(size)),
        prefixlen=prefixlen,
        tos=tos,
        source_length=source_length,
        table=u32(values[_TABLE]) if _TABLE in values else table,
        metric=u32(values.get(_PRIORITY, b"")),
        type=type_,
        protocol=RouteProtocol.KERNEL if protocol == _KERNEL else RouteProtocol.STATIC,
        scope=_scope(four, scope, type_),
        source=values.get(_PREFSRC),
        mtu=u32(metrics[_METRIC_MTU]) if _METRIC_MTU in metrics else None,
        hops=() if type_ in NOWHERE else tuple(_hops(values, flags, four=four)),
    )
    if four or len(record.hops) < 2:
        return [record]
    return [replace(record, hops=(hop,)) for hop in record.hops]


def parse_answer(body: bytes) -> list[Hop]:
    """The next hops in an answer to RTM_GETROUTE, which is a cached route."""
    if len(body) < _HEADER.size:
        return []
    flags = _HEADER.unpack_from(body)[-1]
    return list(_hops(attributes(body, _HEADER.size), flags, four=body[0] == AF_INET))


def _scope(four: bool, scope: int, type_: RouteType) -> Scope:
    if four:
        return _SCOPES.get(scope, Scope.UNIVERSE)
    return Scope.HOST if type_ in (RouteType.LOCAL, RouteType.ANYCAST) else Scope.UNIVERSE


def _hops(values: dict[int, bytes], flags: int, *, four: bool) -> Iterator[Hop]:
    several = values.get(_MULTIPATH)
    if several is None:
        yield _hop(u32(values.get(_OIF, b"")), values, 1, flags)
        return
    offset = 0
    while offset + _NEXT_HOP.size <= len(several):
        length, hop_flags, weight, index = _NEXT_HOP.unpack_from(several, offset)
        if length < _NEXT_HOP.size:
            return
        inside = attributes(several[offset : offset + length], _NEXT_HOP.size)
        hop = _hop(index, inside, weight + 1, hop_flags)
        yield replace(hop, dead=True) if four and hop_flags & _DEAD else hop
        offset += length + 3 & ~3


def _hop(index: int, values: dict[int, bytes], weight: int, flags: int) -> Hop:
    gateway = values.get(_GATEWAY)
    if gateway is None and _VIA in values:
        gateway = values[_VIA][2:]
    return Hop(index, gateway, weight, bool(flags & _ONLINK), _ENCAP in values)
