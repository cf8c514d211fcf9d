"""What several lints ask of a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.expressions.bitwise import Bitwise
from flowtable.ruleset.expressions.collection import AnonymousSet
from flowtable.ruleset.expressions.ct import Ct
from flowtable.ruleset.objects import ObjectKind
from flowtable.ruleset.statements.counter import Counter
from flowtable.ruleset.statements.log import Log
from flowtable.ruleset.statements.match import Match, Operator
from flowtable.ruleset.statements.reference import ObjectReference
from flowtable.ruleset.statements.verdict import VerdictStatement
from flowtable.ruleset.statements.vmap import VerdictMap
from flowtable.ruleset.types import CT_STATE
from flowtable.ruleset.values import Exact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.ruleset.model import Rule
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.statement import Statement

ESTABLISHED: Final = CT_STATE.names["established"]
_ENDS: Final = ("accept", "drop", "return", "goto")


def matches(rule: Rule) -> list[Match]:
    """The matches of a rule."""
    return [statement for statement in rule.statements if isinstance(statement, Match)]


def verdict(rule: Rule) -> VerdictStatement | None:
    """The verdict that ends a rule, None without."""
    last = rule.statements[-1] if rule.statements else None
    return last if isinstance(last, VerdictStatement) and last.verdict in _ENDS else None


def unconditional(rule: Rule) -> bool:
    """Whether every packet that comes to a rule ends there."""
    found = verdict(rule)
    return found is not None and all(
        statement is found or only_notes(statement) for statement in rule.statements
    )


def only_notes(statement: Statement) -> bool:
    """Whether it lets every packet go on to the next statement, and does nothing to it."""
    if isinstance(statement, ObjectReference):
        return statement.kind is ObjectKind.COUNTER
    return isinstance(statement, Counter | Log)


def of_established(statement: Statement) -> bool:
    """Whether it is a match that packets of established connections pass."""
    if (
        not isinstance(statement, Match)
        or not isinstance(statement.left, Ct)
        or statement.left.key != "state"
    ):
        return False
    match statement.right:
        case Exact(value) if isinstance(value, int) and statement.operator in (Operator.ANY, Operator.EQ):
            return bool(value & ESTABLISHED)
        case AnonymousSet() if statement.operator is Operator.EQ:
            return any(
                isinstance(element.key, Exact) and element.key.value == ESTABLISHED
                for element in statement.right.elements
            )
        case _:
            return False


def takes_established(rule: Rule, word: str = "accept") -> bool:
    """Whether a rule has that verdict for all packets of established connections, or for all packets."""
    for statement in rule.statements:
        if isinstance(statement, VerdictStatement):
            return statement.verdict == word
        if isinstance(statement, VerdictMap):
            return _vmap_takes(statement, word)
        if not of_established(statement) and not only_notes(statement):
            return False
    return False


def _vmap_takes(found: VerdictMap, word: str) -> bool:
    """Whether ``ct state vmap`` has that verdict for established connections."""
    if not isinstance(found.selector, Ct) or found.selector.key != "state":
        return False
    return any(
        isinstance(element.key, Exact)
        and element.key.value == ESTABLISHED
        and isinstance(element.data, VerdictStatement)
        and element.data.verdict == word
        for element in found.elements
    )


def selectors(rule: Rule) -> Iterator[tuple[Selector, Statement]]:
    """What the matches and maps of a rule read, without the bit operations around it."""
    for statement in rule.statements:
        if isinstance(statement, Match):
            left = statement.left
        elif isinstance(statement, VerdictMap):
            left = statement.selector
        else:
            continue
        yield (left.selector if isinstance(left, Bitwise) else left), statement
