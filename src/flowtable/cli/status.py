"""``flowtable status``: how the service is."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from flowtable.cli.ask import ask
from flowtable.live.control import AskStatus, Status

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def status(as_json: bool) -> None:
    """Say how the service of this network namespace is."""
    for answer in ask(AskStatus()):
        if isinstance(answer, Status):
            click.echo(json.dumps(asdict(answer), indent=2) if as_json else "\n".join(_lines(answer)))


def _lines(status: Status) -> Iterator[str]:
    yield f"service   {status.version}, mode {status.mode}, process {status.pid}, up {status.uptime:.0f} s"
    yield f"ruleset   {status.ruleset or 'none'}"
    for table in status.flowtables:
        flags = "".join((" counter" * table.counter, " offload" * table.offload))
        yield (
            f"flowtable {table.family} {table.table} {table.name}{flags}:"
            f" {table.flows} flows, devices {', '.join(table.devices) or 'none'}"
        )
    for device in status.devices:
        yield f"device    {device.name}: {device.where or 'classic path only'}" + (
            f" ({device.trouble})" if device.trouble else ""
        )
    yield f"flows     {status.flows} of {status.capacity}; {status.added} added so far"
    yield f"refused   {status.refused}"
    for count in status.refusals:
        yield f"refused   {count.count} {count.name}: {count.text}"
    for count in status.ended:
        yield f"ended     {count.count} {count.name}: {count.text}"
    for count in status.packets:
        yield f"packets   {count.count} {count.name}: {count.text}"
    if status.overruns:
        yield f"overruns  {status.overruns}: the kernel had more to say than was read, and all was read anew"
    for trouble in status.troubles:
        yield f"trouble   {trouble}"
