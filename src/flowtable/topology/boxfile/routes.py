"""``routes``: what ``ip route`` prints, without the routes that follow from addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.boxfile import text
from flowtable.topology.boxfile.common import U32
from flowtable.topology.boxfile.document import Scalar
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, Section, UnreadableError
from flowtable.topology.device import IPV6_MIN_MTU, Device
from flowtable.topology.error import TopologyError
from flowtable.topology.route import (
    DELIVERED,
    IPV6_DEFAULT_METRIC,
    Route,
    RouteProtocol,
    RouteTable,
    RouteType,
)
from flowtable.topology.topology import Topology
from flowtable.topology.vrf import domain

_KEYS: Final = ("to", "type", "via", "dev", "metric", "mtu", "src", "onlink", "table")
_TABLES: Final = {table.name.lower(): table for table in RouteTable}


def read(field: Field, draft: Draft) -> None:
    """Add the routes. A gateway may be on the link of a route that comes later."""
    early: list[tuple[Section, Route]] = []
    for item in field.items():
        try:
            section, route = read_route(item, draft)
        except UnreadableError:
            continue
        try:
            draft.topology.fib(route.family).add(route)
        except TopologyError:
            early.append((section, route))
    for section, route in early:
        try:
            draft.topology.fib(route.family).add(route)
        except TopologyError as error:
            if draft.sound:
                section.at(error.about).note(str(error))


def read_route(item: Field, draft: Draft) -> tuple[Section, Route]:
    """One route, not added yet, and the mapping that says it.

    Raises:
        UnreadableError: it is not valid, which is noted.
    """
    section = item.section(_KEYS)
    to = section.need("to", _to)
    gateway = section.get("via", Field.address, None)
    source = section.get("src", draft.own_address, None)
    device = section.get("dev", draft.device, None)
    size = next((len(known) for known in (to and to[0], gateway, source) if known), 0)
    if section.sound and not size:
        section.at("to").note("default of which family? Say 0.0.0.0/0 or ::/0")
    mtu = section.get("mtu", lambda f: f.integer(IPV6_MIN_MTU if size == 16 else 68, 65535), None)
    for key, address in (("via", gateway), ("src", source)):
        if address is not None and len(address) != size:
            section.at(key).note("of another family than the destination")
            section.sound = False
    network, prefixlen = to if to is not None and to[0] else (bytes(size), 0)
    route = Route(
        IPV4 if size == 4 else IPV6,
        network,
        prefixlen,
        section.get("type", lambda f: f.member(RouteType), RouteType.UNICAST),
        gateway=gateway,
        device=device,
        metric=section.get("metric", lambda f: f.integer(0, U32), 0),
        mtu=mtu,
        source=source,
        onlink=section.get("onlink", Field.boolean, False),
        table=section.get("table", table, _usual_table(device)),
    )
    if not (section.sound and size):
        raise UnreadableError
    return section, route


def _to(field: Field) -> tuple[bytes, int]:
    """Network address and prefix length; no address for ``default``."""
    return (b"", 0) if field.text() == "default" else destination(field)


def destination(field: Field) -> tuple[bytes, int]:
    """Network address and prefix length."""
    address, prefixlen = field.prefix()
    host = (1 << len(address) * 8 - prefixlen) - 1
    if int.from_bytes(address) & host:
        network = (int.from_bytes(address) & ~host).to_bytes(len(address))
        raise field.fail(f"host bits are set; expected {text.prefix(network, prefixlen)}, got {field.node}")
    return address, prefixlen


def table(field: Field) -> int:
    """A routing table, by its number or its name."""
    if isinstance(field.node, Scalar) and field.node.text in _TABLES:
        return _TABLES[field.node.text]
    return field.integer(1, U32)


def table_name(number: int) -> str:
    """What ``ip route`` calls a table."""
    return next((name for name, value in _TABLES.items() if value == number), str(number))


def _usual_table(device: Device | None) -> int:
    """The table of a route that names none: its device's VRF's. Ref: ``ip route add vrf``."""
    vrf = domain(device)
    return RouteTable.MAIN if vrf is None else vrf.table


def write(topology: Topology) -> Iterator[str]:
    """The section's lines."""
    routes = [r for fib in (topology.fib4, topology.fib6) for r in fib if r.protocol is RouteProtocol.STATIC]
    if routes:
        yield "routes:"
    for route in routes:
        usual = 0 if route.family == IPV4 else IPV6_DEFAULT_METRIC
        named = route.prefixlen == 0 and route.gateway is not None
        yield "  - " + text.inline(
            {
                "to": "default" if named else text.prefix(route.destination, route.prefixlen),
                "type": None if route.type is RouteType.UNICAST else route.type.value,
                "via": None if route.gateway is None else text.address(route.gateway),
                "dev": None if route.oif is None else text.quoted(route.oif.name),
                "metric": None if route.metric == usual else str(route.metric),
                "mtu": None if route.mtu is None else str(route.mtu),
                "src": None if route.source is None else text.address(route.source),
                "onlink": "true" if route.onlink else None,
                "table": None if route.table == _implied_table(route) else table_name(route.table),
            }
        )


def _implied_table(route: Route) -> int:
    usual = _usual_table(route.oif)
    return RouteTable.LOCAL if route.type in DELIVERED and usual == RouteTable.MAIN else usual
