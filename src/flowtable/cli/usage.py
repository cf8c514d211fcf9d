"""What cannot be meant is refused before anything is written."""

from __future__ import annotations

from itertools import combinations
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


def check_targets(targets: Mapping[str, str | None], *, as_json: bool) -> None:
    """Listings can share standard output; a capture and a JSON document need it for themselves.

    No two results can share a file.

    Args:
        targets: the file of each option, None where the option was not given.
        as_json: whether a JSON document goes to standard output as well.

    Raises:
        click.UsageError: they cannot share it.
    """
    claims = [f"{option} {STANDARD}" for option, path in targets.items() if path == STANDARD]
    if as_json:
        claims.append("--json")
    if len(claims) > 1 and (as_json or targets["--out"] == STANDARD):
        raise click.UsageError(f"{' and '.join(claims)} cannot share standard output.")
    for (option, path), (other, again) in combinations(_files(targets), 2):
        if _same(path, again):
            raise click.UsageError(f"{option} {path} and {other} {again} are the same file.")


def check_sources_kept(targets: Mapping[str, str | None], sources: Iterable[str]) -> None:
    """What is read is not written over.

    Args:
        targets: the file of each option, None where the option was not given.
        sources: the files that are read.

    Raises:
        click.UsageError: a file that is read would be overwritten.
    """
    read = [path for path in sources if path != STANDARD]
    for option, path in _files(targets):
        if any(_same(path, source) for source in read):
            raise click.UsageError(f"{option} {path} would overwrite a file that is read.")


def _files(targets: Mapping[str, str | None]) -> list[tuple[str, str]]:
    return [(option, path) for option, path in targets.items() if path and path != STANDARD]


def _same(path: str, other: str) -> bool:
    first, second = Path(path), Path(other)
    if first.exists() and second.exists():
        return first.samefile(second)
    return first.resolve() == second.resolve()
