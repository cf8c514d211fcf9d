"""Why a connection left the table."""

from __future__ import annotations

from enum import Enum


class Removal(Enum):
    """A reason; the value is its one-line text."""

    TIMEOUT = "timed out"
    REQUEST = "deleted on request"
    EARLY_DROP = "made room in a full table"
    RESET = "reset before any answer"
    REOPENED = "a new connection began with the same addresses and ports"
    PORT_REUSED = "its translated port was taken while it waited for its end"
    MASQUERADE = "the address it was masqueraded with is gone"
    ROUTE_CHANGED = "masqueraded, and routed to another device now"
