"""Options of TCP headers.

Ref: net/netfilter/nft_exthdr.c:nft_exthdr_tcp_eval; nftables src/tcpopt.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from flowtable.packet.packet import TCP
from flowtable.ruleset.expressions.headers import Field
from flowtable.ruleset.expressions.payload import field_reader
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.selector import Identity, Layer, Selector
from flowtable.ruleset.types import BOOLEAN, INTEGER, integer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span

_HEADER: Final = 20
_NOP: Final = 1
_LENGTH: Final = Field(8, INTEGER[8])


@dataclass(slots=True, frozen=True)
class Option:
    """A kind of option.

    Attributes:
        kind: its number.
        name: its keyword.
        fields: its fields by keyword, from the byte of its kind on.
    """

    kind: int
    name: str
    fields: dict[str, Field]


def _sack(block: int) -> dict[str, Field]:
    first = 16 + block * 64
    return {"length": _LENGTH, "left": Field(first, INTEGER[32]), "right": Field(first + 32, INTEGER[32])}


_OPTIONS: Final = (
    Option(0, "eol", {}),
    Option(1, "nop", {}),
    Option(2, "maxseg", {"length": _LENGTH, "size": Field(16, INTEGER[16])}),
    Option(3, "window", {"length": _LENGTH, "count": Field(16, INTEGER[8])}),
    Option(4, "sack-perm", {"length": _LENGTH}),
    Option(5, "sack", _sack(0)),
    Option(5, "sack1", _sack(1)),
    Option(5, "sack2", _sack(2)),
    Option(5, "sack3", _sack(3)),
    Option(
        8,
        "timestamp",
        {"length": _LENGTH, "tsval": Field(16, INTEGER[32]), "tsecr": Field(48, INTEGER[32])},
    ),
    Option(19, "md5sig", {"length": _LENGTH}),
    Option(30, "mptcp", {"length": _LENGTH, "subtype": Field(16, INTEGER[4])}),
    Option(34, "fastopen", {"length": _LENGTH}),
)
_BY_NAME: Final = {
    **{option.name: option for option in _OPTIONS},
    "mss": _OPTIONS[2],
    "noop": _OPTIONS[1],
    "sack-permitted": _OPTIONS[4],
    "sack0": _OPTIONS[5],
}
_BY_KIND: Final = {option.kind: option for option in reversed(_OPTIONS)}


class TcpOption(Selector):
    """``tcp option maxseg size``, or whether the option is there.

    Attributes:
        option: the kind of option.
        name: the field's keyword, empty where only the presence of the option is asked for.
        field: where the field is; None for presence.
    """

    __slots__ = ("field", "name", "option")

    def __init__(self, option: Option, name: str, field: Field | None, span: Span) -> None:
        super().__init__(span, BOOLEAN if field is None else field.datatype)
        self.option = option
        self.name = name
        self.field = field

    def text(self) -> str:
        """The option by name where it has one."""
        if self.field is not None and not self.name:
            return f"tcp option @{self.option.kind},{self.field.offset},{self.datatype.bits}"
        return " ".join(filter(None, ("tcp option", self.option.name, self.name)))

    def json(self) -> Json:
        """Option and field."""
        if self.field is None and self.option.kind not in _BY_KIND:
            return {"tcp option": {"base": self.option.kind, "offset": 0, "len": 8}}
        if self.field is not None and not self.name:
            shown = {"base": self.option.kind, "offset": self.field.offset, "len": self.datatype.bits}
            return {"tcp option": shown}
        return {"tcp option": {"name": self.option.name, **({"field": self.name} if self.name else {})}}

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """Network order."""
        return "big"

    @property
    def implies(self) -> tuple[Identity, ...]:
        """Only TCP has it: that is tested by reading it."""
        return (Identity(Layer.TRANSPORT, "tcp"),)

    def load(self, compiler: Compiler) -> Load:
        """Read the field, or whether the option is there: 0 also where there is no TCP header."""
        del compiler
        kind, field = self.option.kind, self.field
        if field is None:
            return lambda packet: int(find(packet, kind) is not None)
        read, first, end = field_reader(field), field.first, field.end

        def load(packet: Packet) -> int | None:
            found = find(packet, kind)
            if found is None or end > found[1]:
                return None
            return read(packet.data, found[0] + first)

        return load


def find(packet: Packet, kind: int) -> tuple[int, int] | None:
    """Offset and length of the first option of that kind; None without one, or if it is cut off."""
    for found, offset, length in options(packet):
        if found == kind:
            end = header_end(packet)
            return (offset, length) if end is not None and offset + length <= end else None
    return None


def options(packet: Packet) -> Iterator[tuple[int, int, int]]:
    """Kind, offset in the packet, and length of each TCP option; nothing where there is no TCP."""
    header = header_end(packet)
    if header is None:
        return
    data = packet.data
    offset = packet.thoff + _HEADER
    while offset < header - 1:
        kind = data[offset]
        length = 1
        if kind > _NOP:
            length = data[offset + 1] or 1
        yield kind, offset, length
        offset += length


def header_end(packet: Packet) -> int | None:
    """Where the TCP header ends; None without a whole one. Ref: nft_tcp_header_pointer."""
    thoff, data = packet.thoff, packet.data
    if packet.l4proto != TCP or packet.fragoff or not thoff or len(data) < thoff + _HEADER:
        return None
    length = (data[thoff + 12] >> 4) * 4
    end = thoff + length
    return end if length >= _HEADER and end <= len(data) else None


def parse(parser: Parser, start: Span) -> TcpOption:
    """Read what follows ``tcp option``: an option, and a field of it."""
    if parser.accept(Kind.AT):
        return _parse_raw(parser, start)
    option = parse_option(parser)
    token = parser.token
    if token.kind is Kind.STRING and token.text in option.fields:
        parser.advance()
        name = "" if option.kind not in _BY_KIND else token.text
        return TcpOption(option, name, option.fields[token.text], parser.since(start))
    return TcpOption(option, "", None, parser.since(start))


def parse_option(parser: Parser) -> Option:
    """Read an option, by name or number."""
    token = parser.token
    if parser.at(Kind.NUMBER):
        kind = parser.number()
        if kind > 255:
            raise parser.error("value too large", token.span)
        return _BY_KIND.get(kind) or Option(kind, str(kind), {"length": _LENGTH})
    if token.kind is not Kind.STRING or token.text not in _BY_NAME:
        raise parser.unexpected()
    parser.advance()
    return _BY_NAME[token.text]


def _parse_raw(parser: Parser, start: Span) -> TcpOption:
    at = parser.token.span
    numbers = [parser.number("number")]
    for _ in range(2):
        parser.expect(Kind.COMMA, "comma")
        numbers.append(parser.number("number"))
    kind, offset, bits = numbers
    if kind > 255 or offset > 255 * 8 or not 0 < bits <= 128:
        raise parser.error("value too large", at)
    option = _BY_KIND.get(kind) or Option(kind, str(kind), {})
    for name, field in option.fields.items():
        if field.offset == offset and field.datatype.bits == bits:
            return TcpOption(option, name, field, parser.since(start))
    return TcpOption(option, "", Field(offset, integer(bits)), parser.since(start))
