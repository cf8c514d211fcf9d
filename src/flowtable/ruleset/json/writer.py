"""A ruleset as ``nft -j list ruleset`` prints it.

Other than there, nothing is lost: flowtables have ``flags`` and ``counter``, chains their devices
and comments, tables their flags. Ref: nftables src/json.c:do_command_list_json.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, cast

from flowtable.ruleset.element import ascending
from flowtable.ruleset.implied import visible
from flowtable.ruleset.json.keys import data_json, element_json
from flowtable.ruleset.json.object_writer import body_json
from flowtable.ruleset.json.value import without_counts
from flowtable.ruleset.statements.vmap import verdict_json
from flowtable.ruleset.table_flag import flag_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.ruleset.element import Element
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.model import Chain, Flowtable, Rule, Ruleset, Table
    from flowtable.ruleset.objects import NamedObject
    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.values import Key

    Members = dict[str, Json]

_METAINFO: Final[Members] = {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}
"""The version of nft whose schema this is."""


def print_json(
    ruleset: Ruleset, *, stateless: bool = False, terse: bool = False, now: int | None = None
) -> str:
    """The document, in one line.

    Args:
        ruleset: what to print.
        stateless: without counts.
        terse: without elements of sets.
        now: the time of the listing, nanoseconds; None before the rules run.
    """
    items = document(ruleset, stateless=stateless, terse=terse, now=now)
    # Item by item: nothing of one is kept while the next is made.
    return f'{{"nftables": [{", ".join(map(json.dumps, items))}]}}\n'


def document(
    ruleset: Ruleset, *, stateless: bool = False, terse: bool = False, now: int | None = None
) -> Iterator[Json]:
    """What is in the array ``nftables``."""
    yield {"metainfo": _METAINFO}
    for table in ruleset.tables.values():
        if table.handle:
            yield {"table": _table(table)}
        for item in table.objects.values():
            yield {item.kind.value: _object(table, item, stateless=stateless)}
        for declared in table.sets.values():
            yield {declared.word: _set(table, declared, terse=terse, now=now)}
        for flowtable in table.flowtables.values():
            yield {"flowtable": flowtable_json(flowtable)}
        for chain in table.chains.values():
            yield {"chain": _chain(table, chain)}
        for chain in table.chains.values():
            for rule in chain.rules:
                yield {"rule": _rule(table, chain, rule, stateless=stateless)}


def _with_comment(members: Members, comment: str | None) -> Members:
    if comment is not None:
        members["comment"] = comment
    return members


def _table(table: Table) -> Members:
    members: Members = {"family": table.family.value, "name": table.name, "handle": table.handle}
    if table.flags:
        members["flags"] = [*flag_words(table.flags)]
    return _with_comment(members, table.comment)


def _chain(table: Table, chain: Chain) -> Members:
    members: Members = {
        "family": table.family.value,
        "table": table.name,
        "name": chain.name,
        "handle": chain.handle,
    }
    attachment = chain.attachment
    if attachment is not None:
        members["type"] = attachment.type.value
        members["hook"] = attachment.hook.name.lower()
        members["prio"] = attachment.priority
        if attachment.devices:
            members["dev"] = _one_or_all(attachment.devices)
        members["policy"] = chain.policy.name.lower()
    return _with_comment(members, chain.comment)


def _one_or_all(names: tuple[str, ...]) -> Json:
    return names[0] if len(names) == 1 else list(names)


def flowtable_json(flowtable: Flowtable) -> Members:
    """The object of one flowtable."""
    members: Members = {
        "family": flowtable.family.value,
        "name": flowtable.name,
        "table": flowtable.table,
        "handle": flowtable.handle,
        "hook": "ingress",
        "prio": flowtable.priority,
    }
    if flowtable.devices:
        members["dev"] = _one_or_all(flowtable.devices)
    if flowtable.offload:
        members["flags"] = ["offload"]
    if flowtable.counter:
        members["counter"] = True
    return members


def _rule(table: Table, chain: Chain, rule: Rule, *, stateless: bool) -> Members:
    members: Members = {
        "family": table.family.value,
        "table": table.name,
        "chain": chain.name,
        "handle": rule.handle,
    }
    if rule.comment is not None:
        members["comment"] = rule.comment
    statements = [statement.json() for statement in visible(rule.statements, table.family)]
    members["expr"] = [without_counts(each) for each in statements] if stateless else statements
    return members


def _object(table: Table, declared: NamedObject, *, stateless: bool) -> Members:
    members: Members = {
        "family": table.family.value,
        "name": declared.name,
        "table": table.name,
        "handle": declared.handle,
    }
    return _with_comment(members, declared.comment) | body_json(declared.body, stateless=stateless)


def _set(table: Table, declared: Set, *, terse: bool, now: int | None) -> Members:
    members: Members = {
        "family": table.family.value,
        "name": declared.name,
        "table": table.name,
        "type": _type(declared.datatype.name, declared.typeof),
        "handle": declared.handle,
    }
    if declared.is_map:
        members["map"] = _map_type(declared)
    _with_comment(members, declared.comment)
    if declared.policy == "memory":
        members["policy"] = declared.policy
    if declared.size is not None:
        members["size"] = declared.size
    flags = {
        "constant": declared.constant,
        "interval": declared.interval,
        "timeout": declared.timeouts,
        "dynamic": declared.dynamic,
    }
    if any(flags.values()):
        members["flags"] = [name for name, given in flags.items() if given]
    if declared.timeout is not None:
        members["timeout"] = declared.timeout // 1000
    if declared.gc_interval is not None:
        members["gc-interval"] = declared.gc_interval // 1000
    if declared.auto_merge:
        members["auto-merge"] = True
    found = [each for each in declared.elements.values() if now is None or not each.expired(now)]
    if found and not terse:
        members["elem"] = [
            _element(element, declared, now) for element in ascending(found, declared.datatype)
        ]
    if declared.statements:
        members["stmt"] = [without_counts(statement.json()) for statement in declared.statements]
    return members


def _type(name: str, typeof: str) -> Json:
    """The type by its name, or as ``typeof`` what is read; a list for a concatenation."""
    if typeof:
        return {"typeof": typeof}
    names = name.split(" . ")
    return names[0] if len(names) == 1 else names


def _map_type(declared: Set) -> Json:
    if declared.objects is not None:
        return declared.objects.value
    if declared.data is None:
        return "verdict"
    return {"typeof": declared.data_typeof} if declared.data_typeof else declared.data.name


def _element(element: Element, declared: Set, now: int | None) -> Json:
    covered = element_json(element, declared.datatype, now)
    if not declared.is_map:
        return covered
    if declared.objects is not None:
        return [covered, cast("str", element.data)]
    if declared.data is None:
        return [covered, verdict_json(element.data)]
    return [covered, data_json(cast("Key", element.data), declared.data)]
