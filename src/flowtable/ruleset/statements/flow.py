"""Offloading connections to a flowtable.

Ref: net/netfilter/nft_flow_offload.c:nft_flow_offload_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.code import BREAK, GO_ON, Do
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.statement import Statement

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span


class FlowAdd(Statement):
    """``flow add @f``, or ``flow offload @f``, which is the same.

    Attributes:
        name: the flowtable.
    """

    __slots__ = ("name",)

    def __init__(self, name: str, span: Span) -> None:
        super().__init__(span)
        self.name = name

    @property
    def hooks(self) -> frozenset[Hook]:
        """Forward only. Ref: net/netfilter/nft_flow_offload.c:nft_flow_offload_validate."""
        return frozenset((Hook.FORWARD,))

    def text(self, *, stateless: bool = False) -> str:
        """``flow add @f``."""
        del stateless
        return f"flow add @{self.name}"

    def json(self) -> Json:
        """Operation and flowtable."""
        return {"flow": {"op": "add", "flowtable": f"@{self.name}"}}

    def compile(self, compiler: Compiler) -> Step:
        """Ask the box to add the flow; a refusal ends the rule."""
        compiler.track()
        flow_add = compiler.environment.flow_add
        family, table, name = compiler.family, compiler.table.name, self.name

        def run(packet: Packet) -> int:
            return GO_ON if flow_add(packet, family, table, name) else BREAK

        return Do(run)


def parse(parser: Parser) -> FlowAdd:
    """Read ``flow add @f``."""
    start = parser.advance().span
    if not parser.accept_word("add", "offload"):
        raise parser.unexpected("table")
    parser.expect(Kind.AT, "@")
    name = parser.text().text
    return FlowAdd(name, parser.since(start))
