"""Named objects as written, checked.

Ref: nftables src/evaluate.c:obj_evaluate, net/netfilter/nf_tables_api.c:nf_tables_newobj.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.connection_objects import HELPERS, STATES, CtExpectation, CtHelper, CtTimeout
from flowtable.ruleset.context import RuleContext
from flowtable.ruleset.family import Family
from flowtable.ruleset.objects import NamedObject
from flowtable.ruleset.source import Diagnostic, RulesetError
from flowtable.ruleset.statements.limit import Limit
from flowtable.ruleset.values import fail

if TYPE_CHECKING:
    from flowtable.ruleset.command import ObjectSyntax

_NETWORKS: Final = ("ip", "ip6")


def check_object(syntax: ObjectSyntax, family: Family) -> NamedObject:
    """Check an object; where it names no family it has that of its table.

    Raises:
        RulesetError: it makes no sense.
    """
    body = syntax.body
    match body:
        case CtHelper():
            body.l3proto = body.l3proto or family.value
            if not body.protocol:
                raise fail("missing options", syntax.span)
            if body.type not in HELPERS:
                hint = f"there is no helper '{body.type}'; there are: {', '.join(sorted(HELPERS))}"
                message = "Could not process rule: No such file or directory"
                raise RulesetError([Diagnostic(message, syntax.span, hint=hint)])
            _check_family(body.l3proto, family, syntax)
        case CtTimeout():
            body.l3proto = body.l3proto or family.value
            for state, (_, span) in body.policy.items():
                if state not in STATES[body.protocol]:
                    raise fail("invalid state for this protocol", span)
            _check_family(body.l3proto, family, syntax)
        case CtExpectation():
            if not body.protocol:
                raise fail("missing options", syntax.span)
            body.l3proto = body.l3proto or family.value
            if body.l3proto not in _NETWORKS:
                raise fail("Could not process rule: Address family not supported by protocol", syntax.span)
            _check_family(body.l3proto, family, syntax)
        case Limit():
            try:
                body.check(RuleContext.outside())
            except RulesetError as error:
                raise fail(error.diagnostics[0].message, syntax.span) from None
        case _:
            pass
    return NamedObject(syntax.kind, syntax.name, syntax.span, body, syntax.comment)


def _check_family(l3proto: str, family: Family, syntax: ObjectSyntax) -> None:
    """A table of one family has objects of no other."""
    if family in (Family.IP, Family.IP6) and l3proto != family.value:
        raise fail("Could not process rule: Invalid argument", syntax.span)
