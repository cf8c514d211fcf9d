"""Several values side by side, as ``ip saddr . tcp dport`` reads them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, cast

from flowtable.ruleset.types.base import DataType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.syntax import Word
    from flowtable.ruleset.types.base import Scalar, Value


class Concatenation(DataType):
    """Values of several types; ``concatenation_of`` gives the one type for each list of them.

    Attributes:
        parts: their types.
    """

    ranges = False
    parts: tuple[DataType, ...]

    def __init__(self, parts: tuple[DataType, ...]) -> None:
        super().__init__(
            " . ".join(part.name for part in parts),
            f"concatenation of ({', '.join(part.description for part in parts)})",
            sum(part.bits for part in parts),
        )
        self.parts = parts

    def parse(self, word: Word) -> Value:
        """One word is never enough."""
        del word
        raise ValueError(f"invalid data type, expected {self.description}")

    def format(self, value: Value) -> str:
        """Joined by dots."""
        assert isinstance(value, tuple)
        return " . ".join(part.format(one) for part, one in zip(self.parts, value, strict=True))

    def json(self, value: Value) -> Json:
        """A list."""
        assert isinstance(value, tuple)
        return {"concat": [part.json(one) for part, one in zip(self.parts, value, strict=True)]}

    def order(self, value: Value) -> tuple[int, int, str]:
        """By the number that nft takes the bytes of all parts for: the last part counts most."""
        assert isinstance(value, tuple)
        total = shift = 0
        for part, one in zip(self.parts, value, strict=True):
            size = (part.bits + 7) // 8
            if isinstance(one, int):
                raw = one.to_bytes(size, "big" if part.network_order else "little")
                total |= int.from_bytes(raw, "little") << shift
            shift += 8 * size
        return 0, total, ""

    def key(self, value: Value) -> Value:
        """Each part as it is read from a packet."""
        assert isinstance(value, tuple)
        return tuple(cast("Scalar", part.key(one)) for part, one in zip(self.parts, value, strict=True))

    def unkey(self, value: Value) -> Value:
        """Each part as a set keeps it."""
        assert isinstance(value, tuple)
        return tuple(cast("Scalar", part.unkey(one)) for part, one in zip(self.parts, value, strict=True))

    def numbers(self, value: Sequence[Scalar]) -> Sequence[int]:
        """Values that were read from a packet as numbers that intervals can cover."""
        return [
            one if isinstance(one, int) else _number(part, one)
            for part, one in zip(self.parts, value, strict=True)
        ]


def _number(part: DataType, value: Scalar) -> int:
    number = part.unkey(value)
    return number if isinstance(number, int) else 0


@cache
def concatenation_of(*parts: DataType) -> Concatenation:
    """The type of values of those types side by side; always the same object for the same types."""
    return Concatenation(parts)
