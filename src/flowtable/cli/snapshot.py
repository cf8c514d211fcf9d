"""``flowtable snapshot``: the box file of this host."""

from __future__ import annotations

import os
from contextlib import ExitStack

import click

from flowtable.cli.error import InputError
from flowtable.cli.load import STANDARD
from flowtable.cli.output import open_output, write_lines
from flowtable.live.mirror.mirror import Mirror
from flowtable.live.snapshot import services, text
from flowtable.live.snapshot.reduce import reduce


@click.command()
@click.option(
    "--out", metavar="FILE", default=STANDARD, show_default="standard output", help="Where to write it."
)
def snapshot(out: str) -> None:
    """Write the box file of this host: its devices, addresses, rules, routes, neighbours and sysctls.

    It takes no rights, and changes nothing. What a box file cannot say stands in it as a comment.
    """  # fmt: skip
    try:
        with Mirror() as mirror:
            notes = mirror.notes()
            reduce(mirror.topology, services.read())
    except OSError as error:
        raise InputError(f"this host does not say what it is: {error.strerror}") from None
    head = f"This host, Linux {os.uname().release}, as flowtable snapshot saw it."
    with ExitStack() as stack:
        stream = open_output(out, stack)
        write_lines(out, stream, text.snapshot(mirror.topology, [head, *notes]).splitlines())
