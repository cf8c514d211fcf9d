"""Transparent proxies.

Ref: net/netfilter/nft_tproxy.c:nft_tproxy_eval; nftables src/evaluate.c:stmt_evaluate_tproxy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.code import BREAK, End
from flowtable.ruleset.family import Family
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.syntax import RangeTerm, Word
from flowtable.ruleset.types import INET_SERVICE, IPV4_ADDR, IPV6_ADDR
from flowtable.ruleset.values import scalar

if TYPE_CHECKING:
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.syntax import Term
    from flowtable.ruleset.types.base import Value

_FAMILIES: Final = {Family.IP: "ip", Family.IP6: "ip6"}
_HOOKS: Final = frozenset((Hook.PREROUTING,))


class Tproxy(Statement):
    """``tproxy ip to 10.0.0.1:80``.

    Attributes:
        family: ``ip`` or ``ip6``, empty for both.
        address: the proxy's address as written, None for that of the device.
        port: its port as written, None for the packet's.
        to_address: the checked address.
        to_port: the checked port.
    """

    __slots__ = ("_shows_family", "address", "family", "port", "to_address", "to_port")

    def __init__(self, family: str, address: Term | None, port: Term | None, span: Span) -> None:
        super().__init__(span)
        self.family = family
        self.address = address
        self.port = port
        self.to_address: Value | None = None
        self.to_port: Value | None = None
        self._shows_family = False

    @property
    def hooks(self) -> frozenset[Hook]:
        """Before routing. Ref: nft_tproxy_validate."""
        return _HOOKS

    def check(self, rule: RuleContext) -> Tproxy:
        """Settle the family, and the types of address and port."""
        self._check_family(rule)
        if rule.transport is None:
            raise rule.error("Transparent proxy support requires transport protocol match", self.span)
        if self.address is not None:
            if isinstance(self.address, RangeTerm):
                raise rule.error("Address ranges are not supported for tproxy.", self.span)
            if not self.family:
                raise rule.error("ip or ip6 must be specified with address for inet tables.", self.span)
            self.to_address = scalar(self.address, IPV4_ADDR if self.family == "ip" else IPV6_ADDR)
        if self.port is not None:
            if isinstance(self.port, RangeTerm):
                raise rule.error("Port ranges are not supported for tproxy.", self.span)
            self.to_port = scalar(self.port, INET_SERVICE)
        self._shows_family = rule.family is Family.INET
        return self

    def _check_family(self, rule: RuleContext) -> None:
        known = rule.network
        own = _FAMILIES.get(rule.family)
        if own is not None and not self.family:
            self.family = own
        elif known is not None and known.protocol != self.family:
            raise rule.error(
                f"conflicting protocols specified: {known.protocol} vs. {self.family or 'unknown'}. "
                "You must specify ip or ip6 family in tproxy statement",
                self.span,
                known.span,
            )

    def text(self, *, stateless: bool = False) -> str:
        """As nft prints it."""
        del stateless
        family = f" {self.family}" if self.family and self._shows_family else ""
        port = "" if self.to_port is None else f":{self.to_port}"
        return f"tproxy{family} to {self._address}{port}"

    @property
    def _address(self) -> str:
        if self.to_address is None:
            return ""
        if self.family == "ip":
            return IPV4_ADDR.format(self.to_address)
        return f"[{IPV6_ADDR.format(self.to_address)}]"

    def json(self) -> Json:
        """Family, address and port, those that there are."""
        shown: dict[str, Json] = {}
        if self.family and self._shows_family:
            shown["family"] = self.family
        if self.to_address is not None:
            shown["addr"] = self._address.strip("[]")
        if self.to_port is not None:
            shown["port"] = INET_SERVICE.json(self.to_port)
        return {"tproxy": shown}

    def compile(self, compiler: Compiler) -> Step:
        """No service of a box is a transparent proxy: the rule ends as where none listens."""
        del compiler
        return End(BREAK)


def parse(parser: Parser) -> Tproxy:
    """Read ``tproxy [ip|ip6] to [ADDRESS][:PORT]``."""
    start = parser.advance().span
    if not parser.at_word("to", "ip", "ip6"):
        raise parser.unexpected("to", "ip", "ip6")
    family = parser.accept_word("ip", "ip6") or ""
    parser.expect_word("to")
    address: Term | None = None
    port: Term | None = None
    if not parser.at(Kind.COLON):
        address = _parse_range(parser, _parse_address(parser))
    if parser.accept(Kind.COLON):
        port = _parse_range(parser, parser.expression(statement=True))
    return Tproxy(family, address, port, parser.since(start))


def _parse_address(parser: Parser) -> Term:
    if not parser.accept(Kind.BRACKET_OPEN):
        return parser.expression(statement=True)
    token = parser.expect(Kind.STRING, "string")
    parser.expect(Kind.BRACKET_CLOSE, "']'")
    return Word(token.text, token.span)


def _parse_range(parser: Parser, low: Term) -> Term:
    if not parser.accept(Kind.DASH):
        return low
    high = parser.expression(statement=True)
    return RangeTerm(low, high, parser.since(low.span))
