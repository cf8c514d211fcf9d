"""``flowtable flush``: all flows take the classic path again."""

from __future__ import annotations

import click

from flowtable.cli.ask import ask
from flowtable.cli.rows import ended_line
from flowtable.live.control import EndedRow, Flush


@click.command()
@click.option("--quiet", "-q", is_flag=True, help="Do not list them.")
def flush(quiet: bool) -> None:
    """End all flows. Packets that the rules still want on the fast path bring them back."""
    for row in ask(Flush()):
        if isinstance(row, EndedRow) and not quiet:
            click.echo(ended_line(row))
