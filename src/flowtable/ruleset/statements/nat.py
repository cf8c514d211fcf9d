"""Address translation.

Ref: net/netfilter/nft_nat.c:nft_nat_eval, nft_masq.c:nft_masq_eval, nft_redir.c:nft_redir_eval.
"""

from __future__ import annotations

from ipaddress import IPv4Address, summarize_address_range
from typing import TYPE_CHECKING, Final

from flowtable.packet.packet import IPV4, IPV6
from flowtable.ruleset.code import BREAK, GO_ON, OF_VERDICT, Do
from flowtable.ruleset.expressions.assigned import anonymous_maps
from flowtable.ruleset.expressions.mapping import Mapping, check_mapping, format_data
from flowtable.ruleset.family import Family
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.json.keys import data_json
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.nat import NatKind, NatRange
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.syntax import ConcatTerm, MapTerm, PrefixTerm, RangeTerm, ReferenceTerm, Word
from flowtable.ruleset.types import INET_SERVICE, IPV4_ADDR, IPV6_ADDR
from flowtable.ruleset.types.concatenation import Concatenation, concatenation_of
from flowtable.ruleset.values import Exact, Fields, Interval, Key, bounds, key

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.syntax import Term
    from flowtable.ruleset.types.base import DataType

_FLAGS: Final = ("random", "fully-random", "persistent")
_SOURCE_HOOKS: Final = frozenset((Hook.POSTROUTING, Hook.INPUT))
_DESTINATION_HOOKS: Final = frozenset((Hook.PREROUTING, Hook.OUTPUT))
_SIZES: Final = {"ip": 4, "ip6": 16}
_FAMILIES: Final = {"ip": IPV4, "ip6": IPV6}


_NEEDS_TRANSPORT: Final = "transport protocol mapping is only valid after transport protocol match"


class Nat(Statement):
    """``snat``, ``dnat``, ``masquerade`` or ``redirect``.

    Attributes:
        kind: which.
        family: ``ip`` or ``ip6`` of the address, empty without one.
        prefix: ``prefix`` is written: host bits stay.
        address: the address as written, None without.
        port: the port as written, None without.
        flags: those of ``random``, ``fully-random`` and ``persistent`` that are written.
        to_address: the checked address.
        to_port: the checked port.
    """

    __slots__ = (
        "_shows_family",
        "address",
        "family",
        "flags",
        "kind",
        "port",
        "prefix",
        "to_address",
        "to_port",
    )
    terminal = True
    nat_only = True

    def __init__(
        self,
        kind: NatKind,
        span: Span,
        *,
        family: str = "",
        prefix: bool = False,
        address: Term | None = None,
        port: Term | None = None,
        flags: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(span)
        self.kind = kind
        self.family = family
        self.prefix = prefix
        self.address = address
        self.port = port
        self.flags = flags
        self.to_address: Key | Mapping | None = None
        self.to_port: Key | Mapping | None = None
        self._shows_family = False

    @property
    def hooks(self) -> frozenset[Hook]:
        """The hooks that it can be reached from. Ref: nft_nat_validate and the like."""
        match self.kind:
            case NatKind.SNAT:
                return _SOURCE_HOOKS
            case NatKind.MASQUERADE:
                return frozenset((Hook.POSTROUTING,))
            case NatKind.DNAT | NatKind.REDIRECT:
                return _DESTINATION_HOOKS

    @property
    def keyword(self) -> Span:
        """The first word."""
        return self.span._replace(last=self.span.first + len(self.kind.value) - 1)

    def check(self, rule: RuleContext) -> Nat:
        """Settle the family, and the types of address and port."""
        if rule.family not in (Family.IP, Family.IP6, Family.INET):
            raise rule.error("NAT is only supported for IPv4/IPv6", self.keyword)
        if self.address is not None or self.family:
            self._check_family(rule)
            self._shows_family = rule.family is Family.INET
        if self.address is not None:
            datatype = IPV4_ADDR if self.family == "ip" else IPV6_ADDR
            if isinstance(self.address, MapTerm):
                mapped = _mapped_type(self.address, datatype, rule)
                self.to_address = check_mapping(self.address, mapped, rule)
                with_port = isinstance(self.to_address.datatype, Concatenation)
                self._shows_family = self._shows_family or with_port or self.prefix
                if with_port and rule.transport is None:
                    raise rule.error(_NEEDS_TRANSPORT, self.address.span, self.keyword)
            else:
                self.to_address = key(self.address, datatype)
        if self.port is not None:
            if rule.transport is None:
                raise rule.error(_NEEDS_TRANSPORT, self.port.span, self.keyword)
            if isinstance(self.port, MapTerm):
                self.to_port = check_mapping(self.port, INET_SERVICE, rule)
            else:
                self.to_port = key(self.port, INET_SERVICE)
        return self

    def _check_family(self, rule: RuleContext) -> None:
        known = rule.network
        if not self.family:
            if known is None or known.protocol not in _SIZES:
                raise rule.error("ip or ip6 must be specified with address for inet tables.", self.keyword)
            self.family = known.protocol
        elif known is not None and known.protocol != self.family:
            raise rule.error(
                f"conflicting protocols specified: {known.protocol} vs. {self.family}. You must "
                "specify ip or ip6 family in nat statement",
                self.keyword,
                known.span,
            )

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What its maps look up."""
        parts = (self.to_address, self.to_port)
        return tuple(part.selector for part in parts if isinstance(part, Mapping))

    @property
    def anonymous_sets(self) -> int:
        """Its maps."""
        return anonymous_maps(self.to_address) + anonymous_maps(self.to_port)

    def lookups(self) -> tuple[str, ...]:
        """The declared maps that it refers to."""
        return tuple(
            name
            for part in (self.to_address, self.to_port)
            if isinstance(part, Mapping)
            for name in part.lookups
        )

    @property
    def _family_shown(self) -> bool:
        """Whether a listing shows the family: in inet tables, and in front of maps to ranges."""
        address = self.to_address
        if isinstance(address, Mapping) and (self.prefix or address.ranges):
            return True
        return self._shows_family and address is not None

    def text(self, *, stateless: bool = False) -> str:
        """As nft prints it."""
        del stateless
        words = [self.kind.value]
        if self._family_shown:
            words.append(self.family)
        if self.prefix:
            words.append("prefix")
        port = "" if self.to_port is None else f":{_text(self.to_port, INET_SERVICE)}"
        if self.to_address is not None or port:
            words.append(f"to {self._address_text(bracketed=bool(port))}{port}")
        if self.flags:
            words.append(",".join(flag for flag in _FLAGS if flag in self.flags))
        return " ".join(words)

    def json(self) -> Json:
        """Family, address, port and flags, those that there are."""
        shown: dict[str, Json] = {}
        if self._family_shown:
            shown["family"] = self.family
        if self.to_address is not None:
            shown["addr"] = _json(self.to_address, IPV4_ADDR if self.family == "ip" else IPV6_ADDR)
        if self.to_port is not None:
            shown["port"] = _json(self.to_port, INET_SERVICE)
        flags: list[Json] = [flag for flag in _FLAGS if flag in self.flags]
        if self.prefix:
            flags.append("netmap")
        if flags:
            shown["flags"] = flags[0] if len(flags) == 1 else flags
        if self.prefix:
            shown["type_flags"] = "prefix"
        return {self.kind.value: shown or None}

    def _address_text(self, *, bracketed: bool) -> str:
        if self.to_address is None:
            return ""
        datatype = IPV4_ADDR if self.family == "ip" else IPV6_ADDR
        text = _text(self.to_address, datatype)
        if isinstance(self.to_address, Mapping):
            return text
        if self.family == "ip":
            return _as_prefix(text)
        if not bracketed:
            return text
        if isinstance(self.to_address, Interval):
            text = f"{datatype.format(self.to_address.low)}-{datatype.format(self.to_address.high)}"
        return "-".join(f"[{part}]" for part in text.split("-"))

    def compile(self, compiler: Compiler) -> Step:
        """Set up the translation; the packet's own verdict is what comes of that."""
        compiler.track()
        nat, kind = compiler.environment.nat, self.kind
        family = _FAMILIES.get(self.family) if self._shows_family else None
        if not isinstance(self.to_address, Mapping) and not isinstance(self.to_port, Mapping):
            constant = self._range(self.to_address, self.to_port)

            def run(packet: Packet) -> int:
                if family is not None and packet.family != family:
                    return GO_ON
                return OF_VERDICT[nat(packet, kind, constant)]

            return Do(run)
        address = _compile(self.to_address, compiler)
        port = _compile(self.to_port, compiler)
        to_address, to_port = self.to_address is not None, self.to_port is not None
        mapped = self.to_address
        with_port = isinstance(mapped, Mapping) and isinstance(mapped.datatype, Concatenation)

        def run_mapped(packet: Packet) -> int:
            found_address, found_port = address(packet), port(packet)
            if (to_address and found_address is None) or (to_port and found_port is None):
                return BREAK
            if with_port and found_address is not None:
                found_address, found_port = _split(found_address)
            if family is not None and packet.family != family:
                return GO_ON
            return OF_VERDICT[nat(packet, kind, self._range(found_address, found_port))]

        return Do(run_mapped)

    def _range(self, address: Key | None, port: Key | None) -> NatRange:
        min_addr = max_addr = None
        min_port = max_port = 0
        if address is not None:
            low, high = bounds(address)
            size = _SIZES[self.family]
            min_addr, max_addr = low.to_bytes(size, "big"), high.to_bytes(size, "big")
        if port is not None:
            min_port, max_port = bounds(port)
        return NatRange(
            min_addr,
            max_addr,
            min_port,
            max_port,
            random="random" in self.flags,
            fully_random="fully-random" in self.flags,
            persistent="persistent" in self.flags,
            netmap=self.prefix,
        )


def _mapped_type(term: MapTerm, address: DataType, rule: RuleContext) -> DataType:
    """What a map has to map to: addresses, or addresses with ports."""
    if isinstance(term.mapping, ReferenceTerm):
        declared = rule.sets.get(term.mapping.name)
        with_port = declared is not None and isinstance(declared.data, Concatenation)
    else:
        with_port = any(isinstance(element.data, ConcatTerm) for element in term.mapping.elements)
    return concatenation_of(address, INET_SERVICE) if with_port else address


def _split(covered: Key) -> tuple[Key, Key]:
    """The address and the port of a concatenation."""
    if isinstance(covered, Fields):
        address, port = covered.parts
        return address, port
    assert isinstance(covered, Exact)
    assert isinstance(covered.value, tuple)
    return Exact(covered.value[0]), Exact(covered.value[1])


def _text(part: Key | Mapping, datatype: DataType) -> str:
    if isinstance(part, Mapping):
        return part.text()
    return format_data(part, datatype)


def _as_prefix(text: str) -> str:
    """A range of IPv4 addresses as the prefix that it is, as nft prints it."""
    first, dash, last = text.partition("-")
    if not dash:
        return text
    networks = list(summarize_address_range(IPv4Address(first), IPv4Address(last)))
    return str(networks[0]) if len(networks) == 1 else text


def _json(part: Key | Mapping, datatype: DataType) -> Json:
    return part.json() if isinstance(part, Mapping) else data_json(part, datatype)


def _compile(part: Key | Mapping | None, compiler: Compiler) -> Callable[[Packet], Key | None]:
    if isinstance(part, Mapping):
        return part.compile(compiler)
    return lambda packet: part


def parse(parser: Parser) -> Nat:
    """Read a nat statement."""
    token = parser.advance()
    kind = NatKind(token.text)
    family, prefix = "", False
    address: Term | None = None
    port: Term | None = None
    if kind in (NatKind.SNAT, NatKind.DNAT):
        family, prefix = _parse_family(parser)
        parser.accept_word("to")
        if family or not parser.at(Kind.COLON):
            address = _parse_address(parser)
        if parser.accept(Kind.COLON):
            port = _parse_range(parser)
    elif parser.accept_word("to"):
        if kind is NatKind.MASQUERADE:
            parser.expect(Kind.COLON, "colon")
        else:
            parser.accept(Kind.COLON)
        port = _parse_range(parser)
    flags = _parse_flags(parser)
    return Nat(
        kind,
        parser.since(token.span),
        family=family,
        prefix=prefix,
        address=address,
        port=port,
        flags=flags,
    )


def _parse_family(parser: Parser) -> tuple[str, bool]:
    family = ""
    if parser.at_word("ip", "ip6") and parser.following.text in ("to", "prefix", "interval", "addr"):
        family = parser.advance().text
    if parser.accept_word("addr"):
        parser.expect(Kind.DOT, ".")
        parser.expect_word("port")
    parser.accept_word("interval")
    return family, parser.accept_word("prefix") is not None


def _parse_address(parser: Parser) -> Term:
    low = _parse_bracketed(parser)
    if parser.accept(Kind.DASH):
        high = _parse_bracketed(parser)
        return RangeTerm(low, high, parser.since(low.span))
    if parser.at(Kind.SLASH):
        parser.advance()
        return PrefixTerm(low, parser.number("number"), parser.since(low.span))
    return low


def _parse_bracketed(parser: Parser) -> Term:
    if not parser.accept(Kind.BRACKET_OPEN):
        return parser.expression(statement=True)
    token = parser.expect(Kind.STRING, "string")
    parser.expect(Kind.BRACKET_CLOSE, "']'")
    return Word(token.text, token.span)


def _parse_range(parser: Parser) -> Term:
    low = parser.expression(statement=True)
    if parser.accept(Kind.DASH):
        high = parser.expression(statement=True)
        return RangeTerm(low, high, parser.since(low.span))
    return low


def _parse_flags(parser: Parser) -> frozenset[str]:
    """Read the flags; a second list replaces the first."""
    flags: set[str] = set()
    while parser.at_word(*_FLAGS):
        flags = {parser.advance().text}
        while parser.accept(Kind.COMMA):
            if not parser.at_word(*_FLAGS):
                raise parser.unexpected(*_FLAGS)
            flags.add(parser.advance().text)
    return frozenset(flags)
