"""Chunks of SCTP packets.

Ref: net/netfilter/nft_exthdr.c:nft_exthdr_sctp_eval; nftables src/sctp_chunk.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from flowtable.packet.packet import SCTP
from flowtable.packet.sctp import chunks
from flowtable.ruleset.expressions.headers import Field
from flowtable.ruleset.expressions.payload import field_reader
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.selector import Selector
from flowtable.ruleset.types import BOOLEAN, INTEGER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.packet.packet import Packet
    from flowtable.packet.sctp import Chunk
    from flowtable.ruleset.code import Load
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span

_COMMON: Final = {
    "type": Field(0, INTEGER[8]),
    "flags": Field(8, INTEGER[8]),
    "length": Field(16, INTEGER[16]),
}
_TSN: Final = {"cum-tsn-ack": Field(32, INTEGER[32])}
_INIT: Final = {
    "init-tag": Field(32, INTEGER[32]),
    "a-rwnd": Field(64, INTEGER[32]),
    "num-outbound-streams": Field(96, INTEGER[16]),
    "num-inbound-streams": Field(112, INTEGER[16]),
    "initial-tsn": Field(128, INTEGER[32]),
}
_CHUNKS: Final[dict[str, tuple[int, dict[str, Field]]]] = {
    "data": (
        0,
        {
            "tsn": Field(32, INTEGER[32]),
            "stream": Field(64, INTEGER[16]),
            "ssn": Field(80, INTEGER[16]),
            "ppid": Field(96, INTEGER[32]),
        },
    ),
    "init": (1, _INIT),
    "init-ack": (2, _INIT),
    "sack": (
        3,
        {
            **_TSN,
            "a-rwnd": Field(64, INTEGER[32]),
            "num-gap-ack-blocks": Field(96, INTEGER[16]),
            "num-dup-tsns": Field(112, INTEGER[16]),
        },
    ),
    "heartbeat": (4, {}),
    "heartbeat-ack": (5, {}),
    "abort": (6, {}),
    "shutdown": (7, _TSN),
    "shutdown-ack": (8, {}),
    "error": (9, {}),
    "cookie-echo": (10, {}),
    "cookie-ack": (11, {}),
    "ecne": (12, {"lowest-tsn": Field(32, INTEGER[32])}),
    "cwr": (13, {"lowest-tsn": Field(32, INTEGER[32])}),
    "shutdown-complete": (14, {}),
    "asconf-ack": (128, {"seqno": Field(32, INTEGER[32])}),
    "forward-tsn": (192, {"new-cum-tsn": Field(32, INTEGER[32])}),
    "asconf": (193, {"seqno": Field(32, INTEGER[32])}),
}


class SctpChunk(Selector):
    """``sctp chunk data tsn``, or whether there is such a chunk.

    Attributes:
        chunk: its keyword.
        name: the field's keyword, empty where only the presence of the chunk is asked for.
        field: where the field is; None for presence.
    """

    __slots__ = ("chunk", "field", "name")

    def __init__(self, chunk: str, name: str, span: Span) -> None:
        self.field = {**_COMMON, **_CHUNKS[chunk][1]}[name] if name else None
        super().__init__(span, BOOLEAN if self.field is None else self.field.datatype)
        self.chunk = chunk
        self.name = name

    def text(self) -> str:
        """``sctp chunk data tsn``."""
        return " ".join(filter(None, ("sctp chunk", self.chunk, self.name)))

    def json(self) -> Json:
        """Chunk and field."""
        return {"sctp chunk": {"name": self.chunk, **({"field": self.name} if self.name else {})}}

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """Network order."""
        return "big"

    def load(self, compiler: Compiler) -> Load:
        """Read the field, or whether the chunk is there: 0 also where there is no SCTP header."""
        del compiler
        number, field = _CHUNKS[self.chunk][0], self.field
        if field is None:
            return lambda packet: int(any(found.kind == number for found in _chunks(packet)))
        read, first, end = field_reader(field), field.first, field.end

        def load(packet: Packet) -> int | None:
            for found in _chunks(packet):
                if found.kind == number:
                    return read(packet.data, found.at + first) if end <= found.length else None
            return None

        return load


def _chunks(packet: Packet) -> Iterator[Chunk]:
    """Its chunks as far as they have a length; none where there is no SCTP header."""
    if packet.l4proto == SCTP and not packet.fragoff and packet.thoff:
        yield from (chunk for chunk in chunks(packet.data, packet.thoff) if chunk.length)


def parse(parser: Parser, start: Span) -> SctpChunk:
    """Read what follows ``sctp chunk``: a chunk, and a field of it."""
    chunk = parser.token
    if chunk.kind is not Kind.STRING or chunk.text not in _CHUNKS:
        raise parser.unexpected()
    parser.advance()
    field = parser.token
    if field.kind is Kind.STRING and (field.text in _COMMON or field.text in _CHUNKS[chunk.text][1]):
        parser.advance()
        return SctpChunk(chunk.text, field.text, parser.since(start))
    return SctpChunk(chunk.text, "", parser.since(start))
