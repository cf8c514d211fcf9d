"""Making changes, all or none.

What the kernel would refuse is refused here, with its error and with the cause as a hint.
Ref: net/netfilter/nf_tables_api.c.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flowtable.ruleset.answer import answer, covering, find_set
from flowtable.ruleset.attachment import attachment_refused, delete_chain_devices, update_chain
from flowtable.ruleset.change import (
    AddChain,
    AddFlowtable,
    AddObject,
    AddRule,
    AddSet,
    AddTable,
    Change,
    ChangeElements,
    Get,
    ReplaceRule,
)
from flowtable.ruleset.command import (
    Delete,
    DeleteDevices,
    DeleteRule,
    Flush,
    FlushRuleset,
    FlushSet,
    Kind,
    Rename,
    TableName,
)
from flowtable.ruleset.elements import put_elements, same_kind, take_elements, unsupported
from flowtable.ruleset.family import Family
from flowtable.ruleset.flowtable_change import add_flowtable, delete_flowtable_devices
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.model import Chain, Flowtable, Ruleset, Table
from flowtable.ruleset.objects import ObjectKind
from flowtable.ruleset.printer import print_ruleset
from flowtable.ruleset.query import Describe, ListHooks, Listing, ResetRule
from flowtable.ruleset.references import check_meter, check_object, check_target, object_user
from flowtable.ruleset.refused import EBUSY, EEXIST, ENOENT, EOPNOTSUPP, refused, similar
from flowtable.ruleset.rename import rename_chain
from flowtable.ruleset.reset import reset_elements, reset_listed, reset_rules
from flowtable.ruleset.source import Diagnostic, RulesetError
from flowtable.ruleset.statements.flow import FlowAdd
from flowtable.ruleset.statements.meter import Meter
from flowtable.ruleset.statements.reference import ObjectReference
from flowtable.ruleset.statements.verdict import Block, VerdictStatement
from flowtable.ruleset.statements.vmap import VerdictMap, element_jumps
from flowtable.ruleset.validate import validate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flowtable.ruleset.answer import Show
    from flowtable.ruleset.model import Rule
    from flowtable.ruleset.place import Place
    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.statement import Statement


class Transaction:
    """Changes being made to a copy of a ruleset.

    Attributes:
        ruleset: the ruleset with the changes so far.
        output: what ``list`` and its like print.
    """

    __slots__ = ("_added", "_copied", "_failed", "_show", "output", "ruleset")

    def __init__(self, ruleset: Ruleset, show: Show = print_ruleset) -> None:
        self._show = show
        self.ruleset = Ruleset(dict(ruleset.tables), ruleset.last_handle)
        self.output: list[str] = []
        self._copied: set[tuple[Family, str]] = set()
        self._added: dict[tuple[Family, str], list[Rule]] = {}
        self._failed: set[tuple[Family, str, str]] = set()

    def apply(self, changes: list[Change]) -> None:
        """Make all changes.

        Raises:
            RulesetError: everything that is refused; the ruleset is of no use then.
        """
        errors: list[Diagnostic] = []
        for change in changes:
            try:
                self._apply(change)
            except RulesetError as error:
                errors.extend(error.diagnostics)
                if isinstance(change, AddChain):
                    self._failed.add((change.table.family, change.table.name, change.chain.name))
        if not errors:
            for key, rules in self._added.items():
                if key in self.ruleset.tables:
                    problem = validate(self.ruleset.tables[key], rules)
                    if problem is not None:
                        errors.append(problem)
        if errors:
            raise RulesetError(errors)

    def _apply(self, change: Change) -> None:
        match change:
            case AddTable():
                self._add_table(change)
            case AddChain():
                self._add_chain(change)
            case AddRule():
                if (change.table.family, change.table.name, change.chain) not in self._failed:
                    self._add_rule(change)
            case ReplaceRule():
                self._replace_rule(change)
            case DeleteRule():
                self._delete_rule(change)
            case AddSet():
                self._add_set(change)
            case AddFlowtable():
                add_flowtable(self._table(change.table), change)
            case AddObject():
                self._add_object(change)
            case ChangeElements():
                self._change_elements(change)
            case Delete():
                self._delete(change)
            case Flush(name, chain, span):
                self._flush(self._table(name), chain, span)
            case FlushRuleset(family):
                for key in list(self.ruleset.tables):
                    if family in (None, key[0]):
                        self._forget(key)
            case DeleteDevices(kind=Kind.CHAIN):
                delete_chain_devices(self._table(change.table), change)
            case DeleteDevices():
                delete_flowtable_devices(self._table(change.table), change)
            case FlushSet(name, declared, span, word):
                flushed = find_set(self._table(name), declared, span, word)
                flushed.elements, flushed.intervals = {}, None
            case Rename():
                rename_chain(self._table(change.table), change)
            case Listing() | Get() | Describe() | ListHooks():
                self.output.append(answer(self.ruleset, change, self._show))
                if isinstance(change, Listing) and change.reset:
                    self._reset(change)
                elif isinstance(change, Get) and change.query.reset:
                    shown = self._table(change.query.table).sets[change.query.set]
                    reset_elements(shown, covering(shown, change))
            case ResetRule(name, chain, span, place):
                self._reset_rule(self._table(name), chain, span, place)

    def _table(self, name: TableName) -> Table:
        """The table, as a copy that can be changed."""
        key = name.family, name.name
        table = self.ruleset.tables.get(key)
        if table is None:
            raise refused(ENOENT, name.span)
        if key not in self._copied:
            table = replace(
                table,
                chains={
                    name: replace(chain, rules=list(chain.rules)) for name, chain in table.chains.items()
                },
                flowtables={name: replace(flowtable) for name, flowtable in table.flowtables.items()},
                sets={
                    name: replace(declared, elements=dict(declared.elements), intervals=None)
                    for name, declared in table.sets.items()
                },
                objects=dict(table.objects),
            )
            self.ruleset.tables[key] = table
            self._copied.add(key)
        return table

    def _forget(self, key: tuple[Family, str]) -> None:
        del self.ruleset.tables[key]
        self._added.pop(key, None)

    def _add_table(self, change: AddTable) -> None:
        name = change.table
        key = name.family, name.name
        if key in self.ruleset.tables:
            if change.create:
                raise refused(EEXIST, name.span)
            table = self._table(name)
            table.flags |= change.flags
            return
        self.ruleset.tables[key] = Table(
            name.family,
            name.name,
            name.span,
            flags=change.flags,
            comment=change.comment,
            handle=self.ruleset.new_handle(),
        )
        self._copied.add(key)

    def _add_chain(self, change: AddChain) -> None:
        table = self._table(change.table)
        chain = change.chain
        known = table.chains.get(chain.name)
        if known is not None:
            if change.create:
                raise refused(EEXIST, chain.span)
            update_chain(known, change)
            return
        if chain.attachment is not None:
            hint = attachment_refused(table.family, chain.attachment)
            if hint is None and chain.offload and chain.attachment.hook is not Hook.INGRESS:
                hint = "hardware runs chains of ingress only"
            if hint is not None:
                raise refused(EOPNOTSUPP, chain.span, hint)
        elif chain.offload or change.devices:
            raise refused(EOPNOTSUPP, chain.span, "only a base chain has flags and devices")
        elif change.policy_span is not None:
            raise refused(EOPNOTSUPP, change.policy_span, "only a base chain has a policy")
        table.chains[chain.name] = replace(chain, handle=table.new_handle(), rules=[])

    def _add_rule(self, change: AddRule) -> None:
        table = self._table(change.table)
        chain = _chain(table, change.chain, change.span)
        at = 0 if change.insert else len(chain.rules)
        if change.place is not None:
            at = _find_rule(chain, change.place) + (0 if change.insert else 1)
        self._put_rule(table, chain, at, change.rule)

    def _replace_rule(self, change: ReplaceRule) -> None:
        table = self._table(change.table)
        chain = _chain(table, change.chain, change.span)
        at = _find_rule(chain, change.place)
        self._drop_rules(table, chain, at)
        self._put_rule(table, chain, at, change.rule)

    def _delete_rule(self, change: DeleteRule) -> None:
        table = self._table(change.table)
        chain = _chain(table, change.chain, change.chain_span)
        if change.destroy and change.place.find(chain) is None:
            return
        self._drop_rules(table, chain, _find_rule(chain, change.place))

    def _put_rule(self, table: Table, chain: Chain, at: int, rule: Rule) -> None:
        for statement in rule.every_statement():
            _check_references(table, statement)
        _number(table, rule)
        added = replace(rule, handle=table.new_handle())
        chain.rules.insert(at, added)
        self._added.setdefault((table.family, table.name), []).append(added)

    def _add_set(self, change: AddSet) -> None:
        table = self._table(change.table)
        declared = change.set
        known = table.sets.get(declared.name)
        if known is None:
            hint = unsupported(declared)
            if hint is not None:
                raise refused(EOPNOTSUPP, declared.span, hint)
            known = replace(declared, elements={}, handle=table.new_handle())
            table.sets[declared.name] = known
        elif change.create or not same_kind(known, declared):
            raise refused(EEXIST, declared.span, f"'{known.name}' is declared otherwise already")
        put_elements(table, known, list(declared.elements.values()))

    def _add_object(self, change: AddObject) -> None:
        table = self._table(change.table)
        added = change.object
        known = table.objects.get((added.kind, added.name))
        if known is not None and change.create:
            raise refused(EEXIST, added.span)
        if known is None:
            table.objects[added.kind, added.name] = replace(added, handle=table.new_handle())
        elif added.kind is ObjectKind.QUOTA:
            table.objects[added.kind, added.name] = replace(known, body=added.body)

    def _change_elements(self, change: ChangeElements) -> None:
        table = self._table(change.table)
        declared = table.sets.get(change.set)
        if declared is None:
            raise refused(ENOENT, change.span)
        if change.delete:
            take_elements(declared, change.elements, destroy=change.destroy)
        else:
            put_elements(table, declared, change.elements, create=change.create)

    def _delete(self, change: Delete) -> None:
        if change.kind is Kind.TABLE:
            key = self._table_key(change)
            if key is not None:
                self._forget(key)
            return
        if change.destroy and (change.table.family, change.table.name) not in self.ruleset.tables:
            return
        table = self._table(change.table)
        match change.kind:
            case Kind.CHAIN:
                where: dict[str, Chain] | dict[str, Flowtable] | dict[str, Set] = table.chains
            case Kind.FLOWTABLE:
                where = table.flowtables
            case Kind.SET | Kind.MAP:
                where = table.sets
            case _:
                self._delete_object(table, change)
                return
        name = change.name
        if change.handle is not None:
            name = next((each.name for each in where.values() if each.handle == change.handle), "")
        if name not in where:
            if change.destroy:
                return
            raise refused(ENOENT, change.span, similar(name, where))
        user = _user(table, change.kind, name)
        if user is not None:
            raise refused(EBUSY, change.span, f"used by {user}")
        if change.kind is Kind.CHAIN:
            self._drop_rules(table, table.chains[name])
        del where[name]

    def _delete_object(self, table: Table, change: Delete) -> None:
        kind = ObjectKind(change.kind.value)
        names = {name: each for (other, name), each in table.objects.items() if other is kind}
        name = change.name
        if change.handle is not None:
            name = next((each.name for each in names.values() if each.handle == change.handle), "")
        if name not in names:
            if change.destroy:
                return
            raise refused(ENOENT, change.span, similar(name, names))
        user = object_user(table, kind, name)
        if user is not None:
            raise refused(EBUSY, change.span, f"used by {user}")
        del table.objects[kind, name]

    def _table_key(self, change: Delete) -> tuple[Family, str] | None:
        """Which table is to be deleted, None if it is gone already and need not be there."""
        for family, name in self.ruleset.tables:
            table = self.ruleset.tables[family, name]
            meant = name == change.name if change.handle is None else table.handle == change.handle
            if family is change.table.family and meant:
                return family, name
        if change.destroy:
            return None
        names = [name for family, name in self.ruleset.tables if family is change.table.family]
        raise refused(ENOENT, change.span, similar(change.name, names))

    def _reset(self, change: Listing) -> None:
        """Let what was listed count anew; what is loaded until now keeps its counts."""
        for family, name in list(self.ruleset.tables):
            if change.family not in (None, family) or (change.table and change.table.name != name):
                continue
            table = self._table(TableName(family, name, change.span))
            self._renew(table, reset_listed(table, change))

    def _reset_rule(self, table: Table, name: str, span: Span, place: Place) -> None:
        chain = _chain(table, name, span)
        handle = chain.rules[_find_rule(chain, place)].handle
        self._renew(table, reset_rules(table, name, handle))

    def _renew(self, table: Table, new: Mapping[int, Rule]) -> None:
        """Rules of this transaction are still of it when others stand for them."""
        key = table.family, table.name
        if key in self._added:
            self._added[key] = [new.get(id(rule), rule) for rule in self._added[key]]

    def _flush(self, table: Table, chain: str | None, span: Span) -> None:
        if chain is None:
            for each in table.chains.values():
                self._drop_rules(table, each)
        elif chain in table.chains:
            self._drop_rules(table, table.chains[chain])
        else:
            raise refused(ENOENT, span)

    def _drop_rules(self, table: Table, chain: Chain, at: int | None = None) -> None:
        """Take one rule out of a chain, or all."""
        gone = chain.rules if at is None else [chain.rules[at]]
        key = table.family, table.name
        if key in self._added:
            idents = {id(rule) for rule in gone}
            self._added[key] = [rule for rule in self._added[key] if id(rule) not in idents]
        if at is None:
            chain.rules.clear()
        else:
            del chain.rules[at]


def _chain(table: Table, name: str, span: Span) -> Chain:
    chain = table.chains.get(name)
    if chain is None:
        raise refused(ENOENT, span, similar(name, table.chains))
    return chain


def _number(table: Table, rule: Rule) -> None:
    """Give handles to what has no name: sets, chains and the rules of those, which come before it."""
    for statement in rule.statements:
        table.last_handle += statement.anonymous_sets
        if isinstance(statement, Meter):
            statement.set.handle = table.last_handle
    for statement in rule.statements:
        if isinstance(statement, Block):
            table.new_handle()
        for inner in statement.blocks:
            _number(table, inner)
            inner.handle = table.new_handle()


def _find_rule(chain: Chain, place: Place) -> int:
    at = place.find(chain)
    if at is None:
        raise refused(ENOENT, place.span, f"chain '{chain.name}' has no such rule")
    return at


def _check_references(table: Table, statement: Statement) -> None:
    """Chains and flowtables that a statement names have to be there."""
    missing = [name for name in statement.updates() if name not in table.sets]
    if missing:
        raise refused(ENOENT, statement.span, f"no set '{missing[0]}' in this table")
    if isinstance(statement, VerdictStatement):
        check_target(table, statement)
    elif isinstance(statement, Meter):
        check_meter(table, statement)
    elif isinstance(statement, VerdictMap):
        for element in statement.elements:
            assert isinstance(element.data, VerdictStatement)
            check_target(table, element.data)
    elif isinstance(statement, ObjectReference):
        for name, place in statement.names:
            check_object(table, statement.kind, name, place)
    elif isinstance(statement, FlowAdd) and statement.name not in table.flowtables:
        others = ", ".join(table.flowtables) or "none"
        hint = f"no flowtable '{statement.name}' in this table; it has: {others}"
        raise refused(ENOENT, statement.span, hint)


def _user(table: Table, kind: Kind, name: str) -> str | None:
    """What still refers to something that is to be deleted."""
    for chain in table.chains.values():
        if kind is Kind.CHAIN and chain.name == name:
            continue
        for rule in chain.rules:
            if name in _uses(rule, kind):
                return f"a rule of chain '{chain.name}'"
    if kind is Kind.CHAIN:
        for declared in table.sets.values():
            if name in element_jumps(declared.elements.values()):
                return f"an element of map '{declared.name}'"
    return None


def _uses(rule: Rule, kind: Kind) -> Iterator[str]:
    for statement in rule.every_statement():
        match kind:
            case Kind.CHAIN:
                yield from statement.jumps
            case Kind.FLOWTABLE:
                if isinstance(statement, FlowAdd):
                    yield statement.name
            case Kind.SET | Kind.MAP:
                yield from statement.lookups()
            case _:
                pass
