"""Link types: what a captured packet begins with. Ref: https://www.tcpdump.org/linktypes.html."""

from __future__ import annotations

from typing import Final

ETHERNET: Final = 1

_NAMES: Final = {
    0: "BSD loopback",
    9: "PPP",
    101: "raw IP",
    105: "802.11",
    113: "Linux cooked, as of tcpdump -i any",
    127: "802.11 radiotap",
    276: "Linux cooked v2, as of tcpdump -i any",
}


def describe(linktype: int) -> str:
    """A link type in words, for messages that say why a capture cannot be routed."""
    name = _NAMES.get(linktype)
    return f"link type {linktype}" + (f" ({name})" if name else "")
