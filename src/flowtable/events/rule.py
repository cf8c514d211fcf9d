"""``ip rule``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.events.deletion import deletion
from flowtable.topology.boxfile import rules
from flowtable.topology.error import TopologyError

if TYPE_CHECKING:
    from flowtable.router import Box
    from flowtable.topology.boxfile.reader import Field


def rule(field: Field, box: Box) -> None:
    """Add a rule of policy routing, or delete the one that is as it says."""
    rest, delete = deletion(field)
    family, said = rules.read_rule(rest)
    fib = box.topology.fib(family)
    try:
        if delete:
            fib.remove_rule(said)
        else:
            fib.add_rule(said)
    except TopologyError as error:
        field.note(str(error))
