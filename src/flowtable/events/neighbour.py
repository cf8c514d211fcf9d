"""``ip neighbour``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.events.deletion import deletion
from flowtable.topology.boxfile import neighbours
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, UnreadableError

if TYPE_CHECKING:
    from flowtable.router import Box


def neighbour(field: Field, box: Box) -> None:
    """Add or replace a neighbour, or delete it."""
    table = box.topology.neighbours
    draft = Draft.of(box.topology)
    rest, delete = deletion(field)
    if delete:
        section = rest.section(("address", "dev"))
        address, device = section.need("address", Field.address), section.need("dev", draft.device)
        if address is None or device is None:
            raise UnreadableError
        known = table.get(device, address)
        if known is None:
            return
        table.delete(known)
    else:
        said = neighbours.read_neighbour(rest, draft)
        known = table.set(said.device, said.address, said.mac, said.state, router=said.router)
    box.neighbours.replaced(known, box.now)
