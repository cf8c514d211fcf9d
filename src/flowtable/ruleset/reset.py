"""What ``reset`` does: counters and quotas count anew.

What is loaded until now keeps its counts: what counts is replaced, never changed.

Ref: net/netfilter/nf_tables_api.c:nf_tables_dump_rules, nf_tables_getrule_reset,
nf_tables_getsetelem_reset; nft_counter.c:nft_counter_dump, nft_quota.c:nft_quota_dump.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flowtable.ruleset.command import Kind
from flowtable.ruleset.statements.counter import Counter
from flowtable.ruleset.statements.quota import Quota
from flowtable.ruleset.statements.verdict import Block

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowtable.ruleset.element import Element
    from flowtable.ruleset.model import Rule, Table
    from flowtable.ruleset.query import Listing
    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.statement import Statement


def reset_listed(table: Table, listing: Listing) -> dict[int, Rule]:
    """Let what was listed of a table count anew.

    Returns:
        the new rules, by the identity of those in whose place they are.
    """
    match listing.kind:
        case None | Kind.TABLE:
            return reset_rules(table, blocks=True)
        case Kind.CHAIN:
            return reset_rules(table, listing.name)
        case Kind.SET | Kind.MAP:
            declared = table.sets[listing.name]
            reset_elements(declared, list(declared.elements.values()))
        case _:
            _reset_objects(table, listing)
    return {}


def reset_rules(
    table: Table, chain: str | None = None, handle: int | None = None, *, blocks: bool = False
) -> dict[int, Rule]:
    """Let rules count anew.

    Args:
        table: their table.
        chain: their chain, None for all.
        handle: the handle of the one that is meant, None for all.
        blocks: chains without a name too: to the kernel these are chains of the table.

    Returns:
        the new rules, by the identity of those in whose place they are.
    """
    new: dict[int, Rule] = {}
    for each in table.chains.values():
        if chain in (None, each.name):
            for at, rule in enumerate(each.rules):
                if handle in (None, rule.handle):
                    each.rules[at] = new[id(rule)] = _reset_rule(rule, blocks=blocks)
    return new


def reset_elements(declared: Set, elements: Iterable[Element]) -> None:
    """Let elements of a set or map count anew; their time goes on."""
    meant = {id(element) for element in elements}
    for covered, element in declared.elements.items():
        if id(element) in meant:
            statements = tuple(_reset_statement(statement) for statement in element.statements)
            declared.elements[covered] = replace(element, statements=statements, act=None)


def _reset_objects(table: Table, listing: Listing) -> None:
    for key, declared in table.objects.items():
        if listing.kind is not None and key[0].value == listing.kind.value and listing.name in ("", key[1]):
            body = declared.body
            if isinstance(body, Counter | Quota):
                table.objects[key] = replace(declared, body=_zero(body))


def _reset_rule(rule: Rule, *, blocks: bool) -> Rule:
    statements = [_reset_statement(statement, blocks=blocks) for statement in rule.statements]
    return replace(rule, statements=statements)


def _reset_statement(statement: Statement, *, blocks: bool = False) -> Statement:
    if isinstance(statement, Counter | Quota):
        return _zero(statement)
    if blocks and isinstance(statement, Block):
        rules = tuple(_reset_rule(rule, blocks=True) for rule in statement.rules)
        return Block(statement.verdict, statement.family, rules, statement.span)
    return statement


def _zero(counting: Counter | Quota) -> Counter | Quota:
    match counting:
        case Counter():
            return Counter(counting.span)
        case Quota():
            return Quota(counting.span, counting.quota, over=counting.over)
