"""Bytes of a packet by their place.

Ref: net/netfilter/nft_payload.c:nft_payload_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from flowtable.ruleset.expressions.headers import HEADERS, WITH_PORTS, Field, Header
from flowtable.ruleset.expressions.payload import Payload, field_reader, link_load
from flowtable.ruleset.family import Family
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.selector import Layer, Selector
from flowtable.ruleset.types import hexadecimal

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import Known, RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span

_BASES: Final = {"ll": Layer.LINK, "nh": Layer.NETWORK, "th": Layer.TRANSPORT, "ih": Layer.MESSAGE}
_NAMES: Final = {layer: name for name, layer in _BASES.items()}
_MAX_BITS: Final = 128
"""What a register holds. Ref: include/uapi/linux/netfilter/nf_tables.h:NFT_REG_SIZE."""
_NUMBER: Final = 64
"""Longer ones are addresses, which are not written as numbers."""
_MAX_OFFSET: Final = 0xFFFF


class Raw(Selector):
    """``@th,16,16``.

    Attributes:
        base: the layer from whose header on it counts; ``MESSAGE`` is what the transport header
            carries.
        field: the bits.
    """

    __slots__ = ("base", "field")

    def __init__(self, base: Layer, offset: int, bits: int, span: Span) -> None:
        self.field = Field(offset, hexadecimal(bits))
        super().__init__(span, self.field.datatype)
        self.base = base

    def text(self) -> str:
        """As written."""
        return f"@{_NAMES[self.base]},{self.field.offset},{self.field.datatype.bits}"

    def json(self) -> Json:
        """Where the bits are."""
        base = _NAMES[self.base]
        return {"payload": {"base": base, "offset": self.field.offset, "len": self.field.datatype.bits}}

    def check(self, rule: RuleContext) -> Selector:
        """Where these bytes have a name for sure, it is that field.

        Ref: nftables src/payload.c:payload_expr_complete.
        """
        for header in self._headers(rule):
            for name, field in header.fields.items():
                if field.offset == self.field.offset and field.datatype.bits == self.datatype.bits <= _NUMBER:
                    return Payload(header, name, self.span)
        return self

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """Network order."""
        return "big"

    def _headers(self, rule: RuleContext) -> tuple[Header, ...]:
        match self.base:
            case Layer.LINK if rule.family is Family.BRIDGE:
                return (HEADERS["ether"],)
            case Layer.NETWORK:
                return _certain(rule.network)
            case Layer.TRANSPORT:
                known = _certain(rule.transport)
                return known if known and known[0].name in WITH_PORTS else (HEADERS["th"],)
            case _:
                return ()

    def load(self, compiler: Compiler) -> Load:
        """Read the bits; None if the packet has no such header, or ends before."""
        del compiler
        read = field_reader(self.field)
        first = self.field.first
        match self.base:
            case Layer.LINK:
                return link_load(read, first, self.field.end)
            case Layer.NETWORK:
                return lambda packet: read(packet.data, first)
            case Layer.TRANSPORT:

                def load(packet: Packet) -> int | None:
                    if packet.fragoff or not packet.thoff:
                        return None
                    return read(packet.data, packet.thoff + first)

                return load
            case Layer.MESSAGE:

                def load_inner(packet: Packet) -> int | None:
                    start = inner_offset(packet)
                    return None if start is None else read(packet.data, start + first)

                return load_inner


def inner_offset(packet: Packet) -> int | None:
    """Where what the transport header carries begins; None where that cannot be told.

    Ref: net/netfilter/nft_payload.c:__nft_payload_inner_offset.
    """
    if packet.fragoff or not packet.thoff:
        return None
    data, thoff = packet.data, packet.thoff
    match packet.l4proto:
        case 17 if len(data) >= thoff + 8:
            return thoff + 8
        case 6 if len(data) >= thoff + 20:
            return thoff + (data[thoff + 12] >> 4) * 4
        case _:
            return None


def _certain(known: Known | None) -> tuple[Header, ...]:
    if known is None or not known.certain or known.protocol not in HEADERS:
        return ()
    return (HEADERS[known.protocol],)


def parse(parser: Parser) -> Raw:
    """Read ``@BASE,OFFSET,LENGTH``, in bits."""
    start = parser.expect(Kind.AT, "@").span
    base = parser.expect(Kind.STRING, "string")
    if base.text not in _BASES:
        raise parser.error("unknown raw payload base", base.span)
    parser.expect(Kind.COMMA, "comma")
    offset = parser.number("number")
    parser.expect(Kind.COMMA, "comma")
    bits = parser.number("number")
    span = parser.since(start)
    if bits > _MAX_BITS or offset > _MAX_OFFSET:
        raise parser.error(f"at most {_MAX_BITS} bits can be read, the last one at {_MAX_OFFSET}", span)
    return Raw(_BASES[base.text], offset, bits, span)
