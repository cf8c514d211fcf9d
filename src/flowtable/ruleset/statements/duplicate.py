"""Copies of packets, and frames that are sent on from where they came in.

Ref: net/ipv4/netfilter/nft_dup_ipv4.c, net/netfilter/nft_dup_netdev.c, nft_fwd_netdev.c;
nftables src/evaluate.c:stmt_evaluate_dup, stmt_evaluate_fwd.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.code import BREAK, GO_ON, STOLEN, Do
from flowtable.ruleset.expressions.assigned import (
    anonymous_maps,
    assigned_json,
    assigned_lookups,
    assigned_selectors,
    assigned_text,
    check_assigned,
    compile_assigned,
)
from flowtable.ruleset.family import Family
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.types import IFACE_INDEX, IPV4_ADDR, IPV6_ADDR
from flowtable.ruleset.values import Exact

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load, Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.expressions.assigned import Assigned
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.syntax import Term
    from flowtable.ruleset.types.base import DataType

_ADDRESSES: Final[dict[str, DataType]] = {"ip": IPV4_ADDR, "ip6": IPV6_ADDR}
_BYTES: Final = {"ip": 4, "ip6": 16}
_DEVICE_HOOKS: Final = frozenset((Hook.INGRESS, Hook.EGRESS))


class Duplicate(Statement):
    """``dup to 10.0.0.1 device "eth0"``, or ``fwd to "eth0"``.

    Attributes:
        forwards: it is ``fwd``: the packet itself goes there, not a copy.
        family: ``ip`` or ``ip6`` of the gateway, empty without one.
        shows_family: it is printed.
        gateway: to which host, None where a device says all.
        device: out of which device, None where the route to the gateway says so.
    """

    __slots__ = ("device", "family", "forwards", "gateway", "shows_family")

    def __init__(
        self,
        span: Span,
        *,
        forwards: bool,
        family: str,
        shows_family: bool,
        gateway: Assigned | None,
        device: Assigned | None,
    ) -> None:
        super().__init__(span)
        self.forwards = forwards
        self.family = family
        self.shows_family = shows_family
        self.gateway = gateway
        self.device = device

    @property
    def ends(self) -> bool:
        """What has been sent on is gone."""
        return self.forwards

    @property
    def hooks(self) -> frozenset[Hook] | None:
        """Frames are sent on from devices. Ref: nft_fwd_validate."""
        return _DEVICE_HOOKS if self.forwards else super().hooks

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What chooses gateway and device."""
        return tuple(selector for part in self._parts for selector in assigned_selectors(part))

    @property
    def _parts(self) -> tuple[Assigned, ...]:
        return tuple(part for part in (self.gateway, self.device) if part is not None)

    @property
    def anonymous_sets(self) -> int:
        """The maps that choose gateway and device."""
        return sum(anonymous_maps(part) for part in self._parts)

    def lookups(self) -> tuple[str, ...]:
        """The declared maps that choose gateway and device."""
        return tuple(name for part in self._parts for name in assigned_lookups(part))

    def text(self, *, stateless: bool = False) -> str:
        """As nft prints it."""
        del stateless
        words = ["fwd" if self.forwards else "dup"]
        if self.shows_family:
            words.append(self.family)
        words.append("to")
        if self.gateway is not None:
            words.append(assigned_text(self.gateway, _ADDRESSES[self.family]))
            words += ["device"] if self.device is not None else []
        if self.device is not None:
            words.append(assigned_text(self.device, IFACE_INDEX))
        return " ".join(words)

    def json(self) -> Json:
        """Gateway and device, those that there are."""
        shown: dict[str, Json] = {}
        if self.shows_family:
            shown["family"] = self.family
        if self.gateway is not None:
            shown["addr"] = assigned_json(self.gateway, _ADDRESSES[self.family])
        if self.device is not None and self.gateway is None and not self.forwards:
            shown["addr"] = assigned_json(self.device, IFACE_INDEX)
        elif self.device is not None:
            shown["dev"] = assigned_json(self.device, IFACE_INDEX)
        return {"fwd" if self.forwards else "dup": shown}

    def compile(self, compiler: Compiler) -> Step:
        """Send the packet or a copy of it; what chooses nothing ends the rule."""
        load_gateway = None if self.gateway is None else compile_assigned(self.gateway, compiler)
        load_device = None if self.device is None else _compile_device(self.device, self.span, compiler)
        forward, duplicate = compiler.environment.forward, compiler.environment.duplicate
        size = _BYTES.get(self.family, 0)
        forwards = self.forwards

        def run(packet: Packet) -> int:
            gateway: bytes | None = None
            index: int | None = None
            if load_gateway is not None:
                value = load_gateway(packet)
                if not isinstance(value, int):
                    return BREAK
                gateway = value.to_bytes(size)
            if load_device is not None:
                value = load_device(packet)
                if not isinstance(value, int):
                    return BREAK
                index = value
            if forwards:
                return STOLEN if forward(packet, gateway, index) else BREAK
            duplicate(packet, gateway, index)
            return GO_ON

        return Do(run)


def _compile_device(device: Assigned, span: Span, compiler: Compiler) -> Load:
    """A function from a packet to the index of a device.

    Raises:
        RulesetError: the device does not exist.
    """
    if isinstance(device, Exact):
        index = compiler.value(device.value, IFACE_INDEX, span)
        return lambda packet: index
    load = compile_assigned(device, compiler)
    resolve = compiler.environment.interface_index

    def run(packet: Packet) -> int | None:
        value = load(packet)
        if isinstance(value, str):
            return resolve(value)
        return value if isinstance(value, int) else None

    return run


class DuplicateSyntax(Statement):
    """The statement as written.

    Attributes:
        forwards: it is ``fwd``.
        family: ``ip`` or ``ip6`` as written, empty without.
        to: what stands behind ``to``.
        device: what stands behind ``device``, None without.
    """

    __slots__ = ("device", "family", "forwards", "to")

    def __init__(self, span: Span, *, forwards: bool, family: str, to: Term, device: Term | None) -> None:
        super().__init__(span)
        self.forwards = forwards
        self.family = family
        self.to = to
        self.device = device

    def check(self, rule: RuleContext) -> Duplicate:
        """What is sent where depends on the family."""
        family = "" if self.forwards else rule.family.value
        if rule.family is Family.NETDEV:
            if self.device is not None and not self.forwards:
                raise rule.error("cannot specify device", self.span)
            family = self.family
        elif self.forwards or family not in _ADDRESSES:
            raise rule.error("unsupported family", self.span)
        to, device = self.to, self.device
        gateway = None
        if family:
            gateway = check_assigned(to, _ADDRESSES[family], rule, self.span)
        else:
            device = to
        return Duplicate(
            self.span,
            forwards=self.forwards,
            family=family,
            shows_family=bool(self.family),
            gateway=gateway,
            device=None if device is None else check_assigned(device, IFACE_INDEX, rule, self.span),
        )


def parse_dup(parser: Parser) -> DuplicateSyntax:
    """Read ``dup to ADDRESS [device DEVICE]`` or ``dup to DEVICE``."""
    start = parser.advance().span
    parser.expect_word("to")
    to = parser.expression(statement=True)
    device = parser.expression(statement=True) if parser.accept_word("device") else None
    return DuplicateSyntax(parser.since(start), forwards=False, family="", to=to, device=device)


def parse_fwd(parser: Parser) -> DuplicateSyntax:
    """Read ``fwd to DEVICE`` or ``fwd ip|ip6 to ADDRESS device DEVICE``."""
    start = parser.advance().span
    if not parser.at_word("to", "ip", "ip6"):
        raise parser.unexpected("to", "ip", "ip6")
    family = parser.accept_word("ip", "ip6") or ""
    parser.expect_word("to")
    to = parser.expression(statement=True)
    device = None
    if family:
        parser.expect_word("device")
        device = parser.expression(statement=True)
    return DuplicateSyntax(parser.since(start), forwards=True, family=family, to=to, device=device)
