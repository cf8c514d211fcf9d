"""What ``check`` has found, as text in nft's shape, as JSON and as SARIF."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from flowtable.explain.lints import CATALOGUE
from flowtable.ruleset import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowtable.explain.lints import Lint
    from flowtable.ruleset.source import Span

_PAGE: Final = "docs/lints.md"
_SARIF: Final = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(slots=True, frozen=True)
class Problem:
    """An error, or what a lint has found.

    Attributes:
        message: one line.
        span: the place.
        diagnostic: the error, None for a warning.
        lint: the lint, None for an error.
    """

    message: str
    span: Span
    diagnostic: Diagnostic | None = None
    lint: Lint | None = None

    @property
    def error(self) -> bool:
        """Whether the ruleset cannot be loaded because of it."""
        return self.lint is None

    def text(self, *, strict: bool) -> str:
        """The place, the line with carets, and for a warning why it matters."""
        if self.diagnostic is not None:
            return str(self.diagnostic)
        assert self.lint is not None
        label = "Error" if strict else "Warning"
        shown = str(Diagnostic(f"{self.message} [{self.lint.id}]", self.span, label=label))
        return f"{shown}\nwhy: {self.lint.why} ({_PAGE}#{self.lint.id})"

    def level(self, *, strict: bool) -> str:
        """``error`` or ``warning``."""
        return "error" if self.error or strict else "warning"

    def document(self, *, strict: bool) -> dict[str, Any]:
        """All that is known of it."""
        content: dict[str, Any] = {
            "level": self.level(strict=strict),
            "file": self.span.source.name,
            "line": self.span.line,
            "columns": [self.span.first, self.span.last],
            "message": self.message,
        }
        if self.lint is not None:
            content |= {"id": self.lint.id, "why": self.lint.why, "help": f"{_PAGE}#{self.lint.id}"}
        elif self.diagnostic is not None and self.diagnostic.hint is not None:
            content["hint"] = self.diagnostic.hint
        return content


def document(problems: Sequence[Problem], *, strict: bool) -> dict[str, Any]:
    """One JSON document; docs/commands/check.md describes it."""
    errors = sum(problem.error or strict for problem in problems)
    return {
        "errors": errors,
        "warnings": len(problems) - errors,
        "problems": [problem.document(strict=strict) for problem in problems],
    }


def sarif(problems: Sequence[Problem], *, strict: bool) -> dict[str, Any]:
    """One SARIF 2.1.0 document. Ref: OASIS SARIF 2.1.0, section 3.13."""
    used = {problem.lint.id for problem in problems if problem.lint is not None}
    driver = {
        "name": "flowtable",
        "version": version("flowtable"),
        "rules": [
            {"id": lint.id, "shortDescription": {"text": lint.why}, "helpUri": f"{_PAGE}#{lint.id}"}
            for lint in CATALOGUE.values()
            if lint.id in used
        ],
    }
    results = [_result(problem, strict=strict) for problem in problems]
    return {"$schema": _SARIF, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _result(problem: Problem, *, strict: bool) -> dict[str, Any]:
    region = {
        "startLine": problem.span.line,
        "startColumn": problem.span.first,
        "endColumn": problem.span.last + 1,
    }
    location = {"artifactLocation": {"uri": problem.span.source.name}, "region": region}
    return {
        "ruleId": problem.lint.id if problem.lint is not None else "error",
        "level": problem.level(strict=strict),
        "message": {"text": problem.message},
        "locations": [{"physicalLocation": location}],
    }
