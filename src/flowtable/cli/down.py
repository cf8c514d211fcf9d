"""``flowtable down``: end the service."""

from __future__ import annotations

import click

from flowtable.cli.ask import ask
from flowtable.live.control import Stop


@click.command()
@click.option("--keep-rules", is_flag=True, help="Leave the rules in the kernel.")
def down(keep_rules: bool) -> None:
    """End the service of this network namespace; packets take the classic path.

    The rules that were there before it came are put back, unless --keep-rules.
    """
    for _ in ask(Stop(keep_rules)):
        pass
