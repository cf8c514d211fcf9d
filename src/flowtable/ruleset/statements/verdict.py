"""Verdicts.

Ref: net/netfilter/nft_immediate.c:nft_immediate_eval, nf_tables_core.c:nft_do_chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.code import ACCEPTED, BREAK, GO_ON, RETURNED, Do, End, drop
from flowtable.ruleset.implied import rule_text
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.parser import parse_block
from flowtable.ruleset.rule import check_rule
from flowtable.ruleset.statement import Statement

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Op, Step
    from flowtable.ruleset.command import RuleSyntax
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.family import Family
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.model import Rule
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
        """All but ``continue`` do."""
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
        """The verdict, and where it goes."""
        return {self.verdict: None if self.chain is None else {"target": self.chain}}

    def compile(self, compiler: Compiler) -> Step:
        """The code, or the walk through another chain."""
        op = verdict_op(self.verdict, self.chain, compiler)
        return End(op) if isinstance(op, int) else Do(op)


class Block(Statement):
    """``jump { ... }`` or ``goto { ... }``: a chain without a name.

    Attributes:
        verdict: the keyword.
        family: family of the table.
        rules: its rules.
    """

    __slots__ = ("family", "rules", "verdict")
    terminal = True

    def __init__(self, verdict: str, family: Family, rules: tuple[Rule, ...], span: Span) -> None:
        super().__init__(span)
        self.verdict = verdict
        self.family = family
        self.rules = rules

    @property
    def blocks(self) -> tuple[Rule, ...]:
        """Its rules."""
        return self.rules

    def text(self, *, stateless: bool = False) -> str:
        """The rules, one on a line."""
        lines = [f"\t\t\t{rule_text(rule, self.family, stateless=stateless)}\n" for rule in self.rules]
        return f"{self.verdict} {{\n{''.join(lines)}\t\t}}"

    def compile(self, compiler: Compiler) -> Step:
        """The walk through the rules."""
        walk = compiler.block(self.rules)
        return Do(walk if self.verdict == "jump" else _goto(walk))


class BlockSyntax(Statement):
    """The same as written.

    Attributes:
        verdict: the keyword.
        rules: its rules.
    """

    __slots__ = ("rules", "verdict")
    terminal = True

    def __init__(self, verdict: str, rules: list[RuleSyntax], span: Span) -> None:
        super().__init__(span)
        self.verdict = verdict
        self.rules = rules

    def check(self, rule: RuleContext) -> Block:
        """Check its rules, each by itself."""
        rules = tuple(check_rule(rule.inner(), syntax) for syntax in self.rules)
        return Block(self.verdict, rule.family, rules, self.span)


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


def parse(parser: Parser) -> VerdictStatement | BlockSyntax:
    """Read a verdict."""
    token = parser.advance()
    if token.text not in ("jump", "goto"):
        return VerdictStatement(token.text, token.span)
    if parser.at(Kind.BRACE_OPEN):
        return _parse_block(parser, token.text, token.span)
    chain, span = parser.chain_name()
    return VerdictStatement(token.text, parser.since(token.span), chain, span)


def _parse_block(parser: Parser, verdict: str, keyword: Span) -> BlockSyntax:
    if parser.in_block:
        raise parser.too_nested(keyword)
    rules: list[RuleSyntax] = []

    def item() -> None:
        rules.append(parser.rule(parser))
        if not parser.stopped():
            parser.separator()

    parser.in_block = True
    parse_block(parser, item, nested=False)
    parser.in_block = False
    return BlockSyntax(verdict, rules, keyword)
