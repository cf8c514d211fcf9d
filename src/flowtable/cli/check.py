"""``flowtable check``: what is wrong with a ruleset, and what it hardly means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from flowtable.cli.findings import Problem, document, sarif
from flowtable.cli.load import STANDARD, load_box, open_ruleset
from flowtable.cli.output import forget, written
from flowtable.cli.ruleset_options import SOURCE, ruleset_options
from flowtable.explain.lints import Subject
from flowtable.explain.lints import check as lint
from flowtable.offload.bindings import OffloadPolicy
from flowtable.router import Box
from flowtable.ruleset import RulesetError

if TYPE_CHECKING:
    from flowtable.topology.topology import Topology


@click.command()
@click.argument("rulesets", metavar="RULESET...", nargs=-1, required=True, type=SOURCE)
@click.option("--box", metavar="BOX", type=SOURCE, help="Box file: also check devices and addresses.")
@click.option("--strict", is_flag=True, help="Warnings are errors.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--sarif", "as_sarif", is_flag=True, help="One SARIF document, for code scanning.")
@ruleset_options
def check(
    rulesets: tuple[str, ...],
    box: str | None,
    strict: bool,
    as_json: bool,
    as_sarif: bool,
    folders: tuple[str, ...],
    defines: tuple[str, ...],
) -> None:
    """Check rulesets without root and without a kernel.

    Errors are what nft or the kernel would refuse. Warnings are what loads and is hardly meant;
    '# flowtable: ignore=ID' on the line, or above it, silences one. The exit code is 1 if there
    are errors.
    """  # fmt: skip
    if as_json and as_sarif:
        raise click.UsageError("--json and --sarif cannot share standard output.")
    if [*rulesets, box].count(STANDARD) > 1:
        raise click.UsageError("Only one of RULESET and BOX can be standard input.")
    topology = load_box(box) if box is not None else None
    problems = [
        problem for path in rulesets for problem in _check(path, topology, folders=folders, defines=defines)
    ]
    failed = any(problem.error or strict for problem in problems)
    with written(STANDARD):
        if as_json or as_sarif:
            content = sarif(problems, strict=strict) if as_sarif else document(problems, strict=strict)
            click.echo(json.dumps(content, indent=2))
        else:
            for problem in problems:
                click.echo(problem.text(strict=strict).encode("utf-8", "surrogateescape"))
    if failed:
        raise click.exceptions.Exit(1)


def _check(
    path: str,
    topology: Topology | None,
    *,
    folders: tuple[str, ...],
    defines: tuple[str, ...],
) -> list[Problem]:
    """Everything that is wrong with one file."""
    try:
        opened = open_ruleset(path, folders=folders, defines=defines)
        outcome = opened.outcome
        if topology is not None:
            # A box file that names no chip does not say that there are none.
            policy = OffloadPolicy.REQUIRE if topology.hardware.chips else OffloadPolicy.PREFER
            Box(topology, outcome.ruleset, offload=policy, transmit=forget)
    except RulesetError as error:
        return [Problem(diagnostic.message, diagnostic.span, diagnostic) for diagnostic in error.diagnostics]
    subject = Subject(outcome.ruleset, outcome.commands, opened.document, topology)
    return [Problem(finding.message, finding.span, lint=finding.lint) for finding in lint(subject)]
