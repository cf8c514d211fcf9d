"""Which packets IPsec takes when they leave: the fast path would send them past it, in the clear.

Ref: include/uapi/linux/xfrm.h; net/xfrm/xfrm_policy.c:xfrm_lookup_with_ifid.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.netlink.message import NetlinkError
from flowtable.netlink.socket import NetlinkSocket, OverrunError

if TYPE_CHECKING:
    from flowtable.flows.entry import Direction, FlowEntry

_NETLINK_XFRM: Final = 6
_XFRMNLGRP_POLICY: Final = 4
_GETPOLICY: Final = 21
_SELECTOR: Final = Struct("=16s16s8xHBBB3x8x")
_DIRECTION: Final = 160
"""Of a policy in ``struct xfrm_userpolicy_info``, behind its selector, lifetimes, priority and index."""
_OUT: Final = 1
_ADDRESS_SIZES: Final = {2: 4, 10: 16}
_POLICY_ID: Final = 64
"""Bytes of ``struct xfrm_userpolicy_id``."""
_NOTIFICATIONS: Final = 1000


class Selector(NamedTuple):
    """Packets that a policy is about.

    Attributes:
        source: first address, 4 or 16 bytes; empty for either family.
        source_size: how many of its bits count.
        target: the same of where they go.
        target_size: the same.
        protocol: of transport, 0 for any.
    """

    source: bytes
    source_size: int
    target: bytes
    target_size: int
    protocol: int

    def matches(self, direction: Direction) -> bool:
        """Whether packets of a direction are among them when they leave; ports are not looked at."""
        rewritten = direction.rewritten
        size = (len(rewritten) - 4) // 2
        if self.source and len(self.source) != size:
            return False
        return (
            self.protocol in (0, direction.key.l4proto)
            and _within(rewritten[:size], self.source, self.source_size)
            and _within(rewritten[size : 2 * size], self.target, self.target_size)
        )


def _within(address: bytes, network: bytes, size: int) -> bool:
    if not size:
        return True
    shift = len(address) * 8 - size
    return int.from_bytes(address) >> shift == int.from_bytes(network) >> shift


def parse(policy: bytes) -> Selector | None:
    """The packets of a policy for what leaves; None for other policies.

    Args:
        policy: a ``struct xfrm_userpolicy_info``, and more.
    """
    if len(policy) <= _DIRECTION or policy[_DIRECTION] != _OUT:
        return None
    target, source, family, target_size, source_size, protocol = _SELECTOR.unpack_from(policy)
    size = _ADDRESS_SIZES.get(family, 0)
    return Selector(source[:size], source_size, target[:size], target_size, protocol)


class Ipsec:
    """The policies of this network namespace.

    Attributes:
        selectors: what they are about.
    """

    def __init__(self) -> None:
        """Begin; a kernel without IPsec has none."""
        self.selectors: list[Selector] = []
        self._requests: NetlinkSocket | None = None
        try:
            self._notifications = NetlinkSocket(_NETLINK_XFRM, (_XFRMNLGRP_POLICY,))
        except OSError:
            return
        self._requests = NetlinkSocket(_NETLINK_XFRM)
        self._dump()

    @property
    def descriptor(self) -> int | None:
        """Readable when there is something to ``read``; None where there is no IPsec."""
        return None if self._requests is None else self._notifications.fileno()

    def read(self) -> bool:
        """Whether the policies have changed."""
        if self._requests is None:
            return False
        try:
            if not list(self._notifications.notifications(_NOTIFICATIONS)):
                return False
        except OverrunError:
            pass
        self._dump()
        return True

    def _dump(self) -> None:
        assert self._requests is not None
        try:
            answers = self._requests.dump(_GETPOLICY, bytes(_POLICY_ID))
        except NetlinkError:
            answers = []
        self.selectors = [each for each in (parse(answer.body) for answer in answers) if each is not None]

    def takes(self, entry: FlowEntry) -> bool:
        """Whether packets of a flow may be for IPsec when they leave."""
        return any(
            selector.matches(direction) for selector in self.selectors for direction in entry.directions
        )

    def close(self) -> None:
        """Close the sockets."""
        if self._requests is not None:
            self._requests.close()
            self._notifications.close()
