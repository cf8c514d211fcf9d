"""What the commands of ``flowtable conntrack`` do; each returns how many connections it was about."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from errno import ENOENT
from ipaddress import ip_address
from select import select
from typing import TYPE_CHECKING, Final

import click

from flowtable.cli.error import InputError
from flowtable.conntrack.listing import TOOL, conntrack_footer
from flowtable.conntrack.tuple import Tuple
from flowtable.live.client import Client, ServiceError
from flowtable.live.conntrack_line import Offloaded, Style, line_of, status_of
from flowtable.live.control import AskConnections, ConnectionRow
from flowtable.live.ctnetlink import request
from flowtable.live.ctnetlink.owner import socket_owner
from flowtable.live.ctnetlink.report import Counters
from flowtable.live.ctnetlink.socket import RECEIVE_BUFFER, Listener, Requester
from flowtable.packet.packet import ICMP, ICMPV6, IPV4, IPV6

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.live.ctnetlink.report import Identity, Report
    from flowtable.live.selection import Selection

_OVERRUN: Final = "WARNING: events were lost: they came faster than they were written. See --buffer-size."


@dataclass(slots=True, frozen=True)
class Task:
    """What to do with which connections.

    Attributes:
        selection: which.
        style: what lines show.
        stamped: whether events have the time in front.
        zero: whether counters are set to 0.
        groups: which events.
        room: bytes of the socket that hears events, None for what is usual.
    """

    selection: Selection
    style: Style
    stamped: bool
    zero: bool
    groups: tuple[int, ...]
    room: int | None


def _fast_path() -> dict[Identity, Offloaded]:
    """What the service of this namespace has of connections; nothing without one."""
    try:
        client = Client()
    except ServiceError:
        return {}
    with client:
        try:
            rows = [row for row in client.ask(AskConnections()) if isinstance(row, ConnectionRow)]
        except ServiceError as error:
            raise InputError(str(error)) from None
    offloaded = {}
    for row in rows:
        carried = row.original
        source, target = ip_address(carried.src), ip_address(carried.dst)
        family = IPV4 if source.version == 4 else IPV6
        original = Tuple(family, row.protocol, source.packed, target.packed, carried.sport, carried.dport)
        there, back = (Counters(*counted) for counted in zip(row.packets, row.bytes, strict=True))
        offloaded[request.identity(original, row.zone)] = Offloaded((there, back), live=row.offloaded)
    return offloaded


def _selected(requester: Requester, task: Task) -> Iterator[tuple[Report, Offloaded | None]]:
    """The connections that are selected, and what the fast path has of them."""
    selection = task.selection
    fast = _fast_path()
    asked = request.dump(
        selection.family, mark=selection.mark, status=selection.kernel_status, zero=task.zero
    )
    for report in requester.dump(asked):
        offloaded = fast.get(report.identity)
        if selection.matches(report, status_of(report, offloaded)):
            yield report, offloaded


def dump(task: Task) -> int:
    """List connections."""
    shown = 0
    with Requester() as requester:
        for report, offloaded in _selected(requester, task):
            click.echo(line_of(report, task.style, offloaded))
            shown += 1
    click.echo(conntrack_footer(shown), err=True)
    return shown


def delete(task: Task) -> int:
    """Delete connections."""
    shown = 0
    # Lines of deleted connections have no labels.
    style = Style(task.style.extended, task.style.ident)
    with Requester() as requester, Requester() as deleter:
        for report, offloaded in _selected(requester, task):
            try:
                deleter.order(request.delete(report.identity, report.ident))
            except FileNotFoundError:
                continue
            click.echo(line_of(report, style, offloaded))
            shown += 1
    click.echo(conntrack_footer(shown, "deleted"), err=True)
    return shown


def get(task: Task) -> int:
    """Show one connection."""
    selection = task.selection
    side = selection.original if selection.original.source else selection.reply
    assert side.source is not None and side.destination is not None and selection.protocol is not None
    sport, dport = side.sport or 0, side.dport or 0
    if selection.protocol in (ICMP, ICMPV6):
        kind, code, ident = (each or 0 for each in selection.icmp)
        sport, dport = ident, kind << 8 | code
    wanted = Tuple(
        selection.family, selection.protocol, side.source.address, side.destination.address, sport, dport
    )
    with Requester() as requester:
        report = requester.get(request.get(request.identity(wanted, selection.zone or 0)))
    if report is None:
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT))
    offloaded = _fast_path().get(report.identity)
    shown = int(selection.matches(report, status_of(report, offloaded)))
    if shown:
        click.echo(line_of(report, task.style, offloaded))
    click.echo(conntrack_footer(shown), err=True)
    return shown


def events(task: Task) -> int:
    """Show what happens until a signal ends it."""
    shown = 0
    ended: list[bool] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.append(True))
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    with Listener(task.room or RECEIVE_BUFFER, task.groups) as listener:
        while not ended:
            select([listener.fileno(), wake], [], [])
            for report in listener.read():
                if task.selection.matches(report, report.status):
                    stamp = _stamp() if task.stamped else ""
                    sys.stdout.write(f"{stamp}{line_of(report, task.style)}{_cause(report.port)}\n")
                    shown += 1
            sys.stdout.flush()
            if listener.overrun():
                click.echo(_OVERRUN, err=True)
    click.echo(conntrack_footer(shown, what="events"), err=True)
    return shown


def _stamp() -> str:
    seconds, micro = divmod(time.time_ns() // 1000, 1_000_000)
    return f"[{seconds:<8}.{micro:<6}]\t"


def _cause(port: int) -> str:
    """Whose request caused an event, if one did."""
    if not port:
        return ""
    name = socket_owner(port)
    return f" [USERSPACE] portid={port}" + ("" if name is None else f" progname={name}")


def flush(task: Task) -> int:
    """Delete all connections."""
    with Requester() as requester:
        requester.order(request.flush(task.selection.family))
    click.echo(f"{TOOL}: connection tracking table has been emptied.", err=True)
    return 0


def count(task: Task) -> int:
    """Say how many connections there are."""
    del task
    with Requester() as requester:
        table = requester.statistics(request.statistics())
    if table is not None:
        click.echo(table.entries)
    return 0


def statistics(task: Task) -> int:
    """Say what was counted on each processor."""
    del task
    with Requester() as requester:
        for each in requester.statistics_by_cpu(request.statistics_by_cpu()):
            counts = "".join(f"{name}={count} " for name, count in each.counts)
            click.echo(f"cpu={each.cpu:<4}\t{counts}")
    return 0
