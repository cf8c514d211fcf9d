"""From commands as written to changes of a ruleset: names, types and values are settled here.

Like nft, a command is left at its first error, and the next one is still checked.
Ref: nftables src/evaluate.c:cmd_evaluate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset import change
from flowtable.ruleset.change import Change
from flowtable.ruleset.command import (
    AddChain,
    AddElements,
    AddFlowtable,
    AddRule,
    AddSet,
    AddTable,
    ChainSyntax,
    Command,
    Delete,
    FlowtableSyntax,
    Flush,
    FlushRuleset,
    HookSyntax,
    Kind,
    RuleSyntax,
    SetSyntax,
    TableName,
)
from flowtable.ruleset.context import RuleContext
from flowtable.ruleset.expressions.bitwise import check_expression
from flowtable.ruleset.expressions.collection import check_map_elements
from flowtable.ruleset.expressions.mapping import check_data
from flowtable.ruleset.family import Family
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.model import Attachment, Chain, Flowtable, Rule
from flowtable.ruleset.priority import resolve
from flowtable.ruleset.sets import Set
from flowtable.ruleset.statements.verdict import VerdictStatement
from flowtable.ruleset.statements.vmap import check_verdict
from flowtable.ruleset.values import (
    Element,
    Interval,
    check_disjoint,
    elements,
    fail,
    merge,
)
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.ruleset.model import Ruleset
    from flowtable.ruleset.syntax import SetTerm, Term
    from flowtable.ruleset.types.base import DataType


class Checker:
    """Checks commands one after the other.

    Rules refer to sets by name, so it remembers those that are there or were declared so far.
    """

    __slots__ = ("_sets",)

    def __init__(self, ruleset: Ruleset) -> None:
        self._sets = {key: dict(table.sets) for key, table in ruleset.tables.items()}

    def check(self, command: Command) -> list[Change]:
        """The changes that a command stands for.

        Raises:
            RulesetError: its first error.
        """
        return list(self._changes(command))

    def _changes(self, command: Command) -> Iterator[Change]:
        match command:
            case AddTable():
                yield from self._table(command)
            case AddChain(table, chain, create):
                yield change.AddChain(table, *self._chain(table, chain), create)
                for rule in chain.rules:
                    yield change.AddRule(table, chain.name, chain.span, self._rule(table, rule))
            case AddRule(table, chain, span, rule):
                yield change.AddRule(table, chain, span, self._rule(table, rule))
            case AddSet(table, declared, create):
                yield change.AddSet(table, self._set(table, declared), create)
            case AddFlowtable(table, declared, create):
                if (table.family, table.name) not in self._sets:
                    raise fail("No such file or directory", table.span)
                yield self._flowtable(table, declared, create=create)
            case AddElements():
                yield self._elements(command)
            case Delete(kind, table, name, span):
                if kind is Kind.TABLE:
                    self._sets.pop((table.family, table.name), None)
                yield change.Delete(kind, table, name, span)
            case Flush(table, chain, span):
                yield change.Flush(table, chain, span)
            case FlushRuleset(family):
                for key in list(self._sets):
                    if family in (None, key[0]):
                        del self._sets[key]
                yield change.FlushRuleset(family)

    def _table(self, command: AddTable) -> Iterator[Change]:
        table, block = command.table, command.block
        self._known(table)
        yield change.AddTable(table, block.dormant, block.comment, command.create)
        sets = [change.AddSet(table, self._set(table, declared), False) for declared in block.sets]
        flowtables = [self._flowtable(table, declared, create=False) for declared in block.flowtables]
        rules: list[Change] = []
        chains: list[Change] = []
        for chain in block.chains:
            chains.append(change.AddChain(table, *self._chain(table, chain), False))
            rules.extend(
                change.AddRule(table, chain.name, chain.span, self._rule(table, rule)) for rule in chain.rules
            )
        yield from chains
        yield from sets
        yield from flowtables
        yield from rules

    def _known(self, table: TableName) -> dict[str, Set]:
        return self._sets.setdefault((table.family, table.name), {})

    def _rule(self, table: TableName, syntax: RuleSyntax) -> Rule:
        context = RuleContext(table.family, self._sets.get((table.family, table.name), {}))
        ended = None
        for statement in syntax.statements:
            if ended is not None:
                raise fail("Statement after terminal statement has no effect", statement.span, ended.span)
            checked = statement.check(context)
            context.statements.append(checked)
            if checked.terminal or (isinstance(checked, VerdictStatement) and checked.ends):
                ended = checked
        return Rule(context.statements, syntax.span, syntax.comment)

    def _chain(self, table: TableName, syntax: ChainSyntax) -> tuple[Chain, ChainSyntax]:
        attachment = None if syntax.hook is None else _attachment(table.family, syntax.hook)
        chain = Chain(
            syntax.name,
            syntax.span,
            attachment=attachment,
            policy=Verdict.ACCEPT if syntax.policy is None else syntax.policy,
            comment=syntax.comment,
        )
        return chain, syntax

    def _flowtable(self, table: TableName, syntax: FlowtableSyntax, *, create: bool) -> change.AddFlowtable:
        if syntax.hook not in (None, "ingress"):
            raise fail(f"invalid hook {syntax.hook}", syntax.span)
        priority = None
        if syntax.priority is not None:
            if syntax.priority.name not in ("", "filter"):
                raise fail("invalid priority expression value.", syntax.priority.span)
            priority = resolve(syntax.priority, table.family, Hook.INGRESS)
            if priority is None:
                raise fail("invalid priority expression value.", syntax.priority.span)
        flowtable = Flowtable(
            table.family,
            table.name,
            syntax.name,
            syntax.span,
            priority or 0,
            syntax.devices,
            counter=syntax.counter,
            offload=syntax.offload,
        )
        return change.AddFlowtable(table, flowtable, priority is not None, create)

    def _set(self, table: TableName, syntax: SetSyntax) -> Set:
        datatype, typeof = _key_type(syntax.datatype, syntax.typeof, table.family)
        if datatype is None:
            raise fail("set definition does not specify key", syntax.span)
        data, data_typeof = _key_type(syntax.data, syntax.data_typeof, table.family)
        if syntax.is_map and not syntax.verdicts and data is None:
            raise fail("map definition does not specify mapping data type", syntax.span)
        declared = Set(
            syntax.name,
            syntax.span,
            datatype,
            is_map=syntax.is_map,
            data=data,
            typeof=typeof,
            data_typeof="verdict" if syntax.verdicts and typeof else data_typeof,
            interval="interval" in syntax.flags,
            constant="constant" in syntax.flags,
            auto_merge=syntax.auto_merge,
            size=syntax.size,
            policy=syntax.policy or "",
            comment=syntax.comment,
        )
        if syntax.elements is not None and syntax.elements.elements:
            declared.elements = _set_elements(declared, syntax.elements)
        self._known(table).setdefault(syntax.name, declared)
        return declared

    def _elements(self, command: AddElements) -> Change:
        table = command.table
        declared = self._sets.get((table.family, table.name), {}).get(command.set)
        if declared is None:
            raise fail("No such file or directory", command.set_span)
        found = _set_elements(declared, command.elements, delete=command.delete)
        return change.ChangeElements(table, command.set, command.set_span, found, command.delete)


def _attachment(family: Family, syntax: HookSyntax) -> Attachment:
    hook = syntax.hook
    devices_needed = hook in (Hook.INGRESS, Hook.EGRESS)
    supported = devices_needed if family is Family.NETDEV else hook is not Hook.EGRESS
    if (hook is Hook.INGRESS and family in (Family.IP, Family.IP6)) or not supported:
        raise fail(f"The {family.value} family does not support this hook", syntax.hook_span)
    if devices_needed and not syntax.devices:
        raise fail("Missing `device' in this chain definition", syntax.span)
    priority = resolve(syntax.priority, family, hook)
    if priority is None:
        raise fail("invalid priority expression value in this context.", syntax.priority.span)
    return Attachment(syntax.type, hook, priority, tuple(sorted(set(syntax.devices or ()))))


def _key_type(datatype: DataType | None, typeof: Term | None, family: Family) -> tuple[DataType | None, str]:
    if datatype is not None or typeof is None:
        return datatype, ""
    selector = check_expression(typeof, RuleContext(family, {}))
    return selector.datatype, selector.text()


def _set_elements(declared: Set, term: SetTerm, *, delete: bool = False) -> list[Element]:
    data = None
    if declared.is_map and not delete:
        data = check_verdict if declared.data is None else check_data(declared.data)
    found = elements(term, declared.datatype, None, data)
    for element in found:
        if isinstance(element.key, Interval) and not declared.interval:
            what = "range" if element.key.prefixlen == -1 else "prefix"
            raise fail(
                f"You must add 'flags interval' to your set declaration if you want to add {what} elements",
                element.span,
            )
    if declared.auto_merge and declared.interval and not declared.is_map:
        return merge(found)
    if declared.interval:
        check_disjoint(found)
    return check_map_elements(found)
