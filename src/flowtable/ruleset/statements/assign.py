"""Setting marks and the priority.

Ref: net/netfilter/nft_meta.c:nft_meta_set_eval, nft_ct.c:nft_ct_set_eval.
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
from flowtable.ruleset.expressions.ct import Ct
from flowtable.ruleset.expressions.meta import Meta
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.values import Exact

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import IntLoad, Op, Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.expressions.assigned import Assigned
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.syntax import Term

SETTABLE: Final = frozenset(("meta mark", "meta priority", "ct mark"))
"""What can be set."""


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
        if self.target.text().startswith("ct "):
            compiler.track()
        if isinstance(self.assigned, Exact):
            value = self.assigned.value
            assert isinstance(value, int)
            return Do(_set_constant(self.target.text(), value))
        load = cast("IntLoad", compile_assigned(self.assigned, compiler))
        return Do(_set(self.target.text(), load))


def _set_constant(target: str, value: int) -> Op:
    def set_mark(packet: Packet) -> int:
        packet.mark = value
        return GO_ON

    def set_priority(packet: Packet) -> int:
        packet.priority = value
        return GO_ON

    def set_connection_mark(packet: Packet) -> int:
        if packet.ct is not None:
            packet.ct.mark = value
        return GO_ON

    match target:
        case "meta mark":
            return set_mark
        case "meta priority":
            return set_priority
        case _:
            return set_connection_mark


def _set(target: str, load: IntLoad) -> Op:
    def run(packet: Packet) -> int:
        value = load(packet)
        return BREAK if value is None else _set_constant(target, value)(packet)

    return run


class AssignSyntax(Statement):
    """The statement as written.

    Attributes:
        target: what is set.
        value: what to.
    """

    __slots__ = ("target", "value")

    def __init__(self, target: Meta | Ct, value: Term, span: Span) -> None:
        super().__init__(span)
        self.target = target
        self.value = value

    def check(self, rule: RuleContext) -> Assign:
        """Check the value."""
        assigned = check_assigned(self.value, self.target.datatype, rule, self.span)
        return Assign(self.target, assigned, self.span)
