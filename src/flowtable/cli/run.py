"""``flowtable run``: a capture goes through the box."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from itertools import chain
from math import isfinite
from typing import TYPE_CHECKING

import click

from flowtable.cli.agenda import Agenda, load_events
from flowtable.cli.comparison import Comparison
from flowtable.cli.datapath import DATAPATHS, NATIVE, REFERENCE, available
from flowtable.cli.document import document
from flowtable.cli.error import InputError
from flowtable.cli.hardware import HardwareReport
from flowtable.cli.inputs import Input, Inputs, not_on_wire, wires
from flowtable.cli.listing import connection_lines, ended_line, flow_lines
from flowtable.cli.load import STANDARD, load_box, load_ruleset
from flowtable.cli.output import forget, open_outlet, open_output, write_lines, written
from flowtable.cli.progress import watched, watched_stretches
from flowtable.cli.replay import Tally, replay, replay_stretches, sampled
from flowtable.cli.report import Report
from flowtable.cli.summary import summarise
from flowtable.cli.usage import check_sources, check_sources_kept, check_targets
from flowtable.clock import SECOND
from flowtable.events import EventError
from flowtable.explain.plot import page
from flowtable.explain.timeline import Timeline
from flowtable.flows.capacity import Capacity
from flowtable.offload.bindings import OffloadPolicy
from flowtable.profile import DEFAULT, PROFILES
from flowtable.router import Box
from flowtable.ruleset import RulesetError, print_ruleset
from flowtable.ruleset.style import Style, styled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flowtable.flows.entry import FlowEntry
    from flowtable.flows.teardown import Teardown
    from flowtable.topology.topology import Topology

_SOURCE = click.Path(exists=True, dir_okay=False, allow_dash=True)
_DIFFERENT = 3
"""Exit status where ``--compare`` found a difference."""
_TARGET = click.Path(dir_okay=False, writable=True, allow_dash=True)


def _device_files(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[Input, ...]:
    """Take DEV=FILE apart."""
    named = []
    for value in values:
        device, equals, path = value.partition("=")
        if not (device and equals and path):
            raise click.BadParameter(f"expected DEV=FILE, got {value!r}.", ctx, param)
        named.append(Input(str(_SOURCE.convert(path, param, ctx)), device))
    return tuple(named)


def _finite(ctx: click.Context, param: click.Parameter, value: float) -> float:
    if not isfinite(value):
        raise click.BadParameter(f"{value} is no number of seconds.", ctx, param)
    return value


@click.command()
@click.argument("ruleset", type=_SOURCE)
@click.option("--box", required=True, metavar="BOX", type=_SOURCE, help="Box file: what the router is.")
@click.argument("inputs", metavar="INPUT...", nargs=-1, type=_SOURCE)
@click.option(
    "--in",
    "named",
    metavar="DEV=FILE",
    multiple=True,
    callback=_device_files,
    help="A capture on device DEV, whatever interfaces it names itself. Repeatable.",
)
@click.option("--events", metavar="FILE", type=_SOURCE, help="What happens to the box meanwhile.")
@click.option("--out", metavar="FILE", type=_TARGET, help="Capture of the frames that leave the box.")
@click.option("--conntrack", metavar="FILE", type=_TARGET, help="Connections at the end, as conntrack -L.")
@click.option("--flows", metavar="FILE", type=_TARGET, help="Flow entries at the end.")
@click.option("--ended", is_flag=True, help="List in --flows also the flow entries that ended.")
@click.option("--ruleset-out", metavar="FILE", type=_TARGET, help="The ruleset with its counters.")
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    default=DEFAULT.name,
    show_default=True,
    help="Which flowtable the box has.",
)
@click.option(
    "--datapath",
    type=click.Choice(list(DATAPATHS)),
    default=NATIVE,
    show_default=True,
    help="What forwards the packets of flows: C, or Python for comparison.",
)
@click.option(
    "--offload",
    type=click.Choice([policy.value for policy in OffloadPolicy]),
    default=OffloadPolicy.REQUIRE.value,
    show_default=True,
    help="What 'flags offload' comes to on devices without hardware.",
)
@click.option(
    "--capacity",
    metavar="FLOWS",
    type=click.IntRange(min=1),
    help="For how many flows each flowtable has room; as many as come, if not given.",
)
@click.option("--evict", is_flag=True, help="A flow too many ends the one that was idle for longest.")
@click.option(
    "--settle",
    metavar="SECONDS",
    type=click.FloatRange(0, 10**9),
    default=0.0,
    callback=_finite,
    help="Let that much time pass after the last packet.",
)
@click.option(
    "--opaque",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="What becomes of packets that reach a rule that cannot be evaluated.",
)
@click.option("--report", metavar="FILE", type=_TARGET, help="A page with the run in the course of time.")
@click.option("--compare", is_flag=True, help="Hold what is sent against what the capture has.")
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON document.")
@click.option("--quiet", "-q", is_flag=True, help="No summary and no progress bar.")
def run(
    ruleset: str,
    box: str,
    inputs: tuple[str, ...],
    named: tuple[Input, ...],
    events: str | None,
    out: str | None,
    conntrack: str | None,
    flows: str | None,
    ended: bool,
    ruleset_out: str | None,
    profile: str,
    datapath: str,
    offload: str,
    capacity: int | None,
    evict: bool,
    settle: float,
    opaque: str,
    report: str | None,
    compare: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Send captured packets through a box with the rules of RULESET.

    INPUT is pcapng whose interfaces are named as the devices of the box; --in takes any
    capture for one device. A file named - is standard input or output.
    """  # fmt: skip
    captures = [*map(Input, inputs), *named]
    sources = [ruleset, box, *([events] if events else []), *(each.path for each in captures)]
    texts = {"--ruleset-out": ruleset_out, "--flows": flows, "--conntrack": conntrack, "--report": report}
    if not captures:
        raise click.UsageError("No captures: give INPUT... or --in DEV=FILE.")
    if ended and not flows:
        raise click.UsageError("--ended says what --flows lists; give both.")
    if evict and capacity is None:
        raise click.UsageError("--evict says what happens beyond --capacity; give both.")
    check_sources(sources)
    targets = {"--out": out, **texts}
    check_targets(targets, as_json=as_json)

    (rules, included), topology = load_ruleset(ruleset), load_box(box)
    agenda = Agenda(load_events(events, topology, rules) if events else [])
    check_sources_kept(targets, [*sources, *included])
    _check_devices(named, topology)
    past: list[str] = []
    tally = Tally()
    comparison = Comparison(topology) if compare else None

    def remember(entry: FlowEntry, reason: Teardown, now: int) -> None:
        past.append(ended_line(entry, reason, now))

    flow_ended = remember if ended else None
    forwards = available(datapath)
    try:
        router = Box(
            topology,
            rules,
            profile=PROFILES[profile],
            datapath=forwards,
            transmit=forget,
            offload=OffloadPolicy(offload),
            capacity=None if capacity is None else Capacity(capacity, evicts=evict),
            flow_ended=flow_ended,
            skip_opaque=opaque == "skip",
        )
    except RulesetError as error:
        raise InputError(str(error)) from None
    with ExitStack() as stack:
        opened = Inputs.open(captures, topology.devices, stack)
        streams = {option: (path, open_output(path, stack)) for option, path in texts.items() if path}
        outlet = open_outlet(out, topology, stack)
        with_bar = sys.stderr.isatty() and not quiet
        settled = round(settle * SECOND)
        timeline = Timeline(router)
        try:
            if comparison is None and not report and forwards is not DATAPATHS[REFERENCE]:
                router.transmit, router.transmit_many = outlet
                parts = watched_stretches(opened) if with_bar else opened.stretches()
                parts = stack.enter_context(closing(parts))
                replay_stretches(router, parts, tally, agenda, settle=settled)
            else:
                router.transmit = outlet.transmit if comparison is None else comparison.watch(outlet.transmit)
                records = stack.enter_context(closing(watched(opened) if with_bar else opened.records()))
                if report:
                    records = stack.enter_context(closing(sampled(records, timeline)))
                replay(router, records, tally, agenda, settle=settled, comparison=comparison)
        except EventError as error:
            raise InputError(str(error)) from None
        timeline.finish(router.now)
        result = Report(
            ruleset,
            box,
            PROFILES[profile],
            opened,
            tally,
            router.statistics,
            HardwareReport.of(router),
            comparison,
        )
        listings: dict[str, Callable[[], Iterable[str]]] = {
            "--ruleset-out": lambda: _listing(router).splitlines(),
            "--flows": lambda: chain(flow_lines(router), past),
            "--conntrack": lambda: connection_lines(router),
            "--report": lambda: page(ruleset, timeline.samples, summarise(result)).splitlines(),
        }
        for option, (path, stream) in streams.items():
            write_lines(path, stream, listings[option]())

    if not quiet:
        with written(STANDARD):
            click.echo(document(result) if as_json else summarise(result), nl=False, err=out == STANDARD)
    if opened.errors:
        raise InputError("\n".join(opened.errors))
    if comparison is not None and comparison.differences():
        sys.exit(_DIFFERENT)


def _listing(router: Box) -> str:
    """The rules of a box, which knows its devices by their indexes."""
    names = {device.index: device.name for device in router.topology.devices.values()}
    with styled(Style(devices=names)):
        return print_ruleset(router.ruleset, now=router.now)


def _check_devices(named: Sequence[Input], topology: Topology) -> None:
    for path, name in named:
        device = topology.devices.get(name or "")
        if device is None:
            has = ", ".join(wires(topology.devices))
            raise click.UsageError(f"--in {name}={path}: the box has no device {name}, but {has}.")
        if not device.on_wire:
            raise click.UsageError(f"--in {name}={path}: {not_on_wire(device)}.")
