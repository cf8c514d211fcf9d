"""What a hook says of a packet."""

from __future__ import annotations

from enum import IntEnum


class Verdict(IntEnum):
    """Ref: include/uapi/linux/netfilter.h."""

    DROP = 0
    ACCEPT = 1
    STOLEN = 2
    """The hook owns the packet now: transmitted by the fast path, or queued."""
