"""Selectors that only a kernel can read: sockets, fingerprints, IPsec policies.

They are read, checked and printed; a packet that reaches a rule with one is not evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.family import Family
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.selector import Selector
from flowtable.ruleset.types import INTEGER, IPV4_ADDR, IPV6_ADDR, MARK, STRING

if TYPE_CHECKING:
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.types.base import DataType

_SOCKET_KEYS: Final[dict[str, DataType]] = {
    "transparent": INTEGER[8],
    "wildcard": INTEGER[8],
    "cgroupv2": STRING,
    "mark": MARK,
}
_IPSEC_KEYS: Final[dict[str, DataType]] = {
    "ip saddr": IPV4_ADDR,
    "ip daddr": IPV4_ADDR,
    "ip6 saddr": IPV6_ADDR,
    "ip6 daddr": IPV6_ADDR,
    "spi": INTEGER[32],
    "reqid": INTEGER[32],
}
_SOCKET_HOOKS: Final = frozenset((Hook.PREROUTING, Hook.INPUT, Hook.OUTPUT))
_OSF_HOOKS: Final = frozenset((Hook.PREROUTING, Hook.INPUT, Hook.FORWARD))
_IPSEC_HOOKS: Final = {
    "in": frozenset((Hook.PREROUTING, Hook.INPUT, Hook.FORWARD)),
    "out": frozenset((Hook.OUTPUT, Hook.POSTROUTING, Hook.FORWARD)),
}
_OSF_TTL: Final = ("loose", "skip")
_MAX_SPNUM: Final = 255


class KernelOnly(Selector):
    """A selector by its text.

    Attributes:
        written: as nft prints it.
        shown: as libnftables writes it.
        bound: the hooks that it can be read at.
    """

    __slots__ = ("bound", "shown", "written")

    def __init__(
        self, span: Span, datatype: DataType, written: str, shown: Json, bound: frozenset[Hook] | None
    ) -> None:
        super().__init__(span, datatype)
        self.written = written
        self.shown = shown
        self.bound = bound

    def check(self, rule: RuleContext) -> Selector:
        """Only IP has them."""
        if rule.family not in (Family.IP, Family.IP6, Family.INET):
            raise rule.error("Could not process rule: Operation not supported", self.span)
        return self

    def text(self) -> str:
        """As written."""
        return self.written

    def json(self) -> Json:
        """As libnftables writes it."""
        return self.shown

    @property
    def opaque(self) -> bool:
        """It is."""
        return True

    @property
    def hooks(self) -> frozenset[Hook] | None:
        """The hooks that it can be read at."""
        return self.bound


def parse_socket(parser: Parser) -> KernelOnly:
    """Read ``socket KEY``. Ref: net/netfilter/nft_socket.c:nft_socket_eval."""
    start = parser.advance().span
    if not parser.at_word(*_SOCKET_KEYS):
        raise parser.unexpected(*_SOCKET_KEYS)
    key = parser.advance().text
    text, shown = f"socket {key}", {"key": key}
    if key == "cgroupv2":
        parser.expect_word("level")
        text += f" level {parser.number('number')}"
    return KernelOnly(parser.since(start), _SOCKET_KEYS[key], text, {"socket": dict(shown)}, _SOCKET_HOOKS)


def parse_osf(parser: Parser) -> KernelOnly:
    """Read ``osf [ttl loose|skip] name|version``. Ref: net/netfilter/nft_osf.c:nft_osf_eval."""
    start = parser.advance().span
    text, shown = "osf", {}
    if parser.accept_word("ttl"):
        ttl = parser.token
        if not parser.at_word(*_OSF_TTL):
            raise parser.error("invalid ttl option", ttl.span)
        parser.advance()
        text += f" ttl {ttl.text}"
        shown["ttl"] = ttl.text
    if not parser.at_word("version", "name"):
        raise parser.unexpected("version", "name")
    key = parser.advance().text
    return KernelOnly(
        parser.since(start), STRING, f"{text} {key}", {"osf": {"key": key, **shown}}, _OSF_HOOKS
    )


def parse_ipsec(parser: Parser) -> KernelOnly:
    """Read ``ipsec in|out [spnum N] KEY``. Ref: net/netfilter/nft_xfrm.c:nft_xfrm_get_eval."""
    start = parser.advance().span
    if not parser.at_word("in", "out"):
        raise parser.unexpected()
    direction = parser.advance().text
    text, number = f"ipsec {direction}", 0
    at = parser.token.span
    if parser.accept_word("spnum"):
        number = parser.number("number")
        if number > _MAX_SPNUM:
            raise parser.error("value too large", parser.since(at))
        text += f" spnum {number}" if number else ""
    key, family = _parse_ipsec_key(parser)
    shown: dict[str, Json] = {"key": key, "dir": direction, "spnum": number}
    if family:
        shown["family"] = family
    name = f"{family} {key}".strip()
    return KernelOnly(
        parser.since(start), _IPSEC_KEYS[name], f"{text} {name}", {"ipsec": shown}, _IPSEC_HOOKS[direction]
    )


def _parse_ipsec_key(parser: Parser) -> tuple[str, str]:
    family = parser.accept_word("ip", "ip6") or ""
    keys = ("saddr", "daddr") if family else ("spi", "reqid")
    if not parser.at_word(*keys):
        raise parser.unexpected(*(keys if family else ("ip", "ip6", *keys)))
    return parser.advance().text, family
