"""``flowtable fmt``: ruleset files laid out in one way."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowtable.cli.error import InputError
from flowtable.cli.load import STANDARD, read
from flowtable.cli.output import written
from flowtable.cli.ruleset_options import SOURCE
from flowtable.cli.text import as_text
from flowtable.ruleset import RulesetError
from flowtable.ruleset.layout import lay_out

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command()
@click.argument("rulesets", metavar="RULESET...", nargs=-1, required=True, type=SOURCE)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
def fmt(rulesets: tuple[str, ...], check: bool, diff: bool) -> None:
    """Lay ruleset files out: tabs, one statement a line, spaces as nft prints them.

    Comments, variables, includes and line breaks in lists stay, and every file means what it
    meant. Files are rewritten in place; - is standard input, laid out on standard output.
    """  # fmt: skip
    changed = [path for path in rulesets if _lay_out(path, dry=check or diff, diff=diff)]
    if check and changed:
        raise InputError("\n".join(f"{path} would change" for path in changed))


def _lay_out(path: str, *, dry: bool, diff: bool) -> bool:
    """Lay one file out; whether that changes it."""
    name = "/dev/stdin" if path == STANDARD else path
    before = as_text(read(path), name)
    try:
        after = lay_out(before, name)
    except RulesetError as error:
        raise InputError(str(error)) from None
    if diff:
        click.echo("".join(_diff(before, after, name)).encode("utf-8", "surrogateescape"), nl=False)
    if not dry and path == STANDARD:
        click.echo(after.encode("utf-8", "surrogateescape"), nl=False)
    elif not dry and after != before:
        with written(path):
            Path(path).write_bytes(after.encode("utf-8", "surrogateescape"))
    return after != before


def _diff(before: str, after: str, name: str) -> Iterator[str]:
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return difflib.unified_diff(old, new, fromfile=name, tofile=name)
