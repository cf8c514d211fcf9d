"""Counters.

Ref: net/netfilter/nft_counter.c:nft_counter_do_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.code import GO_ON, Do
from flowtable.ruleset.objects import ObjectKind
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.statements.reference import parse_reference

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
    stateful = True

    def __init__(self, span: Span, packets: int = 0, byte_count: int = 0) -> None:
        super().__init__(span)
        self.packets = packets
        self.bytes = byte_count

    def fresh(self) -> Counter:
        """One that counts from zero."""
        return Counter(self.span)

    def lines(self, *, stateless: bool) -> list[str]:
        """The lines of an object."""
        return [] if stateless else [f"packets {self.packets} bytes {self.bytes}"]

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
            self.bytes += len(packet.data) + packet.header
            return GO_ON

        return Do(count)


def parse(parser: Parser) -> Statement:
    """Read ``counter [packets N bytes M]`` or ``counter name NAME``."""
    start = parser.advance().span
    if parser.at_word("name"):
        parser.advance()
        return parse_reference(parser, ObjectKind.COUNTER, start)
    return parse_body(parser, start)


def parse_body(parser: Parser, start: Span) -> Counter:
    """Read what stands behind the word ``counter``."""
    packets = byte_count = 0
    while word := parser.accept_word("packets", "bytes"):
        number = parser.number("number")
        if word == "packets":
            packets = number
        else:
            byte_count = number
    return Counter(parser.since(start), packets, byte_count)
