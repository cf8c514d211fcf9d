"""What cannot be meant is refused before anything is read or written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowtable.cli.load import STANDARD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def check_sources(sources: Iterable[str]) -> None:
    """Standard input can be read once.

    Raises:
        click.UsageError: several sources are standard input.
    """
    if list(sources).count(STANDARD) > 1:
        raise click.UsageError("Only one of RULESET, BOX and INPUT can be standard input.")


def check_targets(targets: Mapping[str, str | None], sources: Iterable[str], *, as_json: bool) -> None:
    """Listings can share standard output; a capture and a JSON document need it for themselves.

    Args:
        targets: the file of each option, None where the option was not given.
        sources: the files that are read.
        as_json: whether a JSON document goes to standard output as well.

    Raises:
        click.UsageError: they cannot share it, or a file that is read would be overwritten.
    """
    claims = [f"{option} {STANDARD}" for option, path in targets.items() if path == STANDARD]
    if as_json:
        claims.append("--json")
    if len(claims) > 1 and (as_json or targets["--out"] == STANDARD):
        raise click.UsageError(f"{' and '.join(claims)} cannot share standard output.")
    read = [Path(path) for path in sources if path != STANDARD]
    for option, path in targets.items():
        if path and path != STANDARD and Path(path).exists() and any(map(Path(path).samefile, read)):
            raise click.UsageError(f"{option} {path} would overwrite a file that is read.")
