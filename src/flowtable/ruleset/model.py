"""A ruleset as it is loaded: tables and what is in them, in the order of their creation."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from flowtable.ruleset.family import Family
from flowtable.ruleset.table_flag import NO_FLAGS, TableFlag
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.ruleset.hook import Hook
    from flowtable.ruleset.objects import NamedObject, ObjectKind
    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.statement import Statement


class ChainType(Enum):
    """What a base chain is for; the value is its name."""

    FILTER = "filter"
    NAT = "nat"
    ROUTE = "route"


@dataclass(slots=True, frozen=True)
class Attachment:
    """Where a base chain is attached.

    Attributes:
        type: what the chain is for.
        hook: the hook it runs at.
        priority: its place in the order of that hook, lower runs first.
        devices: the devices of an ingress or egress chain, empty elsewhere.
    """

    type: ChainType
    hook: Hook
    priority: int
    devices: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Rule:
    """One rule.

    Attributes:
        statements: matches and statements in their order, implied protocol tests included.
        span: the rule in its source.
        comment: its ``comment``, None without.
        handle: number unique in its table.
    """

    statements: list[Statement]
    span: Span
    comment: str | None = None
    handle: int = 0

    def every_statement(self) -> Iterator[Statement]:
        """Its statements, those of chains without a name included."""
        for statement in self.statements:
            yield statement
            for rule in statement.blocks:
                yield from rule.every_statement()


@dataclass(slots=True, eq=False)
class Chain:
    """A chain; a base chain if it is attached to a hook.

    Attributes:
        name: unique among the chains of its table.
        span: the name in its source.
        rules: in the order of evaluation.
        attachment: the hook it is attached to, None for a chain that is only jumped to.
        policy: what happens at the end of a base chain.
        comment: its ``comment``, None without.
        offload: ``flags offload``: hardware is to run it.
        handle: number unique in its table.
    """

    name: str
    span: Span
    rules: list[Rule] = field(default_factory=list)
    attachment: Attachment | None = None
    policy: Verdict = Verdict.ACCEPT
    comment: str | None = None
    offload: bool = False
    handle: int = 0


@dataclass(slots=True, eq=False)
class Flowtable:
    """The declaration of a flowtable.

    Attributes:
        family: family of its table.
        table: name of its table.
        name: unique among the flowtables of its table.
        span: the name in its source.
        priority: its place among what is attached to the ingress hook of its devices.
        devices: names of its devices, sorted.
        counter: flows are accounted in their connections.
        offload: ``flags offload``.
        handle: number unique in its table.
    """

    family: Family
    table: str
    name: str
    span: Span
    priority: int
    devices: tuple[str, ...] = ()
    counter: bool = False
    offload: bool = False
    handle: int = 0


@dataclass(slots=True, eq=False)
class Table:
    """A table.

    Attributes:
        family: what packets its chains see.
        name: unique in its family.
        span: the name in its source.
        chains: by name.
        flowtables: by name.
        sets: sets and maps by name.
        objects: named counters, quotas ... by kind and name.
        flags: its ``flags``.
        comment: its ``comment``, None without.
        handle: number unique in the ruleset.
        last_handle: the last number given to something in it.
    """

    family: Family
    name: str
    span: Span
    chains: dict[str, Chain] = field(default_factory=dict)
    flowtables: dict[str, Flowtable] = field(default_factory=dict)
    sets: dict[str, Set] = field(default_factory=dict)
    objects: dict[tuple[ObjectKind, str], NamedObject] = field(default_factory=dict)
    flags: TableFlag = NO_FLAGS
    comment: str | None = None
    handle: int = 0
    last_handle: int = 0

    @property
    def dormant(self) -> bool:
        """Whether its chains are not attached."""
        return TableFlag.DORMANT in self.flags

    def new_handle(self) -> int:
        """The next number for something in this table."""
        self.last_handle += 1
        return self.last_handle


@dataclass(slots=True, eq=False)
class Ruleset:
    """All tables.

    Attributes:
        tables: by family and name.
        last_handle: the last number given to a table.
    """

    tables: dict[tuple[Family, str], Table] = field(default_factory=dict)
    last_handle: int = 0

    def new_handle(self) -> int:
        """The next number for a table."""
        self.last_handle += 1
        return self.last_handle

    def start(self, now: int) -> None:
        """The rules start to run: from now on, nanoseconds, the time of elements of sets passes."""
        for table in self.tables.values():
            for declared in table.sets.values():
                if declared.timeouts:
                    for element in declared.elements.values():
                        element.start(now)

    def table(self, family: str, name: str) -> Table:
        """The table of that family and name, as in ``table inet filter``.

        Raises:
            KeyError: there is none.
        """
        return self.tables[Family(family), name]

    def rules(self) -> Iterator[tuple[Table, Chain, Rule]]:
        """Every rule with its chain and table, in the order of listings."""
        for table in self.tables.values():
            for chain in table.chains.values():
                for rule in chain.rules:
                    yield table, chain, rule

    def flowtables(self) -> Iterator[Flowtable]:
        """Every flowtable declared, in the order of tables and declarations."""
        for table in self.tables.values():
            yield from table.flowtables.values()
