"""Whether the rules of a table can be run: no loops, and every statement where it can work.

Ref: net/netfilter/nf_tables_api.c:nft_table_validate, nft_chain_validate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.ruleset.model import ChainType
from flowtable.ruleset.source import Diagnostic
from flowtable.ruleset.statements.vmap import VerdictMap, element_jumps

if TYPE_CHECKING:
    from collections.abc import Collection

    from flowtable.ruleset.model import Chain, Rule, Table
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.statement import Statement

MAX_DEPTH: Final = 16
"""NFT_JUMP_STACK_SIZE."""


class _Problem(NamedTuple):
    message: str
    span: Span
    hint: str


class _Summary(NamedTuple):
    """What matters of a chain: where it goes, and which statements are not for every hook."""

    jumps: tuple[str, ...]
    bound: tuple[tuple[Rule, Statement], ...]


def validate(table: Table, added: list[Rule]) -> Diagnostic | None:
    """What is wrong, None if all is well.

    Args:
        table: the table with all rules.
        added: the rules that are new, in the order in which they were added; like the kernel
            does, the error is put on the first of them with which the table is wrong.
    """
    problem = _find(table, ())
    if problem is None:
        return None
    low, high = 0, len(added)
    while low < high:
        middle = (low + high) // 2
        found = _find(table, {id(rule) for rule in added[middle:]})
        if found is None:
            low = middle + 1
        else:
            high, problem = middle, found
    span = added[low - 1].span if low else problem.span
    return Diagnostic(f"Could not process rule: {problem.message}", span, hint=problem.hint)


def _find(table: Table, without: Collection[int]) -> _Problem | None:
    summaries = {name: _summarise(table, chain, without) for name, chain in table.chains.items()}
    for chain in table.chains.values():
        if chain.attachment is not None:
            problem = _walk(summaries, chain)
            if problem is not None:
                return problem
    return None


def _summarise(table: Table, chain: Chain, without: Collection[int]) -> _Summary:
    jumps: dict[str, None] = {}
    bound: list[tuple[Rule, Statement]] = []
    for rule in chain.rules:
        if id(rule) in without:
            continue
        for statement in rule.every_statement():
            jumps.update(dict.fromkeys(statement.jumps))
            if isinstance(statement, VerdictMap) and statement.name:
                jumps.update(dict.fromkeys(element_jumps(table.sets[statement.name].elements.values())))
            if statement.nat_only or statement.hooks is not None:
                bound.append((rule, statement))
    return _Summary(tuple(jumps), tuple(bound))


def _walk(summaries: dict[str, _Summary], base: Chain) -> _Problem | None:
    """Visit every chain that can be reached from a base chain, by its longest way."""
    reached: dict[str, int] = {}
    pending = [(base.name, 0)]
    while pending:
        name, depth = pending.pop()
        if reached.get(name, -1) >= depth:
            continue
        if depth >= MAX_DEPTH:
            hint = f"jumps from chain '{base.name}' loop, or go deeper than {MAX_DEPTH}"
            return _Problem("Too many links", base.span, hint)
        first = name not in reached
        reached[name] = depth
        summary = summaries[name]
        if first:
            for rule, statement in summary.bound:
                problem = _misplaced(base, name, rule, statement)
                if problem is not None:
                    return problem
        pending.extend((target, depth + 1) for target in summary.jumps)
    return None


def _misplaced(base: Chain, name: str, rule: Rule, statement: Statement) -> _Problem | None:
    attachment = base.attachment
    assert attachment is not None
    way = f"chain '{name}'" if name == base.name else f"chain '{name}', reached from '{base.name}',"
    word = statement.text(stateless=True)
    if statement.nat_only and attachment.type is not ChainType.NAT:
        hint = f"'{word}' needs chains of type nat; {way} is of type {attachment.type.value}"
        return _Problem("Operation not supported", rule.span, hint)
    if statement.hooks is not None and attachment.hook not in statement.hooks:
        hooks = ", ".join(hook.name.lower() for hook in sorted(statement.hooks))
        hint = f"'{word}' can be used in {hooks}; {way} is in {attachment.hook.name.lower()}"
        return _Problem("Operation not supported", rule.span, hint)
    return None
