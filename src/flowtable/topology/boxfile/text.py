"""Values as they stand in a box file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

# What YAML 1.1, YAML 1.2 and JSON readers all take for the same text without quotes.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./-]*", re.ASCII)
_NOT_TEXT: Final = re.compile(
    r"(true|false|yes|no|on|off|y|n|null|[0-9][0-9_]*([.][0-9_]*)?(e[0-9]+)?|0[xo].*)", re.I
)


def quoted(text: str) -> str:
    """A text, in double quotes where it could be taken for something else."""
    if _PLAIN.fullmatch(text) and not _NOT_TEXT.fullmatch(text):
        return text
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return f"\\U{ord(character):08x}"


def address(packed: bytes) -> str:
    """An IP address of 4 or 16 bytes."""
    return quoted(str(ip_address(packed)))


def prefix(packed: bytes, prefixlen: int) -> str:
    """An IP address with a prefix length."""
    return quoted(f"{ip_address(packed)}/{prefixlen}")


def mac(packed: bytes) -> str:
    """A MAC address. In quotes: YAML 1.1 takes some of them for numbers of base 60."""
    return f'"{packed.hex(":")}"'


def boolean(value: bool) -> str:
    """``true`` or ``false``."""
    return "true" if value else "false"


def inline(values: Mapping[str, str | None]) -> str:
    """A mapping on one line, without the keys that have no value."""
    pairs = (f"{key}: {value}" for key, value in values.items() if value is not None)
    return "{" + ", ".join(pairs) + "}"
