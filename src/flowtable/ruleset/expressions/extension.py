"""IPv6 extension headers.

Ref: net/netfilter/nft_exthdr.c:nft_exthdr_ipv6_eval; nftables src/exthdr.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from flowtable.packet.extension import AUTHENTICATION, EXTENSION_HEADERS, FRAGMENT
from flowtable.packet.packet import IPV6
from flowtable.ruleset.expressions.headers import Field
from flowtable.ruleset.expressions.ip_option import imply_option
from flowtable.ruleset.expressions.payload import field_reader
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.selector import Identity, Layer, Selector
from flowtable.ruleset.types import BOOLEAN, INET_PROTO, INTEGER, IPV6_ADDR, MH_TYPE

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span

_HEADER: Final = 40
_COMMON: Final = {"nexthdr": Field(0, INET_PROTO), "hdrlength": Field(8, INTEGER[8])}
_NUMBERS: Final = {
    "hbh": 0,
    "rt": 43,
    "rt0": 43,
    "rt2": 43,
    "srh": 43,
    "frag": 44,
    "dst": 60,
    "mh": 135,
}
_FIELDS: Final = {
    "hbh": _COMMON,
    "rt": {**_COMMON, "type": Field(16, INTEGER[8]), "seg-left": Field(24, INTEGER[8])},
    "rt0": {},
    "rt2": {"addr": Field(64, IPV6_ADDR)},
    "srh": {
        "last-entry": Field(32, INTEGER[8]),
        "flags": Field(40, INTEGER[8]),
        "tag": Field(48, INTEGER[16]),
    },
    "frag": {
        "nexthdr": Field(0, INET_PROTO),
        "reserved": Field(8, INTEGER[8]),
        "frag-off": Field(16, INTEGER[13]),
        "reserved2": Field(29, INTEGER[2]),
        "more-fragments": Field(31, INTEGER[1]),
        "id": Field(32, INTEGER[32]),
    },
    "dst": _COMMON,
    "mh": {
        **_COMMON,
        "type": Field(16, MH_TYPE),
        "reserved": Field(24, INTEGER[8]),
        "checksum": Field(32, INTEGER[16]),
    },
}
_LISTS: Final = {"rt0": "addr", "srh": "sid"}
"""Headers with a list of addresses behind their first eight bytes, and what its items are called."""
_EXPECTING: Final = {
    "hbh": ("hdrlength", "nexthdr"),
    "dst": ("hdrlength", "nexthdr"),
    "rt0": ("addr",),
    "rt2": ("addr",),
}
_LIST: Final = 64
"""Where the list begins, in bits."""
_MAX_INDEX: Final = 127
WORDS: Final = tuple(word for word in _NUMBERS if word != "rt")
"""The keywords that only stand for an extension header."""
_PRESENCE: Final = ("hbh", "rt", "frag", "dst", "mh")


class Extension(Selector):
    """``frag id``, or ``exthdr frag``: whether the header is there.

    Attributes:
        of: the keyword of the header.
        name: the field's keyword, empty where only the presence of the header is asked for.
        field: where the field is; None for presence.
    """

    __slots__ = ("field", "name", "of")

    def __init__(self, of: str, name: str, field: Field | None, span: Span) -> None:
        super().__init__(span, BOOLEAN if field is None else field.datatype)
        self.of = of
        self.name = name
        self.field = field

    def text(self) -> str:
        """``frag id``."""
        return f"{self.of} {self.name}" if self.name else f"exthdr {self.of}"

    def json(self) -> Json:
        """Header and field."""
        return {"exthdr": {"name": self.of, **({"field": self.name} if self.name else {})}}

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """Network order."""
        return "big"

    @property
    def implies(self) -> tuple[Identity, ...]:
        """Only IPv6 has it."""
        return (Identity(Layer.NETWORK, "ip6"),)

    def check(self, rule: RuleContext) -> Selector:
        """Imply IPv6."""
        imply_option(rule, "ip6", self.span)
        return self

    def load(self, compiler: Compiler) -> Load:
        """Read the field, or whether the header is there."""
        del compiler
        number, field = _NUMBERS[self.of], self.field
        if field is None:
            return lambda packet: None if packet.family != IPV6 else int(find(packet, number) > 0)
        read, first = field_reader(field), field.first

        def load(packet: Packet) -> int | None:
            offset = find(packet, number) if packet.family == IPV6 else 0
            return read(packet.data, offset + first) if offset else None

        return load


def find(packet: Packet, number: int) -> int:
    """Where the first header of that number begins, 0 where there is none.

    Ref: net/ipv6/exthdrs_core.c:ipv6_find_hdr.
    """
    data = packet.data
    if len(data) < _HEADER:
        return 0
    header, offset = data[6], _HEADER
    while header != number:
        if header not in EXTENSION_HEADERS or len(data) < offset + 8:
            return 0
        if header == FRAGMENT:
            if data[offset + 2] << 8 & 0xFF00 | data[offset + 3] & 0xF8:
                return 0
            length = 8
        elif header == AUTHENTICATION:
            length = (data[offset + 1] + 2) * 4
        else:
            length = (data[offset + 1] + 1) * 8
        header = data[offset]
        offset += length
    return offset if len(data) >= offset + 2 else 0


def parse(parser: Parser) -> Extension:
    """Read ``HEADER FIELD`` or ``exthdr HEADER``."""
    start = parser.token.span
    if parser.accept_word("exthdr"):
        if not parser.at_word(*_PRESENCE):
            raise parser.unexpected()
        return Extension(parser.advance().text, "", None, parser.since(start))
    return parse_field(parser, parser.advance().text, start)


def parse_field(parser: Parser, header: str, start: Span) -> Extension:
    """Read the field of a header whose keyword has been read."""
    token = parser.token
    if token.kind is Kind.STRING and token.text == _LISTS.get(header):
        return _parse_item(parser, header, start)
    if token.kind is not Kind.STRING or token.text not in _FIELDS[header]:
        raise parser.unexpected(*_EXPECTING.get(header, ()))
    parser.advance()
    return Extension(header, token.text, _FIELDS[header][token.text], parser.since(start))


def _parse_item(parser: Parser, header: str, start: Span) -> Extension:
    """Read ``sid[1]``."""
    name = parser.advance().text
    parser.expect(Kind.BRACKET_OPEN, "'['")
    at = parser.token.span
    index = parser.number("number")
    parser.expect(Kind.BRACKET_CLOSE, "']'")
    if not 0 < index <= _MAX_INDEX:
        raise parser.error(f"addresses are counted from 1 to {_MAX_INDEX}", at)
    field = Field(_LIST + (index - 1) * IPV6_ADDR.bits, IPV6_ADDR)
    return Extension(header, f"{name}[{index}]", field, parser.since(start))
