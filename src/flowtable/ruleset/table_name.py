"""Families and tables, as commands name them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.command import TableName
from flowtable.ruleset.family import Family

if TYPE_CHECKING:
    from flowtable.ruleset.parser import Parser

FAMILIES: Final = {family.value: family for family in Family}


def parse_family(parser: Parser) -> Family | None:
    """Read the keyword of a family, None if there is none."""
    return FAMILIES[parser.advance().text] if parser.at_word(*FAMILIES) else None


def parse_table_name(parser: Parser) -> TableName:
    """Read the name of a table and the family in front of it, ``ip`` where none is written."""
    family = parse_family(parser) or Family.IP
    name = parser.name()
    return TableName(family, name.text, name.span)
