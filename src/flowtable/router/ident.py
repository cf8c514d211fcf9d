"""Identification numbers of the packets that the box makes or cuts up.

Linux starts at random and adds random steps, so that nobody can count its packets; the box
counts from 1, so that the same input gives the same bytes.
"""

from __future__ import annotations


class Identifiers:
    """Ref: net/ipv4/route.c:__ip_select_ident; net/ipv6/output_core.c:ipv6_select_ident."""

    __slots__ = ("_ipv4", "_ipv6")

    def __init__(self) -> None:
        self._ipv4 = 0
        self._ipv6 = 0

    def ipv4(self) -> int:
        """The identification of the next IPv4 packet that may be fragmented."""
        self._ipv4 = self._ipv4 + 1 & 0xFFFF
        return self._ipv4

    def ipv6(self) -> int:
        """The identification of the next IPv6 packet that is fragmented; never 0."""
        self._ipv6 = self._ipv6 % 0xFFFFFFFF + 1
        return self._ipv6
