"""The ruleset file of a service, read and taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowtable.live.load import LoadError, TableId
from flowtable.live.mark import Carrier, Mark
from flowtable.live.split import SplitError, split
from flowtable.ruleset import Ruleset, RulesetError, execute
from flowtable.ruleset.files import Files, read_text
from flowtable.ruleset.printer import print_rule
from flowtable.ruleset.statements.flow import FlowAdd

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flowtable.live.record import Key


@dataclass(frozen=True, slots=True)
class RulesetFile:
    """A ruleset file.

    Attributes:
        path: the file.
        ruleset: what it comes to.
        text: what nft loads in its place.
        tables: the tables that it declares.
        rules: by flowtable, the rules that add to it: place and text of each.
    """

    path: Path
    ruleset: Ruleset
    text: str
    tables: tuple[TableId, ...]
    rules: dict[Key, tuple[str, ...]]


def read_ruleset(path: Path, marks: Mapping[Key, Mark], carrier: Carrier = Carrier.LABEL) -> RulesetFile:
    """Read a ruleset file and split it.

    Args:
        path: the file.
        marks: what flowtables that are there already are marked with.
        carrier: where others get their bits.

    Raises:
        LoadError: it cannot be read, or is not valid; with the place.
    """
    try:
        text = read_text(path)
        include = Files([path.parent, Path("/etc")])
        outcome = execute(Ruleset(), text, str(path), read_include=include)
        parts = split(outcome, Ruleset(), marks, carrier)
    except OSError as error:
        raise LoadError(f"{path}: {error.strerror}") from None
    except (RulesetError, SplitError) as error:
        raise LoadError(str(error)) from None
    ruleset = outcome.ruleset
    tables = tuple(TableId(table.family.value, table.name) for table in ruleset.tables.values())
    return RulesetFile(path, ruleset, parts.text, tables, _by_flowtable(ruleset))


def _by_flowtable(ruleset: Ruleset) -> dict[Key, tuple[str, ...]]:
    rules: dict[Key, list[str]] = {}
    for key, place in _adding(ruleset):
        rules.setdefault(key, []).append(place)
    return {key: tuple(places) for key, places in rules.items()}


def _adding(ruleset: Ruleset) -> Iterator[tuple[Key, str]]:
    for table, _, rule in ruleset.rules():
        for statement in rule.every_statement():
            if isinstance(statement, FlowAdd):
                span = rule.span
                yield (
                    (table.family, table.name, statement.name),
                    f"{span.source.name}:{span.line}: {print_rule(rule, table.family)}",
                )
