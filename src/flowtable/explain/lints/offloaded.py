"""What rules expect of packets that take the fast path, and so do not come by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.explain.lints.lint import Lint, Place
from flowtable.explain.lints.rules import selectors
from flowtable.ruleset.expressions.ct import Ct
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.objects import ObjectKind
from flowtable.ruleset.statements.assign import Assign
from flowtable.ruleset.statements.flow import FlowAdd
from flowtable.ruleset.statements.limit import Limit
from flowtable.ruleset.statements.quota import Quota
from flowtable.ruleset.statements.reference import ObjectReference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.explain.lints.subject import Spot, Subject

_PASSED_BY: Final = frozenset((Hook.FORWARD, Hook.POSTROUTING))
"""Hooks that packets of an offloaded flow do not pass, and forwarded ones do."""
_CHANGES: Final = ("ip dscp set", "ip6 dscp set", "ip ttl set", "ip6 hoplimit set", "meta priority set")


def _helper(subject: Subject, spot: Spot) -> Iterator[Place]:
    if not subject.offloads:
        return
    for statement in spot.rule.statements:
        if isinstance(statement, ObjectReference) and statement.kind is ObjectKind.CT_HELPER:
            yield Place(statement.span, "connections that get a helper here are never offloaded")


def _changed(subject: Subject, spot: Spot) -> Iterator[Place]:
    if not subject.offloads or not subject.hooks(spot) & _PASSED_BY or subject.in_nat(spot):
        return
    for statement in spot.rule.statements:
        word = next((word for word in _CHANGES if statement.text().startswith(word)), None)
        if word is not None:
            yield Place(statement.span, f"'{word}' is not done to packets of offloaded flows")


def _limited(subject: Subject, spot: Spot) -> Iterator[Place]:
    if not subject.offloads or not subject.hooks(spot) & _PASSED_BY or subject.in_nat(spot):
        return
    for statement in spot.rule.statements:
        if isinstance(statement, Quota) or (isinstance(statement, Limit) and statement.by_bytes):
            message = f"'{statement.text(stateless=True)}' does not see the bytes of offloaded flows"
            yield Place(statement.span, message)
        elif isinstance(statement, ObjectReference) and statement.kind is ObjectKind.QUOTA:
            message = f"quota '{statement.name}' does not see the bytes of offloaded flows"
            yield Place(statement.span, message)


def _uncounted(subject: Subject, spot: Spot) -> Iterator[Place]:
    """Counts of connections are read, and flowtables do not keep them up."""
    silent = [flowtable for _, flowtable in subject.flowtables() if not flowtable.counter]
    if not silent:
        return
    for selector, statement in selectors(spot.rule):
        if isinstance(selector, Ct) and selector.key in ("packets", "bytes", "avgpkt"):
            names = ", ".join(f"'{flowtable.name}'" for flowtable in silent)
            message = f"once a connection is offloaded this stands still: no 'counter' in flowtable {names}"
            yield Place(statement.span, message)


def _late_mark(subject: Subject) -> Iterator[Place]:
    for spot, _ in subject.flow_spots():
        rules = spot.chain.rules
        behind = rules[rules.index(spot.rule) :]
        for rule in behind:
            started = rule is not spot.rule
            for statement in rule.statements:
                if isinstance(statement, FlowAdd):
                    started = True
                elif started and isinstance(statement, Assign) and statement.target.text().endswith("mark"):
                    message = (
                        f"'{statement.target.text()}' is set behind 'flow add': the way is chosen by then"
                    )
                    yield Place(statement.span, message)
        break


LINTS: Final = (
    Lint("helper-offload", "flow add refuses connections with a helper, intended or not", look=_helper),
    Lint(
        "change-offload",
        "only packets on the classic path are changed: the first ones of a flow",
        look=_changed,
    ),
    Lint("limit-offload", "a shaper or quota that the fast path goes around does not hold", look=_limited),
    Lint(
        "flowtable-counter",
        "the fast path accounts connections only with 'counter' in the flowtable",
        look=_uncounted,
    ),
    Lint(
        "late-mark",
        "the route of a flow is fixed when it is added; marks for policy routing come before",
        _late_mark,
    ),
)
