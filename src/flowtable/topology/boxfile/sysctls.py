"""``sysctls``: what ``sysctl`` prints."""

from __future__ import annotations

from collections.abc import Iterator

from flowtable.topology.boxfile import text
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, UnreadableError, unknown
from flowtable.topology.error import TopologyError
from flowtable.topology.sysctl import Key, find
from flowtable.topology.topology import Topology


def read(field: Field, draft: Draft) -> None:
    """Set the sysctls; a device's own are of a device in the file."""
    seen: set[Key] = set()
    for name, value in field.entries().items():
        try:
            key = find(name)
        except TopologyError as error:
            value.note_key(str(error))
            continue
        if key.device is not None and key.device not in draft.names | {"all", "default"}:
            value.note_key(unknown("device", key.device, sorted(draft.names)))
        elif key in seen:
            value.note_key("this sysctl stands twice")
        seen.add(key)
        try:
            draft.topology.set_sysctl(name, value.integer(key.limits.low, key.limits.high))
        except UnreadableError:
            continue


def write(topology: Topology) -> Iterator[str]:
    """The section's lines: what differs from Linux's defaults."""
    stated = list(topology.sysctls.stated())
    if stated:
        yield "sysctls:"
    for name, value in stated:
        yield f"  {text.quoted(name)}: {value}"
