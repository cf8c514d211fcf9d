"""From commands as written to changes of a ruleset: names, types and values are settled here.

Like nft, a rule or declaration is left at its first error, and the next one is still checked.
Ref: nftables src/evaluate.c:cmd_evaluate.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from flowtable.ruleset import change
from flowtable.ruleset.change import Change
from flowtable.ruleset.command import (
    AddChain,
    AddElements,
    AddFlowtable,
    AddObject,
    AddRule,
    AddSet,
    AddTable,
    ChainSyntax,
    Command,
    Delete,
    FlowtableSyntax,
    FlushRuleset,
    HookSyntax,
    Kind,
    ObjectSyntax,
    ReplaceRule,
    RuleSyntax,
    SetSyntax,
    TableName,
)
from flowtable.ruleset.context import RuleContext
from flowtable.ruleset.family import Family
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.model import Attachment, Chain, Flowtable
from flowtable.ruleset.object_check import check_object
from flowtable.ruleset.objects import ObjectKind
from flowtable.ruleset.priority import resolve
from flowtable.ruleset.query import GetElements
from flowtable.ruleset.rule import check_rule
from flowtable.ruleset.set_check import check_set_elements, check_set_syntax
from flowtable.ruleset.source import RulesetError
from flowtable.ruleset.values import fail, identity
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowtable.ruleset.model import Rule, Ruleset
    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.source import Diagnostic


class Checker:
    """Checks commands one after the other.

    Rules refer to sets by name, so it remembers those that are there or were declared so far.
    """

    __slots__ = ("_sets", "errors")

    def __init__(self, ruleset: Ruleset) -> None:
        self._sets = {key: dict(table.sets) for key, table in ruleset.tables.items()}
        self.errors: list[Diagnostic] = []

    def check(self, command: Command) -> list[Change]:
        """The changes that a command stands for; what is wrong with it is added to ``errors``."""
        changes: list[Change] = []
        for step in self._steps(command):
            try:
                changes.append(step())
            except RulesetError as error:
                self.errors.extend(error.diagnostics)
        return changes

    def _steps(self, command: Command) -> Iterator[Callable[[], Change]]:
        """What to check, each by itself, in nft's order."""
        match command:
            case AddTable(table, block, create, _):
                self._known(table)
                yield lambda: change.AddTable(table, block.flags, block.comment, create)
                for chain in block.chains:
                    yield partial(self._chain, table, chain, create=False)
                for each in block.objects:
                    if each.broken and each.kind is not ObjectKind.CT_EXPECTATION:
                        continue
                    yield partial(self._object, table, each, create=False)
                for declared in block.sets:
                    yield partial(self._add_set, table, declared, create=False)
                for flowtable in block.flowtables:
                    yield partial(self._flowtable, table, flowtable, create=False)
                for chain in block.chains:
                    yield from self._rules(table, chain)
            case AddChain(table, chain, create):
                yield partial(self._chain, table, chain, create=create)
                yield from self._rules(table, chain)
            case AddRule(table, name, span, rule, place, insert):
                yield lambda: change.AddRule(table, name, span, self._rule(table, rule), place, insert)
            case ReplaceRule(table, name, span, place, rule):
                yield lambda: change.ReplaceRule(table, name, span, place, self._rule(table, rule))
            case AddSet(table, declared, create):
                yield partial(self._add_set, table, declared, create=create)
            case AddFlowtable(table, flowtable, create):
                yield partial(self._flowtable, table, flowtable, create=create)
            case AddObject(table, each, create):
                yield partial(self._object, table, each, create=create)
            case AddElements():
                yield partial(self._elements, command)
            case GetElements():
                yield partial(self._get, command)
            case FlushRuleset(family):
                for key in list(self._sets):
                    if family in (None, key[0]):
                        del self._sets[key]
                yield lambda: command
            case _:
                if isinstance(command, Delete) and command.kind is Kind.TABLE:
                    self._sets.pop((command.table.family, command.table.name), None)
                yield lambda: command

    def _rules(self, table: TableName, chain: ChainSyntax) -> Iterator[Callable[[], Change]]:
        for rule in chain.rules:
            yield partial(self._add_rule, table, chain, rule)

    def _add_rule(self, table: TableName, chain: ChainSyntax, rule: RuleSyntax) -> Change:
        return change.AddRule(table, chain.name, chain.span, self._rule(table, rule))

    def _add_set(self, table: TableName, syntax: SetSyntax, *, create: bool) -> Change:
        return change.AddSet(table, self._set(table, syntax), create)

    def _known(self, table: TableName) -> dict[str, Set]:
        return self._sets.setdefault((table.family, table.name), {})

    def _rule(self, table: TableName, syntax: RuleSyntax) -> Rule:
        context = RuleContext(table.family, self._sets.get((table.family, table.name), {}))
        return check_rule(context, syntax)

    def _chain(self, table: TableName, syntax: ChainSyntax, *, create: bool) -> Change:
        hook = syntax.hook
        if hook is not None and syntax.devices:
            hook = replace(hook, devices=(*(hook.devices or ()), *syntax.devices))
        attachment = None if hook is None else _attachment(table.family, hook)
        chain = Chain(
            syntax.name,
            syntax.span,
            attachment=attachment,
            policy=Verdict.ACCEPT if syntax.policy is None else syntax.policy,
            comment=syntax.comment,
            offload=syntax.offload,
        )
        return change.AddChain(table, chain, syntax.policy_span, create, () if attachment else syntax.devices)

    def _flowtable(self, table: TableName, syntax: FlowtableSyntax, *, create: bool) -> change.AddFlowtable:
        if (table.family, table.name) not in self._sets:
            raise fail("No such file or directory", table.span)
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
        declared = check_set_syntax(syntax, table.family)
        if syntax.elements is not None and syntax.elements.elements:
            found = check_set_elements(declared, syntax.elements)
            declared.elements = {identity(element.key): element for element in found}
        self._known(table).setdefault(syntax.name, declared)
        return declared

    def _object(self, table: TableName, syntax: ObjectSyntax, *, create: bool) -> Change:
        return change.AddObject(table, check_object(syntax, table.family), create)

    def _elements(self, command: AddElements) -> Change:
        table = command.table
        declared = self._sets.get((table.family, table.name), {}).get(command.set)
        if declared is None:
            raise fail("No such file or directory", command.set_span)
        found = check_set_elements(declared, command.elements, delete=command.delete)
        return change.ChangeElements(
            table,
            command.set,
            command.set_span,
            found,
            command.delete,
            command.destroy,
            command.create,
        )

    def _get(self, query: GetElements) -> Change:
        table = query.table
        declared = self._sets.get((table.family, table.name), {}).get(query.set)
        if declared is None:
            raise fail("No such file or directory", query.set_span)
        return change.Get(query, check_set_elements(declared, query.elements, delete=True))


_IP_HOOKS: Final = frozenset((Hook.PREROUTING, Hook.INPUT, Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING))
_HOOKS: Final = {
    Family.IP: _IP_HOOKS,
    Family.IP6: _IP_HOOKS,
    Family.INET: _IP_HOOKS | {Hook.INGRESS},
    Family.BRIDGE: _IP_HOOKS,
    Family.ARP: frozenset((Hook.INPUT, Hook.OUTPUT)),
    Family.NETDEV: frozenset((Hook.INGRESS, Hook.EGRESS)),
}


def _attachment(family: Family, syntax: HookSyntax) -> Attachment:
    hook = syntax.hook
    devices_needed = hook in (Hook.INGRESS, Hook.EGRESS)
    if hook not in _HOOKS[family]:
        raise fail(f"The {family.value} family does not support this hook", syntax.hook_span)
    if devices_needed and not syntax.devices:
        raise fail("Missing `device' in this chain definition", syntax.span)
    if syntax.devices is not None and not devices_needed:
        raise fail("This chain type cannot be bound to device", syntax.device_span)
    priority = resolve(syntax.priority, family, hook)
    if priority is None:
        raise fail("invalid priority expression value in this context.", syntax.priority.span)
    return Attachment(syntax.type, hook, priority, tuple(sorted(set(syntax.devices or ()))))
