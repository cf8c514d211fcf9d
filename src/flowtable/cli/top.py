"""``flowtable top``: the fastest flows, as they change."""

from __future__ import annotations

import select
import sys
import termios
import time
import tty
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from flowtable.cli.ask import ask
from flowtable.cli.listing import L4_NAMES, WITH_PORTS
from flowtable.cli.rows import short
from flowtable.live.control import AskFlows, FlowRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flowtable.live.control import TupleRow


class Order(Enum):
    """What flows are sorted by; the first letter is the key to press."""

    RATE = "rate"
    PACKETS = "packets"
    BYTES = "bytes"
    AGE = "age"
    IDLE = "idle"

    def __call__(self, row: FlowRow) -> float:
        """What the row has of it; the largest is shown first."""
        ways = (row.original, row.reply)
        match self:
            case Order.RATE:
                return sum(way.bit_rate or 0 for way in ways)
            case Order.PACKETS:
                return sum(way.packets for way in ways)
            case Order.BYTES:
                return sum(way.bytes for way in ways)
            case Order.AGE:
                return row.age
            case Order.IDLE:
                return -row.idle


@click.command()
@click.option(
    "--sort",
    type=click.Choice([order.value for order in Order]),
    default=Order.RATE.value,
    show_default=True,
    help="What comes first.",
)
@click.option(
    "--interval", type=click.FloatRange(0.5, 3600), default=1.0, show_default=True, metavar="SECONDS"
)
@click.option("--count", type=click.IntRange(1), metavar="N", help="Show it N times, then end.")
def top(sort: str, interval: float, count: int | None) -> None:
    """Show the flows on the fast path with their rates, the fastest first.

    Keys: r, p, b, a, i sort by rate, packets, bytes, age, idle; q ends.
    """
    console = Console()
    order = Order(sort)
    shown = 0
    with _keys() as pressed, Live(console=console, screen=console.is_terminal, auto_refresh=False) as view:
        while True:
            rows = [row for row in ask(AskFlows()) if isinstance(row, FlowRow)]
            view.update(_table(rows, order, console.height if console.is_terminal else None), refresh=True)
            shown += 1
            if shown == count:
                return
            for key in pressed(interval):
                if key == "q":
                    return
                order = next((each for each in Order if each.value[0] == key), order)


def _table(rows: Sequence[FlowRow], order: Order, height: int | None) -> Table:
    """The flows that fit into a number of lines, or all."""
    originals = sum(row.original.bit_rate or 0 for row in rows)
    replies = sum(row.reply.bit_rate or 0 for row in rows)
    table = Table(
        title=f"{len(rows)} flows, {short(originals)}bit/s original, {short(replies)}bit/s reply,"
        f" by {order.value}",
        title_justify="left",
        box=None,
        expand=True,
    )
    for name in ("proto", "source", "destination", "in", "out"):
        table.add_column(name, overflow="fold")
    for name in ("bit/s >", "bit/s <", "packets", "bytes", "age", "idle"):
        table.add_column(name, justify="right", no_wrap=True)
    ordered = sorted(rows, key=order, reverse=True)
    for row in ordered if height is None else ordered[: max(height - 3, 1)]:
        ways = (row.original, row.reply)
        table.add_row(
            L4_NAMES.get(row.protocol, str(row.protocol)),
            _end(row.original.arrives, row.protocol, source=True),
            _end(row.original.leaves, row.protocol, source=False),
            row.original.iif,
            row.original.oif,
            short(row.original.bit_rate),
            short(row.reply.bit_rate),
            short(sum(way.packets for way in ways)),
            short(sum(way.bytes for way in ways)),
            f"{row.age:.0f}s",
            f"{row.idle:.0f}s",
        )
    return table


def _end(row: TupleRow, protocol: int, *, source: bool) -> str:
    address, port = (row.src, row.sport) if source else (row.dst, row.dport)
    if protocol not in WITH_PORTS:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@contextmanager
def _keys() -> Iterator[_Keys]:
    """The keys that are pressed, at once and without showing them; none without a terminal."""
    if not sys.stdin.isatty():
        yield _Keys(listening=False)
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield _Keys(listening=True)
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


class _Keys:
    """Waits for keys."""

    def __init__(self, *, listening: bool) -> None:
        self._listening = listening

    def __call__(self, seconds: float) -> Iterator[str]:
        """The keys of some seconds; a key ends the wait."""
        if not self._listening:
            time.sleep(seconds)
        elif select.select([sys.stdin], [], [], seconds)[0]:
            yield sys.stdin.read(1)
