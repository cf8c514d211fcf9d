"""Matches: what is read from a packet, compared with a value.

Ref: net/netfilter/nft_cmp.c:nft_cmp_eval, nft_range.c:nft_range_eval, nft_lookup.c:nft_lookup_eval.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from flowtable.ruleset.code import Test
from flowtable.ruleset.expressions.bitwise import Bitwise
from flowtable.ruleset.expressions.collection import AnonymousSet, NamedSet
from flowtable.ruleset.json.keys import interval_json, key_json
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.types import TCP_FLAG
from flowtable.ruleset.types.flags import Flags
from flowtable.ruleset.values import (
    Exact,
    Interval,
    Key,
    format_key,
)

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import IntLoad, Load, Predicate, Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.selector import Identity, Selector
    from flowtable.ruleset.source import Span


class Operator(Enum):
    """How the sides are compared; the value is what is printed."""

    EQ = "=="
    NE = "!="
    LT = "<"
    GT = ">"
    LE = "<="
    GE = ">="
    ANY = ""
    """One of the flags is set."""
    NONE = "!"
    """None of the flags is set."""


Right = Exact | Interval | AnonymousSet | NamedSet


_EQUALITY: Final = (Operator.EQ, Operator.NE)


class Match(Statement):
    """A checked match.

    Attributes:
        left: what is read.
        operator: how it is compared.
        right: with what.
    """

    __slots__ = ("left", "operator", "right")

    def __init__(self, left: Selector, operator: Operator, right: Right, span: Span) -> None:
        super().__init__(span)
        self.left = left
        self.operator = operator
        self.right = right

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The left side."""
        return (self.left,)

    @property
    def identity(self) -> Identity | None:
        """The one protocol that a packet has which matches."""
        if self.operator is Operator.EQ and isinstance(self.right, Exact):
            return self.left.identity(self.right.value)
        return None

    @property
    def identities(self) -> list[Identity]:
        """The protocols that a packet can have which matches, as far as the match names them."""
        if self.operator is not Operator.EQ:
            return []
        keys: list[Key | None] = []
        if isinstance(self.right, Exact):
            keys = [self.right]
        elif isinstance(self.right, AnonymousSet):
            keys = [element.key for element in self.right.written]
        return [
            identity
            for covered in keys
            if isinstance(covered, Exact) and (identity := self.left.identity(covered.value)) is not None
        ]

    @property
    def anonymous_sets(self) -> int:
        """The set on the right side."""
        return int(isinstance(self.right, AnonymousSet))

    def lookups(self) -> tuple[str, ...]:
        """The set on the right side, if it is a named one."""
        return (self.right.name,) if isinstance(self.right, NamedSet) else ()

    def text(self, *, stateless: bool = False) -> str:
        """``tcp dport != 22``."""
        left, datatype = self.left, self.left.datatype
        if isinstance(datatype, Flags) and isinstance(self.right, Exact):
            assert isinstance(self.right.value, int)
            return self._flags_text(datatype, self.right.value)
        if isinstance(self.right, AnonymousSet | NamedSet):
            right = self.right.text(datatype, stateless=stateless)
        else:
            right = _format(self.right, self)
        sign = self.operator.value
        if self.operator is Operator.EQ and (not left.computed or isinstance(self.right, Interval)):
            sign = ""
        return " ".join(filter(None, (left.text(), sign, right)))

    def json(self) -> Json:
        """Operator and both sides."""
        operator = "in" if self.operator is Operator.ANY else self.operator.value
        left, right = self.left, self.right
        written = left.json()
        if isinstance(left, Bitwise) and isinstance(right, Exact) and self.operator in _EQUALITY:
            written = left.json_masked()
        return {"match": {"op": operator, "left": written, "right": self._json_right()}}

    def _json_right(self) -> Json:
        datatype = self.left.datatype
        match self.right:
            case AnonymousSet() | NamedSet():
                return self.right.json(datatype)
            case Exact(value):
                if isinstance(datatype, Flags) and isinstance(value, int):
                    return self._json_flags(datatype, value)
                return datatype.json(value)
            case Interval() if not datatype.ranges:
                return key_json(self.right, datatype)
            case Interval():
                return interval_json(self.right, datatype)

    def _json_flags(self, datatype: Flags, value: int) -> Json:
        """Flags by name, in a list where that is how they are written; numbers where they are compared."""
        several = len(datatype.split(value)) > 1
        if self.operator in (Operator.ANY, Operator.NONE):
            return datatype.json_list(value) if several else datatype.json(value)
        if isinstance(self.left, Bitwise):
            equal = self.operator in _EQUALITY and several and self.left.plain
            return datatype.json_list(value) if equal else datatype.json(value)
        if self.operator not in _EQUALITY:
            return value
        return value if several and datatype is TCP_FLAG else datatype.json(value)

    def _flags_text(self, datatype: Flags, value: int) -> str:
        left = self.left
        if self.operator in (Operator.ANY, Operator.NONE):
            names = ",".join(datatype.split(value))
            return " ".join(filter(None, (left.text(), self.operator.value, names)))
        if isinstance(left, Bitwise) and left.plain and self.operator in _EQUALITY:
            if left.mask & left.mask - 1 == 0 and value == left.mask:
                return f"{left.text()} {self.operator.value} {datatype.format(value)}"
            sign = "" if self.operator is Operator.EQ else "!= "
            names, mask = ",".join(datatype.split(value)), ",".join(datatype.split(left.mask))
            return f"{left.selector.text()} {sign}{names} / {mask}"
        if isinstance(left, Bitwise):
            return f"{left.text()} {self.operator.value} {datatype.format(value)}"
        if self.operator in _EQUALITY and datatype is not TCP_FLAG:
            return f"{left.text()} {self.operator.value} {datatype.format(value)}"
        shown = datatype.single(value) if self.operator in _EQUALITY else f"0x{value:x}"
        return f"{left.text()} {self.operator.value} {shown}"

    def compile(self, compiler: Compiler) -> Step:
        """A test."""
        return Test(self.predicate(compiler))

    def predicate(self, compiler: Compiler) -> Predicate:
        """Whether a packet matches."""
        left = self.left
        match self.right:
            case AnonymousSet() | NamedSet():
                load = left.load(compiler)
                within = self.operator is Operator.EQ
                return self.right.predicate(load, left.datatype, compiler, within=within)
            case Interval(low, high, _):
                return self._interval(low, high, compiler)
            case Exact(value):
                right = compiler.value(value, left.datatype, self.span)
        if self.operator is Operator.EQ:
            return left.equal(right, compiler)
        load = left.load(compiler)
        if self.operator is Operator.NE:
            return lambda packet: load(packet) not in (None, right)
        assert isinstance(right, int)
        if self.operator is Operator.ANY:
            return left.any_bit(right, compiler)
        return _compare(left.load_number(compiler), self.operator, right)

    def _interval(self, low: int, high: int, compiler: Compiler) -> Predicate:
        left = self.left
        if not left.datatype.ranges:
            prefix = format_key(Interval(low, high), left.datatype)[1:-2]
            return _prefix(left.load(compiler), prefix, same=self.operator is Operator.EQ)
        if self.operator is Operator.EQ:
            return left.within(low, high, compiler)
        load = left.load_number(compiler)

        def outside(packet: Packet) -> bool:
            value = load(packet)
            return value is not None and not low <= value <= high

        return outside


def _prefix(load: Load, prefix: str, *, same: bool) -> Predicate:
    def test(packet: Packet) -> bool:
        value = load(packet)
        return isinstance(value, str) and value.startswith(prefix) is same

    return test


def _compare(load: IntLoad, operator: Operator, right: int) -> Predicate:
    """An ordered comparison, or none of some bits."""

    def less(packet: Packet) -> bool:
        value = load(packet)
        return value is not None and value < right

    def less_or_equal(packet: Packet) -> bool:
        value = load(packet)
        return value is not None and value <= right

    def greater(packet: Packet) -> bool:
        value = load(packet)
        return value is not None and value > right

    def greater_or_equal(packet: Packet) -> bool:
        value = load(packet)
        return value is not None and value >= right

    def none_of(packet: Packet) -> bool:
        value = load(packet)
        return value is not None and not value & right

    match operator:
        case Operator.LT:
            return less
        case Operator.LE:
            return less_or_equal
        case Operator.GT:
            return greater
        case Operator.GE:
            return greater_or_equal
        case _:
            return none_of


def _format(right: Exact | Interval, match: Match) -> str:
    datatype = match.left.datatype
    if isinstance(right, Exact):
        return datatype.format(right.value)
    if right.prefixlen >= 0:
        return f"{datatype.format(right.low)}/{right.prefixlen}"
    if not datatype.ranges:
        return format_key(right, datatype)
    return f"{datatype.bound(right.low)}-{datatype.bound(right.high)}"
