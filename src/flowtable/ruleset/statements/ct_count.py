"""How many connections there are.

Ref: net/netfilter/nft_connlimit.c:nft_connlimit_do_eval, nf_conncount.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.code import BREAK, GO_ON, Do
from flowtable.ruleset.statement import Statement

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span


class CtCount(Statement):
    """``ct count over 10``: goes on while the connections that came by here are few, or many.

    Attributes:
        count: how many are allowed.
        over: the rule goes on when there are more.
    """

    __slots__ = ("_connections", "count", "over")
    stateful = True

    def __init__(self, span: Span, count: int, *, over: bool) -> None:
        super().__init__(span)
        self.count = count
        self.over = over
        self._connections: dict[int, Connection] = {}

    def fresh(self) -> CtCount:
        """The same without connections."""
        return CtCount(self.span, self.count, over=self.over)

    def text(self, *, stateless: bool = False) -> str:
        """``ct count over 10``."""
        del stateless
        return f"ct count {'over ' if self.over else ''}{self.count}"

    def json(self) -> Json:
        """The number."""
        return {"ct count": {"val": self.count, **({"inv": True} if self.over else {})}}

    def compile(self, compiler: Compiler) -> Step:
        """Note the packet's connection, forget those that ended, and count."""
        compiler.track()
        within, beyond = (BREAK, GO_ON) if self.over else (GO_ON, BREAK)

        def run(packet: Packet) -> int:
            connection = packet.ct
            if connection is None:
                return BREAK
            connections = self._connections
            if id(connection) not in connections or len(connections) > self.count:
                self._forget(connection, packet.time)
                connections.setdefault(id(connection), connection)
            return beyond if len(connections) > self.count else within

        return Do(run)

    def _forget(self, connection: Connection, now: int) -> None:
        """Let go of those that ended, as far as the kernel looks: up to the connection itself."""
        for key, other in list(self._connections.items()):
            if other.ended(now):
                del self._connections[key]
            elif other is connection:
                return


def parse(parser: Parser) -> CtCount:
    """Read ``ct count [over] N``."""
    start = parser.advance().span
    parser.expect_word("count")
    over = parser.accept_word("over") is not None
    count = parser.number(*(("number",) if over else ("number", "over")))
    return CtCount(parser.since(start), count, over=over)
