"""What happens to a box while packets pass: links, neighbours, routes, rules, at given times.

An events file is read with every error at its place, as a box file is; docs/events.md describes
it. One module per kind of object that changes.

    >>> agenda = load("[{at: 1.5, link: {dev: lan0, up: false}}]")
    >>> agenda[0].at
    1500000000
"""

from __future__ import annotations

from flowtable.events.event import Event, EventError
from flowtable.events.load import load

__all__ = ["Event", "EventError", "load"]
