"""``flowtable doctor``: what of live mode this host can run."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from flowtable.cli.error import InputError
from flowtable.live.doctor.judge import Level, judge, runs
from flowtable.live.doctor.probe import probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.live.doctor.judge import Finding

_LACKS = 1
_SIGNS = {Level.FINE: "ok", Level.LIMIT: "limit", Level.MISSING: "MISSING"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON document.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Say what of live mode works on this host, and how to get what does not.

    Nothing is loaded or changed. The exit status is 1 if live mode does not run as things are.
    """  # fmt: skip
    try:
        facts = probe()
    except OSError as error:
        raise InputError(f"this host does not say what it is: {error.strerror}") from None
    findings = judge(facts)
    if as_json:
        rows = [{**asdict(finding), "level": finding.level.value} for finding in findings]
        click.echo(json.dumps({"kernel": facts.release, "runs": runs(findings), "findings": rows}, indent=2))
    else:
        click.echo("\n".join(_lines(findings)))
    if not runs(findings):
        ctx.exit(_LACKS)


def _lines(findings: list[Finding]) -> Iterator[str]:
    topics = max(len(finding.topic) for finding in findings)
    signs = max(map(len, _SIGNS.values()))
    for finding in findings:
        yield f"{finding.topic:{topics}}  {_SIGNS[finding.level]:{signs}}  {finding.text}"
        if finding.advice:
            yield f"{'':{topics}}  {'':{signs}}  -> {finding.advice}"
    yield ""
    missing = [finding.text for finding in findings if finding.level is Level.MISSING]
    yield f"Live mode does not run here: {'; '.join(missing)}." if missing else "Live mode runs here."
