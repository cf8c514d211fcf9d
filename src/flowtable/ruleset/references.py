"""What rules and elements refer to: chains and named objects.

Ref: net/netfilter/nf_tables_api.c:nft_verdict_init, nft_objref.c:nft_objref_init.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.refused import EBUSY, ENOENT, EOPNOTSUPP, refused
from flowtable.ruleset.source import RulesetError
from flowtable.ruleset.statements.meter import Meter
from flowtable.ruleset.statements.reference import ObjectReference

if TYPE_CHECKING:
    from flowtable.ruleset.model import Table
    from flowtable.ruleset.objects import ObjectKind
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.statements.verdict import VerdictStatement


def check_target(table: Table, statement: VerdictStatement, span: Span | None = None) -> None:
    """Refuse a jump to a chain that is not there or cannot be jumped to.

    Args:
        table: the table.
        statement: the jump.
        span: what an error is put on, None for the name of the chain.
    """
    if statement.chain is None:
        return
    target = table.chains.get(statement.chain)
    span = span or statement.chain_span or statement.span
    if target is None:
        raise refused(ENOENT, span, f"no chain '{statement.chain}' in this table")
    if target.attachment is not None:
        raise refused(EOPNOTSUPP, span, "a base chain cannot be jumped to")


def check_object(table: Table, kind: ObjectKind, name: str, span: Span) -> None:
    """Refuse the use of an object that is not there."""
    if (kind, name) not in table.objects:
        others = ", ".join(name for other, name in table.objects if other is kind) or "none"
        raise refused(ENOENT, span, f"no {kind.value} '{name}' in this table; it has: {others}")


def check_meter(table: Table, meter: Meter) -> None:
    """Refuse a second meter of a name, as the kernel does: it is a set already, of another kind."""
    for chain in table.chains.values():
        for rule in chain.rules:
            if any(
                isinstance(other, Meter) and other.set.name == meter.set.name for other in rule.statements
            ):
                errors = ((EOPNOTSUPP, meter.selector.span), (EBUSY, meter.span))
                raise RulesetError(
                    [diagnostic for error in errors for diagnostic in refused(*error).diagnostics]
                )


def object_user(table: Table, kind: ObjectKind, name: str) -> str | None:
    """What refers to an object, None if nothing does."""
    for chain in table.chains.values():
        for rule in chain.rules:
            for statement in rule.statements:
                if (
                    isinstance(statement, ObjectReference)
                    and statement.kind is kind
                    and name in (named for named, _ in statement.names)
                ):
                    return f"a rule of chain '{chain.name}'"
    for declared in table.sets.values():
        if declared.objects is kind and any(each.data == name for each in declared.elements.values()):
            return f"an element of map '{declared.name}'"
    return None
