"""What a file asks for, as written: commands, and the blocks in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from flowtable.ruleset.query import Query
from flowtable.ruleset.table_flag import NO_FLAGS, TableFlag

if TYPE_CHECKING:
    from flowtable.ruleset.family import Family
    from flowtable.ruleset.hook import Hook
    from flowtable.ruleset.model import ChainType
    from flowtable.ruleset.objects import Body, ObjectKind
    from flowtable.ruleset.place import Place
    from flowtable.ruleset.priority import PrioritySyntax
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.statement import Statement
    from flowtable.ruleset.syntax import SetTerm, Term
    from flowtable.ruleset.types.base import DataType
    from flowtable.ruleset.verdict import Verdict


@dataclass(slots=True, frozen=True)
class TableName:
    """Which table is meant.

    Attributes:
        family: its family.
        name: its name.
        span: where the name stands.
    """

    family: Family
    name: str
    span: Span


@dataclass(slots=True)
class RuleSyntax:
    """A rule as written."""

    statements: list[Statement]
    comment: str | None
    span: Span


@dataclass(slots=True, frozen=True)
class HookSyntax:
    """``type filter hook forward priority 0``.

    Attributes:
        type: what the chain is for.
        hook: where it is attached.
        hook_span: where the name of the hook stands.
        priority: its priority.
        devices: the devices of an ingress or egress chain; None where none are written.
        device_span: where the devices stand.
        span: the whole line.
    """

    type: ChainType
    hook: Hook
    hook_span: Span
    priority: PrioritySyntax
    devices: tuple[str, ...] | None
    device_span: Span
    span: Span


@dataclass(slots=True)
class ChainSyntax:
    """A chain as written.

    Attributes:
        name: its name.
        span: where the name stands.
        hook: its ``type`` line, None without.
        policy: its policy, None where none is written.
        policy_span: where that stands.
        comment: its ``comment``, None without.
        devices: the devices of a ``devices`` line of its own.
        offload: ``flags offload`` is written.
        rules: its rules.
    """

    name: str
    span: Span
    hook: HookSyntax | None = None
    policy: Verdict | None = None
    policy_span: Span | None = None
    comment: str | None = None
    devices: tuple[str, ...] = ()
    offload: bool = False
    rules: list[RuleSyntax] = field(default_factory=list)


@dataclass(slots=True)
class FlowtableSyntax:
    """A flowtable as written.

    Attributes:
        name: its name.
        span: where the name stands.
        hook: the hook that is written, None without.
        priority: the priority that is written, None without.
        devices: the devices that are written.
        counter: ``counter`` is written.
        offload: ``flags offload`` is written.
    """

    name: str
    span: Span
    hook: str | None = None
    priority: PrioritySyntax | None = None
    devices: tuple[str, ...] = ()
    counter: bool = False
    offload: bool = False


@dataclass(slots=True)
class SetSyntax:
    """A set or map as written.

    Attributes:
        name: its name.
        span: where the name stands.
        is_map: it is a map.
        datatype: ``type``, None without.
        data: type of the data, None without.
        verdicts: its data are verdicts.
        typeof: ``typeof``, None without.
        data_typeof: the data part of ``typeof``, None without.
        flags: its flags.
        elements: its elements, None where none are written.
        auto_merge: ``auto-merge`` is written.
        size: ``size``, None without.
        policy: ``policy``, None without.
        comment: ``comment``, None without.
        objects: its data are objects of that kind, None if they are not.
        statements: statements of each of its elements.
        timeout: ``timeout`` in milliseconds, None without.
        gc_interval: ``gc-interval`` in milliseconds, None without.
    """

    name: str
    span: Span
    is_map: bool = False
    datatype: DataType | None = None
    data: DataType | None = None
    verdicts: bool = False
    typeof: Term | None = None
    data_typeof: Term | None = None
    flags: frozenset[str] = frozenset()
    elements: SetTerm | None = None
    auto_merge: bool = False
    size: int | None = None
    policy: str | None = None
    comment: str | None = None
    objects: ObjectKind | None = None
    statements: tuple[Statement, ...] = ()
    timeout: int | None = None
    gc_interval: int | None = None


@dataclass(slots=True)
class ObjectSyntax:
    """A named object as written.

    Attributes:
        kind: its kind.
        name: its name.
        span: where the name stands.
        body: what it is; checked with the table.
        comment: ``comment``, None without.
        broken: there are errors in its block.
    """

    kind: ObjectKind
    name: str
    span: Span
    body: Body | None
    comment: str | None = None
    broken: bool = False


@dataclass(slots=True)
class TableSyntax:
    """What is in a table block."""

    flags: TableFlag = NO_FLAGS
    comment: str | None = None
    chains: list[ChainSyntax] = field(default_factory=list)
    sets: list[SetSyntax] = field(default_factory=list)
    flowtables: list[FlowtableSyntax] = field(default_factory=list)
    objects: list[ObjectSyntax] = field(default_factory=list)


class Kind(Enum):
    """What is deleted or listed; the value is its keyword."""

    TABLE = "table"
    CHAIN = "chain"
    FLOWTABLE = "flowtable"
    SET = "set"
    MAP = "map"
    METER = "meter"
    """Only listed."""
    COUNTER = "counter"
    QUOTA = "quota"
    LIMIT = "limit"
    CT_HELPER = "ct helper"
    CT_TIMEOUT = "ct timeout"
    CT_EXPECTATION = "ct expectation"
    SYNPROXY = "synproxy"
    SECMARK = "secmark"


@dataclass(slots=True, frozen=True)
class AddTable:
    """``add table`` or a table block."""

    table: TableName
    block: TableSyntax
    create: bool
    span: Span


@dataclass(slots=True, frozen=True)
class AddChain:
    """``add chain``."""

    table: TableName
    chain: ChainSyntax
    create: bool


@dataclass(slots=True, frozen=True)
class AddRule:
    """``add rule`` or ``insert rule``.

    Attributes:
        table: the table.
        chain: the chain.
        chain_span: where its name stands.
        rule: the rule.
        place: the rule behind which, or for ``insert`` in front of which, it goes; None for the end,
            or the start.
        insert: ``insert`` is written.
    """

    table: TableName
    chain: str
    chain_span: Span
    rule: RuleSyntax
    place: Place | None = None
    insert: bool = False


@dataclass(slots=True, frozen=True)
class ReplaceRule:
    """``replace rule``."""

    table: TableName
    chain: str
    chain_span: Span
    place: Place
    rule: RuleSyntax


@dataclass(slots=True, frozen=True)
class DeleteRule:
    """``delete rule`` or ``destroy rule``."""

    table: TableName
    chain: str
    chain_span: Span
    place: Place
    destroy: bool


@dataclass(slots=True, frozen=True)
class AddSet:
    """``add set`` or ``add map``."""

    table: TableName
    set: SetSyntax
    create: bool


@dataclass(slots=True, frozen=True)
class AddFlowtable:
    """``add flowtable``."""

    table: TableName
    flowtable: FlowtableSyntax
    create: bool


@dataclass(slots=True, frozen=True)
class AddObject:
    """``add counter`` and the like."""

    table: TableName
    object: ObjectSyntax
    create: bool


@dataclass(slots=True, frozen=True)
class AddElements:
    """``add element``, ``create element``, ``delete element`` or ``destroy element``.

    Attributes:
        table: the table.
        set: name of the set or map.
        set_span: where the name stands.
        elements: the elements.
        delete: they are deleted.
        destroy: they need not be there.
        create: they must not be there.
    """

    table: TableName
    set: str
    set_span: Span
    elements: SetTerm
    delete: bool
    destroy: bool = False
    create: bool = False


@dataclass(slots=True, frozen=True)
class Delete:
    """``delete`` or ``destroy`` of a table or of something in it.

    Attributes:
        kind: what is deleted.
        table: the table.
        name: its name, empty where its handle is given.
        span: where name or handle stands.
        handle: its handle, None where its name is given.
        destroy: it need not be there.
    """

    kind: Kind
    table: TableName
    name: str
    span: Span
    handle: int | None = None
    destroy: bool = False


@dataclass(slots=True, frozen=True)
class DeleteDevices:
    """``delete flowtable`` or ``delete chain`` with a block: devices are taken out of it.

    Attributes:
        kind: what of.
        table: the table.
        name: its name.
        span: where the name stands.
        devices: the devices.
        destroy: they need not be there.
    """

    kind: Kind
    table: TableName
    name: str
    span: Span
    devices: tuple[str, ...]
    destroy: bool


@dataclass(slots=True, frozen=True)
class Rename:
    """``rename chain``."""

    table: TableName
    chain: str
    chain_span: Span
    name: str
    span: Span


@dataclass(slots=True, frozen=True)
class FlushRuleset:
    """``flush ruleset``; of one family if one is given."""

    family: Family | None


@dataclass(slots=True, frozen=True)
class Flush:
    """``flush table`` or ``flush chain``."""

    table: TableName
    chain: str | None
    span: Span


@dataclass(slots=True, frozen=True)
class FlushSet:
    """``flush set``, ``flush map`` or ``flush meter``.

    Attributes:
        table: the table.
        set: its name.
        span: where the name stands.
        word: ``set``, ``map`` or ``meter``.
    """

    table: TableName
    set: str
    span: Span
    word: str


Command = (
    AddTable
    | AddChain
    | AddRule
    | AddSet
    | AddFlowtable
    | AddObject
    | AddElements
    | ReplaceRule
    | DeleteRule
    | Delete
    | DeleteDevices
    | FlushRuleset
    | Flush
    | FlushSet
    | Rename
    | Query
)
