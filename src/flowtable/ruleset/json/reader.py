"""From a JSON document to texts of commands, each a source of its own that errors can name.

Ref: nftables src/parser_json.c:nft_parse_json_buffer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from flowtable.ruleset.json.access import MalformedError, array, mapping, member
from flowtable.ruleset.json.object_reader import VERBS, command
from flowtable.ruleset.source import Diagnostic, RulesetError, Source, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.ruleset.json.value import Json


def is_document(text: str) -> bool:
    """Whether a text is JSON: no ruleset starts with a brace."""
    return text.lstrip()[:1] == "{"


def read_document(text: str, name: str) -> list[Source]:
    """The commands of a document as texts, in their order.

    Args:
        text: the document.
        name: what errors call it.

    Raises:
        RulesetError: it is no JSON, or not what the schema says.
    """
    try:
        items = array(
            member(mapping(json.loads(text), "the document"), "nftables", "the document"), "nftables"
        )
    except json.JSONDecodeError as error:
        place = Span(Source(name, text), error.lineno, error.colno, error.colno)
        raise RulesetError([Diagnostic(f"JSON: {error.msg}", place)]) from None
    except (MalformedError, RecursionError) as error:
        place = Span(Source(name, text), 1, 1, 1)
        raise RulesetError([Diagnostic(f"JSON: {_cause(error)}", place)]) from None
    errors: list[Diagnostic] = []
    sources: list[Source] = []
    for number, item in _ordered(items):
        place_name = f"{name}: nftables[{number}]"
        try:
            sources.append(Source(place_name, command(item) + "\n"))
        except (MalformedError, RecursionError) as error:
            shown = json.dumps(item)
            place = Span(Source(place_name, shown), 1, 1, max(len(shown), 1))
            errors.append(Diagnostic(f"JSON: {_cause(error)}", place))
    if errors:
        raise RulesetError(errors)
    return sources


def _ordered(items: list[Json]) -> Iterator[tuple[int, Json]]:
    """The items with their numbers, objects that are only listed in the order of a table block.

    A listing has maps in front of the chains that they jump to.
    """
    listed: list[tuple[int, Json]] = []
    for number, item in enumerate(items):
        if isinstance(item, dict) and not item.keys() & set(VERBS):
            listed.append((number, item))
            continue
        yield from sorted(listed, key=_rank)
        listed.clear()
        yield number, item
    yield from sorted(listed, key=_rank)


def _rank(numbered: tuple[int, Json]) -> int:
    item = numbered[1]
    kind = next(iter(item), "") if isinstance(item, dict) else ""
    return _ORDER.get(kind, _OTHERS)


_ORDER: Final = {
    "metainfo": 0,
    "table": 1,
    "chain": 2,
    "set": 4,
    "map": 4,
    "flowtable": 5,
    "element": 6,
    "rule": 7,
}
_OTHERS: Final = 3
"""Where named objects come: sets can map to them."""


def _cause(error: Exception) -> str:
    return "too deeply nested" if isinstance(error, RecursionError) else str(error)
