"""Declarations of sets and maps, and their elements: types and values are settled here.

Ref: nftables src/evaluate.c:set_evaluate, expr_evaluate_set_elem; nf_tables_api.c:nf_tables_newset,
nft_add_set_elem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.context import RuleContext
from flowtable.ruleset.element import Element, check_disjoint, check_fields, elements, merge, unique
from flowtable.ruleset.expressions.bitwise import check_expression
from flowtable.ruleset.expressions.mapping import check_data
from flowtable.ruleset.sets import Set
from flowtable.ruleset.statements.reference import check_object_name
from flowtable.ruleset.statements.vmap import check_verdict
from flowtable.ruleset.syntax import ConcatTerm, PrefixTerm, RangeTerm
from flowtable.ruleset.types.concatenation import Concatenation
from flowtable.ruleset.values import Interval, fail

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.ruleset.command import SetSyntax
    from flowtable.ruleset.family import Family
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.syntax import SetTerm, Term, VerdictTerm
    from flowtable.ruleset.types.base import DataType


def check_set_syntax(syntax: SetSyntax, family: Family) -> Set:
    """Check a set or map as written; its elements are checked for themselves.

    Raises:
        RulesetError: it makes no sense.
    """
    datatype, typeof = _key_type(syntax.datatype, syntax.typeof, family)
    if datatype is None:
        raise fail("set definition does not specify key", syntax.span)
    data, data_typeof = _key_type(syntax.data, syntax.data_typeof, family)
    if syntax.is_map and not syntax.verdicts and data is None and syntax.objects is None:
        raise fail("map definition does not specify mapping data type", syntax.span)
    context = RuleContext(family, {})
    return Set(
        syntax.name,
        syntax.span,
        datatype,
        is_map=syntax.is_map,
        data=data,
        typeof=typeof,
        data_typeof="verdict" if syntax.verdicts and typeof else data_typeof,
        statements=tuple(statement.check(context) for statement in syntax.statements),
        objects=syntax.objects,
        dynamic="dynamic" in syntax.flags,
        timeouts="timeout" in syntax.flags or syntax.timeout is not None,
        timeout=syntax.timeout,
        gc_interval=syntax.gc_interval,
        interval="interval" in syntax.flags,
        constant="constant" in syntax.flags,
        auto_merge=syntax.auto_merge,
        size=syntax.size,
        policy=syntax.policy or "",
        comment=syntax.comment,
    )


def _key_type(datatype: DataType | None, typeof: Term | None, family: Family) -> tuple[DataType | None, str]:
    if datatype is not None or typeof is None:
        return datatype, ""
    selector = check_expression(typeof, RuleContext(family, {}))
    return selector.datatype, selector.text()


def check_set_elements(declared: Set, term: SetTerm, *, delete: bool = False) -> list[Element]:
    """Check elements of a set or map.

    Raises:
        RulesetError: one is no element of such a set.
    """
    data: Callable[[Term | VerdictTerm], object] | None = None
    if declared.is_map:
        if declared.objects is not None:
            data = check_object_name
        else:
            data = check_verdict if declared.data is None else check_data(declared.data)
    elif any(element.data is not None for element in term.elements):
        raise fail("set is not a map", declared.span)
    if delete and all(element.data is None for element in term.elements):
        data = None
    if not declared.interval:
        _refuse_intervals(term)
    found = elements(term, declared.datatype, None, data)
    context = RuleContext.outside()
    for element in found:
        element.statements = tuple(statement.check(context) for statement in element.statements)
        _check_statements(declared, element)
        if not delete:
            _set_times(declared, element)
            element.statements = element.statements or tuple(each.fresh() for each in declared.statements)
        if isinstance(element.key, Interval) and not declared.interval:
            raise _no_interval_flag("prefix", element.span)
    if isinstance(declared.datatype, Concatenation):
        known = list(unique(found).values())
        check_fields(known)
        return known
    if merges(declared):
        return merge(found, declared.datatype)
    if declared.interval:
        check_disjoint(found)
    return list(unique(found).values())


def merges(declared: Set) -> bool:
    """Whether intervals that touch are made one."""
    plain = not isinstance(declared.datatype, Concatenation)
    return declared.auto_merge and declared.interval and not declared.is_map and plain


def _refuse_intervals(term: SetTerm) -> None:
    """Raise nft's error for prefixes and ranges, which need a flag."""
    for element in term.elements:
        parts = element.key.parts if isinstance(element.key, ConcatTerm) else (element.key,)
        for part in parts:
            if isinstance(part, PrefixTerm | RangeTerm):
                what = "range" if isinstance(part, RangeTerm) else "prefix"
                raise _no_interval_flag(what, part.span)


def _no_interval_flag(what: str, span: Span) -> Exception:
    return fail(
        f"You must add 'flags interval' to your set declaration if you want to add {what} elements", span
    )


def _check_statements(declared: Set, element: Element) -> None:
    """Check that the statements of an element are those that the set says elements have."""
    statements = element.statements
    if not statements:
        return
    span = statements[0].span.to(statements[-1].span)
    if not declared.statements:
        raise fail(f"missing statement in {'map' if declared.is_map else 'set'} declaration", span)
    if len(statements) != len(declared.statements):
        raise fail(
            f"number of statements mismatch, set expects {len(declared.statements)} "
            f"but element has {len(statements)}",
            element.span,
        )
    for own, common in zip(statements, declared.statements, strict=True):
        if type(own) is not type(common):
            got, wanted = _kind(own.text()), _kind(common.text())
            raise fail(f"statement mismatch, element expects {got}, but set has type {wanted}", own.span)


def _kind(text: str) -> str:
    return "connlimit" if text.startswith("ct count") else text.split()[0]


def _set_times(declared: Set, element: Element) -> None:
    """Settle when the element ends."""
    if not declared.timeouts:
        if element.timeout is not None or element.remaining is not None:
            raise fail("Could not process rule: Invalid argument", element.span)
        return
    limit = declared.timeout if element.timeout is None else element.timeout
    if element.remaining is None:
        element.remaining = limit
    elif limit is None or element.remaining > limit:
        raise fail("Could not process rule: Numerical result out of range", element.span)
    if element.timeout == declared.timeout:
        element.timeout = None
