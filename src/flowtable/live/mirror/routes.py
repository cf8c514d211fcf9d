"""The routes of the host in the topology: they come, take the place of others, go, and die quietly."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from flowtable.live.mirror.route import Hop, RouteRecord
from flowtable.live.mirror.table import Table
from flowtable.netlink.message import Flag
from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.device import Scope
from flowtable.topology.route import Route, RouteProtocol, RouteType

if TYPE_CHECKING:
    from flowtable.topology.mirrored import MirroredTopology

Path = tuple[int, int, bytes, int, int, int]
"""What routes have in common of which only one is taken."""


def _path(record: RouteRecord) -> Path:
    return (
        record.family,
        record.table,
        record.destination,
        record.prefixlen,
        record.tos,
        record.metric,
    )


_NOWHERE: Final = Hop(0, None)
_FIRST: Final = -1
"""A metric lower than any."""


class RouteTable(Table[RouteRecord, RouteRecord]):
    """The routes of both families. A route has no name: it is all that is said of it.

    Attributes:
        records: the keys are the records as they are while all next hops are alive.
    """

    def __init__(self, topology: MirroredTopology) -> None:
        super().__init__()
        self._topology = topology
        self._paths: dict[Path, list[RouteRecord]] = {}
        self._placed: dict[RouteRecord, dict[Hop, Route]] = {}

    def key(self, record: RouteRecord) -> RouteRecord:
        """The record itself."""
        if any(hop.dead for hop in record.hops):
            return replace(record, hops=tuple(replace(hop, dead=False) for hop in record.hops))
        return record

    def devices(self, record: RouteRecord) -> tuple[int, ...]:
        """Those of its next hops."""
        return tuple({hop.index: None for hop in record.hops})

    def told(self, records: list[RouteRecord], flags: int) -> None:
        """A notification says that a route is there.

        Args:
            records: the route; of IPv6 one for each next hop.
            flags: of the message: whether it took the place of another, or stands behind others.
        """
        if not records:
            return
        keys = [self.key(record) for record in records]
        known = list(self._paths.get(_path(records[0]), ()))
        takes_place = flags & Flag.REPLACE
        last = flags & Flag.APPEND or (records[0].family == IPV6 and not takes_place)
        for number, (key, record) in enumerate(zip(keys, records, strict=True)):
            path = self._paths.setdefault(_path(record), [])
            if key not in path:
                path.insert(len(path) if last else number, key)
            self.put(record)
        if takes_place:
            # Ref: net/ipv4/fib_trie.c:fib_table_insert, net/ipv6/ip6_fib.c:fib6_add_rt2node.
            for key in known[:1] if records[0].family == IPV4 else known:
                if key not in keys:
                    self.drop(key)

    def replace(self, records: Iterable[RouteRecord]) -> None:
        """These are the routes, in this order where they have the same destination and metric."""
        given = {self.key(record): record for record in records}
        paths: dict[Path, list[RouteRecord]] = {}
        for key in given:
            paths.setdefault(_path(key), []).append(key)
        for key in self.records.keys() - given.keys():
            self.drop(key)
        for path, known in list(self._paths.items()):
            if known != [key for key in paths[path] if key in known]:
                for key in list(known):
                    self.drop(key)
        self._paths = paths
        for record in given.values():
            self.put(record)

    def changed(self, old: RouteRecord | None, new: RouteRecord | None) -> None:
        """Let the routes of the topology follow: one for each next hop that is alive."""
        record = new or old
        assert record is not None
        key, fib = self.key(record), self._topology.fib(record.family)
        alive = [] if new is None else _ways(new)
        placed = self._placed.setdefault(key, {})
        for hop in alive:
            if hop not in placed and (route := self._route(key, hop)) is not None:
                fib.place(route, self._behind(key, hop), _group(key, hop))
                placed[hop] = route
        for hop in [hop for hop in placed if hop not in alive]:
            fib.remove(placed.pop(hop))
        if new is None:
            del self._placed[key]
            path = self._paths[_path(key)]
            path.remove(key)
            if not path:
                del self._paths[_path(key)]

    def _behind(self, key: RouteRecord, hop: Hop) -> Route | None:
        """The route that has to stand behind that of a next hop."""
        path, hops = self._paths[_path(key)], key.hops
        later = [(key, other) for other in hops[hops.index(hop) + 1 :]] if hop in hops else []
        later += [
            (other, each) for other in path[path.index(key) + 1 :] for each in other.hops or (_NOWHERE,)
        ]
        for other, each in later:
            if (route := self._placed.get(other, {}).get(each)) is not None:
                return route
        return None

    def _route(self, record: RouteRecord, hop: Hop) -> Route | None:
        """A route of the topology; None while the device is not there."""
        if _unknown(record):
            return _barrier(record, _FIRST)
        if hop.encap:
            return _barrier(record, record.metric)
        device = self._topology.indexes.get(hop.index)
        if device is None and record.hops:
            return None
        delivered = record.type in (RouteType.LOCAL, RouteType.ANYCAST)
        return Route(
            record.family,
            record.destination,
            record.prefixlen,
            record.type,
            gateway=hop.gateway,
            device=self._topology.lo if delivered else device,
            metric=record.metric,
            mtu=record.mtu,
            source=record.source,
            onlink=hop.onlink,
            scope=record.scope,
            table=record.table,
            protocol=record.protocol,
            oif=device,
        )

    def unusable(self, index: int, *, addressless: bool = False) -> None:
        """A device is down, or has no IPv4 address any more.

        IPv4 routes go with the last of their next hops that is alive, without a word. Those to
        the addresses of a device that is only down stay.
        Ref: net/ipv4/fib_semantics.c:fib_sync_down_dev, fib_trie.c:fib_table_flush.
        """
        for record in self.on(index):
            if record.family != IPV4 or (record.scope is Scope.HOST and not addressless):
                continue
            hops = tuple(replace(hop, dead=hop.dead or hop.index == index) for hop in record.hops)
            if all(hop.dead for hop in hops):
                self.drop(self.key(record))
            else:
                self.put(replace(record, hops=hops))

    def usable(self, index: int) -> None:
        """A device is up, or has an IPv4 address: its next hops are alive again if it is both.

        Ref: net/ipv4/fib_semantics.c:fib_sync_up.
        """
        device = self._topology.indexes.get(index)
        if device is None or not device.up:
            return
        for record in self.on(index):
            if any(hop.dead and hop.index == index for hop in record.hops):
                hops = tuple(replace(hop, dead=hop.dead and hop.index != index) for hop in record.hops)
                self.put(replace(record, hops=hops))

    def source_gone(self, address: bytes) -> None:
        """Routes go with the address that they prefer; before Linux 6.6 without a word.

        Ref: net/ipv4/fib_semantics.c:fib_sync_down_addr.
        """
        if any(device.has(address) for device in self._topology.devices.values()):
            return
        for key in [key for key in self.records if key.source == address]:
            self.drop(key)

    def notes(self) -> Iterator[str]:
        """In words, which routes are not what they are in the kernel."""
        for record in self.records:
            what = _unknown(record) or ("its encapsulation" if any(h.encap for h in record.hops) else "")
            if what:
                yield f"{_shown(record)}: flows that it may be for are refused, because of {what}"


def _ways(record: RouteRecord) -> list[Hop]:
    """Where packets may go; one that is nowhere for the types that end a packet."""
    if _unknown(record):
        return [_NOWHERE]
    return [hop for hop in record.hops or (_NOWHERE,) if not hop.dead]


def _group(record: RouteRecord, hop: Hop) -> Hashable:
    """What the next hops of a route have in common; None where there is one.

    Of IPv6, routes through gateways are one route if all else is the same.
    Ref: net/ipv6/ip6_fib.h:rt6_qualify_for_ecmp.
    """
    if record.family == IPV4:
        return record if len(record.hops) > 1 else None
    return None if hop.gateway is None else _path(record)


def _barrier(record: RouteRecord, metric: int) -> Route:
    """What stands in the place of a way that flows cannot take, or that only some packets take."""
    return Route(
        record.family,
        record.destination,
        record.prefixlen,
        RouteType.UNREACHABLE,
        metric=metric,
        table=record.table,
        protocol=RouteProtocol.KERNEL,
    )


def _unknown(record: RouteRecord) -> str:
    """What topologies do not know of a route; empty for nothing."""
    if record.tos:
        return f"tos {record.tos:#x}"
    return "the source prefix" if record.source_length else ""


def _shown(record: RouteRecord) -> str:
    return f"route {ip_address(record.destination)}/{record.prefixlen} table {record.table}"
