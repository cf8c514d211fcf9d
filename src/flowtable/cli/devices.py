"""``flowtable devices``: which devices to list in a flowtable."""

from __future__ import annotations

import json
from io import StringIO
from ipaddress import ip_address
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.tree import Tree

from flowtable.cli.load import load_box, load_ruleset
from flowtable.cli.ruleset_options import SOURCE, ruleset_options
from flowtable.explain.devices import Finding, Side, look_over, sides
from flowtable.offload.switch.chip import Switch
from flowtable.topology.bond import Bond
from flowtable.topology.bridge import Bridge
from flowtable.topology.dsa import DsaPort
from flowtable.topology.hardware import Feature
from flowtable.topology.pppoe import Pppoe
from flowtable.topology.tunnel import Tunnel
from flowtable.topology.vlan import Vlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flowtable.ruleset.model import Flowtable
    from flowtable.topology.device import Device
    from flowtable.topology.topology import Topology

_WRONG = 1
_PROTOCOLS = {0x8100: "802.1Q", 0x88A8: "802.1ad"}


@click.command()
@click.option("--box", required=True, metavar="BOX", type=SOURCE, help="Box file: what the router is.")
@click.argument("ruleset", type=SOURCE, required=False)
@click.option("--hw", "hardware", is_flag=True, help="The block for flags offload.")
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON document.")
@ruleset_options
@click.pass_context
def devices(
    ctx: click.Context,
    box: str,
    ruleset: str | None,
    hardware: bool,
    as_json: bool,
    folders: tuple[str, ...],
    defines: tuple[str, ...],
) -> None:
    """Say which devices a flowtable of this box has to list, and why.

    With RULESET, say what is wrong with the lists of its flowtables.
    """  # fmt: skip
    topology = load_box(box)
    known = sides(topology)
    rules = None if ruleset is None else load_ruleset(ruleset, folders=folders, defines=defines)[0]
    flowtables = [] if rules is None else list(rules.flowtables())
    found = [(flowtable, look_over(flowtable, topology)) for flowtable in flowtables]
    if as_json:
        click.echo(json.dumps(_document(known, found, topology), indent=2))
    else:
        lines = [*_trees(known), *_advice(known), *_chips(topology), *_findings(found)]
        click.echo("\n".join([*lines, *_block(known, hardware)]))
    if any(findings for _, findings in found):
        ctx.exit(_WRONG)


def _trees(known: Iterable[Side]) -> Iterator[str]:
    """Each routed device on what it stands on."""
    for side in known:
        tree = Tree(_label(side.routed))
        _grow(tree, side.routed)
        out = StringIO()
        Console(file=out, width=200, color_system=None).print(tree, markup=False, highlight=False)
        yield from (line.rstrip() for line in out.getvalue().splitlines())
    yield ""


def _grow(tree: Tree, device: Device) -> None:
    for lower in _below(device):
        _grow(tree.add(_label(lower)), lower)


def _below(device: Device) -> list[Device]:
    match device:
        case Bridge() as bridge:
            return [port.device for port in bridge.ports.values()]
        case Bond() as bond:
            return bond.slaves
        case _:
            return [] if device.lower is None else [device.lower]


def _label(device: Device) -> str:
    own = [f"{ip_address(a.address)}/{a.prefixlen}" for a in device.addresses if a.address[:2] != b"\xfe\x80"]
    return "  ".join([device.name, _kind(device), *own, *([] if device.up else ["DOWN"])])


def _kind(device: Device) -> str:
    match device:
        case Vlan():
            return f"vlan {device.vid} ({_PROTOCOLS[device.protocol]})"
        case Pppoe():
            return f"pppoe session {device.session}"
        case Bridge():
            return "bridge, VLAN filtering" if device.vlan_filtering else "bridge"
        case DsaPort():
            return f"dsa port {device.port}"
        case Bond():
            return f"bond {device.mode.value}"
        case Tunnel():
            ends = f"{ip_address(device.local)} -> {ip_address(device.remote)}"
            return f"{device.kind.value} {ends}"
        case _:
            return device.kind.value


def _advice(known: Sequence[Side]) -> Iterator[str]:
    rows = [("routed", "list", "in hardware", "why")]
    rows += [
        (side.routed.name, _names(side.software) or "-", _names(side.hardware) or "-", side.why)
        for side in known
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[3]])
    yield ""


def _chips(topology: Topology) -> Iterator[str]:
    """What the hardware of the box can do."""
    for chip in topology.hardware.chips:
        can = Switch(chip).capabilities
        lacks = ", ".join(each.value for each in Feature if each in can.lacks)
        facts = [f"{can.entries:,} entries" if can.entries is not None else "", *can.notes]
        facts += [] if can.counters else ["no counters"]
        yield f"chip {chip.name} on {', '.join(port.name for port in chip.ports)}"
        yield f"  {'; '.join(fact for fact in facts if fact)}"
        yield f"  lacks {lacks}" if lacks else "  lacks nothing"
    if topology.hardware.chips:
        yield ""


def _findings(found: Iterable[tuple[Flowtable, list[Finding]]]) -> Iterator[str]:
    for flowtable, findings in found:
        name = f"flowtable {flowtable.family.value} {flowtable.table} {flowtable.name}"
        if not findings:
            yield f"{name}: nothing to say against its list"
        for finding in findings:
            yield f"{name}: {finding.text} [{finding.mistake.value}]"
        yield ""


def _block(known: Sequence[Side], hardware: bool) -> Iterator[str]:
    chosen = dict.fromkeys(
        port.name for side in known for port in (side.hardware if hardware else side.software)
    )
    yield "flowtable f {"
    yield "\thook ingress priority filter"
    yield f"\tdevices = {{ {', '.join(_quoted(name) for name in chosen)} }}"
    if hardware:
        yield "\tflags offload"
    yield "\tcounter"
    yield "}"


def _quoted(name: str) -> str:
    """As nft takes it: names that begin with a digit, or hold anything unusual, in quotes."""
    plain = name[0].isalpha() and all(c.isalnum() or c in "-_./" for c in name)
    return name if plain and name.isascii() else f'"{name}"'


def _names(devices: Iterable[Device]) -> str:
    return ", ".join(device.name for device in devices)


def _document(
    known: Iterable[Side], found: Iterable[tuple[Flowtable, list[Finding]]], topology: Topology
) -> dict[str, object]:
    return {
        "sides": [
            {
                "routed": side.routed.name,
                "software": [device.name for device in side.software],
                "hardware": [device.name for device in side.hardware],
                "why": side.why,
            }
            for side in known
        ],
        "chips": [
            {
                "name": chip.name,
                "ports": [port.name for port in chip.ports],
                "entries": chip.model.entries,
                "counters": chip.model.counters,
                "lacks": [each.value for each in Feature if each in chip.model.lacks],
                "notes": list(Switch(chip).capabilities.notes),
            }
            for chip in topology.hardware.chips
        ],
        "flowtables": [
            {
                "family": flowtable.family.value,
                "table": flowtable.table,
                "name": flowtable.name,
                "findings": [
                    {"id": finding.mistake.value, "device": finding.device, "text": finding.text}
                    for finding in findings
                ],
            }
            for flowtable, findings in found
        ],
    }
