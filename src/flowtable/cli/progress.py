"""How far a run has come: a bar on standard error, where that is a terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TimeRemainingColumn
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from flowtable.capture import Record, Stretch
    from flowtable.cli.inputs import Inputs

_EVERY: Final = 512
"""Packets between two looks at the clock."""


class _Rate(ProgressColumn):
    """Packets so far, and packets per second."""

    def render(self, task: Task) -> Text:
        packets: int = task.fields["packets"]
        elapsed = task.finished_time if task.finished else task.elapsed
        rate = f"{packets / elapsed:,.0f}/s" if elapsed else "-/s"
        return Text(f"{packets:,} packets  {rate}")


def watched(inputs: Inputs) -> Generator[Record, None, None]:
    """The records of the inputs, with a progress bar while they are taken.

    How far it is and how long it takes is told by the bytes read; without a size, as on a
    pipe, there are only the packets and their rate.
    """
    with _bar(inputs) as show:
        for packets, record in enumerate(inputs.records()):
            if not packets % _EVERY:
                show(packets)
            yield record


def watched_stretches(inputs: Inputs) -> Generator[Stretch, None, None]:
    """The same with stretches."""
    packets = 0
    with _bar(inputs) as show:
        for stretch in inputs.stretches():
            show(packets)
            packets += stretch.burst.count
            yield stretch


@contextmanager
def _bar(inputs: Inputs) -> Generator[Callable[[int], None], None, None]:
    """A progress bar; what to call with the number of packets so far."""
    console = Console(file=sys.stderr)
    columns = (BarColumn(), TaskProgressColumn(), _Rate(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=inputs.size, packets=0)
        yield lambda packets: progress.update(task, completed=inputs.position, packets=packets)
