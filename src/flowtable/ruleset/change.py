"""Changes of a ruleset, checked and ready to be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtable.ruleset.command import Kind, TableName
    from flowtable.ruleset.family import Family
    from flowtable.ruleset.model import Chain, Flowtable, Rule
    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.values import Element


@dataclass(slots=True, frozen=True)
class AddTable:
    """Add a table, or change one that is there."""

    table: TableName
    dormant: bool
    comment: str | None
    create: bool


@dataclass(slots=True, frozen=True)
class AddChain:
    """Add a chain, or change one that is there; its rules are changes of their own.

    Attributes:
        table: its table.
        chain: what is declared.
        policy_span: where its policy stands, None where none is given.
        create: it must not be there.
    """

    table: TableName
    chain: Chain
    policy_span: Span | None
    create: bool


@dataclass(slots=True, frozen=True)
class AddRule:
    """Append a rule to a chain."""

    table: TableName
    chain: str
    span: Span
    rule: Rule


@dataclass(slots=True, frozen=True)
class AddSet:
    """Add a set or map, or elements to one that is there."""

    table: TableName
    set: Set
    create: bool


@dataclass(slots=True, frozen=True)
class AddFlowtable:
    """Add a flowtable, or devices to one that is there.

    Attributes:
        table: its table.
        flowtable: what is declared.
        hooked: hook and priority are given.
        create: it must not be there.
    """

    table: TableName
    flowtable: Flowtable
    hooked: bool
    create: bool


@dataclass(slots=True, frozen=True)
class ChangeElements:
    """Add elements to a set or map, or take them out."""

    table: TableName
    set: str
    span: Span
    elements: list[Element]
    delete: bool


@dataclass(slots=True, frozen=True)
class Delete:
    """Delete something."""

    kind: Kind
    table: TableName
    name: str
    span: Span


@dataclass(slots=True, frozen=True)
class Flush:
    """Delete the rules of a table, or of one chain."""

    table: TableName
    chain: str | None
    span: Span


@dataclass(slots=True, frozen=True)
class FlushRuleset:
    """Delete all tables, or those of a family."""

    family: Family | None


Change = (
    AddTable | AddChain | AddRule | AddSet | AddFlowtable | ChangeElements | Delete | Flush | FlushRuleset
)
