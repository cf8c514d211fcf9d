"""What happens to hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.topology.boxfile.reader import Field, UnreadableError, unknown

if TYPE_CHECKING:
    from flowtable.router import Box


def chip(field: Field, box: Box) -> None:
    """The driver of a chip goes away: ``rmmod``."""
    section = field.section(("name", "gone"))
    name = section.need("name", Field.text)
    gone = section.need("gone", Field.boolean)
    if name is None or gone is None:
        raise UnreadableError
    switches = () if box.chips is None else box.chips.switches
    names = [switch.name for switch in switches]
    if name not in names:
        raise section.at("name").fail(unknown("chip", name, names))
    if not gone:
        raise section.at("gone").fail("a driver can only go away: true")
    box.lose(name)
