"""Devices of flowtables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flowtable.explain.lints.lint import Lint, Place
from flowtable.explain.lints.rules import selectors
from flowtable.ruleset.expressions.collection import AnonymousSet
from flowtable.ruleset.expressions.meta import Meta
from flowtable.ruleset.nat import NatKind
from flowtable.ruleset.statements.match import Match, Operator
from flowtable.ruleset.statements.nat import Nat
from flowtable.ruleset.values import Exact
from flowtable.topology.device import DeviceKind
from flowtable.topology.stack import below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.explain.lints.subject import Subject
    from flowtable.ruleset.model import Flowtable
    from flowtable.topology.device import Device
    from flowtable.topology.topology import Topology

_VIRTUAL_NAMES: Final = re.compile(r"(ppp|pppoe-|wg|tun|tap|br-|veth|ifb|docker|virbr|bond|lo$)")
_WIRELESS_NAMES: Final = re.compile(r"(wlan|wl|phy[0-9]+-|ath|ra)[0-9a-z-]*[0-9]")
_HARDWARE: Final = (DeviceKind.ETHERNET, DeviceKind.DSA)


def _single(subject: Subject) -> Iterator[Place]:
    for _, flowtable in subject.flowtables():
        if len(flowtable.devices) < 2:
            listed = flowtable.devices[0] if flowtable.devices else "none"
            yield Place(flowtable.span, f"flowtable '{flowtable.name}' has one side only: devices = {listed}")


def _not_listed(subject: Subject) -> Iterator[Place]:
    for spot, flow in subject.flow_spots():
        flowtable = spot.table.flowtables.get(flow.name)
        if flowtable is None:
            continue
        for selector, statement in selectors(spot.rule):
            if not isinstance(selector, Meta) or not isinstance(statement, Match):
                continue
            if selector.key in ("iif", "iifname", "oif", "oifname") and statement.operator is Operator.EQ:
                for name in _names(statement):
                    if name not in flowtable.devices:
                        message = f"device '{name}' is not in flowtable '{flow.name}'"
                        yield Place(statement.span, message)


def _names(match: Match) -> list[str]:
    """The devices that a match names in full."""
    right = match.right
    if isinstance(right, AnonymousSet):
        keys = [element.key for element in right.elements]
    else:
        keys = [right] if isinstance(right, Exact) else []
    names = (match.left.datatype.key(key.value) for key in keys if isinstance(key, Exact))
    return [name for name in names if isinstance(name, str)]


def _stacked(subject: Subject) -> Iterator[Place]:
    if subject.topology is None:
        return
    devices = subject.topology.devices
    for _, flowtable in subject.flowtables():
        listed = [devices[name] for name in flowtable.devices if name in devices]
        for device in listed:
            for lower in _all_below(device):
                if lower in listed:
                    message = f"'{device.name}' stands on '{lower.name}', and both are listed"
                    yield Place(flowtable.span, message)


def _all_below(device: Device) -> Iterator[Device]:
    for lower in below(device):
        yield lower
        yield from _all_below(lower)


def _virtual(subject: Subject) -> Iterator[Place]:
    for _, flowtable in subject.flowtables():
        if not flowtable.offload:
            continue
        virtual = [name for name in flowtable.devices if _is_virtual(name, subject.topology)]
        if virtual:
            message = f"'flags offload' needs a driver for {', '.join(virtual)}, which has none"
            yield Place(flowtable.span, message)


def _is_virtual(name: str, topology: Topology | None) -> bool:
    if topology is not None and name in topology.devices:
        return topology.devices[name].kind not in _HARDWARE
    return _VIRTUAL_NAMES.match(name) is not None


def _wireless(subject: Subject) -> Iterator[Place]:
    for _, flowtable in subject.flowtables():
        roaming = [name for name in flowtable.devices if _WIRELESS_NAMES.fullmatch(name)]
        if roaming:
            message = f"clients of {', '.join(roaming)} roam, and their flows stay where they were"
            yield Place(flowtable.span, message)


def _foreign_snat(subject: Subject) -> Iterator[Place]:
    if subject.topology is None:
        return
    own = {address.address for device in subject.topology.devices.values() for address in device.addresses}
    for spot in subject.spots():
        for statement in spot.rule.statements:
            if isinstance(statement, Nat) and statement.kind is NatKind.SNAT:
                address = statement.to_address
                if isinstance(address, Exact) and isinstance(address.value, int):
                    size = 4 if statement.family == "ip" else 16
                    if address.value.to_bytes(size, "big") not in own:
                        yield Place(statement.span, "no device of the box has this address")


def _unhooked(subject: Subject) -> Iterator[Place]:
    if subject.topology is None:
        return
    for _, flowtable in subject.flowtables():
        yield from _down(flowtable, subject.topology)


def _down(flowtable: Flowtable, topology: Topology) -> Iterator[Place]:
    down = [name for name in flowtable.devices if name in topology.devices and not topology.devices[name].up]
    if down:
        yield Place(flowtable.span, f"{', '.join(down)} of flowtable '{flowtable.name}' is down")


LINTS: Final = (
    Lint(
        "single-device",
        "both directions of a flow are looked up where they come in: list both sides",
        _single,
    ),
    Lint(
        "device-not-listed",
        "packets are looked up on listed devices only, so one direction stays slow",
        _not_listed,
    ),
    Lint(
        "stacked-devices",
        "whether a device or the one below it has to be listed depends on the kernel",
        _stacked,
    ),
    Lint(
        "offload-virtual", "a device without a driver for it makes the whole ruleset fail to load", _virtual
    ),
    Lint("roaming", "flows of a station that moved to another port go on to the old one", _wireless),
    Lint(
        "snat-address",
        "answers to an address that is nobody's come back only if something routes them",
        _foreign_snat,
    ),
    Lint("device-down", "no flow takes a device that is down", _unhooked),
)
