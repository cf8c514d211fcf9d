"""What the service says of flows, as lines in the manner of ``flowtable run --flows``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from flowtable.cli.listing import L4_NAMES, WITH_PORTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowtable.live.control import EndedRow, Event, FlowRow, RefusedRow, TupleRow, WayRow

_UNITS: Final = ("", "k", "M", "G", "T")


def flow_line(row: FlowRow) -> str:
    """A flow on the fast path."""
    return _joined(
        protocol(row.protocol),
        f"{row.left:.0f}",
        row.state or "",
        _way(row.original, row.protocol),
        _way(row.reply, row.protocol),
        "[SNAT]" if row.snat else "",
        "[DNAT]" if row.dnat else "",
        f"zone={row.zone}" if row.zone else "",
        f"mark={row.mark}" if row.mark else "",
        f"flowtable={row.flowtable}",
        f"age={row.age:.3f}",
        f"idle={row.idle:.3f}",
        f"where={row.where.replace(' ', '-')}",
    )


def refused_line(row: RefusedRow) -> str:
    """A connection that the rules want offloaded and that is not."""
    return _joined(
        _connection(row.protocol, row.original, row.reply),
        f"flowtable={row.flowtable.rsplit(' ', 1)[-1]}",
        f"reason={row.reason}",
        f"since={row.since:.3f}",
        f"tries={row.tries}",
        f"({row.text})",
        *(f"\n    {rule}" for rule in row.rules),
    )


def ended_line(row: EndedRow) -> str:
    """A flow that ended."""
    return _joined(
        _connection(row.protocol, row.original, row.reply),
        f"packets={row.packets}",
        f"bytes={row.bytes}",
        f"flowtable={row.flowtable.rsplit(' ', 1)[-1]}",
        f"reason={row.reason}",
        f"({row.text})",
    )


def event_line(event: Event) -> str:
    """Something that happened."""
    time = datetime.fromtimestamp(event.time).astimezone()
    connection = ""
    if event.original is not None and event.reply is not None:
        connection = _connection(event.protocol, event.original, event.reply)
    return _joined(
        time.strftime("%H:%M:%S.%f")[:-3],
        f"{f'[{event.what.upper()}]':<9}",
        connection,
        f"flowtable={event.flowtable.rsplit(' ', 1)[-1]}" if event.flowtable else "",
        f"reason={event.reason}" if event.reason else "",
        f"({event.text})" if event.text else "",
    )


def protocol(number: int) -> str:
    """A transport protocol, name and number."""
    return f"{L4_NAMES.get(number, 'unknown'):<8} {number}"


def short(number: float | None) -> str:
    """A number with a unit, as 3.2M; a dash for one that is not known."""
    if number is None:
        return "-"
    power = 0
    while number >= 1000 and power < len(_UNITS) - 1:
        number /= 1000
        power += 1
    return f"{number:.0f}" if not power else f"{number:.3g}{_UNITS[power]}"


def _connection(number: int, original: TupleRow, reply: TupleRow) -> str:
    return _joined(protocol(number), *_tuple(original, number), *_tuple(reply, number))


def _way(way: WayRow, number: int) -> str:
    return _joined(
        f"iif={way.iif}",
        *way.encapsulation,
        *_tuple(way.arrives, number),
        f"oif={way.oif}",
        *way.push,
        f"packets={way.packets}",
        f"bytes={way.bytes}",
        "" if way.bit_rate is None else f"rate={short(way.bit_rate)}bit/s",
    )


def _tuple(row: TupleRow, number: int) -> Iterable[str]:
    yield f"src={row.src}"
    yield f"dst={row.dst}"
    if number in WITH_PORTS:
        yield f"sport={row.sport}"
        yield f"dport={row.dport}"


def _joined(*fields: str) -> str:
    return " ".join(field for field in fields if field)
