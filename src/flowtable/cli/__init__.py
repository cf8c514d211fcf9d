"""The command line: one module per command, each a thin layer over the packages below."""

from __future__ import annotations

import click

from flowtable.cli.check import check
from flowtable.cli.conntrack import conntrack
from flowtable.cli.devices import devices
from flowtable.cli.doctor import doctor
from flowtable.cli.down import down
from flowtable.cli.flows import flows
from flowtable.cli.flush import flush
from flowtable.cli.fmt import fmt
from flowtable.cli.monitor import monitor
from flowtable.cli.nft import nft
from flowtable.cli.print import print_command
from flowtable.cli.reload import reload
from flowtable.cli.route import route
from flowtable.cli.run import run
from flowtable.cli.snapshot import snapshot
from flowtable.cli.status import status
from flowtable.cli.top import top
from flowtable.cli.up import up


@click.group("flowtable", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="flowtable", message="%(prog)s %(version)s")
def main() -> None:
    """Netfilter's flowtable: a fast path through a router, offline and as a library."""


main.add_command(check)
main.add_command(conntrack)
main.add_command(fmt)
main.add_command(devices)
main.add_command(doctor)
main.add_command(print_command)
main.add_command(route)
main.add_command(run)
main.add_command(snapshot)
main.add_command(down)
main.add_command(flows)
main.add_command(flush)
main.add_command(monitor)
main.add_command(nft)
main.add_command(reload)
main.add_command(status)
main.add_command(top)
main.add_command(up)
