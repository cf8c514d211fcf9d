"""What the routing tables say of an address of the packet.

Ref: net/netfilter/nft_fib.c, net/ipv4/netfilter/nft_fib_ipv4.c; nftables src/fib.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.environment import FibQuery
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.selector import Selector
from flowtable.ruleset.types import BOOLEAN, FIB_TYPE, IFACE_INDEX, IFNAME

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span

_FLAGS: Final = ("saddr", "daddr", "mark", "iif", "oif")
_RESULTS: Final = {"type": FIB_TYPE, "oif": IFACE_INDEX, "oifname": IFNAME}
_EXPECTED_RESULTS: Final = ("type", "oif", "oifname")
_INPUT_HOOKS: Final = frozenset((Hook.PREROUTING, Hook.INPUT, Hook.FORWARD, Hook.INGRESS))
_OUTPUT_HOOKS: Final = frozenset((Hook.OUTPUT, Hook.POSTROUTING, Hook.FORWARD, Hook.EGRESS))
_ROUTE_HOOKS: Final = frozenset((Hook.PREROUTING, Hook.INPUT, Hook.FORWARD, Hook.INGRESS))


class Fib(Selector):
    """``fib saddr . iif oif``.

    Attributes:
        flags: what is looked up, and what the lookup is given, in nft's order.
        result: ``type``, ``oif`` or ``oifname``.
        present: only whether there is a route is asked for.
    """

    __slots__ = ("flags", "present", "result")

    def __init__(self, flags: tuple[str, ...], result: str, span: Span, *, present: bool = False) -> None:
        super().__init__(span, BOOLEAN if present else _RESULTS[result])
        self.flags = flags
        self.result = result
        self.present = present

    def text(self) -> str:
        """The flags joined by dots, and the result."""
        return f"fib {' . '.join(self.flags)} {self.result}"

    def json(self) -> Json:
        """Result and flags."""
        return {"fib": {"result": self.result, "flags": list(self.flags)}}

    @property
    def hooks(self) -> frozenset[Hook] | None:
        """Where the device it needs is known. Ref: nft_fib.c:nft_fib_validate."""
        if self.result != "type":
            return _ROUTE_HOOKS
        if "iif" in self.flags:
            return _INPUT_HOOKS
        return _OUTPUT_HOOKS if "oif" in self.flags else None

    def presence(self) -> Selector:
        """Whether there is a route through a device."""
        return self if self.result == "type" else Fib(self.flags, self.result, self.span, present=True)

    def load(self, compiler: Compiler) -> Load:
        """Look up; without a route the index is 0 and the name empty."""
        query = FibQuery(
            source="saddr" in self.flags,
            mark="mark" in self.flags,
            iif="iif" in self.flags,
            oif="oif" in self.flags,
        )
        if self.result == "type":
            fib_type = compiler.environment.fib_type
            return lambda packet: fib_type(packet, query)
        fib_device = compiler.environment.fib_device

        def load_presence(packet: Packet) -> int:
            return int(fib_device(packet, query) is not None)

        def load_index(packet: Packet) -> int:
            device = fib_device(packet, query)
            return 0 if device is None else device.index

        def load_name(packet: Packet) -> str:
            device = fib_device(packet, query)
            return "" if device is None else device.name

        if self.present:
            return load_presence
        return load_index if self.result == "oif" else load_name


def parse(parser: Parser) -> Fib:
    """Read ``fib FLAG [. FLAG ...] RESULT``."""
    start = parser.advance().span
    at = parser.token.span
    written = set()
    while True:
        if not parser.at_word(*_FLAGS):
            raise parser.unexpected()
        written.add(parser.advance().text)
        if not parser.accept(Kind.DOT):
            break
    flags = tuple(flag for flag in _FLAGS if flag in written)
    given = parser.since(at)
    if not parser.at_word(*_EXPECTED_RESULTS):
        raise parser.unexpected(*_EXPECTED_RESULTS)
    result = parser.advance().text
    if {"saddr", "daddr"} <= written:
        raise parser.error("fib: saddr and daddr are mutually exclusive", given)
    if not written & {"saddr", "daddr"}:
        raise parser.error("fib: need either saddr or daddr", given)
    if {"iif", "oif"} <= written:
        raise parser.error("fib: iif and oif are mutually exclusive", given)
    return Fib(flags, result, parser.since(start))
