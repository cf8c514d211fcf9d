"""What a nat statement asks for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class NatKind(Enum):
    """Which translation; the value is the statement's keyword."""

    SNAT = "snat"
    DNAT = "dnat"
    MASQUERADE = "masquerade"
    REDIRECT = "redirect"


@dataclass(slots=True, frozen=True)
class NatRange:
    """The addresses and ports to choose from.

    Attributes:
        min_addr: first address, network order, 4 or 16 bytes; None keeps the address, or for
            ``MASQUERADE`` and ``REDIRECT`` lets the device give it.
        max_addr: last address, inclusive; equal to ``min_addr`` for a single one.
        min_port: first port, host order; 0 leaves the choice to the translation.
        max_port: last port, inclusive.
        random: ``NF_NAT_RANGE_PROTO_RANDOM``.
        fully_random: ``NF_NAT_RANGE_PROTO_RANDOM_FULLY``.
        persistent: ``NF_NAT_RANGE_PERSISTENT``.
        netmap: ``NF_NAT_RANGE_NETMAP``, the ``prefix`` form: host bits stay.

    Ref: include/uapi/linux/netfilter/nf_nat.h:nf_nat_range2.
    """

    min_addr: bytes | None = None
    max_addr: bytes | None = None
    min_port: int = 0
    max_port: int = 0
    random: bool = False
    fully_random: bool = False
    persistent: bool = False
    netmap: bool = False
