"""Shifting what a selector reads.

Ref: net/netfilter/nft_bitwise.c:nft_bitwise_eval_lshift, nft_bitwise_eval_rshift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from flowtable.ruleset.selector import Identity, Selector

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.hook import Hook
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.types.base import Value


class Shift(Selector):
    """``selector << count`` or ``selector >> count``.

    Attributes:
        selector: what is read.
        count: by how many bits, less than it has.
        left: to the left; what leaves the width of the type is lost.
    """

    __slots__ = ("count", "left", "selector")

    def __init__(self, selector: Selector, count: int, span: Span, *, left: bool) -> None:
        super().__init__(span, selector.datatype)
        self.selector = selector
        self.count = count
        self.left = left

    def text(self) -> str:
        """The count in decimal, other operations in parentheses."""
        text = self.selector.text()
        if self.selector.computed:
            text = f"({text})"
        return f"{text} {'<<' if self.left else '>>'} {self.count}"

    def json(self) -> Json:
        """Operator and both sides."""
        return {"<<" if self.left else ">>": [self.selector.json(), self.count]}

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """That of the selector."""
        return self.selector.byte_order

    @property
    def computed(self) -> bool:
        """It is."""
        return True

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

    def load(self, compiler: Compiler) -> Load:
        """Read and shift."""
        load, count, most = self.selector.load_number(compiler), self.count, self.datatype.maximum

        def shift_left(packet: Packet) -> Value | None:
            value = load(packet)
            return None if value is None else value << count & most

        def shift_right(packet: Packet) -> Value | None:
            value = load(packet)
            return None if value is None else value >> count

        return shift_left if self.left else shift_right
