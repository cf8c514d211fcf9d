"""One change of a box, and when it happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from flowtable.topology.boxfile.reader import UnreadableError

if TYPE_CHECKING:
    from flowtable.router import Box
    from flowtable.topology.boxfile.reader import Field, Problem

Change: TypeAlias = "Callable[[Field, Box], None]"
"""Reads what is to change and changes it. It notes what is wrong in the field, and may then raise
``UnreadableError``."""


class EventError(ValueError):
    """An events file that is not valid, or an event that the box refuses.

    Attributes:
        name: the file's name as it was given.
        problems: all that is wrong, in the order of the file.
    """

    def __init__(self, name: str, problems: list[Problem]) -> None:
        self.name = name
        self.problems = sorted(problems, key=lambda p: (p.line, p.column))
        super().__init__("\n".join(f"{name}:{problem}" for problem in self.problems))


class Event:
    """An event.

    Attributes:
        at: when it happens, nanoseconds after the first packet of the input.
    """

    __slots__ = ("_change", "_field", "_name", "at")

    def __init__(self, at: int, change: Change, field: Field, name: str) -> None:
        self.at = at
        self._change = change
        self._field = field
        self._name = name

    def happen(self, box: Box) -> None:
        """Change the box, at the time that it is there.

        Raises:
            EventError: the box refuses it; with the kernel's words where it has any.
        """
        problems = self._field.problems
        problems.clear()
        try:
            self._change(self._field, box)
        except UnreadableError:
            assert problems
        if problems:
            raise EventError(self._name, problems)
