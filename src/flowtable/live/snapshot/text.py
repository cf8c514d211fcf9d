"""The text of a snapshot: a box file that loads, with comments for what could not stay in it.

A host may have what no box file says, or what Linux let it become but would refuse to make. Such
an entry is made a comment, with what is wrong with it; so are those that then lack a device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.topology.boxfile import BoxError, dump, load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowtable.topology.topology import Topology

_COMMENT: Final = "#"


def snapshot(topology: Topology, notes: Iterable[str]) -> str:
    """The box file of a reduced host.

    Args:
        topology: the host.
        notes: in words, what of it the topology does not say.
    """
    lines = dump(topology).splitlines()
    while True:
        try:
            load("\n".join(lines))
        except BoxError as error:
            wrong: dict[int, list[str]] = {}
            for problem in error.problems:
                wrong.setdefault(_begin(lines, problem.line - 1), []).append(problem.message)
            for begin in sorted(wrong, reverse=True):
                _leave_out(lines, begin, wrong[begin])
            _leave_out_empty(lines)
        else:
            break
    return "".join(f"{line}\n" for line in [*(f"# {note}" for note in notes), *lines])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _begin(lines: list[str], number: int) -> int:
    """The first line of what a line is part of: an entry of a list, or a sysctl."""
    begin = number
    while _indent(lines[begin]) > 2 and not lines[begin].lstrip().startswith("- "):
        begin -= 1
    return begin


def _leave_out(lines: list[str], begin: int, reasons: list[str]) -> None:
    end = begin + 1
    while end < len(lines) and _indent(lines[end]) > _indent(lines[begin]):
        end += 1
    indent = " " * _indent(lines[begin])
    said = [f"{indent}# Left out: {reason}" for reason in dict.fromkeys(reasons)]
    lines[begin:end] = [*said, *(f"{indent}# {line[len(indent) :]}" for line in lines[begin:end])]


def _leave_out_empty(lines: list[str]) -> None:
    """A list of which nothing is left is none."""
    for number in reversed(range(len(lines))):
        line = lines[number]
        if not line.endswith(":") or line.lstrip().startswith(_COMMENT):
            continue
        inside = []
        for other in lines[number + 1 :]:
            if _indent(other) <= _indent(line):
                break
            inside.append(other)
        if all(other.lstrip().startswith(_COMMENT) for other in inside):
            lines[number] = f"{line} []" if line == "devices:" else f"{' ' * _indent(line)}# {line.lstrip()}"
