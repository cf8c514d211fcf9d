"""What is known about a packet beside its bytes.

Ref: net/netfilter/nft_meta.c:nft_meta_get_eval, net/bridge/netfilter/nft_meta_bridge.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from flowtable.clock import SECOND
from flowtable.packet.packet import ETHERTYPE_IPV4, ETHERTYPE_IPV6, IPV4, IPV6
from flowtable.ruleset.expressions import devices
from flowtable.ruleset.family import Family
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.selector import Identity, Layer, Selector
from flowtable.ruleset.types import (
    ARPHRD,
    BOOLEAN,
    CLASSID,
    DATE,
    DAY,
    DEVGROUP,
    ETHER_TYPE,
    GID,
    HOUR,
    IFACE_INDEX,
    IFNAME,
    INET_PROTO,
    INTEGER,
    MARK,
    NF_PROTO,
    PKT_TYPE,
    REALM,
    UID,
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
    "oif": IFACE_INDEX,
    "iifname": IFNAME,
    "oifname": IFNAME,
    "iiftype": ARPHRD,
    "oiftype": ARPHRD,
    "skuid": UID,
    "skgid": GID,
    "nftrace": INTEGER[1],
    "rtclassid": REALM,
    "secmark": INTEGER[32],
    "nfproto": NF_PROTO,
    "l4proto": INET_PROTO,
    "ibrname": IFNAME,
    "obrname": IFNAME,
    "pkttype": PKT_TYPE,
    "cpu": INTEGER[32],
    "iifgroup": DEVGROUP,
    "oifgroup": DEVGROUP,
    "cgroup": INTEGER[32],
    "random": INTEGER[32],
    "ipsec": BOOLEAN,
    "iifkind": IFNAME,
    "oifkind": IFNAME,
    "ibrpvid": INTEGER[16],
    "ibrvproto": ETHER_TYPE,
    "time": DATE,
    "day": DAY,
    "hour": HOUR,
    "sdif": IFACE_INDEX,
    "sdifname": IFNAME,
}
"""The keys, with the type of each."""

_ALIASES: Final = {"secpath": "ipsec", "ibriport": "ibrname", "obriport": "obrname"}

WITHOUT_META: Final = (
    *("mark", "iif", "iifname", "oif", "oifname", "pkttype"),
    *("iiftype", "oiftype", "skuid", "skgid", "nftrace", "rtclassid", "iifgroup", "oifgroup"),
    *("ibriport", "obriport", "ibrname", "obrname", "cpu", "time", "day", "hour", "cgroup"),
)
"""The keys that are keywords, so that ``meta`` can be left out."""

_PRINTED_WITHOUT_META: Final = frozenset(("iif", "iifname", "oif", "oifname", "iifgroup", "oifgroup"))
_OF_BRIDGE: Final = frozenset(("ibrname", "obrname", "ibrpvid", "ibrvproto"))

_NETWORK: Final = {IPV4: "ip", IPV6: "ip6"}
_ETHER_TYPES: Final = {ETHERTYPE_IPV4: "ip", ETHERTYPE_IPV6: "ip6", 0x0806: "arp"}
_ETHER: Final = 1
"""ARPHRD_ETHER."""
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

_KEYS: Final = ", ".join(key for key in TYPES)
_EGRESS: Final = int(Hook.EGRESS)
_DAY: Final = 86_400
_THURSDAY: Final = 4
"""The first of January 1970."""
_IPSEC_HOOKS: Final = frozenset((Hook.PREROUTING, Hook.INPUT, Hook.FORWARD, Hook.INGRESS))
_SDIF_HOOKS: Final = frozenset((Hook.INPUT, Hook.FORWARD))


class Meta(Selector):
    """``meta mark``, ``iifname`` and the like.

    Attributes:
        key: what is read.
    """

    __slots__ = ("key",)

    def __init__(self, key: str, span: Span) -> None:
        super().__init__(span, TYPES[key])
        self.key = key

    def check(self, rule: RuleContext) -> Selector:
        """``nfproto`` is for tables that see several families; some keys are for bridges only."""
        if self.key == "nfproto" and rule.family is not Family.INET:
            raise rule.error("meta nfproto is only useful in the inet family", self.span)
        if self.key == "nftrace" or (self.key in _OF_BRIDGE and rule.family is not Family.BRIDGE):
            raise rule.error("Could not process rule: Operation not supported", self.span)
        return self

    def text(self) -> str:
        """The interface keys stand alone."""
        return self.key if self.key in _PRINTED_WITHOUT_META else f"meta {self.key}"

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """Ethernet types are kept as they are sent."""
        return "big" if self.datatype is ETHER_TYPE else "little"

    @property
    def opaque(self) -> bool:
        """Security contexts and the VLAN filtering of bridges are not followed."""
        return self.key in ("secmark", "ibrpvid", "ibrvproto")

    @property
    def hooks(self) -> frozenset[Hook] | None:
        """Ref: nft_meta_get_validate."""
        match self.key:
            case "ipsec":
                return _IPSEC_HOOKS
            case "sdif" | "sdifname":
                return _SDIF_HOOKS
            case _:
                return None

    def json(self) -> Json:
        """The key."""
        return {"meta": {"key": self.key}}

    def identity(self, value: Value) -> Identity | None:
        """The protocol that a value of a protocol key stands for."""
        if not isinstance(value, int):
            return None
        match self.key:
            case "nfproto" if value in _NETWORK:
                return Identity(Layer.NETWORK, _NETWORK[value])
            case "protocol" if value in _ETHER_TYPES:
                return Identity(Layer.NETWORK, _ETHER_TYPES[value])
            case "l4proto" if value in TRANSPORT:
                return Identity(Layer.TRANSPORT, TRANSPORT[value])
            case "iiftype":
                return Identity(Layer.LINK, "ether" if value == _ETHER else "unknown")
            case _:
                return None

    def load(self, compiler: Compiler) -> Load:
        """Read the key."""
        if self.key == "random":
            random = compiler.environment.random
            return lambda packet: random()
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


def _iiftype(packet: Packet) -> int | None:
    """At egress that of the device a frame goes out of. Ref: nft_meta.c:nft_meta_get_eval_iftype."""
    return devices.link_type(packet.oif if packet.hook == _EGRESS else packet.iif)


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


def _unread(packet: Packet) -> None:
    """No packet here belongs to a socket that has an owner or a control group."""


_LOADS: Final[dict[str, Load]] = {
    "length": lambda packet: len(packet.data) + packet.header,
    "protocol": _protocol,
    "priority": lambda packet: packet.priority,
    "mark": lambda packet: packet.mark,
    "iif": _iif,
    "oif": _oif,
    "iifname": _iifname,
    "oifname": _oifname,
    "iiftype": _iiftype,
    "oiftype": lambda packet: devices.link_type(packet.oif),
    "iifgroup": lambda packet: devices.group(packet.iif),
    "oifgroup": lambda packet: devices.group(packet.oif),
    "iifkind": lambda packet: devices.kind(packet.iif),
    "oifkind": lambda packet: devices.kind(packet.oif),
    "skuid": _unread,
    "skgid": _unread,
    "cgroup": _unread,
    "rtclassid": lambda packet: None if packet.dst is None else 0,
    "nfproto": lambda packet: packet.family,
    "l4proto": _l4proto,
    "ibrname": lambda packet: devices.bridge(packet.iif),
    "obrname": lambda packet: devices.bridge(packet.oif),
    "pkttype": lambda packet: packet.pkttype,
    "cpu": lambda packet: 0,
    "ipsec": lambda packet: 0,
    "sdif": lambda packet: 0,
    "sdifname": lambda packet: "",
    "time": lambda packet: packet.time,
    "day": lambda packet: (packet.time // SECOND // _DAY + _THURSDAY) % 7,
    "hour": lambda packet: packet.time // SECOND % _DAY,
}


def parse(parser: Parser) -> Meta:
    """Read ``meta KEY``, or a key that needs no ``meta``."""
    token = parser.advance()
    key = token
    if token.text == "meta":
        if parser.token.kind.value not in ("string", "quoted string") or parser.at_word("exists", "missing"):
            raise parser.unexpected()
        key = parser.advance()
    span = parser.since(token.span)
    name = _ALIASES.get(key.text, key.text)
    if name not in TYPES:
        raise parser.error(f"syntax error, unexpected {key.text}, known keys are {_KEYS}", span)
    return Meta(name, span)
