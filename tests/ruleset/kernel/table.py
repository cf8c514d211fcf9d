"""The tables of rules and packets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CHAINS = "\tchain x {\n\t\taccept\n\t}\n"
"""What rules can jump to."""


class Row(NamedTuple):
    """One row.

    Attributes:
        place: file and line.
        family: family of the table.
        chain: the line that makes the chain a base chain.
        declarations: what is declared in the table beside the chain.
        rules: the rules.
        packets: what is sent.
    """

    place: str
    family: str
    chain: str
    declarations: tuple[str, ...]
    rules: tuple[str, ...]
    packets: str

    @property
    def ruleset(self) -> str:
        """The file to load."""
        declarations = "".join(f"\t{line}\n" for line in self.declarations)
        rules = "".join(f"\t\t{rule}\n" for rule in self.rules)
        chain = f"\tchain c {{\n\t\t{self.chain}\n{rules}\t}}\n"
        return f"table {self.family} t {{\n{declarations}{CHAINS}{chain}}}\n"


def read_rows() -> list[Row]:
    """The rows of all tables."""
    files = sorted(Path(__file__).parent.glob("*.txt"))
    return [row for path in files for row in _rows(path.stem, path.read_text())]


def _rows(name: str, text: str) -> Iterator[Row]:
    family = chain = ""
    declarations: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("= "):
            family, chain = line[2:].split(" ; ")
            declarations = ()
        elif line.startswith("+ "):
            declarations += (line[2:],)
        elif line and not line.startswith("#"):
            rules, _, packets = line.rpartition(" ; ")
            yield Row(f"{name}:{number}", family, chain, declarations, tuple(rules.split(" ;; ")), packets)
