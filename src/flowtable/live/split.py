"""Rulesets for kernels without flowtables: what such a kernel takes, and the flowtables apart.

The author's text stays as it is, with included files in the place of ``include``; only

* declarations and commands of flowtables are taken out, and what they come to is added as commands
  on sets at the end (``record``),
* ``flow add @f`` becomes the statements that mark a connection for the service (``mark``).

Lines keep their numbers, so that nft's errors point at the right ones.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from flowtable.live.mark import Carrier, Mark
from flowtable.live.record import PREFIX, Kept, names
from flowtable.ruleset.command import (
    AddChain,
    AddFlowtable,
    AddRule,
    AddTable,
    Delete,
    DeleteDevices,
    Kind,
    ReplaceRule,
)
from flowtable.ruleset.lexer import Kind as Token
from flowtable.ruleset.lexer import tokenize
from flowtable.ruleset.query import Listing
from flowtable.ruleset.statements.flow import FlowAdd
from flowtable.ruleset.statements.verdict import BlockSyntax

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flowtable.live.record import Key
    from flowtable.ruleset.command import Command, RuleSyntax
    from flowtable.ruleset.family import Family
    from flowtable.ruleset.model import Flowtable, Ruleset
    from flowtable.ruleset.source import Source, Span
    from flowtable.ruleset.transact import Outcome

_FLOW_ADD: Final = 4
"""Tokens of ``flow add @f``."""


class SplitError(Exception):
    """There are more flowtables than bits to mark connections with."""


@dataclass(frozen=True, slots=True)
class Split:
    """A ruleset in two.

    Attributes:
        text: what nft loads.
        flowtables: all flowtables that there are then.
    """

    text: str
    flowtables: tuple[Kept, ...]


def split(
    outcome: Outcome,
    before: Ruleset,
    marks: Mapping[Key, Mark],
    carrier: Carrier = Carrier.LABEL,
    bits: Iterable[int] | None = None,
) -> Split:
    """Split what the commands of a file ask for.

    Args:
        outcome: the commands, executed on ``before``.
        before: the ruleset that is loaded, with its flowtables; an empty one for a file that starts
            from nothing.
        marks: the marks of the flowtables in it.
        carrier: where new flowtables get their bits.
        bits: the numbers of the bits that may be used, the first free one first; None for all of
            the carrier, from the highest down.

    Raises:
        SplitError: there are not enough bits.
    """
    free = _Free(marks, carrier, range(carrier.bits - 1, -1, -1) if bits is None else bits)
    flowtables = [
        Kept(each, free.mark((each.family, each.table, each.name))) for each in outcome.ruleset.flowtables()
    ]
    edits = _Edits(outcome.sources, free)
    for command in outcome.commands:
        edits.command(command)
    text = edits.text()
    changes = "".join(_changes(before, outcome.ruleset, flowtables))
    if changes and text and not text.endswith("\n"):
        text += "\n"
    return Split(text + changes, tuple(flowtables))


class _Free:
    """The marks that flowtables have, and those that are free."""

    __slots__ = ("_bits", "_carrier", "_marks")

    def __init__(self, marks: Mapping[Key, Mark], carrier: Carrier, bits: Iterable[int]) -> None:
        self._marks = dict(marks)
        self._carrier = carrier
        taken = set(marks.values())
        self._bits = iter([bit for bit in bits if Mark(carrier, bit) not in taken])

    def mark(self, key: Key) -> Mark:
        """The mark of a flowtable."""
        if key not in self._marks:
            bit = next(self._bits, None)
            if bit is None:
                raise SplitError(f"no {self._carrier.value} bit is left for another flowtable")
            self._marks[key] = Mark(self._carrier, bit)
        return self._marks[key]


@dataclass(slots=True)
class _Text:
    """A text that is edited.

    Attributes:
        source: the text.
        edits: what is put in place of which tokens, first and last of them included.
    """

    source: Source
    edits: list[tuple[int, int, str]] = field(default_factory=list)


class _Edits:
    """What changes in the texts of a ruleset."""

    __slots__ = ("_free", "_texts", "_tokens")

    def __init__(self, sources: Iterable[Source], free: _Free) -> None:
        self._free = free
        self._texts = {id(source): _Text(source) for source in sources}
        self._tokens = {key: tokenize(text.source) for key, text in self._texts.items()}

    def command(self, command: Command) -> None:
        """Edit what a command says."""
        match command:
            case AddTable(table, block):
                for flowtable in block.flowtables:
                    self._cut_block(flowtable.span)
                for chain in block.chains:
                    self._rules(chain.rules, table.family, table.name)
            case AddChain(table, chain):
                self._rules(chain.rules, table.family, table.name)
            case AddRule(table, rule=rule) | ReplaceRule(table, rule=rule):
                self._rules([rule], table.family, table.name)
            case AddFlowtable(flowtable=flowtable):
                self._cut_command(flowtable.span)
            case (
                Delete(kind=Kind.FLOWTABLE, span=span)
                | DeleteDevices(kind=Kind.FLOWTABLE, span=span)
                | Listing(kind=Kind.FLOWTABLE, span=span)
            ):
                self._cut_command(span)
            case _:
                pass

    def text(self) -> str:
        """All texts in one: included ones stand where they are included."""
        inserted: dict[tuple[int, int], str] = {}
        outermost = []
        # Whatever a text includes stands behind it in the list.
        for text in reversed(self._texts.values()):
            written = self._written(text)
            parent = text.source.parent
            if parent is None:
                outermost.append(written)
                continue
            place = id(parent.source), self._index(parent)
            inserted[place] = written + inserted.get(place, "")
            edits = self._texts[id(parent.source)].edits
            edits[:] = [edit for edit in edits if edit[0] != place[1]]
            edits.append((place[1], place[1] + 1, inserted[place]))
        return "".join(reversed(outermost))

    def _index(self, span: Span) -> int:
        tokens = self._tokens[id(span.source)]
        place, end = (span.line, span.first), len(tokens) - 1
        return bisect_left(tokens, place, hi=end, key=lambda token: (token.line, token.first))

    def _cut_block(self, name: Span) -> None:
        """Take out a declaration in a table block."""
        self._cut(name.source, self._index(name) - 1, self._index(name))

    def _cut_command(self, place: Span) -> None:
        """Take out the command that something stands in."""
        tokens = self._tokens[id(place.source)]
        first = self._index(place)
        while first and tokens[first - 1].kind not in (Token.NEWLINE, Token.SEMICOLON):
            first -= 1
        self._cut(place.source, first, self._index(place))

    def _cut(self, source: Source, first: int, last: int) -> None:
        """Take out tokens, and all behind them up to a separator outside of braces."""
        tokens = self._tokens[id(source)]
        depth = 0
        while tokens[last + 1].kind is not Token.END:
            kind = tokens[last + 1].kind
            if not depth and kind in (Token.NEWLINE, Token.SEMICOLON, Token.BRACE_CLOSE):
                break
            depth += (kind is Token.BRACE_OPEN) - (kind is Token.BRACE_CLOSE)
            last += 1
        lines = tokens[last].line - tokens[first].line
        self._texts[id(source)].edits.append((first, last, "\n" * lines))

    def _rules(self, rules: Iterable[RuleSyntax], family: Family, table: str) -> None:
        for rule in rules:
            for statement in rule.statements:
                if isinstance(statement, FlowAdd):
                    first = self._index(statement.span)
                    statements = self._free.mark((family, table, statement.name)).statements
                    edits = self._texts[id(statement.span.source)].edits
                    edits.append((first, first + _FLOW_ADD - 1, statements))
                elif isinstance(statement, BlockSyntax):
                    self._rules(statement.rules, family, table)

    def _written(self, text: _Text) -> str:
        whole = text.source.text
        starts = [0, *accumulate(len(line) + 1 for line in whole.split("\n"))]
        tokens = self._tokens[id(text.source)]
        parts = []
        at = 0
        for first, last, replacement in sorted(text.edits):
            begin, end = tokens[first], tokens[last]
            parts += [whole[at : starts[begin.line - 1] + begin.first - 1], replacement]
            at = starts[end.line - 1] + end.last
        return "".join((*parts, whole[at:]))


def _changes(before: Ruleset, after: Ruleset, flowtables: Iterable[Kept]) -> Iterator[str]:
    """The commands on the sets that stand for flowtables."""
    kept = {each.key: each for each in flowtables}
    for key, table in after.tables.items():
        old = before.tables.get(key)
        known = old.flowtables if old is not None and old.handle == table.handle else {}
        for name in known.keys() - table.flowtables.keys():
            yield f"delete set {table.family.value} {table.name} {PREFIX}{name}\n"
        for name in table.flowtables:
            yield from _change(kept[*key, name], known.get(name))


def _change(kept: Kept, known: Flowtable | None) -> Iterator[str]:
    """The commands that make a flowtable what it is to be."""
    flowtable = kept.flowtable
    if known is None:
        yield kept.added()
    elif (known.counter, known.offload) != (flowtable.counter, flowtable.offload):
        yield f"delete set {kept.set_name}\n"
        yield kept.added()
    else:
        fewer = set(known.devices) - set(flowtable.devices)
        more = set(flowtable.devices) - set(known.devices)
        if fewer:
            yield f"delete element {kept.set_name} {names(sorted(fewer))}\n"
        if more:
            yield f"add element {kept.set_name} {names(sorted(more))}\n"
