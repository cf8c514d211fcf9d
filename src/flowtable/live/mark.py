"""How rules tell the service that a connection is to be offloaded: a bit of its labels, or of its mark.

On a kernel without flowtables ``flow add @f`` is written as what such a kernel can do: the
conditions of the statement, then a test that the bit of the flowtable is not set, then the setting
of it. Like ``flow add`` it ends its rule for a packet whose connection is refused, or offloaded
already, and stands where that stood.

Ref: net/netfilter/nft_flow_offload.c:nft_flow_offload_eval. What rules cannot ask is left to
the service: the state of a TCP connection, FIN and RST, NAT and keys of GRE, routes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

_CONDITIONS: Final = (
    # TCP is offloaded when assured, UDP and GRE with their second packet, nothing else ever.
    "meta l4proto . ct status & assured { tcp . assured, udp . 0, udp . assured, gre . 0, gre . assured }",
    # IPS_SEQ_ADJUST, IPS_DYING, IPS_NAT_CLASH, IPS_HELPER
    "ct status & (confirmed | 0x40 | 0x200 | 0x1000 | 0x2000) == confirmed",
    # IPv4 has no options, going by its first byte; that of IPv6 is another.
    "@nh,0,8 != 0x46-0x4f",
    "meta ipsec missing",
)
_LISTED: Final = (
    r"meta l4proto \. ct status & \S+ \{ [^{}]*\} "
    r"ct status [^@{}]+ @nh,0,8 != \S+ meta ipsec (?:missing|0) "
    r"(?:ct label ! (?P<label>\d+) ct label set (?P=label)"
    r"|ct mark & (?P<mark>0x[0-9a-f]+) == 0x0+ ct mark set ct mark \| (?P=mark))(?![0-9a-f])"
)
LISTED: Final = re.compile(_LISTED)
"""The statements as nft lists them, whatever its options; ``mark_of`` reads the match."""


class Carrier(Enum):
    """Where the bit is."""

    LABEL = "label"
    """In the connection's labels. Connections that were there before any rule spoke of labels have none."""
    MARK = "mark"
    """In the connection's mark; rules that set the mark as a whole lose it."""

    @property
    def bits(self) -> int:
        """How many there are; a test of the highest bit of a mark is listed as one of a prefix."""
        return 128 if self is Carrier.LABEL else 31


@dataclass(frozen=True, slots=True)
class Mark:
    """What marks the connections that are to be in a flowtable.

    Attributes:
        carrier: where the bit is.
        bit: its number, from 0.
    """

    carrier: Carrier
    bit: int

    def __str__(self) -> str:
        """As flowtables remember it."""
        return f"{self.carrier.value} {self.bit}"

    @property
    def statements(self) -> str:
        """What stands for ``flow add`` in a rule."""
        match self.carrier:
            case Carrier.LABEL:
                setting = f"ct label ! {self.bit} ct label set {self.bit}"
            case Carrier.MARK:
                mask = f"{1 << self.bit:#010x}"
                setting = f"ct mark & {mask} == 0 ct mark set ct mark | {mask}"
        return " ".join((*_CONDITIONS, setting))


def mark_of(listed: re.Match[str]) -> Mark:
    """The mark in statements that nft listed: a match of ``LISTED``."""
    if listed["label"] is not None:
        return Mark(Carrier.LABEL, int(listed["label"]))
    return Mark(Carrier.MARK, int(listed["mark"], 16).bit_length() - 1)
