"""How a file is written: whether it can be loaded twice, what chains it has, what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.explain.lints.lint import Lint, Place
from flowtable.explain.lints.subject import chain_jumps
from flowtable.ruleset.command import (
    AddTable,
    Delete,
    DeleteDevices,
    DeleteRule,
    Flush,
    FlushRuleset,
    Kind,
)
from flowtable.ruleset.statements.vmap import element_jumps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.explain.lints.subject import Subject
    from flowtable.ruleset.family import Family
    from flowtable.ruleset.model import Table

_HOOK_NAMES: Final = frozenset(
    ("prerouting", "input", "forward", "output", "postrouting", "ingress", "egress")
)


def _doubled(subject: Subject) -> Iterator[Place]:
    cleared: set[tuple[Family, str]] = set()
    families: set[Family | None] = set()
    for command in subject.commands:
        match command:
            case FlushRuleset(family):
                families.add(family)
            case Delete(Kind.TABLE, table) | Flush(table, None):
                cleared.add((table.family, table.name))
            case AddTable(table, block, _) if any(chain.rules for chain in block.chains):
                key = table.family, table.name
                if key not in cleared and not families & {None, table.family}:
                    cleared.add(key)
                    message = f"loaded twice, the rules of table '{table.name}' are there twice"
                    yield Place(table.span, message)
            case _:
                pass


def _no_hook(subject: Subject) -> Iterator[Place]:
    for table in subject.ruleset.tables.values():
        called = _called(table)
        for chain in table.chains.values():
            idle = chain.attachment is None and chain.name not in called
            if idle and chain.rules and chain.name.lower() in _HOOK_NAMES:
                message = f"chain '{chain.name}' has no 'type ... hook ...' line: no packet comes here"
                yield Place(chain.span, message)


def _unused_chain(subject: Subject) -> Iterator[Place]:
    for table in subject.ruleset.tables.values():
        called = _called(table)
        for chain in table.chains.values():
            if (
                chain.attachment is None
                and chain.name not in called
                and chain.name.lower() not in _HOOK_NAMES
            ):
                yield Place(chain.span, f"nothing jumps to chain '{chain.name}'")


def _called(table: Table) -> set[str]:
    called = {name for chain in table.chains.values() for name in chain_jumps(table, chain)}
    for declared in table.sets.values():
        called.update(element_jumps(declared.elements.values()))
    return called


def _newer(subject: Subject) -> Iterator[Place]:
    for command in subject.commands:
        if isinstance(command, Delete | DeleteRule | DeleteDevices) and command.destroy:
            span = command.span if isinstance(command, Delete | DeleteDevices) else command.chain_span
            yield Place(span, "'destroy' needs nft 1.0.7 and Linux 6.3")


def _json(subject: Subject) -> Iterator[Place]:
    if not subject.document:
        return
    for _, flowtable in subject.flowtables():
        lost = [
            word for word, given in (("flags", flowtable.offload), ("counter", flowtable.counter)) if given
        ]
        if lost:
            yield Place(flowtable.span, f"nft reads no {' and no '.join(lost)} of flowtables from JSON")


LINTS: Final = (
    Lint(
        "reload-doubles",
        "a file without 'flush' or 'delete' adds its rules once more at every load",
        _doubled,
    ),
    Lint(
        "hookless-chain",
        "a chain is not attached by its name, only by its 'type ... hook ...' line",
        _no_hook,
    ),
    Lint("unused-chain", "a chain that nothing leads to does nothing", _unused_chain),
    Lint("newer-nft", "older versions of nft and Linux refuse the whole file", _newer),
    Lint("json-flowtable", "libnftables silently turns hardware offload and accounting off", _json),
)
