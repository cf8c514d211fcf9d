"""Setting bytes of a packet: header fields, raw bytes, TCP options.

Ref: net/netfilter/nft_payload.c:nft_payload_set_eval, nft_exthdr.c:nft_exthdr_tcp_set_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from flowtable.ruleset.code import BREAK, GO_ON, Do
from flowtable.ruleset.expressions.assigned import (
    anonymous_maps,
    assigned_json,
    assigned_lookups,
    assigned_selectors,
    assigned_text,
    check_assigned,
    compile_assigned,
)
from flowtable.ruleset.expressions.payload import Payload
from flowtable.ruleset.expressions.raw import Raw
from flowtable.ruleset.expressions.tcp_option import TcpOption
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.statements.store import payload_store, raw_store, tcp_option_store
from flowtable.ruleset.values import fail

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import IntLoad, Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.expressions.assigned import Assigned
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.statements.store import Store
    from flowtable.ruleset.syntax import Term

Mangled = Payload | Raw | TcpOption
"""What of a packet can be set."""
_OPTION_BITS: Final = (16, 32)
"""The widths of option fields that the kernel sets."""


class Mangle(Statement):
    """``ip dscp set cs1``.

    Attributes:
        target: what is set.
        assigned: what to.
    """

    __slots__ = ("assigned", "target")

    def __init__(self, target: Mangled, assigned: Assigned, span: Span) -> None:
        super().__init__(span)
        self.target = target
        self.assigned = assigned

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The header that is changed, and what the value reads; an option is looked for by itself."""
        target = () if isinstance(self.target, TcpOption) else (self.target,)
        return (*target, *assigned_selectors(self.assigned))

    @property
    def anonymous_sets(self) -> int:
        """The map of the value."""
        return anonymous_maps(self.assigned)

    def lookups(self) -> tuple[str, ...]:
        """The declared map that the value refers to."""
        return assigned_lookups(self.assigned)

    def text(self, *, stateless: bool = False) -> str:
        """As nft prints it."""
        del stateless
        return f"{self.target.text()} set {assigned_text(self.assigned, self.target.datatype)}"

    def json(self) -> Json:
        """What is set, and what to."""
        value = assigned_json(self.assigned, self.target.datatype)
        return {"mangle": {"key": self.target.json(), "value": value}}

    def compile(self, compiler: Compiler) -> Step:
        """Write it; what cannot be read or written ends the rule."""
        store = _store(self.target)
        load = cast("IntLoad", compile_assigned(self.assigned, compiler))

        def run(packet: Packet) -> int:
            value = load(packet)
            return GO_ON if value is not None and store(packet, value) else BREAK

        return Do(run)


def _store(target: Mangled) -> Store:
    match target:
        case Payload():
            return payload_store(target)
        case Raw():
            return raw_store(target)
        case TcpOption():
            return tcp_option_store(target)


def mangled(target: Mangled, value: Term, rule: RuleContext, span: Span) -> Mangle:
    """Check what a part of a packet is set to, and imply the protocol tests that it needs.

    Raises:
        RulesetError: it cannot be set, or not to that.
    """
    checked = target.check(rule)
    assert isinstance(checked, Mangled)
    assigned = check_assigned(value, checked.datatype, rule, span)
    if isinstance(checked, TcpOption) and (
        checked.field is None or checked.datatype.bits not in _OPTION_BITS or checked.field.shift
    ):
        raise fail("Could not process rule: Operation not supported", target.span)
    return Mangle(checked, assigned, span)
