"""``rules``: what ``ip rule`` prints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.boxfile import text
from flowtable.topology.boxfile.common import U32
from flowtable.topology.boxfile.document import Scalar
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, Section, UnreadableError
from flowtable.topology.boxfile.routes import destination, table, table_name
from flowtable.topology.device import check_name
from flowtable.topology.error import TopologyError
from flowtable.topology.fib import Fib
from flowtable.topology.rule import L3MDEV, STANDARD, Network, Rule, RuleAction
from flowtable.topology.topology import Topology
from flowtable.topology.vrf import Vrf

_KEYS: Final = (
    "priority",
    "family",
    "from",
    "to",
    "iif",
    "oif",
    "fwmark",
    "table",
    "l3mdev",
    "action",
    "not",
    "suppress_prefixlength",
)
_FAMILIES: Final = {"inet": IPV4, "inet6": IPV6}
_ACTIONS: Final = {
    action.value: action for action in (RuleAction.BLACKHOLE, RuleAction.UNREACHABLE, RuleAction.PROHIBIT)
}
_ALL: Final = ("all", "any", "default")
_MARK: Final = re.compile(r"(0x[0-9a-fA-F]{1,8}|[0-9]{1,10})(?:/(0x[0-9a-fA-F]{1,8}|[0-9]{1,10}))?")


def read(field: Field, draft: Draft) -> None:
    """Add the rules to the standard ones; in place of all where some of these are in the list."""
    rules: dict[int, list[tuple[Field, Rule]]] = {IPV4: [], IPV6: []}
    for item in field.items():
        try:
            family, rule = read_rule(item)
        except UnreadableError:
            continue
        rules[family].append((item, rule))
    for family, stated in rules.items():
        fib = draft.topology.fib(family)
        if any(rule in STANDARD for _, rule in stated):
            for known in list(fib.rules):
                fib.remove_rule(known)
        for item, rule in stated:
            try:
                fib.add_rule(rule)
            except TopologyError as error:
                item.note(str(error))


def read_rule(item: Field) -> tuple[int, Rule]:
    """One rule, not added yet, and its family.

    Raises:
        UnreadableError: it is not valid, which is noted.
    """
    section = item.section(_KEYS)
    priority = section.need("priority", lambda f: f.integer(0, U32))
    source = section.get("from", _network, None)
    to = section.get("to", _network, None)
    mark, mask = section.get("fwmark", _mark, (0, 0))
    rule = Rule(
        priority or 0,
        section.get("action", lambda f: f.choice(_ACTIONS), RuleAction.LOOKUP),
        section.get("table", table, 0),
        source,
        to,
        section.get("iif", _device, None),
        section.get("oif", _device, None),
        mark,
        mask,
        section.get("l3mdev", Field.boolean, False),
        section.get("not", Field.boolean, False),
        section.get("suppress_prefixlength", lambda f: f.integer(0, 128), None),
    )
    family = _family(section, source, to)
    if not section.sound:
        raise UnreadableError
    stated = [key for key in ("table", "action") if key in section] + ["l3mdev"] * rule.l3mdev
    if len(stated) != 1:
        raise item.fail(f"expected one of table, action and l3mdev, got {len(stated)}")
    return family, rule


def _family(section: Section, source: Network | None, to: Network | None) -> int:
    """The family of the addresses; without any what is said, IPv4 like ``ip rule``."""
    told = {len(network[0]) for network in (source, to) if network is not None}
    if len(told) > 1:
        section.at("to").note("of another family than from")
        section.sound = False
    family = IPV6 if told == {16} else IPV4
    said = section.get("family", lambda f: f.choice(_FAMILIES), family)
    if told and said != family:
        section.at("family").note("of another family than the addresses")
        section.sound = False
    return said


def _network(field: Field) -> Network | None:
    return None if field.text() in _ALL else destination(field)


def _device(field: Field) -> str:
    """A device's name. The rule may be there before the device is."""
    name = field.text()
    try:
        check_name(name)
    except TopologyError as error:
        raise field.fail(str(error)) from None
    return name


def _mark(field: Field) -> tuple[int, int]:
    node = field.node
    match = _MARK.fullmatch(node.text) if isinstance(node, Scalar) else None
    mark, mask = (int(match[1], 0), int(match[2], 0) if match[2] else U32) if match else (U32 + 1, 0)
    if mark > U32 or mask > U32:
        raise field.fail(f"expected a mark like 0x1 or 0x1/0xff, got {node}")
    return mark, mask


def write(topology: Topology) -> Iterator[str]:
    """The section's lines: the rules besides the standard ones, all if some of those are not there."""
    vrfs = any(isinstance(device, Vrf) for device in topology.devices.values())
    lines = [line for fib in (topology.fib4, topology.fib6) for line in _lines(fib, vrfs=vrfs)]
    if lines:
        yield "rules:"
    yield from lines


def _lines(fib: Fib, *, vrfs: bool) -> Iterator[str]:
    implied = [*STANDARD, L3MDEV] if vrfs else list(STANDARD)
    rules = list(fib.rules)
    if all(rule in rules for rule in implied):
        rules = [rule for rule in rules if rule not in implied]
    for rule in rules:
        told = rule.source is not None or rule.destination is not None
        yield "  - " + text.inline(
            {
                "priority": str(rule.priority),
                "family": "inet6" if fib.family == IPV6 and not told else None,
                "from": None if rule.source is None else text.prefix(*rule.source),
                "to": None if rule.destination is None else text.prefix(*rule.destination),
                "iif": None if rule.iif is None else text.quoted(rule.iif),
                "oif": None if rule.oif is None else text.quoted(rule.oif),
                "fwmark": f"{rule.fwmark:#x}/{rule.fwmask:#x}" if rule.fwmask else None,
                "table": table_name(rule.table) if rule.table else None,
                "l3mdev": "true" if rule.l3mdev else None,
                "not": "true" if rule.invert else None,
                "suppress_prefixlength": (
                    None if rule.suppress_prefixlength is None else str(rule.suppress_prefixlength)
                ),
                "action": None if rule.action is RuleAction.LOOKUP else rule.action.value,
            }
        )
