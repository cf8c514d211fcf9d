"""What the box remembers of the hosts it has something to tell, and how often it may.

One budget for all ICMP messages, and one token bucket per host that redirects, routing errors
and the per-host limit of ICMP draw from together, as they do in the kernel.

Ref: net/ipv4/inetpeer.c; net/ipv4/icmp.c:icmp_global_allow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND

if TYPE_CHECKING:
    from flowtable.topology.sysctl import Sysctls

BURST_FACTOR: Final = 6
"""Messages that a quiet host may get at once. Ref: XRLIM_BURST_FACTOR."""
_QUIET: Final = 60 * SECOND
"""A host met for the first time is as one that heard nothing for this long."""
_ERROR_COST: Final = SECOND
_ERROR_BURST: Final = 5 * SECOND


class Peer:
    """One host.

    Attributes:
        tokens: what its bucket holds, nanoseconds.
        last: when the bucket was last looked at; for redirects, when the last one was due.
        redirects: redirects that it was sent and did not heed.
        fragments: IPv4 fragments that it sent.

    Ref: include/net/inetpeer.h:struct inet_peer.
    """

    __slots__ = ("fragments", "last", "redirects", "tokens")

    def __init__(self, now: int) -> None:
        self.tokens = 0
        self.last = now - _QUIET
        self.redirects = 0
        self.fragments = 0

    def allow(self, interval: int, now: int) -> bool:
        """Take a message from the bucket, which gains one every ``interval`` nanoseconds.

        Ref: net/ipv4/inetpeer.c:inet_peer_xrlim_allow.
        """
        tokens = min(self.tokens + now - self.last, BURST_FACTOR * interval)
        self.last = now
        allowed = tokens >= interval
        self.tokens = tokens - interval if allowed else tokens
        return allowed

    def allow_route_error(self, now: int) -> bool:
        """Take an "unreachable" for lack of a route: one a second, five at once.

        Ref: net/ipv4/route.c:ip_error.
        """
        tokens = min(self.tokens + now - self.last, _ERROR_BURST)
        self.last = now
        allowed = tokens >= _ERROR_COST
        self.tokens = tokens - _ERROR_COST if allowed else tokens
        return allowed


class Peers:
    """The hosts, by address; of too many the one longest not asked for is forgotten."""

    __slots__ = ("_peers",)

    LIMIT: Final = 65536
    """Ref: net/ipv4/inetpeer.c:inet_peer_threshold."""

    def __init__(self) -> None:
        self._peers: dict[bytes, Peer] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def get(self, address: bytes, now: int) -> Peer:
        """The host with that address, 4 or 16 bytes."""
        peers = self._peers
        peer = peers.pop(address, None)
        if peer is None:
            if len(peers) >= self.LIMIT:
                del peers[next(iter(peers))]
            peer = Peer(now)
        peers[address] = peer
        return peer


class IcmpBudget:
    """The ICMP and ICMPv6 messages that the whole box may send.

    Linux draws between 0 and 2 credits for a message, against attackers that count; here it is
    always the 1 that this is on average.
    """

    __slots__ = ("_credit", "_refilled", "_sysctls")

    def __init__(self, sysctls: Sysctls) -> None:
        self._sysctls = sysctls
        self._credit = 0
        self._refilled: int | None = None

    def allow(self, now: int) -> bool:
        """Whether there is credit left; an empty budget is refilled first, at most every 20 ms.

        Ref: net/ipv4/icmp.c:icmp_global_allow.
        """
        if self._credit > 0:
            return True
        passed = SECOND if self._refilled is None else min(now - self._refilled, SECOND)
        if passed < SECOND // 50:
            return False
        gained = self._sysctls.icmp_msgs_per_sec * passed // SECOND
        if not gained:
            return False
        self._refilled = now
        self._credit = min(self._credit + gained, self._sysctls.icmp_msgs_burst)
        return True

    def consume(self) -> None:
        """Take one message. Ref: net/ipv4/icmp.c:icmp_global_consume."""
        self._credit -= 1
