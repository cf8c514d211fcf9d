"""``routes``: what ``ip route`` prints, without the routes that follow from addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.boxfile import text
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, Section, UnreadableError
from flowtable.topology.device import IPV6_MIN_MTU
from flowtable.topology.error import TopologyError
from flowtable.topology.route import IPV6_DEFAULT_METRIC, Route, RouteProtocol, RouteType
from flowtable.topology.topology import Topology

_KEYS: Final = ("to", "type", "via", "dev", "metric", "mtu", "src", "onlink")
_U32: Final = 2**32 - 1


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
    to = section.need("to", _destination)
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
    destination, prefixlen = to if to is not None and to[0] else (bytes(size), 0)
    route = Route(
        IPV4 if size == 4 else IPV6,
        destination,
        prefixlen,
        section.get("type", lambda f: f.member(RouteType), RouteType.UNICAST),
        gateway=gateway,
        device=device,
        metric=section.get("metric", lambda f: f.integer(0, _U32), 0),
        mtu=mtu,
        source=source,
        onlink=section.get("onlink", Field.boolean, False),
    )
    if not (section.sound and size):
        raise UnreadableError
    return section, route


def _destination(field: Field) -> tuple[bytes, int]:
    """Network address and prefix length; no address for ``default``."""
    if field.text() == "default":
        return b"", 0
    address, prefixlen = field.prefix()
    host = (1 << len(address) * 8 - prefixlen) - 1
    if int.from_bytes(address) & host:
        network = (int.from_bytes(address) & ~host).to_bytes(len(address))
        raise field.fail(f"host bits are set; expected {text.prefix(network, prefixlen)}, got {field.node}")
    return address, prefixlen


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
            }
        )
