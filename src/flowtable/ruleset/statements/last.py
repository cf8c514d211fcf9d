"""When a packet last came by.

Ref: net/netfilter/nft_last.c:nft_last_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.clock import MILLISECOND
from flowtable.ruleset.code import GO_ON, Do
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.types import TIME

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span


class Last(Statement):
    """The time of the last packet.

    Attributes:
        used: milliseconds since a packet came by when the rules were loaded, None for never.
        seen: when one came by since, nanoseconds, None for never.
    """

    __slots__ = ("seen", "used")
    stateful = True

    def __init__(self, span: Span, used: int | None = None) -> None:
        super().__init__(span)
        self.used = used
        self.seen: int | None = None

    def fresh(self) -> Last:
        """Never."""
        return Last(self.span)

    def text(self, *, stateless: bool = False) -> str:
        """``last used 5s``."""
        if stateless:
            return "last"
        return f"last used {'never' if self.used is None else TIME.format(self.used)}"

    def json(self) -> Json:
        """Without the time."""
        return {"last": None}

    def compile(self, compiler: Compiler) -> Step:
        """Take the time and go on."""
        del compiler

        def run(packet: Packet) -> int:
            self.seen = packet.time
            self.used = 0
            return GO_ON

        return Do(run)

    def tell(self, now: int) -> None:
        """The time that it is listed at, nanoseconds."""
        if self.seen is not None:
            self.used = (now - self.seen) // MILLISECOND


def text_at(statement: Statement, now: int | None, *, stateless: bool) -> str:
    """A statement as nft prints it at a time, nanoseconds; None before the rules run."""
    if isinstance(statement, Last) and now is not None:
        statement.tell(now)
    return statement.text(stateless=stateless)


def parse(parser: Parser) -> Last:
    """Read ``last [used TIME|never]``."""
    start = parser.advance().span
    used = None
    if parser.accept_word("used") and not parser.accept_word("never"):
        used = parser.time()
    return Last(parser.since(start), used)
