"""Taking TCP options out of packets.

Ref: net/netfilter/nft_exthdr.c:nft_exthdr_tcp_strip_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.code import BREAK, GO_ON, Do
from flowtable.ruleset.expressions.tcp_option import parse_option
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.statements.store import strip_tcp_option

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.expressions.tcp_option import Option
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span


class Strip(Statement):
    """``reset tcp option sack-perm``.

    Attributes:
        option: the option.
    """

    __slots__ = ("option",)

    def __init__(self, option: Option, span: Span) -> None:
        super().__init__(span)
        self.option = option

    def text(self, *, stateless: bool = False) -> str:
        """``reset tcp option sack-perm``; blocks of a selective acknowledgement go together."""
        del stateless
        return f"reset tcp option {self._name}"

    @property
    def _name(self) -> str:
        return self.option.name.rstrip("123") if self.option.name.startswith("sack") else self.option.name

    def json(self) -> Json:
        """The option."""
        if self._name.isdecimal():
            return {"reset": {"tcp option": {"base": self.option.kind, "offset": 0, "len": 0}}}
        return {"reset": {"tcp option": {"name": self._name}}}

    def compile(self, compiler: Compiler) -> Step:
        """Overwrite it with NOPs."""
        del compiler
        kind = self.option.kind

        def run(packet: Packet) -> int:
            return GO_ON if strip_tcp_option(packet, kind) else BREAK

        return Do(run)


def parse(parser: Parser) -> Strip:
    """Read ``reset tcp option OPTION``."""
    start = parser.advance().span
    parser.expect_word("tcp")
    parser.expect_word("option")
    option = parse_option(parser)
    return Strip(option, parser.since(start))
