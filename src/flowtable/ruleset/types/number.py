"""Plain numbers, marks, traffic classes and times."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from flowtable.ruleset.style import style
from flowtable.ruleset.types.base import DataType, Value, as_number

if TYPE_CHECKING:
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.syntax import Word


class Integer(DataType):
    """A number without names, of as many bits as what is read."""

    per_line = 5

    def __init__(self, bits: int) -> None:
        super().__init__("integer", "integer", bits)


class Numbers(Integer):
    """A number below some bound."""

    def __init__(self, bits: int, most: int) -> None:
        super().__init__(bits)
        self._most = most

    @property
    def maximum(self) -> int:
        """The bound."""
        return self._most


class Hexadecimal(Integer):
    """A number that is printed in hexadecimal digits: bytes of a header that has no name for them."""

    def format(self, value: Value) -> str:
        """Without leading zeros."""
        return f"0x{value:x}"

    def json(self, value: Value) -> Json:
        """The number."""
        return value if isinstance(value, int) else str(value)


class Mark(DataType):
    """A packet or connection mark."""

    per_line = 5
    network_order = False
    prefixes = True

    def format(self, value: Value) -> str:
        """Eight hexadecimal digits."""
        return f"0x{value:08x}"

    def json(self, value: Value) -> Json:
        """The number."""
        return value


class ClassId(DataType):
    """A traffic class, ``major:minor``."""

    per_line = 5
    network_order = False

    def parse(self, word: Word) -> Value:
        """``none``, ``root``, ``1:10`` or a number."""
        if word.text == "none":
            return 0
        if word.text == "root":
            return 0xFFFFFFFF
        major, colon, minor = word.text.partition(":")
        if colon:
            try:
                return int(major, 16) << 16 | int(minor, 16)
            except ValueError:
                raise ValueError(f"Could not parse {self.description}") from None
        number = as_number(word)
        if number is None:
            raise ValueError(f"Could not parse {self.description}")
        return number

    def format(self, value: Value) -> str:
        """``none``, ``root`` or ``major:minor``."""
        assert isinstance(value, int)
        match value:
            case 0:
                return "none"
            case 0xFFFFFFFF:
                return "root"
            case _:
                return f"{value >> 16:0x}:{value & 0xFFFF:0x}"


_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


class Time(DataType):
    """A relative time, in milliseconds."""

    network_order = False

    def parse(self, word: Word) -> Value:
        """``1h30m``, or a number of seconds."""
        number = as_number(word)
        if number is not None:
            return number * 1000
        total = 0
        rest = word.text
        for unit, milliseconds in _UNITS:
            digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
            behind = rest[len(digits) :]
            if digits and behind.startswith(unit) and not (unit == "m" and behind.startswith("ms")):
                total += int(digits) * milliseconds
                rest = behind[len(unit) :]
        if rest or not word.text:
            raise ValueError("wrong time format")
        return total

    def format(self, value: Value) -> str:
        """``1h30m``."""
        assert isinstance(value, int)
        if style().seconds:
            return self.bound(value)
        parts = []
        for unit, milliseconds in _UNITS:
            count, value = divmod(value, milliseconds)
            if count:
                parts.append(f"{count}{unit}")
        return "".join(parts) or "0s"

    def bound(self, value: int) -> str:
        """Seconds."""
        return f"{value // 1000}s"

    def json(self, value: Value) -> Json:
        """Whole seconds."""
        assert isinstance(value, int)
        return value // 1000


@cache
def integer(bits: int) -> Integer:
    """The type of numbers of a width, in bits."""
    return INTEGER.get(bits) or Integer(bits)


@cache
def hexadecimal(bits: int) -> Hexadecimal:
    """The type of raw bytes of a width, in bits."""
    return Hexadecimal(bits)


INTEGER: Final = {bits: Integer(bits) for bits in (1, 2, 3, 4, 6, 8, 12, 13, 16, 20, 32, 64)}
"""Numbers by their width."""
MARK: Final = Mark("mark", "packet mark", 32)
CLASSID: Final = ClassId("classid", "TC classid", 32)
TIME: Final = Time("time", "relative time", 64)
