"""``flowtable monitor``: what happens to flows, as it happens."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from flowtable.cli.ask import ask
from flowtable.cli.rows import event_line
from flowtable.live.control import Event, Monitor


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def monitor(as_json: bool) -> None:
    """Print flows that are added, refused, or end, with the reason, until interrupted."""
    for event in ask(Monitor()):
        if isinstance(event, Event):
            click.echo(json.dumps(asdict(event)) if as_json else event_line(event))
