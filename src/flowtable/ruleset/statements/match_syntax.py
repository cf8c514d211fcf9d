"""Matches as written, and what is made of them: one form for all that mean the same.

Ref: nftables src/evaluate.c:expr_evaluate_relational, src/netlink_delinearize.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.expressions.bitwise import Bitwise, check_expression
from flowtable.ruleset.expressions.collection import AnonymousSet, check_set
from flowtable.ruleset.expressions.concatenation import Concat
from flowtable.ruleset.expressions.ct import Ct
from flowtable.ruleset.expressions.meta import Meta
from flowtable.ruleset.expressions.shift import Shift
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.statements.match import Match, Operator
from flowtable.ruleset.syntax import (
    ConcatTerm,
    FlagsTerm,
    ListTerm,
    Literal,
    MapTerm,
    ReferenceTerm,
    SetTerm,
)
from flowtable.ruleset.types import BOOLEAN, INTEGER
from flowtable.ruleset.types.number import Integer
from flowtable.ruleset.values import (
    Exact,
    Fields,
    Interval,
    Key,
    fail,
    flags,
    key,
    mismatch,
    unsupported_value,
)

if TYPE_CHECKING:
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.source import RulesetError, Span
    from flowtable.ruleset.syntax import ElementTerm, Term

OPERATORS: Final = {
    Kind.EQ: Operator.EQ,
    Kind.NE: Operator.NE,
    Kind.LT: Operator.LT,
    Kind.GT: Operator.GT,
    Kind.LE: Operator.LE,
    Kind.GE: Operator.GE,
    Kind.NOT: Operator.NONE,
}
"""What can stand between the sides of a match."""


_NEGATION: Final = "negation can only be used with singleton bitmask values"


def _is_value(element: ElementTerm) -> bool:
    """Whether a set of that element alone is the element."""
    return element.key is not None and not element.statements


class MatchSyntax(Statement):
    """A match as written.

    Attributes:
        left: the left side.
        operator: the operator, None if none is written.
        operator_span: where the operator stands.
        right: the right side.
    """

    __slots__ = ("left", "operator", "operator_span", "right")

    def __init__(
        self, left: Term, operator: Kind | None, operator_span: Span | None, right: Term, span: Span
    ) -> None:
        super().__init__(span)
        self.left = left
        self.operator = operator
        self.operator_span = operator_span
        self.right = right

    def check(self, rule: RuleContext) -> Match:
        """Settle types and operator, and learn what the match says of the protocols."""
        if isinstance(self.left, MapTerm):
            raise unsupported_value(self.left)
        left = check_expression(self.left, rule)
        if (
            isinstance(left, Meta | Ct)
            and left.key == "secmark"
            and not isinstance(self.right, ReferenceTerm)
        ):
            raise fail("Cannot be used with right hand side constant value", self.right.span, left.span)
        if isinstance(self.right, Literal) and self.right.datatype is BOOLEAN:
            left = left.presence()
        if isinstance(left, Shift) and not isinstance(left.datatype, Integer):
            raise mismatch(left.datatype, INTEGER[left.datatype.bits], self.right.span, left.span)
        match = self._normalise(left, rule)
        identities = match.identities
        if identities:
            rule.learn(identities, self.span, certain=match.identity is not None)
        return match

    def _normalise(self, left: Selector, rule: RuleContext) -> Match:
        right = self.right
        operator = OPERATORS[self.operator] if self.operator else None
        if isinstance(left, Concat):
            return self._concatenation(left, operator, rule)
        if isinstance(right, SetTerm) and len(right.elements) == 1 and _is_value(right.elements[0]):
            element = right.elements[0]
            if element.data is not None:
                raise fail("mapping outside of map context", element.span)
            assert element.key is not None
            right = element.key
        match right:
            case SetTerm() | ReferenceTerm():
                if operator not in (None, Operator.EQ, Operator.NE):
                    raise self._undefined("set", right)
                found = check_set(right, left, rule)
                if isinstance(found, AnonymousSet) and (only := found.only) is not None:
                    return _normal(left, operator or Operator.EQ, only, self.span)
                return Match(left, operator or Operator.EQ, found, self.span)
            case FlagsTerm(value, mask, _):
                masked = Bitwise(left, flags(mask, left.datatype), 0, left.span)
                wanted = flags(value, left.datatype)
                if operator not in (None, Operator.EQ, Operator.NE):
                    raise self._undefined("flag comparison", right)
                return _mask_flags(masked, operator or Operator.EQ, wanted, self.span)
            case ConcatTerm() | MapTerm():
                raise unsupported_value(right)
            case _:
                pass
        covered = key(right, left.datatype, left.span)
        if operator is Operator.NONE and not (left.datatype.bitmask and isinstance(covered, Exact)):
            raise fail(_NEGATION, left.span, right.span)
        if isinstance(covered, Interval) and operator not in (None, Operator.EQ, Operator.NE):
            raise self._undefined("range", right)
        if isinstance(right, ListTerm) and operator is None:
            operator = Operator.ANY
        return _normal(left, operator, covered, self.span)

    def _concatenation(self, left: Concat, operator: Operator | None, rule: RuleContext) -> Match:
        """Concatenations are looked up in sets only."""
        right = self.right
        if operator not in (None, Operator.EQ, Operator.NE):
            assert self.operator_span is not None
            if operator is Operator.NONE:
                raise fail(_NEGATION, left.span, right.span)
            assert self.operator is not None
            message = f"Relational expression ({self.operator.value}) is undefined for concat expressions"
            raise fail(message, left.span, self.operator_span)
        if isinstance(right, SetTerm | ReferenceTerm):
            return Match(left, operator or Operator.EQ, check_set(right, left, rule), self.span)
        key(right, left.datatype)
        raise fail("Use concatenations with sets and maps, not singleton values", left.span, right.span)

    def _undefined(self, what: str, right: Term) -> RulesetError:
        assert self.operator is not None
        sign = self.operator.value
        return fail(
            f"Relational expression ({sign}) is undefined for {what} expressions",
            right.span,
            self.operator_span,
        )


def _normal(left: Selector, operator: Operator | None, right: Key, span: Span) -> Match:
    """The one form of matches that mean the same."""
    if isinstance(right, Exact) and isinstance(right.value, int):
        if left.datatype.bitmask and not isinstance(left, Bitwise) and operator in (None, Operator.ANY):
            if right.value == left.datatype.maximum:
                return Match(left, Operator.NE, Exact(0), span)
            return Match(left, Operator.ANY, right, span)
        operator = Operator.EQ if operator in (None, Operator.ANY) else operator
        if isinstance(left, Bitwise) and operator in (Operator.EQ, Operator.NE):
            value = right.value ^ left.flip & left.mask
            left = Bitwise(left.selector, left.mask, left.flip & ~left.mask, left.span)
            if left.plain and left.mask == left.datatype.maximum:
                return Match(left.selector, operator, Exact(value), span)
            if left.datatype.bitmask and left.plain:
                return _mask_flags(left, operator, value, span)
            prefixlen = _prefixlen(left)
            if prefixlen is not None and value & ~left.mask == 0:
                return Match(
                    left.selector,
                    operator,
                    Interval(value, value | ~left.mask & left.datatype.maximum, prefixlen),
                    span,
                )
            right = Exact(value)
    assert not isinstance(right, Fields)
    return Match(left, operator or Operator.EQ, right, span)


def _prefixlen(left: Bitwise) -> int | None:
    """The length of the prefix that a mask stands for, if it is printed as one."""
    if not left.plain or not left.datatype.prefixes:
        return None
    host = left.mask ^ left.datatype.maximum
    if host & host + 1 or not left.mask:
        return None
    return left.datatype.bits - host.bit_length()


def _mask_flags(left: Bitwise, operator: Operator, value: int, span: Span) -> Match:
    if value == 0:
        operator = Operator.NONE if operator is Operator.EQ else Operator.ANY
        return Match(left.selector, operator, Exact(left.mask), span)
    return Match(left, operator, Exact(value), span)
