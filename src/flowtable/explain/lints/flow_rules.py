"""Rules that add flows: whether they are reached, and what happens beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.explain.lints.lint import Lint, Place
from flowtable.explain.lints.rules import takes_established, unconditional, verdict
from flowtable.explain.lints.subject import statement_jumps
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.statements.flow import FlowAdd
from flowtable.ruleset.statements.notrack import Notrack
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.explain.lints.subject import Spot, Subject
    from flowtable.ruleset.model import Chain, Rule, Table

_DEEP: Final = 16
"""Jumps within each other that the kernel allows."""


def _adds_flows(rule: Rule) -> bool:
    return any(isinstance(statement, FlowAdd) for statement in rule.statements)


def _behind_accept(subject: Subject) -> Iterator[Place]:
    seen: set[int] = set()
    for table in subject.ruleset.tables.values():
        for chain in table.chains.values():
            if chain.attachment is not None and chain.attachment.hook is Hook.FORWARD:
                yield from _walk(table, chain, seen, 0)


def _walk(table: Table, chain: Chain, seen: set[int], depth: int) -> Iterator[Place]:
    """Flow rules behind a rule that takes all packets of established connections away."""
    taken: Rule | None = None
    for rule in chain.rules:
        if taken is None:
            if any(takes_established(rule, word) for word in ("accept", "drop")) and not _adds_flows(rule):
                taken = rule
            elif depth < _DEEP:
                for statement in rule.statements:
                    for name in statement_jumps(table, statement):
                        if name in table.chains:
                            yield from _walk(table, table.chains[name], seen, depth + 1)
        elif _adds_flows(rule) and id(rule) not in seen:
            seen.add(id(rule))
            message = f"no established connection comes here: line {taken.span.line} takes them first"
            yield Place(rule.span, message)


def _not_called(subject: Subject) -> Iterator[Place]:
    for spot, statement in subject.flow_spots():
        if not subject.bases(spot.table, spot.chain):
            message = f"chain '{spot.chain.name}' has no hook and nothing jumps to it: no packet comes here"
            yield Place(statement.span, message)


def _accept(subject: Subject) -> Iterator[Place]:
    for spot, statement in subject.flow_spots():
        found = verdict(spot.rule)
        if found is None or found.verdict != "accept":
            continue
        for base in subject.bases(spot.table, spot.chain):
            if base.policy is Verdict.DROP and not _accepts_established(spot.table, base):
                message = (
                    "only the packet that adds the flow is accepted here; the others need a rule of their own"
                )
                yield Place(statement.span.to(found.span), message)
                break


def _no_return(subject: Subject) -> Iterator[Place]:
    done: set[int] = set()
    for spot, _ in subject.flow_spots():
        for base in subject.bases(spot.table, spot.chain):
            if base.policy is not Verdict.DROP or id(base) in done or _accepts_established(spot.table, base):
                continue
            done.add(id(base))
            yield Place(base.span, "its policy is drop and no rule accepts established connections")


def _accepts_established(table: Table, base: Chain) -> bool:
    """Whether a rule that a base chain leads to accepts packets of established connections."""
    pending, seen = [base.name], set[str]()
    while pending:
        name = pending.pop()
        if name in seen or name not in table.chains:
            continue
        seen.add(name)
        for rule in table.chains[name].rules:
            if takes_established(rule) and not _adds_flows(rule):
                return True
            for statement in rule.statements:
                pending.extend(statement_jumps(table, statement))
    return False


def _unused(subject: Subject) -> Iterator[Place]:
    used = {(spot.table.family, spot.table.name, flow.name) for spot, flow in subject.flow_spots()}
    for table, flowtable in subject.flowtables():
        if (table.family, table.name, flowtable.name) not in used:
            yield Place(flowtable.span, f"no rule adds flows to flowtable '{flowtable.name}'")


def _notrack(subject: Subject, spot: Spot) -> Iterator[Place]:
    if not subject.offloads:
        return
    for index, statement in enumerate(spot.rule.statements):
        if isinstance(statement, Notrack) and not _narrow(spot.rule, index):
            yield Place(statement.span, "packets without a connection are never offloaded")


def _narrow(rule: Rule, index: int) -> bool:
    """Whether something other than the protocol is matched in front of a statement."""
    wide = ("meta l4proto", "meta nfproto", "meta protocol", "counter")
    return any(not each.text(stateless=True).startswith(wide) for each in rule.statements[:index])


def _unreachable(subject: Subject) -> Iterator[Place]:
    for table in subject.ruleset.tables.values():
        for chain in table.chains.values():
            end = next((at for at, rule in enumerate(chain.rules) if unconditional(rule)), len(chain.rules))
            for rule in chain.rules[end + 1 : end + 2]:
                message = f"no packet comes here: line {chain.rules[end].span.line} takes all of them"
                yield Place(rule.span, message)


LINTS: Final = (
    Lint(
        "flow-behind-accept",
        "connections are offloaded once established, and no packet of those comes to this rule",
        _behind_accept,
    ),
    Lint(
        "flow-not-called",
        "the rule is in a chain that nothing leads to, so nothing is offloaded",
        _not_called,
    ),
    Lint(
        "flow-accept",
        "'flow add @f accept' accepts one packet of each flow; the next ones meet the rules behind",
        _accept,
    ),
    Lint(
        "no-established-accept",
        "a connection whose answers are dropped is never established, so never offloaded",
        _no_return,
    ),
    Lint("unused-flowtable", "a flowtable that no rule adds flows to does nothing", _unused),
    Lint(
        "notrack-offload",
        "flow add needs a connection, and notrack keeps packets from having one",
        look=_notrack,
    ),
    Lint("unreachable-rule", "a rule behind a verdict for all packets is never reached", _unreachable),
)
