"""From text to a ruleset."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from flowtable.ruleset.blocks import parse_file
from flowtable.ruleset.check import Checker
from flowtable.ruleset.cursor import MAX_ERRORS
from flowtable.ruleset.grammar import SELECTORS, STATEFUL, parse_rule
from flowtable.ruleset.include import nothing
from flowtable.ruleset.json.reader import is_document, read_document
from flowtable.ruleset.model import Ruleset
from flowtable.ruleset.parser import Parser
from flowtable.ruleset.printer import print_ruleset
from flowtable.ruleset.source import RulesetError, Source
from flowtable.ruleset.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flowtable.ruleset.answer import Show
    from flowtable.ruleset.change import Change
    from flowtable.ruleset.command import Command
    from flowtable.ruleset.include import Reader


def parse(text: str, name: str, *, read_include: Reader = nothing) -> Ruleset:
    """Load a ruleset file, as ``nft -f`` does into an empty kernel.

    Args:
        text: the file.
        name: what errors call it.
        read_include: finds included files; without it there are none.

    Raises:
        RulesetError: everything that is wrong with it; ``str()`` is what nft would print.
    """
    return apply(Ruleset(), text, name, read_include=read_include)


def apply(ruleset: Ruleset, text: str, name: str, *, read_include: Reader = nothing) -> Ruleset:
    """Make the changes that a file asks for, all or none.

    Args:
        ruleset: what is loaded; it stays as it is.
        text: the file.
        name: what errors call it.
        read_include: finds included files; without it there are none.

    Returns:
        The ruleset with the changes. It shares with the old one the rules that stay, so their
        counters go on.

    Raises:
        RulesetError: everything that is wrong with the file.
    """
    return execute(ruleset, text, name, read_include=read_include).ruleset


class Outcome(NamedTuple):
    """What the commands of a file come to.

    Attributes:
        ruleset: the ruleset with the changes.
        output: what ``list`` and the like print.
        commands: the commands as written.
        sources: the texts that they were read from: variables that were given, the file, or the
            items of a JSON document, and included files behind all that; these have a parent.
    """

    ruleset: Ruleset
    output: str
    commands: Sequence[Command] = ()
    sources: Sequence[Source] = ()


def execute(
    ruleset: Ruleset,
    text: str,
    name: str,
    *,
    read_include: Reader = nothing,
    defines: Sequence[str] = (),
    show: Show = print_ruleset,
) -> Outcome:
    """Make the changes that a file asks for, all or none, and answer what it asks.

    Args:
        ruleset: what is loaded; it stays as it is.
        text: the file.
        name: what errors call it.
        read_include: finds included files; without it there are none.
        defines: variables of the file, each as ``name=value``.
        show: prints what is listed.

    Raises:
        RulesetError: everything that is wrong with the file.
    """
    with _without_collections():
        return _execute(ruleset, text, name, read_include, defines, show)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Almost all that is made while reading stays; collecting garbage meanwhile makes it quadratic."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _execute(
    ruleset: Ruleset, text: str, name: str, read_include: Reader, defines: Sequence[str], show: Show
) -> Outcome:
    texts = [Source(f"--define {define}", f"define {define}\n") for define in defines]
    if is_document(text):
        texts += read_document(text, name) or [Source(name, "")]
    else:
        texts.append(Source(name, text))
    parser = Parser(texts, read_include, SELECTORS, STATEFUL, parse_rule)
    commands = parse_file(parser)
    checker = Checker(ruleset)
    changes: list[Change] = []
    for command in commands:
        changes.extend(checker.check(command))
    errors = (parser.errors + checker.errors)[:MAX_ERRORS]
    if errors:
        raise RulesetError(errors)
    transaction = Transaction(ruleset, show)
    transaction.apply(changes)
    return Outcome(transaction.ruleset, "".join(transaction.output), commands, parser.sources)
