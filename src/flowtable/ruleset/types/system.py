"""What a machine names by files of its own: users, groups, device groups, routing realms, labels.

Only the names that every Linux has are known here; everything else goes by number, so that a
rule means the same on every machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.style import style
from flowtable.ruleset.types.base import DataType, Value, as_number
from flowtable.ruleset.types.flags import Flags
from flowtable.ruleset.types.symbol import Symbolic

if TYPE_CHECKING:
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.syntax import Word


class Account(DataType):
    """A user or group; ``root`` is 0.

    Attributes:
        unknown: what is said of another name.
    """

    unknown: str

    def __init__(self, name: str, description: str, unknown: str) -> None:
        super().__init__(name, description, 32)
        self.unknown = unknown

    def parse(self, word: Word) -> Value:
        """``root`` or a number."""
        if word.text == "root":
            return 0
        number = as_number(word)
        if number is None:
            raise ValueError(self.unknown)
        return number

    def format(self, value: Value) -> str:
        """The number, or the name in quotes where the listing is to have it."""
        assert isinstance(value, int)
        names = style().users if self.name == "uid" else style().groups
        return f'"{names[value]}"' if value in names else str(value)

    def bound(self, value: int) -> str:
        """The number."""
        return str(value)


class Named(Symbolic):
    """A number of which some values have names, which are printed in quotes."""

    def format(self, value: Value) -> str:
        """The name, quoted, or the number."""
        text = super().format(value)
        return f'"{text}"' if text in self.names else text


class Realm(Named):
    """A routing realm."""

    def json(self, value: Value) -> Json:
        """The name, or the number as a text."""
        return self.format(value).strip('"')


class Labels(Flags):
    """The labels of a connection, by the number of their bits.

    The names in connlabel.conf are those of one machine, and are not read.
    """

    def parse(self, word: Word) -> Value:
        """The number of a label."""
        number = as_number(word)
        if number is None:
            raise ValueError(f'/etc/connlabel.conf: could not parse conntrack label "{word.text}"')
        if number >= self.bits:
            raise ValueError(f"{number}: bit {number} out of range ({self.bits} max)")
        return 1 << number

    def split(self, value: int) -> list[str]:
        """The numbers of the labels that are set."""
        return [str(bit) for bit in range(self.bits) if value >> bit & 1] or ["0x0"]

    def json_list(self, value: int) -> list[Json]:
        """The same as numbers."""
        return [int(name, 0) for name in self.split(value)]


UID: Final = Account("uid", "user ID", "User does not exist")
GID: Final = Account("gid", "group ID", "Group does not exist")
DEVGROUP: Final = Named("devgroup", "devgroup name", 32, {"default": 0})
"""Ref: iproute2 etc/iproute2/group."""
REALM: Final = Realm("realm", "routing realm", 32, {"cosmos": 0})
"""Ref: iproute2 etc/iproute2/rt_realms."""
CT_LABEL: Final = Labels("ct_label", "conntrack label", 128, {})
