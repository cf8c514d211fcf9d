"""``flowtable flows``: what is on the fast path now, and what is not and why."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from flowtable.cli.ask import ask
from flowtable.cli.rows import flow_line, refused_line
from flowtable.live.control import AskFlows, AskRefused, FlowRow, RefusedRow


@click.command()
@click.option("--refused", is_flag=True, help="Connections that the rules want offloaded and that are not.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def flows(refused: bool, as_json: bool) -> None:
    """List the flows that the service of this network namespace has on the fast path."""
    for row in ask(AskRefused() if refused else AskFlows()):
        match row:
            case FlowRow() | RefusedRow() if as_json:
                click.echo(json.dumps(asdict(row)))
            case FlowRow():
                click.echo(flow_line(row))
            case RefusedRow():
                click.echo(refused_line(row))
            case _:
                pass
