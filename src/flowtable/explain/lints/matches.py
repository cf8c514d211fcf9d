"""Matches that do not say what they seem to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.explain.lints.lint import Lint, Place
from flowtable.explain.lints.rules import matches, selectors
from flowtable.ruleset.expressions.bitwise import Bitwise
from flowtable.ruleset.expressions.collection import AnonymousSet, NamedSet
from flowtable.ruleset.expressions.ct import Ct
from flowtable.ruleset.expressions.meta import Meta
from flowtable.ruleset.expressions.payload import Payload
from flowtable.ruleset.statements.match import Match, Operator
from flowtable.ruleset.statements.vmap import VerdictMap
from flowtable.ruleset.types import CT_STATE, CT_STATUS, TCP_FLAG
from flowtable.ruleset.types.flags import Flags
from flowtable.ruleset.values import Exact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.explain.lints.subject import Spot, Subject


def _negation(subject: Subject, spot: Spot) -> Iterator[Place]:
    for match in matches(spot.rule):
        datatype, right = match.left.datatype, match.right
        if match.operator is not Operator.NE or isinstance(match.left, Bitwise):
            continue
        if (
            not isinstance(datatype, Flags)
            or not isinstance(right, Exact)
            or not isinstance(right.value, int)
        ):
            continue
        several = len(datatype.split(right.value)) > 1
        if (datatype is CT_STATUS and right.value) or (datatype is CT_STATE and several):
            flags = ",".join(datatype.split(right.value))
            message = f"this compares the whole value, so nearly always holds; '! {flags}' is none of them"
            yield Place(match.span, message)


def _exact(subject: Subject, spot: Spot) -> Iterator[Place]:
    for statement in spot.rule.statements:
        if isinstance(statement, Match) and isinstance(statement.right, AnonymousSet | NamedSet):
            left = statement.left
        elif isinstance(statement, VerdictMap):
            left = statement.selector
        else:
            continue
        if left.datatype in (TCP_FLAG, CT_STATUS) and not isinstance(left, Bitwise):
            message = f"a set holds whole values: '{left.text()}' has several flags at once"
            yield Place(statement.span, message)


def _precedence(subject: Subject, spot: Spot) -> Iterator[Place]:
    for match in matches(spot.rule):
        left = match.left
        if isinstance(left, Bitwise) and left.datatype is TCP_FLAG and left.flip:
            message = f"this is read as '{match.text()}'; put the mask in parentheses"
            yield Place(match.span, message)


def _unguarded(subject: Subject, spot: Spot) -> Iterator[Place]:
    guarded = False
    for selector, statement in selectors(spot.rule):
        if (isinstance(selector, Meta) and selector.key == "l4proto") or (
            isinstance(selector, Payload) and selector.name in ("protocol", "nexthdr")
        ):
            guarded = True
        elif isinstance(selector, Payload) and selector.of.name == "th" and not guarded:
            yield Place(
                statement.span, "this reads any protocol's bytes; match 'meta l4proto' in front of it"
            )
            break


def _by_index(subject: Subject, spot: Spot) -> Iterator[Place]:
    for selector, statement in selectors(spot.rule):
        if isinstance(selector, Meta) and selector.key in ("iif", "oif") and _names(statement):
            message = f"'{selector.key}' means the device that has the name when the rules are loaded"
            yield Place(statement.span, message)


def _names(statement: object) -> bool:
    """Whether a device other than the loopback one, which is always there, is named."""
    if not isinstance(statement, Match):
        return True
    if isinstance(statement.right, Exact):
        return isinstance(statement.right.value, str) and statement.right.value != "lo"
    return True


def _accounting(subject: Subject, spot: Spot) -> Iterator[Place]:
    topology = subject.topology
    if topology is not None and topology.sysctls.nf_conntrack_acct:
        return
    known = "may be" if topology is None else "is"
    for selector, statement in selectors(spot.rule):
        if isinstance(selector, Ct) and selector.key in ("packets", "bytes", "avgpkt"):
            message = f"without net.netfilter.nf_conntrack_acct=1, which {known} off, it reads 0"
            yield Place(statement.span, message)


LINTS: Final = (
    Lint(
        "whole-value-negation", "'!=' compares all flags at once; '!' says that none is set", look=_negation
    ),
    Lint("exact-flags", "a look-up compares the whole value, where one flag is meant", look=_exact),
    Lint(
        "flags-precedence",
        "'&' binds tighter than '|', so the mask is not what it looks like",
        look=_precedence,
    ),
    Lint("th-unguarded", "the first bytes of GRE, ESP or ICMP are taken for ports", look=_unguarded),
    Lint("device-index", "a device that is missing at boot, or made anew, does not match", look=_by_index),
    Lint(
        "ct-accounting",
        "a gate on packets or bytes of a connection never opens without accounting",
        look=_accounting,
    ),
)
