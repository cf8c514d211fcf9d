"""Reports of Linux as ``conntrack`` writes them, with the fast path's part in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowtable.clock import SECOND
from flowtable.conntrack.connection import SctpState, Status, TcpState
from flowtable.conntrack.line import Line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowtable.live.ctnetlink.report import Counters, Report


@dataclass(frozen=True, slots=True)
class Offloaded:
    """What the fast path has of a connection.

    Attributes:
        counters: packets and bytes that it forwarded so far, of the original and of the reply
            direction.
        live: whether it has the connection now.
    """

    counters: tuple[Counters, Counters]
    live: bool


@dataclass(frozen=True, slots=True)
class Style:
    """What lines show.

    Attributes:
        extended: the network protocol.
        ident: the number of the connection.
        times: when it began and ended.
        labels: names of labels by bit; None for no labels.
    """

    extended: bool = False
    ident: bool = False
    times: bool = False
    labels: Mapping[int, str] | None = None


def status_of(report: Report, offloaded: Offloaded | None) -> int | None:
    """Its status, OFFLOAD included."""
    status = report.status
    if status is None or offloaded is None or not offloaded.live:
        return status
    return status | Status.OFFLOAD


def line_of(report: Report, style: Style, offloaded: Offloaded | None = None) -> Line:
    """A report as a line. Where Linux itself offloads it leaves out the state and the time left."""
    start, stop, labels = report.start, report.stop, report.labels
    line = Line(
        report.original,
        report.reply,
        status_of(report, offloaded),
        event=report.event.value,
        extended=style.extended,
        zone=report.zone,
        zone_original=report.zone_original,
        zone_reply=report.zone_reply,
        counters=_counters(report, offloaded),
        mark=report.mark,
        security_mark=report.security_mark,
        security_context=report.security_context,
        helper=report.helper,
        use=report.use,
        ident=report.ident if style.ident else None,
    )
    if offloaded is None or not offloaded.live:
        line.timeout = report.timeout
        line.state = _state(report)
    elif line.use is not None:
        line.use += 1
    if start is not None:
        line.age = (int(time.time()) if stop is None else stop // SECOND) - start // SECOND
    if style.times:
        line.start = None if start is None else time.ctime(start // SECOND)
        line.stop = None if stop is None else time.ctime(stop // SECOND)
    if style.labels is not None and labels is not None:
        line.labels = tuple(name for bit, name in sorted(style.labels.items()) if labels >> bit & 1)
    return line


def _counters(report: Report, offloaded: Offloaded | None) -> tuple[tuple[int, int], tuple[int, int]] | None:
    counters = report.counters
    if counters is None:
        return None
    original, reply = ((each.packets, each.bytes) for each in counters)
    if offloaded is not None:
        there, back = offloaded.counters
        original = original[0] + there.packets, original[1] + there.bytes
        reply = reply[0] + back.packets, reply[1] + back.bytes
    return original, reply


def _state(report: Report) -> str:
    tcp, sctp, dccp = report.tcp, report.sctp_state, report.dccp_state
    if tcp is not None:
        return TcpState(tcp.state).name if tcp.state in _TCP else TcpState.NONE.name
    state = sctp if sctp is not None else dccp
    if state is None:
        return ""
    # The tool calls states of DCCP by the names of SCTP's.
    return SctpState(state).name if state in _SCTP else SctpState.NONE.name


_TCP = frozenset(TcpState)
_SCTP = frozenset(SctpState)
