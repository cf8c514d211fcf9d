"""What rules are compiled to.

A rule becomes a closure ``packet -> int`` and a chain a loop over those. Predicates stand for
matches: a match that is false and one that cannot be read (NFT_BREAK) both end the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowtable.packet.drop import Drop
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.types.base import Value

    Load = Callable[[Packet], Value | None]
    """Reads a value; None where it cannot be read (BREAK)."""
    Predicate = Callable[[Packet], bool]
    Op = Callable[[Packet], int]
    """Does something and says how to go on: one of the codes below."""

GO_ON: Final = 0
"""On to the next statement; of a chain: its end was reached."""
BREAK: Final = 1
"""On to the next rule."""
ACCEPTED: Final = 2
DROPPED: Final = 3
RETURNED: Final = 4
"""Back to the chain that jumped here."""
STOLEN: Final = 5

OF_VERDICT: Final[dict[int, int]] = {
    Verdict.DROP: DROPPED,
    Verdict.ACCEPT: ACCEPTED,
    Verdict.STOLEN: STOLEN,
}


@dataclass(slots=True, frozen=True)
class Test:
    """A step that goes on if the predicate holds."""

    predicate: Predicate


@dataclass(slots=True, frozen=True)
class Do:
    """A step that acts."""

    op: Op


@dataclass(slots=True, frozen=True)
class End:
    """A step that ends the rule with a code that is known beforehand."""

    code: int


Step = Test | Do | End


def drop(packet: Packet) -> int:
    """Drop the packet because a rule says so."""
    packet.drop = Drop.RULE
    return DROPPED


def fuse_rule(steps: Sequence[Step]) -> Op | None:
    """One closure of the steps of a rule; None where the rule does nothing at all."""
    predicates: list[Predicate] = []
    for index, step in enumerate(steps):
        if isinstance(step, Test):
            predicates.append(step.predicate)
            continue
        return _guard(predicates, steps[index:])
    return None


def _guard(predicates: Sequence[Predicate], rest: Sequence[Step]) -> Op:
    first = rest[0]
    if isinstance(first, End):
        return _guard_code(predicates, first.code)
    ops = [_op(step) for step in rest]
    return _guard_op(predicates, ops[0] if len(ops) == 1 else _sequence(ops))


def _op(step: Step) -> Op:
    match step:
        case Do(op):
            return op
        case Test(predicate):
            return lambda packet: GO_ON if predicate(packet) else BREAK
        case End(code):
            return lambda packet: code


def _sequence(ops: Sequence[Op]) -> Op:
    if len(ops) == 2:
        first, second = ops
        return lambda packet: first(packet) or second(packet)
    ops = tuple(ops)

    def run(packet: Packet) -> int:
        for op in ops:
            code = op(packet)
            if code:
                return code
        return GO_ON

    return run


def _guard_code(predicates: Sequence[Predicate], code: int) -> Op:
    match predicates:
        case []:
            return lambda packet: code
        case [a]:
            return lambda packet: code if a(packet) else GO_ON
        case [a, b]:
            return lambda packet: code if a(packet) and b(packet) else GO_ON
        case [a, b, c]:
            return lambda packet: code if a(packet) and b(packet) and c(packet) else GO_ON
        case [a, b, *others]:
            c = conjunction(others)
            return lambda packet: code if a(packet) and b(packet) and c(packet) else GO_ON
        case _:
            raise AssertionError


def _guard_op(predicates: Sequence[Predicate], op: Op) -> Op:
    match predicates:
        case []:
            return op
        case [a]:
            return lambda packet: op(packet) if a(packet) else GO_ON
        case [a, b]:
            return lambda packet: op(packet) if a(packet) and b(packet) else GO_ON
        case [a, b, c]:
            return lambda packet: op(packet) if a(packet) and b(packet) and c(packet) else GO_ON
        case [a, b, *others]:
            c = conjunction(others)
            return lambda packet: op(packet) if a(packet) and b(packet) and c(packet) else GO_ON
        case _:
            raise AssertionError


def conjunction(predicates: Sequence[Predicate]) -> Predicate:
    """A predicate that holds if all of them do."""
    if len(predicates) == 1:
        return predicates[0]
    if len(predicates) == 2:
        a, b = predicates
        return lambda packet: a(packet) and b(packet)
    predicates = tuple(predicates)
    return lambda packet: all(predicate(packet) for predicate in predicates)


def fuse_chain(rules: Sequence[Op]) -> Op:
    """The loop over the rules of a chain; ``GO_ON`` at its end or after ``return``."""
    rules = tuple(rules)
    if len(rules) == 1:
        only = rules[0]

        def run_one(packet: Packet) -> int:
            code = only(packet)
            return code if code > BREAK and code != RETURNED else GO_ON

        return run_one

    def run(packet: Packet) -> int:
        for rule in rules:
            code = rule(packet)
            if code > BREAK:
                return code if code != RETURNED else GO_ON
        return GO_ON

    return run
