"""The command line: one module per command, each a thin layer over the packages below."""

from __future__ import annotations

import click

from flowtable.cli.check import check
from flowtable.cli.devices import devices
from flowtable.cli.fmt import fmt
from flowtable.cli.print import print_command
from flowtable.cli.run import run
from flowtable.cli.snapshot import snapshot


@click.group("flowtable", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="flowtable", message="%(prog)s %(version)s")
def main() -> None:
    """Netfilter's flowtable: a fast path through a router, offline and as a library."""


main.add_command(check)
main.add_command(fmt)
main.add_command(devices)
main.add_command(print_command)
main.add_command(run)
main.add_command(snapshot)
