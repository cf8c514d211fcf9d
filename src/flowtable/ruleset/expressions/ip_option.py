"""Options of IPv4 headers.

Ref: net/netfilter/nft_exthdr.c:nft_exthdr_ipv4_eval, ipv4_find_option; nftables src/ipopt.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from flowtable.packet import ipv4
from flowtable.packet.malformed import Malformed
from flowtable.packet.packet import IPV4
from flowtable.ruleset.expressions.headers import Field
from flowtable.ruleset.expressions.payload import field_reader, imply_network
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.selector import Identity, Layer, Selector
from flowtable.ruleset.types import BOOLEAN, INTEGER

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span

_COMMON: Final = {"type": Field(0, INTEGER[8]), "length": Field(8, INTEGER[8])}
_ROUTE: Final = {**_COMMON, "ptr": Field(16, INTEGER[8]), "addr": Field(24, INTEGER[32])}
_OPTIONS: Final = {
    "lsrr": _ROUTE,
    "rr": _ROUTE,
    "ssrr": _ROUTE,
    "ra": {**_COMMON, "value": Field(16, INTEGER[16])},
}
_FIELDS: Final = ("type", "length", "ptr", "addr", "value")


class IpOption(Selector):
    """``ip option rr ptr``, or whether the option is there.

    Attributes:
        option: its keyword.
        name: the field's keyword, empty where only the presence of the option is asked for.
        field: where the field is; None for presence.
    """

    __slots__ = ("field", "name", "option")

    def __init__(self, option: str, name: str, span: Span) -> None:
        self.field = _OPTIONS[option][name] if name else None
        super().__init__(span, BOOLEAN if self.field is None else self.field.datatype)
        self.option = option
        self.name = name

    def text(self) -> str:
        """``ip option rr ptr``."""
        return " ".join(filter(None, ("ip option", self.option, self.name)))

    def json(self) -> Json:
        """Option and field."""
        return {"ip option": {"name": self.option, **({"field": self.name} if self.name else {})}}

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """Network order."""
        return "big"

    @property
    def implies(self) -> tuple[Identity, ...]:
        """Only IPv4 has it."""
        return (Identity(Layer.NETWORK, "ip"),)

    def check(self, rule: RuleContext) -> Selector:
        """Imply IPv4."""
        imply_option(rule, "ip", self.span)
        return self

    def load(self, compiler: Compiler) -> Load:
        """Read the field, or whether the option is there."""
        del compiler
        option, field = self.option, self.field
        if field is None:
            return lambda packet: None if packet.family != IPV4 else int(_find(packet, option) > 0)
        read, first = field_reader(field), field.first

        def load(packet: Packet) -> int | None:
            offset = _find(packet, option) if packet.family == IPV4 else 0
            return read(packet.data, offset + first) if offset else None

        return load


def _find(packet: Packet, option: str) -> int:
    """Where an option begins, 0 where there is none or the options are malformed."""
    if len(packet.data) < ipv4.HEADER or packet.data[0] & 15 <= 5:
        return 0
    try:
        options = ipv4.read_options(packet.data)
    except (Malformed, IndexError):
        return 0
    match option:
        case "lsrr":
            return 0 if options.strict else options.source_route
        case "ssrr":
            return options.source_route if options.strict else 0
        case "rr":
            return options.record_route
        case _:
            return options.router_alert


def imply_option(rule: RuleContext, protocol: str, span: Span) -> None:
    """Imply the network protocol of an option or extension header.

    Raises:
        RulesetError: the packet is of another one.
    """
    known = rule.network
    if known is not None and (other := known.conflict(protocol)) is not None:
        raise rule.error(f"cannot use exthdr with {other}", span)
    imply_network(rule, protocol, span, by_header=True)


def parse(parser: Parser, start: Span) -> IpOption:
    """Read what follows ``ip option``: an option, and a field of it."""
    if not parser.at_word(*_OPTIONS):
        raise parser.unexpected(*_OPTIONS)
    option = parser.advance().text
    token = parser.token
    if token.kind is not Kind.STRING or token.text not in _FIELDS:
        return IpOption(option, "", parser.since(start))
    parser.advance()
    if token.text not in _OPTIONS[option]:
        raise parser.error("unknown ip option type/field", start)
    return IpOption(option, token.text, parser.since(start))
