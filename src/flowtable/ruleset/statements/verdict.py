"""Verdicts.

Ref: net/netfilter/nft_immediate.c:nft_immediate_eval, nf_tables_core.c:nft_do_chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.code import ACCEPTED, BREAK, GO_ON, RETURNED, Do, End, drop
from flowtable.ruleset.statement import Statement

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Op, Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span

_TERMINAL: Final = ("accept", "drop", "return", "jump", "goto")


class VerdictStatement(Statement):
    """``accept``, ``drop``, ``return``, ``continue``, ``jump`` or ``goto``.

    Attributes:
        verdict: the keyword.
        chain: target of a jump, None without.
        chain_span: where the target stands.
    """

    __slots__ = ("chain", "chain_span", "verdict")

    def __init__(
        self, verdict: str, span: Span, chain: str | None = None, chain_span: Span | None = None
    ) -> None:
        super().__init__(span)
        self.verdict = verdict
        self.chain = chain
        self.chain_span = chain_span

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VerdictStatement):
            return NotImplemented
        return (self.verdict, self.chain) == (other.verdict, other.chain)

    def __hash__(self) -> int:
        return hash((self.verdict, self.chain))

    @property
    def ends(self) -> bool:
        """Whether nothing can follow it in a rule."""
        return self.verdict in _TERMINAL

    @property
    def jumps(self) -> tuple[str, ...]:
        """The target."""
        return () if self.chain is None else (self.chain,)

    def text(self, *, stateless: bool = False) -> str:
        """``jump x``."""
        del stateless
        return self.verdict if self.chain is None else f"{self.verdict} {self.chain}"

    def json(self) -> Json:
        """The keyword, and the target of a jump."""
        return {self.verdict: None if self.chain is None else {"target": self.chain}}

    def compile(self, compiler: Compiler) -> Step:
        """The code, or the walk through another chain."""
        op = verdict_op(self.verdict, self.chain, compiler)
        return End(op) if isinstance(op, int) else Do(op)


def verdict_op(verdict: str, chain: str | None, compiler: Compiler) -> int | Op:
    """What a verdict does: a code, or an operation."""
    match verdict:
        case "accept":
            return ACCEPTED
        case "drop":
            return drop
        case "return":
            return RETURNED
        case "jump":
            assert chain is not None
            return compiler.chain(chain)
        case "goto":
            assert chain is not None
            return _goto(compiler.chain(chain))
        case _:
            return BREAK


def _goto(walk: Op) -> Op:
    """Where the other chain ends, this one does too."""

    def run(packet: Packet) -> int:
        code = walk(packet)
        return RETURNED if code == GO_ON else code

    return run


def parse(parser: Parser) -> VerdictStatement:
    """Read a verdict."""
    token = parser.advance()
    if token.text not in ("jump", "goto"):
        return VerdictStatement(token.text, token.span)
    chain, span = parser.chain_name()
    return VerdictStatement(token.text, parser.since(token.span), chain, span)
