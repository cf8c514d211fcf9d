"""Running all lints, and leaving out what the file says to ignore."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flowtable.explain.lints.catalogue import CATALOGUE
from flowtable.explain.lints.lint import Finding

if TYPE_CHECKING:
    from flowtable.explain.lints.subject import Subject
    from flowtable.ruleset.source import Span

_IGNORE: Final = re.compile(r"#.*\bflowtable:\s*ignore=([a-z0-9,\s-]+)")


def check(subject: Subject) -> list[Finding]:
    """Everything that the lints find, in the order of the places, without what is ignored.

    ``# flowtable: ignore=ID,ID`` stands on the line itself, or alone on the line above.
    """
    findings = [
        Finding(lint, place.span, place.message)
        for lint in CATALOGUE.values()
        for place in lint.find(subject)
        if lint.id not in ignored(place.span)
    ]
    return sorted(
        findings, key=lambda finding: (finding.span.source.name, finding.span.line, finding.span.first)
    )


def ignored(span: Span) -> set[str]:
    """The lints that are ignored at a place."""
    texts = [span.source.line(span.line)]
    if span.line > 1:
        above = span.source.line(span.line - 1)
        if above.lstrip().startswith("#"):
            texts.append(above)
    found = (_IGNORE.search(text) for text in texts)
    return {name.strip() for match in found if match for name in match[1].split(",")}
