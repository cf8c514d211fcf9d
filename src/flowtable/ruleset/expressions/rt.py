"""What is known of the route of a packet.

Ref: net/netfilter/nft_rt.c:nft_rt_get_eval; nftables src/rt.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.packet import IPV4, IPV6
from flowtable.ruleset.expressions import extension
from flowtable.ruleset.family import Family
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.selector import Selector
from flowtable.ruleset.types import BOOLEAN, INTEGER, IPV4_ADDR, IPV6_ADDR, REALM

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.types.base import DataType

_TYPES: Final[dict[str, DataType]] = {
    "classid": REALM,
    "nexthop": IPV4_ADDR,
    "ip nexthop": IPV4_ADDR,
    "ip6 nexthop": IPV6_ADDR,
    "mtu": INTEGER[16],
    "ipsec": BOOLEAN,
}
_KEYS: Final = ("classid", "nexthop", "mtu", "ipsec")
_FAMILIES: Final = {"ip": (IPV4, 16, 4), "ip6": (IPV6, 24, 16)}
"""Of each network protocol its family, and where its destination address is: offset and size."""
_MTU_HOOKS: Final = frozenset((Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING))


class Rt(Selector):
    """``rt classid``, ``rt mtu`` and the like.

    Attributes:
        key: what is read, with the network protocol of an address.
    """

    __slots__ = ("key",)

    def __init__(self, key: str, span: Span) -> None:
        super().__init__(span, _TYPES[key])
        self.key = key

    def check(self, rule: RuleContext) -> Selector:
        """An address needs to know of which protocol it is. Ref: nft_rt_validate."""
        if rule.family not in (Family.IP, Family.IP6, Family.INET, Family.NETDEV):
            raise rule.error("Could not process rule: Operation not supported", self.span)
        protocol, _, nexthop = self.key.rpartition(" ")
        if nexthop != "nexthop":
            return self
        known = rule.network.protocol if rule.network is not None else ""
        if not protocol:
            if known not in _FAMILIES:
                raise rule.error(
                    'cannot determine ip protocol version, use "ip nexthop" or "ip6 nexthop" instead',
                    self.span,
                )
            return Rt(f"{known} nexthop", self.span)
        if rule.family in (Family.IP, Family.IP6) and known != protocol:
            raise rule.error(f"{protocol} nexthop will not match", self.span)
        return self

    def text(self) -> str:
        """``rt ip nexthop``."""
        return f"rt {self.key}"

    def json(self) -> Json:
        """Key, and the network protocol of an address."""
        protocol, _, key = self.key.rpartition(" ")
        return {"rt": {"key": key, "family": protocol}} if protocol else {"rt": {"key": key}}

    @property
    def hooks(self) -> frozenset[Hook] | None:
        """The way of a packet is known once it is routed. Ref: nft_rt_validate."""
        return _MTU_HOOKS if self.key == "mtu" else None

    def load(self, compiler: Compiler) -> Load:
        """Read the key; None of a packet that is not routed yet."""
        match self.key:
            case "classid" | "ipsec":
                return lambda packet: None if packet.dst is None else 0
            case "mtu":
                maximum_segment = compiler.environment.maximum_segment
                return lambda packet: None if packet.dst is None else maximum_segment(packet)
            case key:
                return _nexthop(key.split()[0])


def _nexthop(protocol: str) -> Load:
    family, first, size = _FAMILIES[protocol]

    def load(packet: Packet) -> int | None:
        route = packet.dst
        if route is None or packet.family != family:
            return None
        return int.from_bytes(route.gateway or packet.data[first : first + size])

    return load


def parse(parser: Parser) -> Selector:
    """Read ``rt KEY``, or the field of an IPv6 routing header."""
    start = parser.advance().span
    protocol = ""
    if parser.at_word("ip", "ip6"):
        protocol = parser.advance().text
    if parser.at_word(*_KEYS):
        key = parser.advance().text
        return Rt(f"{protocol} {key}" if protocol and key == "nexthop" else key, parser.since(start))
    if protocol:
        raise parser.unexpected()
    return extension.parse_field(parser, "rt", start)
