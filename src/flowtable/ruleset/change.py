"""Changes of a ruleset, checked and ready to be made; what needs no check is the command itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowtable.ruleset.command import Delete, DeleteDevices, DeleteRule, Flush, FlushRuleset, FlushSet, Rename
from flowtable.ruleset.query import Describe, ListHooks, Listing, ResetRule

if TYPE_CHECKING:
    from flowtable.ruleset.command import TableName
    from flowtable.ruleset.element import Element
    from flowtable.ruleset.model import Chain, Flowtable, Rule
    from flowtable.ruleset.objects import NamedObject
    from flowtable.ruleset.place import Place
    from flowtable.ruleset.query import GetElements
    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.table_flag import TableFlag


@dataclass(slots=True, frozen=True)
class AddTable:
    """Add a table, or change one that is there."""

    table: TableName
    flags: TableFlag
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
        devices: what is added to the devices of a chain that is there.
    """

    table: TableName
    chain: Chain
    policy_span: Span | None
    create: bool
    devices: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class AddRule:
    """Put a rule into a chain.

    Attributes:
        table: the table.
        chain: the chain.
        span: where its name stands.
        rule: the rule.
        place: the rule behind or in front of which it goes, None for the end or the start.
        insert: in front.
    """

    table: TableName
    chain: str
    span: Span
    rule: Rule
    place: Place | None = None
    insert: bool = False


@dataclass(slots=True, frozen=True)
class ReplaceRule:
    """Put a rule in the place of another."""

    table: TableName
    chain: str
    span: Span
    place: Place
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
class AddObject:
    """Add a named object; a quota that is there is changed, others stay as they are."""

    table: TableName
    object: NamedObject
    create: bool


@dataclass(slots=True, frozen=True)
class ChangeElements:
    """Add elements to a set or map, or take them out."""

    table: TableName
    set: str
    span: Span
    elements: list[Element]
    delete: bool
    destroy: bool = False
    create: bool = False


@dataclass(slots=True, frozen=True)
class Get:
    """Show some elements of a set, and let them count anew if it is a reset."""

    query: GetElements
    elements: list[Element]


Change = (
    AddTable
    | AddChain
    | AddRule
    | ReplaceRule
    | DeleteRule
    | AddSet
    | AddFlowtable
    | AddObject
    | ChangeElements
    | Delete
    | DeleteDevices
    | Flush
    | FlushRuleset
    | FlushSet
    | Rename
    | Listing
    | ListHooks
    | ResetRule
    | Describe
    | Get
)
