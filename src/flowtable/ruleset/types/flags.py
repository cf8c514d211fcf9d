"""Sets of flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.style import style
from flowtable.ruleset.types.base import DataType, Value, as_number

if TYPE_CHECKING:
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.syntax import Word


class Flags(DataType):
    """A set of flags.

    Attributes:
        names: name to bit.
    """

    bitmask = True
    per_line = 5
    network_order = False
    names: dict[str, int]

    def __init__(self, name: str, description: str, bits: int, names: dict[str, int]) -> None:
        super().__init__(name, description, bits)
        self.names = names

    def parse(self, word: Word) -> Value:
        """One flag, or a number."""
        bit = self.names.get(word.text)
        if bit is not None:
            return bit
        number = as_number(word)
        if number is None:
            raise ValueError(f"Could not parse {self.description}")
        return number

    def split(self, value: int) -> list[str]:
        """The names of the flags that are set, numbers for unknown ones."""
        names = {} if style().symbols else {bit: name for name, bit in self.names.items()}
        bits = [1 << place for place in range(value.bit_length()) if value >> place & 1]
        return [names.get(bit, f"0x{bit:x}") for bit in bits or [0]]

    def format(self, value: Value) -> str:
        """The flags joined by ``|``, as in a set."""
        assert isinstance(value, int)
        return " | ".join(self.split(value))

    def json(self, value: Value) -> Json:
        """The flag, the number of what has no name, or the flags joined by ``|``."""
        assert isinstance(value, int)
        names = self.json_list(value)
        joined = names[0]
        for name in names[1:]:
            joined = {"|": [joined, name]}
        return joined

    def json_list(self, value: int) -> list[Json]:
        """The flags that are set."""
        return [int(name, 0) if name[0].isdecimal() else name for name in self.split(value)]

    def single(self, value: int) -> str:
        """The one flag that is set, otherwise the number."""
        names = self.split(value)
        return names[0] if len(names) == 1 else f"0x{value:x}"


CT_STATE: Final = Flags(
    "ct_state",
    "conntrack state",
    32,
    {"invalid": 1, "new": 8, "established": 2, "related": 4, "untracked": 64},
)
"""Ref: include/uapi/linux/netfilter/nf_conntrack_common.h:NF_CT_STATE_BIT."""
CT_STATUS: Final = Flags(
    "ct_status",
    "conntrack status",
    32,
    {
        "expected": 1,
        "seen-reply": 2,
        "assured": 4,
        "confirmed": 8,
        "snat": 16,
        "dnat": 32,
        "dying": 512,
    },
)
"""Ref: include/uapi/linux/netfilter/nf_conntrack_common.h:ip_conntrack_status."""
TCP_FLAG: Final = Flags(
    "tcp_flag",
    "TCP flag",
    8,
    {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128},
)
CT_EVENT: Final = Flags(
    "ct_event",
    "conntrack event bits",
    32,
    {
        "new": 1,
        "related": 2,
        "destroy": 4,
        "reply": 8,
        "assured": 16,
        "protoinfo": 32,
        "helper": 64,
        "mark": 128,
        "seqadj": 256,
        "secmark": 512,
        "label": 1024,
    },
)
"""Ref: include/uapi/linux/netfilter/nf_conntrack_common.h:ip_conntrack_events."""
