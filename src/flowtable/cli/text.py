"""Bytes of a ruleset as text."""

from __future__ import annotations

from flowtable.cli.error import InputError


def as_text(data: bytes, name: str) -> str:
    """The text of a ruleset file, line ends as they are; what is not UTF-8 is kept for the output.

    Raises:
        InputError: it is no text.
    """
    at = data.find(b"\0")
    if at >= 0:
        raise InputError(f"{name}: byte {at}: not a text file")
    return data.decode("utf-8", "surrogateescape")
