"""Reading the files that say what the box is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flowtable.cli.error import InputError
from flowtable.cli.text import as_text
from flowtable.ruleset import Ruleset, RulesetError, execute
from flowtable.ruleset.files import Files
from flowtable.ruleset.json.reader import is_document
from flowtable.topology.boxfile import BoxError, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowtable.ruleset.transact import Outcome
    from flowtable.topology.topology import Topology

STANDARD = "-"
"""The file name that stands for standard input or output."""


def load_ruleset(
    path: str, *, folders: Sequence[str] = (), defines: Sequence[str] = ()
) -> tuple[Ruleset, list[str]]:
    """The ruleset of a file, text or JSON, or of standard input, and the files that it includes.

    Args:
        path: the file.
        folders: where included files are looked for first.
        defines: variables of the file, each as ``name=value``.

    Raises:
        InputError: it cannot be read, or is not valid.
    """
    try:
        opened = open_ruleset(path, folders=folders, defines=defines)
    except RulesetError as error:
        raise InputError(str(error)) from None
    return opened.outcome.ruleset, opened.included


class Opened(NamedTuple):
    """A ruleset file that was read.

    Attributes:
        outcome: what its commands come to.
        included: the files that it includes.
        document: it is JSON.
    """

    outcome: Outcome
    included: list[str]
    document: bool


def open_ruleset(path: str, *, folders: Sequence[str] = (), defines: Sequence[str] = ()) -> Opened:
    """Read a ruleset file; what it includes is looked for in folders, beside it and, as nft does, in /etc.

    Args:
        path: the file.
        folders: where included files are looked for first.
        defines: variables of the file, each as ``name=value``.

    Raises:
        InputError: it cannot be read.
        RulesetError: it is not valid.
    """
    name = "/dev/stdin" if path == STANDARD else path
    included = Files([*map(Path, folders), Path(path).parent, Path("/etc")])
    text = as_text(read(path), name)
    outcome = execute(Ruleset(), text, name, read_include=included, defines=defines)
    return Opened(outcome, included.read, is_document(text))


def load_box(path: str) -> Topology:
    """The box of a box file, or of standard input.

    Raises:
        InputError: it cannot be read, or is not valid.
    """
    try:
        return load(read(path), "/dev/stdin" if path == STANDARD else path)
    except BoxError as error:
        raise InputError(str(error)) from None


def read(path: str) -> bytes:
    """The content of a file, or of standard input.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if path == STANDARD else Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
