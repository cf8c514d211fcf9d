"""``flowtable reload``: the service takes over a ruleset that was changed."""

from __future__ import annotations

from pathlib import Path

import click

from flowtable.cli.ask import ask
from flowtable.cli.rows import ended_line
from flowtable.live.control import EndedRow, Reload


@click.command()
@click.option(
    "--file",
    "-f",
    "path",
    metavar="RULESET",
    type=click.Path(exists=True, dir_okay=False),
    help="Another file than the one that is loaded.",
)
def reload(path: str | None) -> None:
    """Load the ruleset again, and list the flows that end by it.

    Flows that the new rules allow the same way keep running.
    """
    for row in ask(Reload(str(Path(path).resolve()) if path else None)):
        if isinstance(row, EndedRow):
            click.echo(ended_line(row))
