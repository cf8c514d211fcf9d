"""Counters.

Ref: net/netfilter/nft_counter.c:nft_counter_do_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.code import GO_ON, Do
from flowtable.ruleset.statement import Statement

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span


class Counter(Statement):
    """Counts the packets that reach it, and their bytes from the network header on.

    Attributes:
        packets: packets so far.
        bytes: bytes so far.
    """

    __slots__ = ("bytes", "packets")

    def __init__(self, span: Span, packets: int = 0, byte_count: int = 0) -> None:
        super().__init__(span)
        self.packets = packets
        self.bytes = byte_count

    def text(self, *, stateless: bool = False) -> str:
        """``counter packets 0 bytes 0``."""
        return "counter" if stateless else f"counter packets {self.packets} bytes {self.bytes}"

    def json(self) -> Json:
        """Its counts."""
        return {"counter": {"packets": self.packets, "bytes": self.bytes}}

    def compile(self, compiler: Compiler) -> Step:
        """Count and go on."""
        del compiler

        def count(packet: Packet) -> int:
            self.packets += 1
            self.bytes += len(packet.data)
            return GO_ON

        return Do(count)


def parse(parser: Parser) -> Counter:
    """Read ``counter [packets N bytes M]``."""
    start = parser.advance().span
    if parser.at_word("name"):
        raise parser.unsupported("named counters are", start)
    packets = byte_count = 0
    while word := parser.accept_word("packets", "bytes"):
        number = parser.number("number")
        if word == "packets":
            packets = number
        else:
            byte_count = number
    return Counter(parser.since(start), packets, byte_count)
