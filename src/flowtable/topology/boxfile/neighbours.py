"""``neighbours``: what ``ip neighbour`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowtable.topology.boxfile import text
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, UnreadableError
from flowtable.topology.device import unicast
from flowtable.topology.neighbour import VALID, Neighbour, NeighbourState
from flowtable.topology.topology import Topology

_KEYS: Final = ("address", "dev", "mac", "state", "router")
_STATES: Final = {state.name.lower(): state for state in NeighbourState}


def read(field: Field, draft: Draft) -> None:
    """Add the neighbours."""
    table = draft.topology.neighbours
    for item in field.items():
        try:
            said = read_neighbour(item, draft)
        except UnreadableError:
            continue
        if table.get(said.device, said.address) is not None:
            item.note(f"there is already such a neighbour on {said.device.name}")
        else:
            table.set(said.device, said.address, said.mac, said.state, router=said.router)


def read_neighbour(item: Field, draft: Draft) -> Neighbour:
    """One neighbour, not added yet.

    Raises:
        UnreadableError: it is not valid, which is noted.
    """
    section = item.section(_KEYS)
    address = section.need("address", _host)
    device = section.need("dev", draft.device)
    state = section.get("state", lambda f: f.choice(_STATES), NeighbourState.PERMANENT)
    mac = section.get("mac", Field.mac, None)
    router = section.get("router", Field.boolean, False)
    if address is None or device is None or not section.sound:
        raise UnreadableError
    if mac is None and state in VALID:
        raise item.fail(f"missing key 'mac', which a {state.name.lower()} neighbour has")
    return Neighbour(device, address, mac, state, router=router)


def _host(field: Field) -> bytes:
    address = field.address()
    if not unicast(address):
        raise field.fail(f"expected the address of one host, got {field.node}")
    return address


def write(topology: Topology) -> Iterator[str]:
    """The section's lines."""
    if len(topology.neighbours):
        yield "neighbours:"
    for neighbour in topology.neighbours:
        yield "  - " + text.inline(
            {
                "address": text.address(neighbour.address),
                "dev": text.quoted(neighbour.device.name),
                "mac": None if neighbour.mac is None else text.mac(neighbour.mac),
                "state": neighbour.state.name.lower(),
                "router": "true" if neighbour.router else None,
            }
        )
