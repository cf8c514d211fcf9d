"""Bytes of a ruleset as text."""

from __future__ import annotations

from flowtable.cli.error import InputError
from flowtable.ruleset import files


def as_text(data: bytes, name: str) -> str:
    """The text of a ruleset file, line ends as they are; what is not UTF-8 is kept for the output.

    Raises:
        InputError: it is no text.
    """
    try:
        return files.as_text(data, name)
    except OSError as error:
        raise InputError(f"{error.strerror}") from None
