"""Listings of nft with flowtables in them, as if the kernel had any: the way back from ``split``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from flowtable.live.mark import LISTED, Carrier, Mark, mark_of
from flowtable.live.record import PREFIX, Kept
from flowtable.ruleset.family import Family
from flowtable.ruleset.json.writer import flowtable_json
from flowtable.ruleset.printer import print_flowtable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowtable.live.record import Key
    from flowtable.ruleset.json.value import Json

Names = Mapping[tuple[Family, str, Mark], str]
"""Flowtables by the family and name of their table, and the bit that marks their connections."""

_TABLE: Final = re.compile(r"table (?P<family>\S+) (?P<name>\S+) \{(?: # handle \d+)?")
_BLOCK: Final = re.compile(rf"\tset {PREFIX}(?P<name>\S+) \{{(?P<handle> # handle \d+)?")
_END: Final = "\t}"
_BEFORE_FLOWTABLES: Final = re.compile(r"\t(?:set|map|counter|quota|limit|ct|synproxy|secmark) .*\{")


def rejoin_text(listing: str, flowtables: Iterable[Kept], *, sets: bool = False) -> str:
    """Put flowtables, and the rules that add flows to them, into a listing.

    Args:
        listing: what nft printed, whatever its options.
        flowtables: the flowtables that the kernel remembers.
        sets: it is a list of sets, which has no flowtables.
    """
    known = {each.key: each for each in flowtables}
    named = _by_mark(known.values())
    written: list[str] = []
    table: list[str] | None = None
    key = Family.IP, ""
    for line in listing.splitlines():
        head = _TABLE.fullmatch(line)
        if head is not None:
            key = Family(head["family"]), head["name"]
            table = [line]
        elif table is None:
            written.append(_rule(line, key, named))
        elif line == "}":
            written += [*_table(table, key, known, sets=sets), line]
            table = None
        else:
            table.append(_rule(line, key, named))
    return "".join(f"{line}\n" for line in written)


def _by_mark(flowtables: Iterable[Kept]) -> Names:
    return {
        (each.flowtable.family, each.flowtable.table, each.mark): each.flowtable.name for each in flowtables
    }


def _rule(line: str, table: tuple[Family, str], named: Names) -> str:
    """A line with ``flow add`` in the place of what stands for it."""

    def flow_add(found: re.Match[str]) -> str:
        name = named.get((*table, mark_of(found)))
        return found.group() if name is None else f"flow add @{name}"

    return LISTED.sub(flow_add, line) if "@nh,0,8" in line else line


def _table(
    lines: list[str], table: tuple[Family, str], known: Mapping[Key, Kept], *, sets: bool
) -> list[str]:
    """The lines of a table without its end, flowtables behind its sets as nft lists them."""
    head, blocks = _blocks(lines)
    kept: list[list[str]] = []
    flowtables: list[list[str]] = []
    place = 0
    for block in blocks:
        found = _BLOCK.fullmatch(block[0])
        flowtable = None if found is None else known.get((*table, found["name"]))
        if found is not None and flowtable is not None:
            printed = print_flowtable(flowtable.flowtable, handles=found["handle"] is not None)
            flowtables.append(printed.splitlines())
            continue
        kept.append(block)
        if _BEFORE_FLOWTABLES.match(block[0]):
            place = len(kept)
    if sets:  # nft puts no blank lines between them there
        return [*head, *(line for block in kept for line in block)]
    kept[place:place] = flowtables
    return [*head, *(line for index, block in enumerate(kept) for line in (*([""] if index else []), *block))]


def _blocks(lines: list[str]) -> tuple[list[str], list[list[str]]]:
    """What a table says of itself, and its blocks."""
    head: list[str] = []
    blocks: list[list[str]] = []
    inside = False
    for line in lines:
        if inside:
            blocks[-1].append(line)
            inside = line != _END
        elif line.startswith("\t") and "{" in line:
            blocks.append([line])
            inside = True
        elif not blocks:
            head.append(line)
    return head, blocks


def rejoin_json(document: Json, flowtables: Iterable[Kept], *, sets: bool = False) -> Json:
    """The same for a document that ``nft -j`` printed."""
    known = {each.key: each for each in flowtables}
    named = _by_mark(known.values())
    if not isinstance(document, Mapping) or not isinstance(document.get("nftables"), list):
        return document
    items = document["nftables"]
    assert isinstance(items, list)
    joined = [_item(item, known, named) for item in items]
    shown = [item for item in joined if not (sets and isinstance(item, Mapping) and "flowtable" in item)]
    return {**document, "nftables": shown}


def _item(item: Json, known: Mapping[Key, Kept], named: Names) -> Json:
    match item:
        case {"set": {"family": str() as family, "table": str() as table, "name": str() as name}}:
            kept = known.get((Family(family), table, name.removeprefix(PREFIX)))
            if kept is None or not name.startswith(PREFIX):
                return item
            return {"flowtable": flowtable_json(kept.flowtable)}
        case {"rule": {"family": str() as family, "table": str() as table, "expr": list() as expr} as rule}:
            assert isinstance(rule, dict)
            return {"rule": {**rule, "expr": _statements(expr, (Family(family), table), named)}}
        case {"add": _} | {"insert": _} | {"replace": _} | {"delete": _}:
            assert isinstance(item, Mapping)
            return {verb: _item(inner, known, named) for verb, inner in item.items()}
        case _:
            return item


def _statements(statements: list[Json], table: tuple[Family, str], named: Names) -> list[Json]:
    written: list[Json] = []
    for statement in statements:
        # A chain without a name is its text.
        written.append(_rule(statement, table, named) if isinstance(statement, str) else statement)
        mark = _set_by(statement)
        name = None if mark is None else named.get((*table, mark))
        if name is not None and tuple(map(_read, written[-len(_READ) - 2 : -2])) == _READ:
            written[-len(_READ) - 2 :] = [{"flow": {"op": "add", "flowtable": f"@{name}"}}]
    return written


_READ: Final = ("meta l4proto", "ct status", "payload nh", "meta ipsec")
"""What the conditions of ``flow add`` read; the test of the bit follows, and its setting."""


def _read(statement: Json) -> str:
    """What a match reads first."""
    match statement:
        case {"match": {"left": left}}:
            return _read(left)
        case {"concat": [first, *_]} | {"&": [first, *_]}:
            return _read(first)
        case {"meta": {"key": key}}:
            return f"meta {key}"
        case {"ct": {"key": key}}:
            return f"ct {key}"
        case {"payload": {"base": base}}:
            return f"payload {base}"
        case _:
            return ""


def _set_by(statement: Json) -> Mark | None:
    """The bit that a statement sets."""
    match statement:
        case {"mangle": {"key": {"ct": {"key": "label"}}, "value": int() as bit}}:
            return Mark(Carrier.LABEL, bit)
        case {"mangle": {"key": {"ct": {"key": "mark"}}, "value": {"|": [_, int() as mask]}}}:
            return Mark(Carrier.MARK, mask.bit_length() - 1)
        case _:
            return None
