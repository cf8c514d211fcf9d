"""The table of rules: one a line, with what nft makes of it.

A line ``= family ; chain`` says which chain the rules below it stand in, and a line ``+ ...``
declares something in their table, up to the next ``=``. Others are ``rule ; ok ; listing`` or
``rule ; error ; columns message``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

PREAMBLE = """\
	set addresses { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.1 }; }
	set ports { type inet_service; elements = { 22, 80 }; }
	set names { type ifname; elements = { "lan0", "wan0" }; }
	map verdicts { type inet_service : verdict; elements = { 22 : accept, 80 : jump x }; }
	map marks { type ipv4_addr : mark; elements = { 10.0.0.1 : 1 }; }
	chain x {
	}
"""


class Row(NamedTuple):
    family: str
    chain: str
    rule: str
    verdict: str
    expected: str
    line: int
    """In the table."""
    declarations: tuple[str, ...] = ()
    """Beside those of the preamble."""


def read_rows(text: str) -> Iterator[Row]:
    family = chain = ""
    declarations: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("= "):
            family, chain = line[2:].split(" ; ")
            declarations = ()
        elif line.startswith("+ "):
            declarations += (line[2:],)
        elif line and not line.startswith("#"):
            rule, verdict, expected = [*f"{line} ;  ; ".split(" ; "), ""][:3]
            yield Row(family, chain, rule, verdict, expected.strip(" ;"), number, declarations)


def write_rows(rows: Iterable[Row]) -> str:
    lines: list[str] = []
    place = None
    for row in rows:
        if place != (row.family, row.chain, row.declarations):
            place = row.family, row.chain, row.declarations
            lines.append(f"{'' if not lines else chr(10)}= {row.family} ; {row.chain}")
            lines.extend(f"+ {declaration}" for declaration in row.declarations)
        lines.append(f"{row.rule} ; {row.verdict} ; {row.expected}")
    return "\n".join(lines) + "\n"


def ruleset_of(row: Row) -> tuple[str, int]:
    """A ruleset with the rule in it, and the line that it stands in."""
    more = "".join(f"\t{declaration}\n" for declaration in row.declarations)
    head = f"table {row.family} t {{\n{PREAMBLE}{more}\tchain c {{\n\t\t{row.chain}\n"
    return f"{head}{row.rule}\n\t}}\n}}\n", head.count("\n") + 1
