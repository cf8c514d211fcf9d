"""Setting what is known of a packet or of its connection.

Ref: net/netfilter/nft_meta.c:nft_meta_set_eval, nft_ct.c:nft_ct_set_eval, nft_ct_set_zone_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from flowtable.packet.packet import PacketType
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
from flowtable.ruleset.expressions.ct import Ct
from flowtable.ruleset.expressions.meta import Meta
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.statements.mangle import Mangle, Mangled, mangled
from flowtable.ruleset.values import Exact, fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import IntLoad, Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.expressions.assigned import Assigned
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.syntax import Term

    Store = Callable[[Packet, int], None]

_SETTABLE: Final = frozenset(
    (
        *("meta mark", "meta priority", "meta nftrace", "meta pkttype", "meta secmark"),
        *("ct mark", "ct label", "ct event", "ct zone", "ct secmark"),
    )
)
_PKTTYPE_HOOKS: Final = frozenset((Hook.PREROUTING, Hook.INGRESS))
_TEMPLATE: Final = 1 << 11
"""IPS_TEMPLATE: not a connection, but what chooses a zone for one."""
_BOTH: Final = 3


class Assign(Statement):
    """``meta mark set 1``.

    Attributes:
        target: what is set.
        assigned: what to.
    """

    __slots__ = ("assigned", "target")

    def __init__(self, target: Meta | Ct, assigned: Assigned, span: Span) -> None:
        super().__init__(span)
        self.target = target
        self.assigned = assigned

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What the value reads."""
        return assigned_selectors(self.assigned)

    @property
    def hooks(self) -> frozenset[Hook] | None:
        """To whom a frame is addressed is settled early. Ref: nft_meta_set_validate."""
        if self.target.text() == "meta pkttype":
            return _PKTTYPE_HOOKS
        return super().hooks

    @property
    def opaque(self) -> bool:
        """Security contexts are the kernel's."""
        return self.target.key == "secmark" or super().opaque

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
        return {
            "mangle": {
                "key": self.target.json(),
                "value": assigned_json(self.assigned, self.target.datatype),
            }
        }

    def compile(self, compiler: Compiler) -> Step:
        """Set it; a value that cannot be read ends the rule."""
        if isinstance(self.target, Ct):
            compiler.track()
        store = self._store(compiler)
        load = cast("IntLoad", compile_assigned(self.assigned, compiler))

        def run(packet: Packet) -> int:
            value = load(packet)
            if value is None:
                return BREAK
            store(packet, value)
            return GO_ON

        return Do(run)

    def _store(self, compiler: Compiler) -> Store:
        target = self.target
        if isinstance(target, Ct) and target.key == "zone":
            set_zone = compiler.environment.set_zone
            directions = _BOTH if target.direction is None else 1 << target.direction
            return lambda packet, zone: set_zone(packet, zone, directions)
        return _STORES[target.text()]


def _set_mark(packet: Packet, value: int) -> None:
    packet.mark = value


def _set_priority(packet: Packet, value: int) -> None:
    packet.priority = value


def _set_pkttype(packet: Packet, value: int) -> None:
    """Ref: include/linux/skbuff.h:skb_pkt_type_ok."""
    if value <= PacketType.OTHERHOST:
        packet.pkttype = value


def _set_connection_mark(packet: Packet, value: int) -> None:
    connection = packet.ct
    if connection is not None and not connection.status & _TEMPLATE:
        connection.mark = value


def _add_labels(packet: Packet, value: int) -> None:
    """Labels are set, none is taken away. Ref: nf_conntrack_labels.c:nf_connlabels_replace."""
    connection = packet.ct
    if connection is not None and not connection.status & _TEMPLATE:
        connection.labels |= value


def _note(packet: Packet, value: int) -> None:
    """Only what watches a kernel sees a difference."""


_STORES: Final[dict[str, Store]] = {
    "meta mark": _set_mark,
    "meta priority": _set_priority,
    "meta pkttype": _set_pkttype,
    "meta nftrace": _note,
    "ct mark": _set_connection_mark,
    "ct label": _add_labels,
    "ct event": _note,
}


class AssignSyntax(Statement):
    """The statement as written.

    Attributes:
        target: what is set.
        value: what to.
    """

    __slots__ = ("target", "value")

    def __init__(self, target: Selector, value: Term, span: Span) -> None:
        super().__init__(span)
        self.target = target
        self.value = value

    def check(self, rule: RuleContext) -> Assign | Mangle:
        """Whether it can be set, and to that value."""
        target = self.target
        if isinstance(target, Mangled):
            return mangled(target, self.value, rule, self.span)
        if not isinstance(target, Meta | Ct):
            raise fail("Could not process rule: Operation not supported", target.span)
        assigned = check_assigned(self.value, target.datatype, rule, self.span)
        if target.key == "secmark" and isinstance(assigned, Exact):
            raise fail("ct secmark must not be set to constant value", self.span)
        key = "ct zone" if target.text().endswith(" zone") else target.text()
        if key not in _SETTABLE:
            raise fail("Could not process rule: Operation not supported", self.span)
        return Assign(target, assigned, self.span)
