"""Box files: a topology as text, read with every error at its place, and written back.

One module per section of the file reads and writes it; docs/box-file.md describes the keys.

    >>> box = load("devices: [{name: lan0, mac: 02:00:00:00:01:01, addresses: [192.168.1.1/24]}]")
    >>> box.devices["lan0"].addresses[0].prefixlen
    24
"""

from __future__ import annotations

from typing import Final

from flowtable.topology.boxfile import devices, fdb, hardware, neighbours, routes, rules, services, sysctls
from flowtable.topology.boxfile.document import DocumentError, parse
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, Problem, UnreadableError
from flowtable.topology.topology import Topology

__all__ = ["BoxError", "Problem", "dump", "load"]

_SECTIONS: Final = ("devices", "rules", "routes", "neighbours", "fdb", "sysctls", "services", "hardware")


class BoxError(ValueError):
    """A box file that is not valid.

    Attributes:
        name: the file's name as it was given.
        problems: all that is wrong, in the order of the file.
    """

    def __init__(self, name: str, problems: list[Problem]) -> None:
        self.name = name
        self.problems = sorted(problems, key=lambda p: (p.line, p.column))
        super().__init__("\n".join(f"{name}:{problem}" for problem in self.problems))


def load(text: str | bytes, name: str = "box.yaml") -> Topology:
    """The box that a box file describes.

    Args:
        text: the file's content, YAML 1.2 or JSON; bytes are UTF-8.
        name: what to call the file in errors.

    Raises:
        BoxError: with every problem of the file, each as ``NAME:LINE:COLUMN: PATH: MESSAGE``.
    """
    problems: list[Problem] = []
    try:
        topology = _load(Field(parse(text), "", problems))
    except DocumentError as error:
        raise BoxError(name, [Problem(error.line, error.column, "", str(error))]) from None
    except UnreadableError:
        raise BoxError(name, problems) from None
    if problems:
        raise BoxError(name, problems)
    return topology


def dump(topology: Topology) -> str:
    """The box file of a topology: ``load`` of it gives an equal one."""
    return "".join(
        f"{line}\n"
        for section in (devices, rules, routes, neighbours, fdb, sysctls, services, hardware)
        for line in section.write(topology)
    )


def _load(root: Field) -> Topology:
    """Sysctls first, because addresses depend on them; devices before all that names one."""
    box = root.section(_SECTIONS)
    items = box.need("devices", lambda field: list(field.items())) or []
    draft = Draft(devices.stated_names(items))
    box.get("sysctls", lambda field: sysctls.read(field, draft), None)
    devices.read(items, draft)
    draft.sound = not root.problems
    box.get("rules", lambda field: rules.read(field, draft), None)
    box.get("routes", lambda field: routes.read(field, draft), None)
    box.get("neighbours", lambda field: neighbours.read(field, draft), None)
    box.get("fdb", lambda field: fdb.read(field, draft), None)
    box.get("services", lambda field: services.read(field, draft), None)
    box.get("hardware", lambda field: hardware.read(field, draft), None)
    return draft.topology
