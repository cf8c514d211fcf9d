"""``delete: true``, which turns an event into its opposite."""

from __future__ import annotations

from flowtable.topology.boxfile.document import Mapping
from flowtable.topology.boxfile.reader import Field


def deletion(field: Field) -> tuple[Field, bool]:
    """What an event says besides, and whether it is to be deleted.

    Raises:
        UnreadableError: it is no mapping, or ``delete`` neither true nor false.
    """
    said = field.entries().get("delete")
    if said is None:
        return field, False
    return without(field, "delete"), said.boolean()


def without(field: Field, key: str) -> Field:
    """A mapping without one of its keys."""
    node = field.node
    assert isinstance(node, Mapping)
    rest = Mapping(node.line, node.column, [pair for pair in node.pairs if pair[0].text != key])
    return Field(rest, field.path, field.problems)
