"""From the text of an events file to events."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.events import bridge, chip, conntrack, device, neighbour, route, rule, rules, sysctl
from flowtable.events.event import Event, EventError
from flowtable.topology.boxfile.document import DocumentError, Scalar, parse
from flowtable.topology.boxfile.reader import Field, Problem, UnreadableError

if TYPE_CHECKING:
    from flowtable.events.event import Change

_CHANGES: Final[dict[str, Change]] = {
    "link": device.link,
    "device": device.add,
    "address": device.address,
    "route": route.route,
    "rule": rule.rule,
    "neighbour": neighbour.neighbour,
    "fdb": bridge.fdb,
    "port": bridge.port,
    "vlan": bridge.vlan,
    "ruleset": rules.ruleset,
    "sysctl": sysctl.sysctl,
    "conntrack": conntrack.conntrack,
    "chip": chip.chip,
}
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def load(text: str | bytes, name: str = "events.yaml") -> list[Event]:
    """The events of a file, in the order in which they happen.

    Args:
        text: the file's content, YAML 1.2 or JSON; bytes are UTF-8.
        name: what to call the file in errors.

    Raises:
        EventError: a member of the list is no event. What an event says of the box is read when
            it happens, since it depends on the events before it.
    """
    problems: list[Problem] = []
    events: list[Event] = []
    try:
        for item in Field(parse(text), "", problems).items():
            try:
                events.append(_event(item, name))
            except UnreadableError:
                continue
    except DocumentError as error:
        raise EventError(name, [Problem(error.line, error.column, "", str(error))]) from None
    except UnreadableError:
        pass
    if problems:
        raise EventError(name, problems)
    return sorted(events, key=lambda event: event.at)


def _event(item: Field, name: str) -> Event:
    section = item.section(("at", *_CHANGES))
    at = section.need("at", _time)
    kinds = [kind for kind in _CHANGES if kind in section]
    if at is None:
        raise UnreadableError
    if len(kinds) != 1:
        raise item.fail(f"expected one event of {', '.join(_CHANGES)}, got {len(kinds)}")
    field = section.at(kinds[0])
    # Problems of what happens belong to the moment when it does.
    return Event(at, _CHANGES[kinds[0]], Field(field.node, field.path, []), name)


def _time(field: Field) -> int:
    node = field.node
    if isinstance(node, Scalar) and node.plain and _SECONDS.fullmatch(node.text):
        whole, _, fraction = node.text.partition(".")
        return int(whole) * SECOND + int(fraction.ljust(9, "0"))
    raise field.fail(f"expected seconds after the first packet, got {node}")
