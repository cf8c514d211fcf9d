"""What lints look at: a ruleset as it is loaded, how it was written, and the box it is for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from flowtable.ruleset.hook import Hook
from flowtable.ruleset.model import ChainType
from flowtable.ruleset.statements.flow import FlowAdd
from flowtable.ruleset.statements.vmap import VerdictMap, element_jumps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowtable.ruleset.command import Command
    from flowtable.ruleset.model import Chain, Flowtable, Rule, Ruleset, Table
    from flowtable.ruleset.statement import Statement
    from flowtable.topology.topology import Topology


class Spot(NamedTuple):
    """A rule and where it is."""

    table: Table
    chain: Chain
    rule: Rule


@dataclass(slots=True)
class Subject:
    """What is looked at.

    Attributes:
        ruleset: as it is loaded.
        commands: what its file asked for, in order; empty where only the ruleset is known.
        document: it was read from JSON.
        topology: the box, None where it is not known.
    """

    ruleset: Ruleset
    commands: Sequence[Command] = ()
    document: bool = False
    topology: Topology | None = None
    _reach: dict[int, dict[str, set[str]]] = field(default_factory=dict, init=False)
    _flow_spots: list[tuple[Spot, FlowAdd]] | None = field(default=None, init=False)

    def spots(self) -> Iterator[Spot]:
        """Every rule."""
        for table in self.ruleset.tables.values():
            for chain in table.chains.values():
                for rule in chain.rules:
                    yield Spot(table, chain, rule)

    def flow_spots(self) -> list[tuple[Spot, FlowAdd]]:
        """Every rule that adds flows, with the statement that does."""
        if self._flow_spots is None:
            self._flow_spots = [
                (spot, statement)
                for spot in self.spots()
                for statement in spot.rule.statements
                if isinstance(statement, FlowAdd)
            ]
        return self._flow_spots

    def flowtables(self) -> Iterator[tuple[Table, Flowtable]]:
        """Every flowtable."""
        for table in self.ruleset.tables.values():
            for flowtable in table.flowtables.values():
                yield table, flowtable

    @property
    def offloads(self) -> bool:
        """Whether a rule adds flows."""
        return bool(self.flow_spots())

    def bases(self, table: Table, chain: Chain) -> list[Chain]:
        """The base chains that lead to a chain, itself included if it is one."""
        known = self._reach.get(id(table))
        if known is None:
            known = self._reach[id(table)] = _reach(table)
        return [table.chains[name] for name in known.get(chain.name, ())]

    def hooks(self, spot: Spot) -> set[Hook]:
        """The hooks that a rule can be reached from."""
        return {
            base.attachment.hook for base in self.bases(spot.table, spot.chain) if base.attachment is not None
        }

    def in_nat(self, spot: Spot) -> bool:
        """Whether a rule is reached from a chain of type ``nat``, so from new connections only."""
        return any(
            base.attachment is not None and base.attachment.type is ChainType.NAT
            for base in self.bases(spot.table, spot.chain)
        )


def _reach(table: Table) -> dict[str, set[str]]:
    """By chain, the names of the base chains that lead to it."""
    found: dict[str, set[str]] = {}
    for base in table.chains.values():
        if base.attachment is None:
            continue
        pending = [base.name]
        while pending:
            name = pending.pop()
            if name not in table.chains or base.name in found.setdefault(name, set()):
                continue
            found[name].add(base.name)
            pending.extend(chain_jumps(table, table.chains[name]))
    return found


def chain_jumps(table: Table, chain: Chain) -> Iterator[str]:
    """The chains that a chain goes to."""
    for rule in chain.rules:
        for statement in rule.statements:
            yield from statement_jumps(table, statement)


def statement_jumps(table: Table, statement: Statement) -> Iterator[str]:
    """The chains that a statement goes to, those of a declared map included."""
    yield from statement.jumps
    if isinstance(statement, VerdictMap) and statement.name in table.sets:
        yield from element_jumps(table.sets[statement.name].elements.values())
