"""Connections as text: the lines of ``conntrack -L`` and of /proc/net/nf_conntrack.

Ref: libnetfilter_conntrack src/conntrack/snprintf_default.c;
net/netfilter/nf_conntrack_standalone.c:ct_seq_show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Status
from flowtable.conntrack.line import (
    Line,
    counter_fields,
    l3_name,
    l4_name,
    long,
    status_word,
    tuple_fields,
)
from flowtable.conntrack.tuple import ORIGINAL, REPLY
from flowtable.packet.packet import GRE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.settings import Settings

TOOL: Final = "conntrack v1.4.7 (conntrack-tools)"
"""The program whose format this is, as it calls itself."""

_BOTH: Final = 3
_ORIGINAL_ONLY: Final = 1
_REPLY_ONLY: Final = 2


def live(connections: Iterable[Connection], now: int) -> Iterator[Connection]:
    """Those that a listing shows: not timed out, and known by their original direction."""
    for connection in connections:
        if connection.expires > now and not connection.status & Status.NAT_CLASH:
            yield connection


def conntrack_line(connection: Connection, now: int, *, extended: bool = False, ident: bool = False) -> str:
    """A line of ``conntrack -L``.

    Args:
        connection: what to describe.
        now: the time, for what is left of its timeout.
        extended: with the network protocol in front (``-o extended``).
        ident: with its identifier at the end (``-o id``).
    """
    counters = None
    if connection.packets is not None and connection.bytes is not None:
        original, reply = zip(connection.packets, connection.bytes, strict=True)
        counters = original, reply
    zone, directions = connection.zone or None, connection.zone_directions
    line = Line(
        connection.original,
        connection.reply,
        connection.status,
        extended=extended,
        zone=zone if directions == _BOTH else None,
        zone_original=zone if directions == _ORIGINAL_ONLY else None,
        zone_reply=zone if directions == _REPLY_ONLY else None,
        counters=counters,
        mark=connection.mark,
        helper=connection.helper,
        use=connection.references,
        ident=connection.ident if ident else None,
    )
    if not connection.offloaded:
        line.timeout, line.state = _left(connection, now), connection.state_name
    return str(line)


def conntrack_footer(count: int, done: str = "shown", what: str = "entries") -> str:
    """What ``conntrack`` prints to standard error in the end: what was done with how many of what."""
    return f"{TOOL}: {count} flow {what} have been {done}."


def proc_line(connection: Connection, now: int, settings: Settings) -> str:
    """A line of /proc/net/nf_conntrack, without its newline.

    Args:
        connection: what to describe.
        now: the time, for what is left of its timeout.
        settings: where the timeouts are from that GRE prints.
    """
    status = connection.status
    fields = [l3_name(connection.original), l4_name(connection.original)]
    if not connection.offloaded:
        fields.append(str(_left(connection, now)))
        if state := connection.state_name:
            fields.append(state)
    if connection.l4proto == GRE:
        fields.append(f"timeout={settings.gre // SECOND}, stream_timeout={settings.gre_stream // SECOND}")
    fields += tuple_fields(connection.original, long)
    if connection.zone_directions == _ORIGINAL_ONLY:
        fields.append(f"zone-orig={connection.zone}")
    fields += _counters(connection, ORIGINAL)
    if not status & Status.SEEN_REPLY:
        fields.append("[UNREPLIED]")
    fields += tuple_fields(connection.reply, long)
    if connection.zone_directions == _REPLY_ONLY:
        fields.append(f"zone-reply={connection.zone}")
    fields += _counters(connection, REPLY)
    if word := status_word(status):
        fields.append(word)
    fields.append(f"mark={connection.mark}")
    if connection.zone_directions == _BOTH:
        fields.append(f"zone={connection.zone}")
    # The reader holds a reference of its own.
    fields.append(f"use={connection.references + 1}")
    return " ".join(fields)


def _left(connection: Connection, now: int) -> int:
    return max(connection.expires - now, 0) // SECOND


def _counters(connection: Connection, direction: int) -> list[str]:
    if connection.packets is None or connection.bytes is None:
        return []
    return [counter_fields(connection.packets[direction], connection.bytes[direction])]
