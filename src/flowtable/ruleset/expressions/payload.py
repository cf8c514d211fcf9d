"""Fields of headers.

Ref: net/netfilter/nft_payload.c:nft_payload_eval.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, Literal

from flowtable.packet.packet import ETHERTYPE_QINQ, ETHERTYPE_VLAN, IPV4, IPV6
from flowtable.ruleset.element import Element
from flowtable.ruleset.expressions.collection import AnonymousSet
from flowtable.ruleset.expressions.headers import HEADERS, WITH_PORTS, Field, Header
from flowtable.ruleset.expressions.meta import Meta
from flowtable.ruleset.family import Family
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.selector import Identity, Layer, Selector
from flowtable.ruleset.statements.match import Match, Operator
from flowtable.ruleset.types import INET_PROTO
from flowtable.ruleset.values import Exact

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load, Predicate
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.lexer import Token
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.types.base import Value

    Read = Callable[[bytearray, int], int | None]

_FAMILY: Final = {"ip": IPV4, "ip6": IPV6}
_VLAN_TYPES: Final = (ETHERTYPE_VLAN, ETHERTYPE_QINQ)
_ALIASES: Final = {"cfi": "dei", "seq": "sequence"}
_ETHER: Final = 1
"""ARPHRD_ETHER."""
_VLAN_TAG: Final = 4
"""Bytes by which a tag inside of another one is further behind."""


class Payload(Selector):
    """A field of a header.

    Attributes:
        of: the header.
        name: the field's keyword.
        field: where the field is.
        depth: how many VLAN tags stand in front of the one that it is of.
    """

    __slots__ = ("depth", "field", "name", "of")

    def __init__(self, header: Header, name: str, span: Span, depth: int = 0) -> None:
        self.field: Field = header.fields[name]
        super().__init__(span, self.field.datatype)
        self.of = header
        self.name = name
        self.depth = depth

    def text(self) -> str:
        """``tcp dport``."""
        return f"{self.of.name} {self.name}"

    def json(self) -> Json:
        """Header and field."""
        return {"payload": {"protocol": self.of.name, "field": self.name}}

    @property
    def header(self) -> Identity | None:
        """The header that the field is of."""
        return self.of.identity

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """Network order."""
        return "big"

    @property
    def guards(self) -> Identity | None:
        """Its header, which it looks for by family or protocol number."""
        return self.of.identity if self.of.name in _FAMILY or self._number > 0 else None

    @property
    def _number(self) -> int:
        """The Internet protocol of its header, 0 if that tells nothing."""
        return self.of.number if self.of.layer is Layer.TRANSPORT and self.of.number > 0 else 0

    def check(self, rule: RuleContext) -> Selector:
        """Imply that the packet has this header.

        Ref: nftables src/payload.c:payload_gen_dependency.
        """
        match self.of.layer:
            case Layer.LINK:
                imply_ether(rule, self.span)
                if self.of.name == "vlan":
                    imply_vlan(rule, self.span)
                    return Payload(self.of, self.name, self.span, rule.tags - 1)
            case Layer.NETWORK:
                imply_network(rule, self.of.name, self.span)
            case _ if self.of.name == "th":
                known = rule.transport
                if known is not None and known.certain and known.protocol in WITH_PORTS:
                    return Payload(HEADERS[known.protocol], self.name, self.span)
            case _:
                self._check_transport(rule)
        return self

    def _check_transport(self, rule: RuleContext) -> None:
        known = rule.transport
        if rule.family is Family.ARP:
            raise rule.error(f"conflicting protocols specified: arp vs. {self.of.name}", self.span)
        if known is None:
            if self.of.network and rule.network is None:
                imply_network(rule, self.of.network, self.span, by_header=True)
            imply_transport(rule, self.of.number, self.span)
        elif (other := known.conflict(self.of.name)) is not None:
            raise rule.error(f"conflicting protocols specified: {other} vs. {self.of.name}", self.span)
        messages = self.field.messages
        if not messages:
            return
        if rule.message is None:
            selector = Payload(self.of, "type", self.span)
            match = _one_of(selector, messages)
            rule.statements.append(match)
            rule.learn(
                [_message(self.of, message) for message in messages], self.span, certain=len(messages) == 1
            )
        elif rule.message.protocol not in [_message(self.of, message).protocol for message in messages]:
            got = rule.message.protocol.split()[1]
            raise rule.error(f"incompatible icmp match: rule has {got}, need {messages[0]}", self.span)

    def identity(self, value: Value) -> Identity | None:
        """The protocol that a link or network header names, or the ICMP type."""
        assert isinstance(value, int)
        match self.of.layer:
            case Layer.LINK if self.name == "type":
                if value in _VLAN_TYPES:
                    return Identity(Layer.LINK, "vlan")
                return Meta("protocol", self.span).identity(value)
            case Layer.NETWORK if self.datatype is INET_PROTO:
                return Meta("l4proto", self.span).identity(value)
            case Layer.TRANSPORT if self.of.name in ("icmp", "icmpv6") and self.name == "type":
                return _message(self.of, value)
            case _:
                return None

    @property
    def aligned(self) -> bool:
        """Whether it is made of whole bytes behind the link layer."""
        return self.of.layer is not Layer.LINK and self.field.offset % 8 == 0 and self.field.shift == 0

    def load(self, compiler: Compiler) -> Load:
        """Read the field; None if the packet ends before it or has no such header."""
        read = field_reader(self.field)
        first = self.field.first
        if self.of.layer is Layer.LINK:
            return link_load(read, first + self.depth * _VLAN_TAG, self.field.end + self.depth * _VLAN_TAG)
        if self.of.layer is Layer.NETWORK:
            family = _FAMILY.get(self.of.name)
            if family is None or self.of.identity in compiler.assured:
                return lambda packet: read(packet.data, first)
            return lambda packet: read(packet.data, first) if packet.family == family else None
        if self.of.identity in compiler.assured:
            return lambda packet: read(packet.data, packet.thoff + first)
        number = self.of.number
        if number < 0:

            def load_any(packet: Packet) -> int | None:
                if packet.fragoff or not packet.thoff:
                    return None
                return read(packet.data, packet.thoff + first)

            return load_any

        def load(packet: Packet) -> int | None:
            if packet.l4proto != number or packet.fragoff:
                return None
            return read(packet.data, packet.thoff + first)

        return load

    def equal(self, value: Value, compiler: Compiler) -> Predicate:
        """Whole bytes are compared where they are."""
        assert isinstance(value, int)
        if not self.aligned:
            return super().equal(value, compiler)
        return self._starts_with(value.to_bytes(self.field.end - self.field.first, "big"), compiler)

    def within(self, low: int, high: int, compiler: Compiler) -> Predicate:
        """A prefix of whole bytes is compared where it is."""
        host = low ^ high
        bits = self.datatype.bits - host.bit_length()
        if self.aligned and bits and bits % 8 == 0 and not host & host + 1 and not low & host:
            size = self.field.end - self.field.first
            return self._starts_with(low.to_bytes(size, "big")[: bits // 8], compiler)
        return super().within(low, high, compiler)

    def _starts_with(self, wanted: bytes, compiler: Compiler) -> Predicate:
        first = self.field.first
        if self.of.layer is Layer.NETWORK:
            family = _FAMILY.get(self.of.name)
            if family is None or self.of.identity in compiler.assured:
                return lambda packet: packet.data.startswith(wanted, first)
            return lambda packet: packet.family == family and packet.data.startswith(wanted, first)
        if self.of.identity in compiler.assured:
            return lambda packet: packet.data.startswith(wanted, packet.thoff + first)
        number = self.of.number
        if number < 0:
            return lambda packet: (
                packet.thoff > 0
                and not packet.fragoff
                and packet.data.startswith(wanted, packet.thoff + first)
            )
        return lambda packet: (
            packet.l4proto == number
            and not packet.fragoff
            and packet.data.startswith(wanted, packet.thoff + first)
        )


def field_reader(field: Field) -> Read:
    """A function that reads the field of a header that starts at some offset minus its first byte."""
    size, shift = field.end - field.first, field.shift
    mask = field.datatype.maximum
    error = struct.error
    if size in (1, 2, 4):
        unpack: Callable[[bytearray, int], tuple[int]] = struct.Struct(
            {1: ">B", 2: ">H", 4: ">I"}[size]
        ).unpack_from
        if shift == 0 and size * 8 == field.datatype.bits:

            def read_whole(data: bytearray, offset: int) -> int | None:
                try:
                    return unpack(data, offset)[0]
                except error:
                    return None

            return read_whole

        def read_part(data: bytearray, offset: int) -> int | None:
            try:
                return unpack(data, offset)[0] >> shift & mask
            except error:
                return None

        return read_part

    def read_long(data: bytearray, offset: int) -> int | None:
        end = offset + size
        return int.from_bytes(data[offset:end], "big") >> shift & mask if end <= len(data) else None

    return read_long


def _message(header: Header, message: int) -> Identity:
    return Identity(Layer.MESSAGE, f"{header.name} {message}")


def _one_of(selector: Payload, messages: tuple[int, ...]) -> Match:
    if len(messages) == 1:
        return Match(selector, Operator.EQ, Exact(messages[0]), selector.span)
    elements = [Element(Exact(message), selector.span) for message in messages]
    return Match(selector, Operator.EQ, AnonymousSet(elements, selector.datatype), selector.span)


def link_load(read: Read, first: int, end: int) -> Load:
    """Read from the link-layer header on, which a packet of the box itself has not."""

    def load(packet: Packet) -> int | None:
        link = packet.link
        if not link:
            return None
        return read(bytearray(link if end <= len(link) else link + packet.data), first)

    return load


def imply_ether(rule: RuleContext, span: Span) -> None:
    """Imply that the packet came in on a device with Ethernet headers.

    Raises:
        RulesetError: the rule has established that it did not.
    """
    if rule.link is None:
        selector = Meta("iiftype", span)
        rule.statements.append(Match(selector, Operator.EQ, Exact(_ETHER), span))
        rule.learn([Identity(Layer.LINK, "ether")], span)
    elif rule.link.protocol == "unknown":
        raise rule.error("conflicting protocols specified: unknown vs. ether", span)


def imply_vlan(rule: RuleContext, span: Span) -> None:
    """Imply that an Ethernet frame has a VLAN tag.

    Raises:
        RulesetError: the rule has established what else it carries.
    """
    if rule.tags:
        return
    if rule.network is not None and rule.network.span is not None:
        raise rule.error("conflicting protocols specified: ether vs. vlan", span)
    selector = Payload(HEADERS["ether"], "type", span)
    rule.statements.append(Match(selector, Operator.EQ, Exact(ETHERTYPE_VLAN), span))
    rule.learn([Identity(Layer.LINK, "vlan")], span)


def imply_network(rule: RuleContext, protocol: str, span: Span, *, by_header: bool = False) -> None:
    """Imply that the packet is of a network protocol, ``ip``, ``ip6`` or ``arp``.

    Args:
        rule: the rule.
        protocol: the protocol.
        span: what needs it.
        by_header: a bridge looks into the Ethernet header for it.

    Raises:
        RulesetError: the rule has established another one, or its table sees none of that kind.
    """
    if rule.network is None:
        rule.statements.append(_network_test(rule, protocol, span, by_header=by_header))
        rule.learn([Identity(Layer.NETWORK, protocol)], span)
    elif (other := rule.network.conflict(protocol)) is not None:
        raise rule.error(f"conflicting protocols specified: {other} vs. {protocol}", span)


def _network_test(rule: RuleContext, protocol: str, span: Span, *, by_header: bool) -> Match:
    number = HEADERS[protocol].number
    if rule.family is Family.INET and protocol not in _FAMILY:
        raise rule.error(f"conflicting protocols specified: inet vs. {protocol}", span)
    selector: Selector
    if rule.tags:
        selector = Payload(HEADERS["vlan"], "type", span, rule.tags - 1)
    elif rule.family is Family.INET:
        selector, number = Meta("nfproto", span), _FAMILY[protocol]
    elif rule.family is Family.BRIDGE and (by_header or protocol not in _FAMILY):
        selector = Payload(HEADERS["ether"], "type", span)
    else:
        selector = Meta("protocol", span)
    return Match(selector, Operator.EQ, Exact(number), span)


def imply_transport(rule: RuleContext, number: int, span: Span) -> None:
    """Imply that the packet is of a transport protocol, where nothing is known of that yet."""
    selector = Meta("l4proto", span)
    rule.statements.append(Match(selector, Operator.EQ, Exact(number), span))
    identity = selector.identity(number)
    if identity is not None:
        rule.learn([identity], span)


def parse(parser: Parser) -> Payload:
    """Read ``HEADER FIELD``."""
    return parse_field(parser, parser.advance())


def parse_field(parser: Parser, token: Token) -> Payload:
    """Read the field of a header whose keyword has been read."""
    header = HEADERS[token.text]
    field = parser.token
    name = _ALIASES.get(field.text, field.text)
    if header.name == "arp" and parser.at_word("saddr", "daddr"):
        parser.advance()
        if not parser.at_word("ether", "ip"):
            raise parser.unexpected("ether", "ip")
        name = f"{name} {parser.token.text}"
    elif field.kind is not Kind.STRING or name not in header.fields:
        raise parser.unexpected(*header.expecting, among=header.fields)
    parser.advance()
    return Payload(header, name, parser.since(token.span))
