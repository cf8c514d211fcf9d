"""Reading typed values out of a document, collecting every problem with its place and path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from ipaddress import ip_address
from typing import Final, TypeVar

from flowtable.topology.boxfile.document import Mapping, Node, Scalar, Sequence

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,20}|0x[0-9a-fA-F]{1,16}|0o[0-7]{1,22}")
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NAME: Final = re.compile(r"[\w./-]{1,80}", re.ASCII)
_MAC: Final = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        line: from 1.
        column: from 1.
        path: where in the document, like ``devices[2].mtu``; empty for all of it.
        message: what is wrong there.
    """

    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.path}{': ' if self.path else ''}{self.message}"


class UnreadableError(Exception):
    """A value could not be read; its problem is noted already."""


class Field:
    """A node of the document, its path and key, and the list in which its problems end."""

    __slots__ = ("key", "node", "path", "problems")

    def __init__(self, node: Node, path: str, problems: list[Problem], key: Scalar | None = None) -> None:
        self.node = node
        self.path = path
        self.problems = problems
        self.key = node if key is None else key

    def note(self, message: str) -> None:
        """Note a problem here."""
        self.problems.append(Problem(self.node.line, self.node.column, self.path, message))

    def note_key(self, message: str) -> None:
        """Note a problem of the key, where the key stands."""
        self.problems.append(Problem(self.key.line, self.key.column, self.path, message))

    def fail(self, message: str) -> UnreadableError:
        """Note a problem here, for the caller to raise."""
        self.note(message)
        return UnreadableError()

    def items(self) -> Iterator[Field]:
        """The members of a list."""
        if not isinstance(self.node, Sequence):
            raise self.fail(f"expected a list, got {self.node}")
        for i, node in enumerate(self.node.items):
            yield Field(node, f"{self.path}[{i}]", self.problems)

    def entries(self) -> dict[str, Field]:
        """The values of a mapping by their keys; a repeated key is noted and left out."""
        if not isinstance(self.node, Mapping):
            raise self.fail(f"expected a mapping, got {self.node}")
        found: dict[str, Field] = {}
        for key, node in self.node.pairs:
            name = key.text if _NAME.fullmatch(key.text) else repr(key.text[:40])
            path = f"{self.path}.{name}" if self.path else name
            if key.text in found:
                Field(node, path, self.problems, key).note_key("this key stands twice")
            else:
                found[key.text] = Field(node, path, self.problems, key)
        return found

    def child(self, key: str) -> Field | None:
        """The value of a mapping's key, if it is a mapping that has it."""
        if isinstance(self.node, Mapping):
            for known, node in self.node.pairs:
                if known.text == key:
                    return Field(node, f"{self.path}.{key}", self.problems)
        return None

    def section(self, keys: Iterable[str]) -> Section:
        """A mapping of these keys; others are noted."""
        known = tuple(keys)
        entries = self.entries()
        if isinstance(self.node, Mapping):
            for key, _ in self.node.pairs:
                if key.text not in known:
                    Field(key, self.path, self.problems).note(unknown("key", key.text, known))
        return Section(self, entries)

    def text(self) -> str:
        """Any scalar but nothing, as it is written."""
        if not isinstance(self.node, Scalar) or (self.node.plain and self.node.text in ("", "~", "null")):
            raise self.fail(f"expected a text, got {self.node}")
        return self.node.text

    def integer(self, low: int, high: int) -> int:
        """A whole number between two, both included."""
        node = self.node
        if isinstance(node, Scalar) and node.plain and _INTEGER.fullmatch(node.text):
            value = int(node.text, 0 if node.text[1:2] in ("x", "o") else 10)
            if low <= value <= high:
                return value
        wanted = f"{low}..{high}" if low < high else low
        raise self.fail(f"expected {wanted}, got {node}")

    def boolean(self) -> bool:
        """``true`` or ``false``."""
        if isinstance(self.node, Scalar) and self.node.plain and self.node.text in _BOOLEANS:
            return _BOOLEANS[self.node.text]
        raise self.fail(f"expected true or false, got {self.node}")

    def choice(self, values: dict[str, T]) -> T:
        """One of some words."""
        text = self.text()
        if text not in values:
            *first, last = values
            words = f"{', '.join(first)} or {last}" if first else last
            raise self.fail(f"expected {words}, got {self.node}")
        return values[text]

    def member(self, kind: type[E]) -> E:
        """A member of an enum by its value."""
        return self.choice({str(member.value): member for member in kind})

    def mac(self) -> bytes:
        """A MAC address of one station."""
        text = self.text()
        if not _MAC.fullmatch(text):
            raise self.fail(f"expected a MAC address like 02:00:00:00:00:01, got {self.node}")
        mac = bytes.fromhex(text.replace(":", ""))
        if mac[0] & 1 or not any(mac):
            raise self.fail(f"expected the MAC address of one station, got {self.node}")
        return mac

    def address(self, size: int | None = None) -> bytes:
        """An IP address; of ``size`` 4 or 16 bytes where that is known."""
        try:
            packed = ip_address(_unscoped(self.text())).packed
        except ValueError:
            packed = b""
        if not packed or size not in (None, len(packed)):
            family = {None: "an IP", 4: "an IPv4", 16: "an IPv6"}[size]
            raise self.fail(f"expected {family} address, got {self.node}")
        return packed

    def prefix(self) -> tuple[bytes, int]:
        """An address and a prefix length; without one all of its bits."""
        host, slash, length = self.text().partition("/")
        try:
            packed = ip_address(_unscoped(host)).packed
        except ValueError:
            raise self.fail(f"expected an address like 192.0.2.1/24, got {self.node}") from None
        bits = len(packed) * 8
        if not slash:
            return packed, bits
        if not re.fullmatch("[0-9]{1,3}", length) or int(length) > bits:
            raise self.fail(f"expected a prefix length of 0..{bits}, got {length[:40]!r}")
        return packed, int(length)


class Section:
    """A mapping whose keys are known, asked for one by one."""

    __slots__ = ("entries", "field", "sound")

    def __init__(self, field: Field, entries: dict[str, Field]) -> None:
        self.field = field
        self.entries = entries
        self.sound = True

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def get(self, key: str, read: Callable[[Field], T], default: T) -> T:
        """What ``read`` makes of a key's value; the default where there is none or it is bad."""
        field = self.entries.get(key)
        if field is None:
            return default
        try:
            return read(field)
        except UnreadableError:
            self.sound = False
            return default

    def need(self, key: str, read: Callable[[Field], T]) -> T | None:
        """As ``get``, of a key that must be there; None where it is not or is bad."""
        if key not in self.entries:
            self.sound = False
            self.field.note(f"missing key {key!r}")
            return None
        return self.get(key, read, None)

    def items(self, key: str) -> list[Field]:
        """The members of the list that a key has, none where it has no value or a bad one."""
        none: list[Field] = []
        return self.get(key, lambda field: list(field.items()), none)

    def at(self, key: str) -> Field:
        """The key's field, or the mapping where it is not given."""
        return self.entries.get(key, self.field)


def unknown(what: str, text: str, known: Iterable[str]) -> str:
    """The message for a name that is none of the known ones."""
    names = list(known)
    close = get_close_matches(text, names, 1)
    if close:
        return f"unknown {what} {text[:40]!r}; did you mean {close[0]!r}?"
    return f"unknown {what} {text[:40]!r}; expected {', '.join(names) or 'none'}"


def _unscoped(text: str) -> str:
    """Refuse what ipaddress takes besides: a zone (``fe80::1%eth0``)."""
    if "%" in text:
        raise ValueError("an address with a zone")
    return text
