"""What every type of values has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.lexer import Kind

if TYPE_CHECKING:
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.syntax import Word

Scalar = int | str
"""One value: an unsigned integer, or the name of a device whose index is meant."""
Value = Scalar | tuple[Scalar, ...]
"""A value, or those of a concatenation."""

_MAX_DIGITS = 64


class DataType:
    """A type of values.

    Attributes:
        name: its name in ``type`` of a set.
        description: what error messages call it.
        bits: its width.
        per_line: how many elements of a set are printed on one line.
        bitmask: values are sets of flags.
        prefixes: a range that a prefix can express is printed as one.
        ranges: its values are ordered, so that ranges of them make sense.
        network_order: its most significant byte comes first in memory.

    Ref: nftables src/datatype.c.
    """

    name: str
    description: str
    bits: int
    per_line = 1
    bitmask = False
    prefixes = False
    ranges = True
    network_order = True

    def __init__(self, name: str, description: str, bits: int) -> None:
        self.name = name
        self.description = description
        self.bits = bits

    def parse(self, word: Word) -> Value:
        """The value that is written.

        Raises:
            ValueError: it is no value of this type; the text is nft's message.
        """
        number = as_number(word)
        if number is None:
            raise ValueError(f"Could not parse {self.description}")
        return number

    def format(self, value: Value) -> str:
        """The value as nft prints it."""
        return str(value)

    def bound(self, value: int) -> str:
        """The value as the end of a range, where names are not printed."""
        return self.format(value)

    def json(self, value: Value) -> Json:
        """The value in a JSON document: a number, or its text without quotes."""
        text = self.format(value)
        if text[:1].isdecimal() and (text.isdecimal() or text.startswith("0x")):
            return int(text, 16 if text.startswith("0x") else 10)
        return text.removeprefix('"').removesuffix('"')

    def json_bound(self, value: int) -> Json:
        """The value as the end of a range in a JSON document."""
        return self.json(value)

    def order(self, value: Value) -> tuple[int, int, str]:
        """What single values are sorted by in a listing: as nft reads their bytes."""
        return (0, value, "") if isinstance(value, int) else (1, 0, str(value))

    def key(self, value: Value) -> Value:
        """The value as it is read from a packet while rules run."""
        return value

    def unkey(self, value: Value) -> Value:
        """A value that was read from a packet as a set keeps it: what ``key`` undoes."""
        return value

    @property
    def maximum(self) -> int:
        """The largest value."""
        return (1 << self.bits) - 1


def as_number(word: Word) -> int | None:
    """The word as a number, None if it is none."""
    text = word.text
    if word.kind is Kind.NUMBER:
        return int(text)
    if len(text) > _MAX_DIGITS or not text[:1].isdigit() or not text.isascii():
        return None
    try:
        return int(text, 16 if text[:2] in ("0x", "0X") else 10)
    except ValueError:
        return None
