"""What is known about a packet beside its bytes.

Ref: net/netfilter/nft_meta.c:nft_meta_get_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.packet import ETHERTYPE_IPV4, ETHERTYPE_IPV6, IPV4, IPV6
from flowtable.ruleset.family import Family
from flowtable.ruleset.selector import Identity, Layer, Selector
from flowtable.ruleset.types import (
    CLASSID,
    ETHER_TYPE,
    IFACE_INDEX,
    IFNAME,
    INET_PROTO,
    INTEGER,
    MARK,
    NF_PROTO,
    PKT_TYPE,
)

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load, Predicate
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.types.base import DataType, Value

TYPES: Final[dict[str, DataType]] = {
    "length": INTEGER[32],
    "protocol": ETHER_TYPE,
    "priority": CLASSID,
    "mark": MARK,
    "iif": IFACE_INDEX,
    "iifname": IFNAME,
    "oif": IFACE_INDEX,
    "oifname": IFNAME,
    "nfproto": NF_PROTO,
    "l4proto": INET_PROTO,
    "pkttype": PKT_TYPE,
}
"""The keys that are understood, with the type of each."""

UNSUPPORTED: Final = frozenset(
    [
        "iiftype",
        "oiftype",
        "skuid",
        "skgid",
        "nftrace",
        "rtclassid",
        "secmark",
        "ibrname",
        "obrname",
        "cpu",
        "iifgroup",
        "oifgroup",
        "cgroup",
        "random",
        "ipsec",
        "iifkind",
        "oifkind",
        "ibrpvid",
        "ibrvproto",
        "time",
        "day",
        "hour",
        "sdif",
        "sdifname",
        "secpath",
        "ibriport",
        "obriport",
        "broute",
    ]
)

WITHOUT_META: Final = (
    *("mark", "iif", "iifname", "oif", "oifname", "pkttype"),
    *("iiftype", "oiftype", "skuid", "skgid", "nftrace", "rtclassid", "iifgroup", "oifgroup"),
    *("ibriport", "obriport", "ibrname", "obrname", "cpu", "time", "day", "hour", "cgroup"),
)
"""The keys that are keywords, so that ``meta`` can be left out."""

_NETWORK: Final = {IPV4: "ip", IPV6: "ip6"}
_ETHER_TYPES: Final = {ETHERTYPE_IPV4: "ip", ETHERTYPE_IPV6: "ip6", 0x0806: "arp", 0x8100: "vlan"}
TRANSPORT: Final = {
    1: "icmp",
    2: "igmp",
    6: "tcp",
    17: "udp",
    33: "dccp",
    50: "esp",
    51: "ah",
    58: "icmpv6",
    108: "comp",
    132: "sctp",
    136: "udplite",
}
"""Protocols above IP that have selectors of their own."""

_KEYS: Final = (
    "length, protocol, priority, mark, iif, oif, iifname, oifname, iiftype, oiftype, skuid, skgid, "
    "nftrace, rtclassid, secmark, nfproto, l4proto, ibrname, obrname, pkttype, cpu, iifgroup, "
    "oifgroup, cgroup, random, ipsec, iifkind, oifkind, ibrpvid, ibrvproto, time, day, hour, sdif, "
    "sdifname"
)


class Meta(Selector):
    """``meta mark`` and the like.

    Attributes:
        key: what is read.
    """

    __slots__ = ("key",)

    def __init__(self, key: str, span: Span) -> None:
        super().__init__(span, TYPES[key])
        self.key = key

    def check(self, rule: RuleContext) -> Selector:
        """``nfproto`` is for tables that see several families."""
        if self.key == "nfproto" and rule.family is not Family.INET:
            raise rule.error("meta nfproto is only useful in the inet family", self.span)
        return self

    def text(self) -> str:
        """The interface keys stand alone."""
        return self.key if self.key in ("iif", "iifname", "oif", "oifname") else f"meta {self.key}"

    def json(self) -> Json:
        """The key."""
        return {"meta": {"key": self.key}}

    def identity(self, value: Value) -> Identity | None:
        """The protocol that a value of ``nfproto``, ``protocol`` or ``l4proto`` stands for."""
        if not isinstance(value, int):
            return None
        match self.key:
            case "nfproto" if value in _NETWORK:
                return Identity(Layer.NETWORK, _NETWORK[value])
            case "protocol" if value in _ETHER_TYPES:
                return Identity(Layer.NETWORK, _ETHER_TYPES[value])
            case "l4proto" if value in TRANSPORT:
                return Identity(Layer.TRANSPORT, TRANSPORT[value])
            case _:
                return None

    def load(self, compiler: Compiler) -> Load:
        """Read the key."""
        del compiler
        return _LOADS[self.key]

    def equal(self, value: Value, compiler: Compiler) -> Predicate:
        """The common comparisons without a call to read the key."""
        match self.key:
            case "iifname":
                return _iifname_is(str(value))
            case "oifname":
                return _oifname_is(str(value))
            case "mark":
                return lambda packet: packet.mark == value
            case "nfproto":
                return lambda packet: packet.family == value
            case "l4proto":
                return lambda packet: packet.l4proto == value and packet.thoff > 0
            case _:
                return super().equal(value, compiler)


def _iifname_is(name: str) -> Predicate:
    if not name:
        return lambda packet: packet.iif is None

    def test(packet: Packet) -> bool:
        device = packet.iif
        return device is not None and device.name == name

    return test


def _oifname_is(name: str) -> Predicate:
    if not name:
        return lambda packet: packet.oif is None

    def test(packet: Packet) -> bool:
        device = packet.oif
        return device is not None and device.name == name

    return test


def _iif(packet: Packet) -> int:
    device = packet.iif
    return 0 if device is None else device.index


def _oif(packet: Packet) -> int:
    device = packet.oif
    return 0 if device is None else device.index


def _iifname(packet: Packet) -> str:
    device = packet.iif
    return "" if device is None else device.name


def _oifname(packet: Packet) -> str:
    device = packet.oif
    return "" if device is None else device.name


def _l4proto(packet: Packet) -> int | None:
    """Without a readable transport header there is none (NFT_PKTINFO_L4PROTO)."""
    return packet.l4proto if packet.thoff else None


def _protocol(packet: Packet) -> int | None:
    match packet.family:
        case 2:
            return ETHERTYPE_IPV4
        case 10:
            return ETHERTYPE_IPV6
        case _:
            return int.from_bytes(packet.link[-2:], "big") if packet.link else None


_LOADS: Final[dict[str, Load]] = {
    "length": lambda packet: len(packet.data),
    "protocol": _protocol,
    "priority": lambda packet: packet.priority,
    "mark": lambda packet: packet.mark,
    "iif": _iif,
    "iifname": _iifname,
    "oif": _oif,
    "oifname": _oifname,
    "nfproto": lambda packet: packet.family,
    "l4proto": _l4proto,
    "pkttype": lambda packet: packet.pkttype,
}


def parse(parser: Parser) -> Meta:
    """Read ``meta KEY``, or a key that needs no ``meta``."""
    token = parser.advance()
    key = token
    if token.text == "meta":
        if parser.token.kind.value not in ("string", "quoted string"):
            raise parser.unexpected()
        key = parser.advance()
    span = parser.since(token.span)
    if key.text in UNSUPPORTED:
        raise parser.unsupported(f"'meta {key.text}' is", span)
    if key.text not in TYPES:
        raise parser.error(f"syntax error, unexpected {key.text}, known keys are {_KEYS}", span)
    return Meta(key.text, span)
