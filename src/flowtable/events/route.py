"""``ip route``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.events.deletion import deletion
from flowtable.topology.boxfile import routes
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.error import TopologyError

if TYPE_CHECKING:
    from flowtable.router import Box
    from flowtable.topology.boxfile.reader import Field
    from flowtable.topology.fib import Fib
from flowtable.topology.route import Route


def route(field: Field, box: Box) -> None:
    """Add a route, or delete the first that is as it says."""
    rest, delete = deletion(field)
    section, said = routes.read_route(rest, Draft.of(box.topology))
    fib = box.topology.fib(said.family)
    try:
        if delete:
            fib.remove(_like(fib, said, stated=set(section.entries)))
        else:
            fib.add(said)
    except TopologyError as error:
        section.at(error.about).note(str(error))


def _like(fib: Fib, said: Route, stated: set[str]) -> Route:
    """Ref: net/ipv4/fib_trie.c:fib_table_delete, net/ipv6/route.c:ip6_route_del."""
    for known in fib:
        if (
            (known.destination, known.prefixlen, known.type) == (said.destination, said.prefixlen, said.type)
            and ("table" not in stated or known.table == said.table)
            and ("via" not in stated or known.gateway == said.gateway)
            and ("dev" not in stated or known.oif is said.device)
            and ("metric" not in stated or known.metric == said.metric)
        ):
            return known
    raise TopologyError("No such process", "to")
