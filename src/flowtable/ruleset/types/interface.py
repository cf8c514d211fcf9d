"""Devices, by name and by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.style import style
from flowtable.ruleset.types.base import DataType, Value, as_number

if TYPE_CHECKING:
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.syntax import Word

SURROGATES: Final = "surrogatepass"
"""How names that are not UTF-8 are kept, as Python's file names are."""
NAME_SIZE: Final = 16
"""IFNAMSIZ, the terminating zero included."""


class InterfaceName(DataType):
    """The name of a device, as the integer of its sixteen zero-padded bytes.

    So a wildcard is what it is to nft, a range.
    """

    ranges = False

    def parse(self, word: Word) -> Value:
        """A name of at most 15 bytes."""
        name = word.text.replace("\\*", "*").encode(errors=SURROGATES)
        if not name:
            raise ValueError("Empty string is not allowed")
        if len(name) >= NAME_SIZE:
            raise ValueError(f"String exceeds maximum length of {NAME_SIZE}")
        return int.from_bytes(name.ljust(NAME_SIZE, b"\0"), "big")

    def wildcard(self, text: str) -> tuple[int, int]:
        """First and last value of a wildcard, given without its asterisk."""
        if not text:
            raise ValueError("All-wildcard strings are not supported")
        name = text.encode(errors=SURROGATES)
        if len(name) >= NAME_SIZE:
            raise ValueError(f"String exceeds maximum length of {NAME_SIZE}")
        low = int.from_bytes(name.ljust(NAME_SIZE, b"\0"), "big")
        return low, low | (1 << 8 * (NAME_SIZE - len(name))) - 1

    def order(self, value: Value) -> tuple[int, int, str]:
        """By the bytes from the last to the first: nft takes a name for a number of this host."""
        assert isinstance(value, int)
        return 0, int.from_bytes(value.to_bytes(NAME_SIZE, "big"), "little"), ""

    def key(self, value: Value) -> Value:
        """The name itself."""
        assert isinstance(value, int)
        return value.to_bytes(NAME_SIZE, "big").rstrip(b"\0").decode(errors=SURROGATES)

    def unkey(self, value: Value) -> Value:
        """The integer of a name."""
        return int.from_bytes(str(value).encode(errors=SURROGATES).ljust(NAME_SIZE, b"\0"), "big")

    def format(self, value: Value) -> str:
        """Quoted; an asterisk that is part of the name is escaped."""
        name = str(self.key(value))
        if name.endswith("*"):
            name = name[:-1] + "\\*"
        return f'"{name}"'

    def json(self, value: Value) -> Json:
        """The name, which may look like a number."""
        return self.format(value)[1:-1]


class InterfaceIndex(DataType):
    """The index of a device; a name stands for the index it has when the rules are loaded."""

    per_line = 5
    ranges = False
    network_order = False

    def parse(self, word: Word) -> Value:
        """A name or a number."""
        number = as_number(word)
        return word.text if number is None else number

    def format(self, value: Value) -> str:
        """The name, quoted, or the number of a device that is not known."""
        name = style().devices.get(value) if isinstance(value, int) else str(value)
        return str(value) if name is None else f'"{name}"'

    def json(self, value: Value) -> Json:
        """The name, or the number as a text."""
        return self.format(value).strip('"')


IFNAME: Final = InterfaceName("ifname", "network interface name", 8 * NAME_SIZE)
IFACE_INDEX: Final = InterfaceIndex("iface_index", "network interface index", 32)
