"""Points in time: dates, times of day and days of the week.

All of them are UTC, whatever the time zone of the machine, so that a rule means the same
everywhere; nft reads and prints the machine's own time. Ref: nftables src/meta.c.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flowtable.ruleset.types.base import DataType, Value, as_number
from flowtable.ruleset.types.number import TIME
from flowtable.ruleset.types.symbol import Symbolic

if TYPE_CHECKING:
    from flowtable.ruleset.syntax import Word

_SECOND: Final = 10**9
_DAY: Final = 86_400
_ERA: Final = 146_097
"""Days in 400 years."""
_EPOCH: Final = 719_468
"""Days from March of the year 0 to 1970."""
_DATE: Final = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?: (\d{1,2}):(\d{1,2})(?::(\d{1,2}))?)?")
_HOUR: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]?\d)(?::([0-5]?\d))?")


class Date(DataType):
    """A point in time, in nanoseconds since 1970."""

    def parse(self, word: Word) -> Value:
        """``YYYY-MM-DD [HH:MM[:SS]]``, or a number of seconds."""
        number = as_number(word)
        if number is not None:
            return number * _SECOND
        written = _DATE.fullmatch(word.text)
        if written is None:
            raise ValueError("Cannot parse date")
        year, month, day, hours, minutes, seconds = (int(part or 0) for part in written.groups())
        if not (1 <= month <= 12 and 1 <= day <= 31 and hours < 24 and minutes < 60 and seconds <= 60):
            raise ValueError("Cannot parse date")
        since = _days(year, month, day) * _DAY + hours * 3600 + minutes * 60 + seconds
        return max(since, 0) * _SECOND

    def format(self, value: Value) -> str:
        """``"YYYY-MM-DD HH:MM:SS"``."""
        assert isinstance(value, int)
        days, seconds = divmod(value // _SECOND, _DAY)
        year, month, day = _civil(days)
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return f'"{year:04}-{month:02}-{day:02} {clock}"'


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970 in the Gregorian calendar; years are counted from March, so that leap days end them.

    Ref: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
    """
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * _ERA + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _EPOCH


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day. Ref: ibid., civil_from_days."""
    era, of_era = divmod(days + _EPOCH, _ERA)
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    return era * 400 + year + (month >= 10), (month + 2) % 12 + 1, day


class Hour(DataType):
    """A time of day, in seconds since midnight."""

    def parse(self, word: Word) -> Value:
        """``HH:MM[:SS]``, a time such as ``5h``, or a number of seconds."""
        written = _HOUR.fullmatch(word.text)
        if written is not None:
            hours, minutes, seconds = (int(part or 0) for part in written.groups())
            return hours * 3600 + minutes * 60 + seconds
        number = as_number(word)
        if number is not None:
            return number % _DAY
        milliseconds = TIME.parse(word)
        assert isinstance(milliseconds, int)
        return milliseconds // 1000 % _DAY

    def format(self, value: Value) -> str:
        """``"HH:MM"``, with seconds where there are any."""
        assert isinstance(value, int)
        minutes, seconds = divmod(value, 60)
        hours, minutes = divmod(minutes, 60)
        tail = f":{seconds:02}" if seconds else ""
        return f'"{hours:02}:{minutes:02}{tail}"'


class Day(Symbolic):
    """A day of the week; 0 is Sunday."""

    def parse(self, word: Word) -> Value:
        """The English name, or a number from 0 to 6."""
        day = super().parse(word)
        assert isinstance(day, int)
        if day > _SATURDAY:
            raise ValueError(f"Value {day} exceeds valid range 0-{_SATURDAY}")
        return day

    def format(self, value: Value) -> str:
        """The name, quoted."""
        assert isinstance(value, int)
        return f'"{_DAYS[value]}"' if value <= _SATURDAY else str(value)


_DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_SATURDAY: Final = 6

DATE: Final = Date("time", "Relative time of packet reception", 64)
HOUR: Final = Hour("hour", "Hour of day of packet reception", 32)
DAY: Final = Day(
    "day", "Day of week of packet reception", 8, {name: number for number, name in enumerate(_DAYS)}
)
