"""Named objects as written, checked.

Ref: nftables src/evaluate.c:obj_evaluate, net/netfilter/nf_tables_api.c:nf_tables_newobj.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.connection_objects import HELPERS, STATES, CtExpectation, CtHelper, CtTimeout
from flowtable.ruleset.context import RuleContext
from flowtable.ruleset.family import Family
from flowtable.ruleset.objects import NamedObject, ObjectKind
from flowtable.ruleset.source import Diagnostic, RulesetError
from flowtable.ruleset.statements.counter import Counter
from flowtable.ruleset.statements.limit import Limit
from flowtable.ruleset.statements.quota import Quota
from flowtable.ruleset.values import fail

if TYPE_CHECKING:
    from flowtable.ruleset.command import ObjectSyntax
    from flowtable.ruleset.objects import Body

_NETWORKS: Final = ("ip", "ip6")


def check_object(syntax: ObjectSyntax, family: Family) -> NamedObject:
    """Check an object; where it names no family it has that of its table.

    Raises:
        RulesetError: it makes no sense.
    """
    body = syntax.body
    match body:
        case None:
            body = _default(syntax)
        case CtHelper():
            body.l3proto = body.l3proto or family.value
            _check_helper(body, syntax)
            _check_family(body.l3proto, family, syntax)
        case CtTimeout():
            body.l3proto = body.l3proto or family.value
            for state, (_, span) in body.policy.items():
                if state not in STATES[body.protocol]:
                    raise fail("invalid state for this protocol", span)
            if not body.protocol:
                raise fail("Could not process rule: Operation not supported", syntax.span)
            _check_family(body.l3proto, family, syntax)
        case CtExpectation(protocol, dport, timeout, size, _):
            if not protocol or dport is None or timeout is None or size is None:
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


def _default(syntax: ObjectSyntax) -> Body:
    """An object with an empty block."""
    match syntax.kind:
        case ObjectKind.COUNTER:
            return Counter(syntax.span)
        case ObjectKind.QUOTA:
            return Quota(syntax.span, 0, over=False)
        case _:
            raise fail("Could not process rule: Invalid argument", syntax.span)


def _check_helper(helper: CtHelper, syntax: ObjectSyntax) -> None:
    """There are only the helpers that Linux has."""
    if not helper.type:
        raise fail("Could not process rule: Numerical result out of range", syntax.span)
    if helper.type not in HELPERS:
        hint = f"there is no helper '{helper.type}'; there are: {', '.join(sorted(HELPERS))}"
        message = "Could not process rule: No such file or directory"
        raise RulesetError([Diagnostic(message, syntax.span, hint=hint)])


def _check_family(l3proto: str, family: Family, syntax: ObjectSyntax) -> None:
    """A table of one family has objects of no other."""
    if family in (Family.IP, Family.IP6) and l3proto != family.value:
        raise fail("Could not process rule: Invalid argument", syntax.span)
