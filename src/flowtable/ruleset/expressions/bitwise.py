"""Bit operations on what a selector reads.

Ref: net/netfilter/nft_bitwise.c:nft_bitwise_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from flowtable.ruleset.expressions.concatenation import Concat
from flowtable.ruleset.expressions.shift import Shift
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.selector import Identity, Selector
from flowtable.ruleset.syntax import BinaryTerm, ConcatTerm
from flowtable.ruleset.types import INTEGER
from flowtable.ruleset.types.flags import Flags
from flowtable.ruleset.values import fail, mismatch, scalar

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.hook import Hook
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.syntax import Term
    from flowtable.ruleset.types.base import Value


class Bitwise(Selector):
    """``(selector & mask) ^ flip``: what any chain of ``&``, ``|`` and ``^`` with constants comes to.

    Attributes:
        selector: what is read.
        mask: the bits that are kept.
        flip: the bits that are inverted after that.
    """

    __slots__ = ("flip", "mask", "selector")

    def __init__(self, selector: Selector, mask: int, flip: int, span: Span) -> None:
        super().__init__(span, selector.datatype)
        self.selector = selector
        self.mask = mask
        self.flip = flip

    @property
    def plain(self) -> bool:
        """Whether it is a mask only."""
        return self.flip == 0

    def text(self) -> str:
        """Mask, exclusive or, or: the parts that there are."""
        set_bits = self.flip & ~self.mask
        flip = self.flip & self.mask
        mask = self.mask | set_bits
        text = self.selector.text()
        if mask != self.datatype.maximum:
            text += f" & {self._constant(mask)}"
        if flip:
            text += f" ^ {self._constant(flip)}"
        if set_bits:
            text += f" | {self._constant(set_bits)}"
        return text

    def json(self) -> Json:
        """The same parts, each around the one before it."""
        set_bits = self.flip & ~self.mask
        flip = self.flip & self.mask
        mask = self.mask | set_bits
        found = self.selector.json()
        if mask != self.datatype.maximum:
            found = {"&": [found, self.datatype.json(mask)]}
        if flip:
            found = {"^": [found, self.datatype.json(flip)]}
        if set_bits:
            found = {"|": [found, self.datatype.json(set_bits)]}
        return found

    def json_masked(self) -> Json:
        """A mask of flags as it stands in front of flags that it is compared with: as a list."""
        if not isinstance(self.datatype, Flags) or not self.plain or len(self.datatype.split(self.mask)) == 1:
            return self.json()
        return {"&": [self.selector.json(), self.datatype.json_list(self.mask)]}

    def _constant(self, value: int) -> str:
        text = self.datatype.format(value)
        return f"({text})" if isinstance(self.datatype, Flags) and "|" in text else text

    def load(self, compiler: Compiler) -> Load:
        """Read and compute."""
        load, mask, flip = self.selector.load_number(compiler), self.mask, self.flip

        def compute(packet: Packet) -> Value | None:
            value = load(packet)
            return None if value is None else value & mask ^ flip

        return compute

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """That of the selector."""
        return self.selector.byte_order

    @property
    def computed(self) -> bool:
        """It is."""
        return True

    @property
    def guards(self) -> Identity | None:
        """The header that the selector makes sure of."""
        return self.selector.guards

    @property
    def headers(self) -> tuple[Identity, ...]:
        """The headers that the selector reads."""
        return self.selector.headers

    @property
    def opaque(self) -> bool:
        """Whether the selector is."""
        return self.selector.opaque

    @property
    def hooks(self) -> frozenset[Hook] | None:
        """The hooks of the selector."""
        return self.selector.hooks


def check_expression(term: Term, rule: RuleContext) -> Selector:
    """Check what is read, or computed of it.

    Raises:
        RulesetError: it is no selector, or the computation is none.
    """
    if isinstance(term, Selector):
        return term.check(rule)
    if isinstance(term, ConcatTerm):
        return Concat(tuple(_check_part(part, rule) for part in term.parts), term.span)
    if not isinstance(term, BinaryTerm):
        raise fail("No symbol type information", term.span)
    inner = check_expression(term.left, rule)
    if isinstance(term.right, Selector):
        raise fail(
            f"Right hand side of binary operation ({_sign(term.operator)}) must be constant",
            term.right.span,
            term.span,
        )
    if term.operator in (Kind.SHIFT_LEFT, Kind.SHIFT_RIGHT):
        return _check_shift(term, inner)
    constant = scalar(term.right, inner.datatype, inner.span)
    if not isinstance(constant, int):
        raise mismatch(inner.datatype, inner.datatype, term.right.span, inner.span)
    mask, flip = inner.datatype.maximum, 0
    selector = inner
    if isinstance(inner, Bitwise):
        selector, mask, flip = inner.selector, inner.mask, inner.flip
    match term.operator:
        case Kind.AND:
            mask, flip = mask & constant, flip & constant
        case Kind.OR:
            mask, flip = mask & ~constant, flip & ~constant | constant
        case _:
            flip ^= constant
    return Bitwise(selector, mask, flip, term.span)


def _check_part(term: Term, rule: RuleContext) -> Selector:
    """Check one of the selectors of a concatenation."""
    if not isinstance(term, Selector | BinaryTerm):
        raise fail("Can't parse symbolic invalid expressions", term.span)
    return check_expression(term, rule)


def _check_shift(term: BinaryTerm, inner: Selector) -> Shift:
    left = term.operator is Kind.SHIFT_LEFT
    count = scalar(term.right, INTEGER[32], inner.span)
    assert isinstance(count, int)
    bits = inner.datatype.bits
    if count >= bits:
        raise fail(
            f"{'Left' if left else 'Right'} shift of {count} bits is undefined for type of {bits} bits width",
            term.right.span,
            inner.span,
        )
    return Shift(inner, count, term.span, left=left)


def _sign(kind: Kind) -> str:
    return kind.value.strip("'")
