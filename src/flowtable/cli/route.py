"""``flowtable route``: the router itself, on live wires."""

from __future__ import annotations

import secrets
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import click

from flowtable.capture.packet_port import PacketPort
from flowtable.capture.port import PortError
from flowtable.capture.tap import TapPort
from flowtable.cli.datapath import DATAPATHS, NATIVE, available
from flowtable.cli.error import InputError
from flowtable.cli.listing import connection_lines, flow_lines
from flowtable.cli.load import load_box, load_ruleset
from flowtable.cli.output import forget, open_output, write_lines
from flowtable.cli.summary import joined, reasons, whole
from flowtable.cli.usage import check_sources, check_targets
from flowtable.cli.wires import Wires
from flowtable.offload.bindings import OffloadPolicy
from flowtable.profile import DEFAULT, PROFILES
from flowtable.router import Box
from flowtable.ruleset import RulesetError
from flowtable.topology.device import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowtable.capture.port import Port
    from flowtable.topology.topology import Topology

_SOURCE = click.Path(exists=True, dir_okay=False, allow_dash=True)
_TARGET = click.Path(dir_okay=False, writable=True, allow_dash=True)


def _named(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Take DEV=INTERFACE apart."""
    named = {}
    for value in values:
        device, equals, interface = value.partition("=")
        if not (device and equals and interface):
            raise click.BadParameter(f"expected DEV=INTERFACE, got {value!r}.", ctx, param)
        named[device] = interface
    return named


@click.command()
@click.argument("ruleset", type=_SOURCE)
@click.option("--box", required=True, metavar="BOX", type=_SOURCE, help="Box file: what the router is.")
@click.option(
    "--port",
    "named",
    metavar="DEV=INTERFACE",
    multiple=True,
    callback=_named,
    help="The interface of device DEV, if its name is another. Repeatable.",
)
@click.option("--tap", is_flag=True, help="Make TAP devices, instead of taking interfaces that are there.")
@click.option(
    "--datapath",
    type=click.Choice(list(DATAPATHS)),
    default=NATIVE,
    show_default=True,
    help="What forwards the packets of flows: C, or Python for comparison.",
)
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    default=DEFAULT.name,
    show_default=True,
    help="Which flowtable the box has.",
)
@click.option("--conntrack", metavar="FILE", type=_TARGET, help="Connections at the end, as conntrack -L.")
@click.option("--flows", metavar="FILE", type=_TARGET, help="Flow entries at the end.")
@click.option("--quiet", "-q", is_flag=True, help="No summary at the end.")
def route(
    ruleset: str,
    box: str,
    named: dict[str, str],
    tap: bool,
    datapath: str,
    profile: str,
    conntrack: str | None,
    flows: str | None,
    quiet: bool,
) -> None:
    """Route between interfaces as the box of BOX with the rules of RULESET, until a signal ends it.

    Every ethernet device of the box is an interface of the same name in this network namespace.
    The kernel takes no part; an ordinary user does it inside of unshare -rn.
    """  # fmt: skip
    targets = {"--flows": flows, "--conntrack": conntrack}
    check_sources([ruleset, box])
    check_targets(targets, as_json=False)
    rules, topology = load_ruleset(ruleset)[0], load_box(box)
    try:
        router = Box(
            topology,
            rules,
            profile=PROFILES[profile],
            datapath=available(datapath),
            offload=OffloadPolicy.PREFER,
            transmit=forget,
            seed=secrets.randbits(64),
        )
    except RulesetError as error:
        raise InputError(str(error)) from None
    with ExitStack() as stack:
        streams = {option: (path, open_output(path, stack)) for option, path in targets.items() if path}
        ports = _open(topology, named, TapPort if tap else PacketPort, stack)
        between = ", ".join(topology.indexes[index].name for index in ports)
        wires = stack.enter_context(closing(Wires(router, ports)))
        wires.run(lambda: click.echo(f"flowtable: routing between {between}", err=True))
        listings: dict[str, Callable[[], Iterable[str]]] = {
            "--flows": lambda: flow_lines(router),
            "--conntrack": lambda: connection_lines(router),
        }
        for option, (path, stream) in streams.items():
            write_lines(path, stream, listings[option]())
    if not quiet:
        lost = sum(port.lost for port in ports.values())
        said = f"frames that could not be sent: {lost:,}" if lost else ""
        click.echo(joined(*whole(router.statistics), said, *reasons(router.statistics)), nl=False)


def _open(
    topology: Topology, named: dict[str, str], kind: Callable[[str, int], Port], stack: ExitStack
) -> dict[int, Port]:
    """The ports of all devices that have a wire, which ``stack`` closes."""
    wired = [d for d in topology.devices.values() if d.kind is DeviceKind.ETHERNET]
    unknown = named.keys() - {device.name for device in wired}
    if unknown:
        has = ", ".join(device.name for device in wired)
        raise click.UsageError(
            f"--port {min(unknown)}: the box has no ethernet device {min(unknown)}, but {has}."
        )
    ports: dict[int, Port] = {}
    for device in wired:
        try:
            port = kind(named.get(device.name, device.name), device.index)
        except PortError as error:
            raise InputError(f"{error.strerror}") from None
        ports[device.index] = stack.enter_context(closing(port))
    return ports
