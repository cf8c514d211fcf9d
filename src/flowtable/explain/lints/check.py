"""Running all lints, and leaving out what the file says to ignore."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flowtable.explain.lints.catalogue import CATALOGUE
from flowtable.explain.lints.lint import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.explain.lints.lint import Lint, Look
    from flowtable.explain.lints.subject import Subject
    from flowtable.ruleset.source import Span

_ORDER: Final = {name: number for number, name in enumerate(CATALOGUE)}
_IGNORE: Final = re.compile(r"#.*\bflowtable:\s*ignore=([a-z0-9,\s-]+)")


def check(subject: Subject) -> list[Finding]:
    """Everything that the lints find, in the order of the places, without what is ignored.

    ``# flowtable: ignore=ID,ID`` stands on the line itself, or alone on the line above.
    """
    findings = [finding for finding in _found(subject) if finding.lint.id not in ignored(finding.span)]
    return sorted(findings, key=_place)


def _found(subject: Subject) -> Iterator[Finding]:
    looking: list[tuple[Lint, Look]] = []
    for lint in CATALOGUE.values():
        if lint.look is not None:
            looking.append((lint, lint.look))
        if lint.find is not None:
            yield from (Finding(lint, *place) for place in lint.find(subject))
    for spot in subject.spots():
        for lint, look in looking:
            for place in look(subject, spot):
                yield Finding(lint, *place)


def _place(finding: Finding) -> tuple[str, int, int, int]:
    """What findings are sorted by; in one place, as the catalogue has their lints."""
    span = finding.span
    return span.source.name, span.line, span.first, _ORDER[finding.lint.id]


def ignored(span: Span) -> set[str]:
    """The lints that are ignored at a place."""
    texts = [span.source.line(span.line)]
    if span.line > 1:
        above = span.source.line(span.line - 1)
        if above.lstrip().startswith("#"):
            texts.append(above)
    found = (_IGNORE.search(text) for text in texts)
    return {name.strip() for match in found if match for name in match[1].split(",")}
