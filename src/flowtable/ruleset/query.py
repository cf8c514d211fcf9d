"""What a command asks for that changes nothing: ``list``, ``get``, ``describe``; and ``reset``.

Ref: nftables src/rule.c:do_command_list, do_command_reset, do_command_get, do_command_describe.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtable.ruleset.command import Kind, TableName
    from flowtable.ruleset.family import Family
    from flowtable.ruleset.place import Place
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.syntax import SetTerm
    from flowtable.ruleset.types.base import DataType


class Scope(Enum):
    """How much is listed."""

    RULESET = "ruleset"
    """Everything."""
    EVERY = "every"
    """All of a kind."""
    ONE = "one"
    """One of a kind, by its name."""


@dataclass(slots=True, frozen=True)
class Listing:
    """``list`` or ``reset``.

    ``reset rules`` lists and resets a chain, a table or the ruleset.

    Attributes:
        scope: how much.
        kind: of what kind, None for everything.
        family: the family that is written, None for all.
        table: the table that is written, None for all.
        name: the name of the one that is meant, empty without.
        span: where the name stands, else the whole command.
        reset: counts start anew after they are listed.
    """

    scope: Scope
    kind: Kind | None
    family: Family | None
    table: TableName | None
    name: str
    span: Span
    reset: bool = False


@dataclass(slots=True, frozen=True)
class GetElements:
    """``get element`` or ``reset element``.

    Attributes:
        table: the table.
        set: the set or map.
        set_span: where its name stands.
        elements: the elements that are asked for.
        span: the whole command.
        reset: they count anew after they are shown.
    """

    table: TableName
    set: str
    set_span: Span
    elements: SetTerm
    span: Span
    reset: bool = False


@dataclass(slots=True, frozen=True)
class ResetRule:
    """``reset rule``, which lists nothing.

    Attributes:
        table: the table.
        chain: its chain.
        span: where the name of the chain stands.
        place: its handle.
    """

    table: TableName
    chain: str
    span: Span
    place: Place


@dataclass(slots=True, frozen=True)
class Describe:
    """``describe``.

    Attributes:
        subject: what is described: a selector, or a type by its name.
    """

    subject: Selector | DataType


@dataclass(slots=True, frozen=True)
class ListHooks:
    """``list hooks``.

    Attributes:
        family: the family that is written, None for all.
        device: the device that is written, None for all.
    """

    family: Family | None
    device: str | None


Query = Listing | GetElements | ResetRule | Describe | ListHooks
