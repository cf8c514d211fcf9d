"""Number generators.

Ref: net/netfilter/nft_numgen.c:nft_ng_inc_gen, nft_ng_random_gen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.packet.jhash import scale
from flowtable.ruleset.selector import Selector
from flowtable.ruleset.types.number import Numbers

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span


class Numgen(Selector):
    """``numgen inc mod 2`` or ``numgen random mod 2``: 0 and up, below the modulus, plus an offset.

    Attributes:
        random: numbers are drawn, not counted.
        modulus: how many numbers there are.
        offset: the first of them.
        count: the last number that was counted, without the offset.
    """

    __slots__ = ("count", "modulus", "offset", "random")

    def __init__(self, span: Span, modulus: int, offset: int, *, random: bool) -> None:
        super().__init__(span, Numbers(32, offset + modulus - 1))
        self.random = random
        self.modulus = modulus
        self.offset = offset
        self.count = modulus - 1

    def check(self, rule: RuleContext) -> Selector:
        """There have to be numbers."""
        check_numbers(self.modulus, self.offset, rule, self.span)
        return self

    def text(self) -> str:
        """An offset of 0 is left out."""
        return f"numgen {self._mode} mod {self.modulus}{format_offset(self.offset)}"

    @property
    def _mode(self) -> str:
        return "random" if self.random else "inc"

    def json(self) -> Json:
        """Mode, modulus and offset."""
        return {"numgen": {"mode": self._mode, "mod": self.modulus, "offset": self.offset}}

    def load(self, compiler: Compiler) -> Load:
        """Count, or draw."""
        modulus, offset = self.modulus, self.offset
        if self.random:
            random = compiler.environment.random
            return lambda packet: scale(random(), modulus) + offset

        def load(packet: Packet) -> int:
            self.count = (self.count + 1) % modulus
            return self.count + offset

        return load


def check_numbers(modulus: int, offset: int, rule: RuleContext, span: Span) -> None:
    """Check that there is at least one number and that all are of 32 bits.

    Ref: nft_numgen.c:nft_ng_inc_init, nft_hash.c:nft_jhash_init.
    """
    if not modulus or offset + modulus - 1 >= 1 << 32:
        error = "Numerical result out of range" if not modulus else "Value too large for defined data type"
        raise rule.error(f"Could not process rule: {error}", span)


def format_offset(offset: int) -> str:
    """An offset as it is printed."""
    return f" offset {offset}" if offset else ""


def parse_offset(parser: Parser) -> int:
    """Read an offset where there is one."""
    return parser.number("number") if parser.accept_word("offset") else 0


def parse(parser: Parser) -> Numgen:
    """Read ``numgen inc|random mod N [offset M]``."""
    start = parser.advance().span
    if not parser.at_word("random", "inc"):
        raise parser.unexpected("random", "inc")
    random = parser.advance().text == "random"
    parser.expect_word("mod")
    modulus = parser.number("number")
    offset = parse_offset(parser)
    return Numgen(parser.since(start), modulus, offset, random=random)
