"""``flowtable up``: the service of this network namespace."""

from __future__ import annotations

from pathlib import Path

import click

from flowtable.cli.error import InputError
from flowtable.datapath.bpf import BpfError
from flowtable.datapath.xdp import CAPACITY
from flowtable.live.client import ServiceError
from flowtable.live.devices import Choice
from flowtable.live.garbage import collect_rarely
from flowtable.live.load import LoadError
from flowtable.live.loop import Loop
from flowtable.live.mark import Carrier
from flowtable.live.place import HeldError
from flowtable.live.service import Options, Service
from flowtable.live.spawn import spawn

_LAST_PORT = 65535


def _address(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, int] | None:
    """Take HOST:PORT apart."""
    if value is None:
        return None
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > _LAST_PORT:
        raise click.BadParameter(f"expected HOST:PORT, got {value!r}.", ctx, param)
    return host.removeprefix("[").removesuffix("]"), int(port)


@click.command()
@click.option(
    "--file",
    "-f",
    "path",
    metavar="RULESET",
    type=click.Path(exists=True, dir_okay=False),
    help="The rules to load, as nft -f takes them, flowtables and all.",
)
@click.option("--no-rules", is_flag=True, help="Load no rules: take the flowtables of those that are there.")
@click.option(
    "--xdp",
    type=click.Choice([choice.value for choice in Choice]),
    default=Choice.AUTO.value,
    show_default=True,
    help="Where the fast path runs on the devices; off is at ingress of traffic control.",
)
@click.option(
    "--capacity",
    metavar="FLOWS",
    type=click.IntRange(1, 1 << 22),
    default=CAPACITY,
    show_default=True,
    help="For how many flows there is room.",
)
@click.option(
    "--carrier",
    type=click.Choice([carrier.value for carrier in Carrier]),
    default=Carrier.LABEL.value,
    show_default=True,
    help="Where rules mark connections for the service: a bit of their labels, or of their mark.",
)
@click.option(
    "--metrics",
    metavar="ADDRESS",
    callback=_address,
    help="Hand out metrics for Prometheus there: HOST:PORT, or :PORT for every address.",
)
@click.option("--detach", "-d", is_flag=True, help="Go on in the background once it serves.")
def up(
    path: str | None,
    no_rules: bool,
    xdp: str,
    capacity: int,
    carrier: str,
    metrics: tuple[str, int] | None,
    detach: bool,
) -> None:
    """Load RULESET and keep the connections that its rules offload on the fast path.

    Runs until it is told to end: by flowtable down, or by a signal. Then packets take the
    classic path, and the rules that were there before are put back.
    """
    if (path is None) != no_rules:
        raise click.UsageError("Give a ruleset with -f, or --no-rules.")
    if detach:
        arguments = [
            "--no-rules" if path is None else f"--file={path}",
            f"--xdp={xdp}",
            f"--capacity={capacity}",
            f"--carrier={carrier}",
        ]
        if metrics is not None:
            arguments.append(f"--metrics=[{metrics[0]}]:{metrics[1]}")
        _spawn(*arguments)
    else:
        ruleset = None if path is None else Path(path).resolve()
        _serve(Options(ruleset, Choice(xdp), capacity, Carrier(carrier)), metrics)


def _spawn(*arguments: str) -> None:
    try:
        spawn(*arguments)
    except ServiceError as error:
        raise InputError(str(error)) from None


def _serve(options: Options, metrics: tuple[str, int] | None) -> None:
    try:
        loop = Loop(Service(options), metrics)
        collect_rarely()
        loop.run()
    except (HeldError, LoadError) as error:
        raise InputError(str(error)) from None
    except BpfError as error:
        raise InputError(f"the kernel does not take the fast path: {error.strerror or error}") from None
    except OSError as error:
        raise InputError(f"the kernel refuses: {error.strerror or error}") from None
