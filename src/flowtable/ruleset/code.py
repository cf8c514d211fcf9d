"""What rules are compiled to.

A rule becomes a predicate, which stands for its matches, and a closure ``packet -> int`` for what
it does; a chain becomes a loop over those. A match that is false and one that cannot be read
(NFT_BREAK) both end the rule, so a predicate is false for both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.packet.drop import Drop
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.types.base import Value

    Load = Callable[[Packet], Value | None]
    """Reads a value; None where it cannot be read (BREAK)."""
    IntLoad = Callable[[Packet], int | None]
    """The same for a type whose values are numbers."""
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


class Compiled(NamedTuple):
    """A rule, ready to run.

    Attributes:
        test: the matches in front, None without.
        act: what comes behind them.
    """

    test: Predicate | None
    act: Op


def fuse_rule(steps: Sequence[Step]) -> Compiled | None:
    """A rule of its steps; None where it does nothing at all."""
    predicates: list[Predicate] = []
    for index, step in enumerate(steps):
        if isinstance(step, Test):
            predicates.append(step.predicate)
        else:
            test = conjunction(predicates) if predicates else None
            return Compiled(test, _act(steps[index:]))
    return None


def _act(steps: Sequence[Step]) -> Op:
    """Take the steps one after the other until one of them ends the rule."""
    match steps:
        case [Do(op), End(code)]:
            return lambda packet: op(packet) or code
        case _:
            return _sequence([step_op(step) for step in steps])


def step_op(step: Step) -> Op:
    """A step as an operation."""
    match step:
        case Do(op):
            return op
        case Test(predicate):
            return lambda packet: GO_ON if predicate(packet) else BREAK
        case End(code):
            return lambda packet: code


def _sequence(ops: Sequence[Op]) -> Op:
    """Do one after the other until one of them ends the rule."""
    match ops:
        case [only]:
            return only
        case [first, second]:
            return lambda packet: first(packet) or second(packet)
        case _:
            ops = tuple(ops)

    def run(packet: Packet) -> int:
        for op in ops:
            code = op(packet)
            if code:
                return code
        return GO_ON

    return run


def conjunction(predicates: Sequence[Predicate]) -> Predicate:
    """A predicate that holds if all of them do."""
    match predicates:
        case [only]:
            return only
        case [a, b]:
            return lambda packet: a(packet) and b(packet)
        case [a, b, c]:
            return lambda packet: a(packet) and b(packet) and c(packet)
        case [a, b, *others]:
            rest = conjunction(others)
            return lambda packet: a(packet) and b(packet) and rest(packet)
        case _:
            raise AssertionError


def fuse_chain(rules: Sequence[Compiled]) -> Op:
    """The loop over the rules of a chain; ``GO_ON`` at its end or after ``return``."""
    rules = tuple(rules)

    def run(packet: Packet) -> int:
        for test, act in rules:
            if test is None or test(packet):
                code = act(packet)
                if code > BREAK:
                    return code if code != RETURNED else GO_ON
        return GO_ON

    return run
