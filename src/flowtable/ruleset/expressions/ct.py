"""What connection tracking knows of a packet.

Ref: net/netfilter/nft_ct.c:nft_ct_get_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from flowtable.packet.packet import IPV4, IPV6, CtInfo
from flowtable.ruleset.family import Family
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.selector import Selector
from flowtable.ruleset.types import (
    CT_DIR,
    CT_EVENT,
    CT_LABEL,
    CT_STATE,
    CT_STATUS,
    INET_PROTO,
    INET_SERVICE,
    INTEGER,
    IPV4_ADDR,
    IPV6_ADDR,
    MARK,
    NF_PROTO,
    STRING,
    TIME,
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
    "state": CT_STATE,
    "direction": CT_DIR,
    "status": CT_STATUS,
    "mark": MARK,
    "expiration": TIME,
    "helper": STRING,
    "l3proto": NF_PROTO,
    "protocol": INET_PROTO,
    "zone": INTEGER[16],
    "id": INTEGER[32],
    "packets": INTEGER[64],
    "bytes": INTEGER[64],
    "avgpkt": INTEGER[64],
    "label": CT_LABEL,
    "event": CT_EVENT,
    "secmark": INTEGER[32],
    "saddr": IPV4_ADDR,
    "daddr": IPV4_ADDR,
    "proto-src": INET_SERVICE,
    "proto-dst": INET_SERVICE,
    "ip saddr": IPV4_ADDR,
    "ip daddr": IPV4_ADDR,
    "ip6 saddr": IPV6_ADDR,
    "ip6 daddr": IPV6_ADDR,
}
"""The keys that are understood, with the type of each."""

_WITHOUT_DIRECTION: Final = frozenset(
    (
        *("state", "direction", "status", "mark", "expiration", "helper", "l3proto", "protocol"),
        *("zone", "id", "packets", "bytes", "avgpkt", "label", "event", "secmark"),
    )
)
_WITH_DIRECTION: Final = frozenset(
    (
        *("l3proto", "protocol", "zone", "packets", "bytes", "avgpkt"),
        *("saddr", "daddr", "proto-src", "proto-dst"),
    )
)
_UNSUPPORTED: Final = ("count", "timeout", "expectation")

_INVALID: Final = 1
_UNTRACKED: Final = 64
_STATES: Final = (2, 4, 8, 2, 4, 0, 0, _UNTRACKED)
"""The state bit by ``ctinfo`` (NF_CT_STATE_BIT)."""


class Ct(Selector):
    """``ct state``, ``ct original packets`` and the like.

    Attributes:
        key: what is read.
        direction: 0 original, 1 reply, None where none is given.
    """

    __slots__ = ("direction", "key")

    def __init__(self, key: str, direction: int | None, span: Span) -> None:
        super().__init__(span, TYPES[key])
        self.key = key
        self.direction = direction

    def check(self, rule: RuleContext) -> Selector:
        """Addresses and ports need to know of which protocol they are."""
        if rule.family in (Family.ARP, Family.NETDEV):
            raise rule.error("Could not process rule: Protocol error", self.span)
        match self.key:
            case "saddr" | "daddr":
                if rule.network is None or rule.network.protocol not in ("ip", "ip6"):
                    raise rule.error(
                        'cannot determine ip protocol version, use "ip saddr" or "ip6 saddr" instead',
                        self.span,
                    )
                return Ct(f"{rule.network.protocol} {self.key}", self.direction, self.span)
            case "ip saddr" | "ip daddr" | "ip6 saddr" | "ip6 daddr":
                family = self.key.split()[0]
                if rule.family in (Family.IP, Family.IP6) and rule.family.value != family:
                    raise rule.error(
                        f"conflicting protocols specified: {rule.family.value} vs. {family}", self.span
                    )
            case "proto-src" | "proto-dst" if rule.transport is None:
                raise rule.error(
                    "a transport protocol match has to stand in front of ports of a connection",
                    self.span,
                )
            case "event":
                raise rule.error("Could not process rule: Operation not supported", self.span)
            case "l3proto" | "protocol":
                return Ct(self.key, None, self.span)
            case _:
                pass
        return self

    def text(self) -> str:
        """``ct original ip saddr``."""
        direction = "" if self.direction is None else ("original ", "reply ")[self.direction]
        return f"ct {direction}{self.key}"

    def json(self) -> Json:
        """Key and direction."""
        if self.direction is None:
            return {"ct": {"key": self.key}}
        return {"ct": {"key": self.key, "dir": ("original", "reply")[self.direction]}}

    @property
    def opaque(self) -> bool:
        """Security contexts are the kernel's."""
        return self.key == "secmark"

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """Addresses and ports are kept as they are sent."""
        return "big" if self.datatype in (IPV4_ADDR, IPV6_ADDR, INET_SERVICE) else "little"

    def load(self, compiler: Compiler) -> Load:
        """Read the key; None where the packet has no connection, except for the state."""
        compiler.track()
        match self.key:
            case "state":
                return _state
            case "direction":
                return lambda packet: None if packet.ct is None else int(packet.reply)
            case "expiration":
                return _expiration
            case "zone":
                return _zone(self.direction)
            case "packets" | "bytes" | "avgpkt":
                return _count(self.key, self.direction)
            case key if self.direction is not None:
                return _tuple(key, self.direction)
            case key:
                return _attribute(key)

    def any_bit(self, mask: int, compiler: Compiler) -> Predicate:
        """States are few: decided beforehand for each."""
        compiler.track()
        match self.key:
            case "state":
                return _state_in(mask)
            case "status":
                return lambda packet: packet.ct is not None and packet.ct.status & mask != 0
            case _:
                return super().any_bit(mask, compiler)

    def equal(self, value: Value, compiler: Compiler) -> Predicate:
        """The common comparisons without a call to read the key."""
        compiler.track()
        if self.key == "mark":
            return lambda packet: packet.ct is not None and packet.ct.mark == value
        return super().equal(value, compiler)


def _state(packet: Packet) -> int:
    if packet.ct is not None:
        return _STATES[packet.ctinfo]
    return _UNTRACKED if packet.ctinfo == CtInfo.UNTRACKED else _INVALID


def _state_in(mask: int) -> Predicate:
    tracked = frozenset(info for info, bit in enumerate(_STATES) if bit & mask)
    invalid, untracked = bool(mask & _INVALID), bool(mask & _UNTRACKED)
    never_tracked = int(CtInfo.UNTRACKED)

    def test(packet: Packet) -> bool:
        if packet.ct is not None:
            return packet.ctinfo in tracked
        return untracked if packet.ctinfo == never_tracked else invalid

    return test


def _expiration(packet: Packet) -> int | None:
    connection = packet.ct
    return None if connection is None else max(connection.expires - packet.time, 0) // 1_000_000


def _zone(direction: int | None) -> Load:
    if direction is None:
        return lambda packet: None if packet.ct is None else packet.ct.zone
    return lambda packet: None if packet.ct is None else packet.ct.zone_of(direction)


def _count(key: str, direction: int | None) -> Load:
    """Packets, bytes or bytes per packet; 0 where connections are not accounted."""

    def total(counts: list[int] | None) -> int:
        if counts is None:
            return 0
        return sum(counts) if direction is None else counts[direction]

    def average(packet: Packet) -> int | None:
        connection = packet.ct
        if connection is None:
            return None
        packets = total(connection.packets)
        return total(connection.bytes) // packets if packets else 0

    match key:
        case "packets":
            return lambda packet: None if packet.ct is None else total(packet.ct.packets)
        case "bytes":
            return lambda packet: None if packet.ct is None else total(packet.ct.bytes)
        case _:
            return average


def _attribute(key: str) -> Load:
    match key:
        case "status":
            return lambda packet: None if packet.ct is None else packet.ct.status
        case "mark":
            return lambda packet: None if packet.ct is None else packet.ct.mark
        case "label":
            return lambda packet: None if packet.ct is None else packet.ct.labels
        case "helper":
            # The helper of the connection that expected this one; no helper runs here, so none did.
            return lambda packet: None
        case "l3proto":
            return lambda packet: None if packet.ct is None else packet.ct.l3proto
        case "protocol":
            return lambda packet: None if packet.ct is None else packet.ct.l4proto
        case _:
            return lambda packet: None if packet.ct is None else packet.ct.ident


def _tuple(key: str, direction: int) -> Load:
    if key in ("proto-src", "proto-dst"):
        port = "sport" if key == "proto-src" else "dport"

        def load_port(packet: Packet) -> int | None:
            connection = packet.ct
            return None if connection is None else getattr(connection.tuple(direction), port)

        return load_port
    network, _, side = key.partition(" ")
    family = IPV4 if network == "ip" else IPV6
    address = "src" if side == "saddr" else "dst"

    def load_address(packet: Packet) -> int | None:
        connection = packet.ct
        if connection is None or connection.l3proto != family:
            return None
        return int.from_bytes(getattr(connection.tuple(direction), address), "big")

    return load_address


def parse(parser: Parser) -> Ct:
    """Read ``ct KEY`` or ``ct DIRECTION KEY``."""
    start = parser.advance().span
    direction = None
    if parser.at_word("original", "reply"):
        direction = int(parser.advance().text == "reply")
        if parser.at_word("ip", "ip6"):
            family = parser.advance().text
            if not parser.at_word("saddr", "daddr"):
                raise parser.unexpected("saddr", "daddr")
            return Ct(f"{family} {parser.advance().text}", direction, parser.since(start))
    key = parser.token
    if key.kind is Kind.STRING and key.text in _UNSUPPORTED:
        raise parser.unsupported(f"'ct {key.text}' is", key.span)
    known = _WITHOUT_DIRECTION if direction is None else _WITH_DIRECTION
    if key.kind is not Kind.STRING or key.text not in known:
        raise parser.unexpected(among=known)
    parser.advance()
    return Ct(key.text, direction, parser.since(start))
