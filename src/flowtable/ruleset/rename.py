"""Giving a chain another name.

To the kernel a jump refers to a chain, not to its name: what jumps there follows.
Ref: net/netfilter/nf_tables_api.c:nf_tables_updchain.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from flowtable.ruleset.refused import EEXIST, refused, similar
from flowtable.ruleset.source import Diagnostic, RulesetError
from flowtable.ruleset.statements.verdict import VerdictStatement
from flowtable.ruleset.statements.vmap import VerdictMap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowtable.ruleset.command import Rename
    from flowtable.ruleset.element import Element
    from flowtable.ruleset.model import Rule, Table
    from flowtable.ruleset.statement import Statement


def rename_chain(table: Table, change: Rename) -> None:
    """Give a chain of a table, which is a copy already, another name.

    Raises:
        RulesetError: there is no such chain, or another one of that name.
    """
    chain = table.chains.get(change.chain)
    if chain is None:
        hint = similar(change.chain, table.chains)
        raise RulesetError([Diagnostic("No such file or directory", change.chain_span, hint=hint)])
    if change.name in table.chains:
        raise refused(EEXIST, change.span)
    table.chains = {
        change.name if name == change.chain else name: each for name, each in table.chains.items()
    }
    chain.name = change.name
    for each in table.chains.values():
        each.rules = [_follow_rule(rule, change.chain, change.name) for rule in each.rules]
    for declared in table.sets.values():
        followed = _follow_all(declared.elements.values(), change.chain, change.name)
        declared.elements = dict(zip(declared.elements, followed, strict=True))


def _follow_rule(rule: Rule, old: str, new: str) -> Rule:
    if not any(old in statement.jumps for statement in rule.statements):
        return rule
    return replace(rule, statements=[_follow(statement, old, new) for statement in rule.statements])


def _follow(statement: Statement, old: str, new: str) -> Statement:
    """The statement, or one like it that goes to the new name."""
    if old not in statement.jumps:
        return statement
    changed = copy.copy(statement)
    if isinstance(changed, VerdictStatement):
        changed.chain = new
    elif isinstance(changed, VerdictMap):
        changed.elements = _follow_all(changed.elements, old, new)
    return changed


def _follow_all(elements: Iterable[Element], old: str, new: str) -> list[Element]:
    return [
        replace(element, data=_follow(element.data, old, new))
        if isinstance(element.data, VerdictStatement)
        else element
        for element in elements
    ]
