"""Which of several next hops the packets of a flow take: the kernel is asked.

It chooses by a hash with a secret of its own. Ref: net/ipv4/route.c:fib_multipath_hash, inet_rtm_getroute.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.live.mirror import route
from flowtable.live.mirror.rtnetlink import AF_INET, AF_INET6, Type
from flowtable.netlink.attribute import attribute, packed
from flowtable.netlink.message import NetlinkError

if TYPE_CHECKING:
    from flowtable.netlink.socket import NetlinkSocket
    from flowtable.topology.device import Device
    from flowtable.topology.route import Route

_HEADER: Final = Struct("=BBBBBBBBI")
_DST: Final = 1
_SRC: Final = 2
_IIF: Final = 3
_MARK: Final = 16
_POLICY: Final = {
    4: Path("/proc/sys/net/ipv4/fib_multipath_hash_policy"),
    16: Path("/proc/sys/net/ipv6/fib_multipath_hash_policy"),
}


class KernelChoice:
    """Asks the kernel. Where it looks at ports as well, it cannot be asked: nobody knows them here."""

    def __init__(self, requests: NetlinkSocket) -> None:
        self._requests = requests

    def __call__(
        self, routes: Sequence[Route], destination: bytes, source: bytes, iif: Device | None, mark: int
    ) -> Route | None:
        """The route that packets take; None if that depends on more, or is none of them."""
        size = len(destination)
        if not any(source) or not self._by_addresses(size):
            return None
        bits = size * 8
        family = AF_INET if size == 4 else AF_INET6
        body = _HEADER.pack(family, bits, bits, 0, 0, 0, 0, 0, 0)
        body += attribute(_DST, destination) + attribute(_SRC, source)
        body += attribute(_IIF, packed(iif.index)) if iif is not None else b""
        body += attribute(_MARK, packed(mark)) if mark else b""
        try:
            answers = self._requests.request(Type.GETROUTE, 0, body)
        except NetlinkError:
            return None
        for answer in answers:
            for hop in route.parse_answer(answer.body):
                for each in routes:
                    if each.oif is not None and (each.oif.index, each.gateway) == (hop.index, hop.gateway):
                        return each
        return None

    def _by_addresses(self, size: int) -> bool:
        try:
            return _POLICY[size].read_text().strip() == "0"
        except OSError:
            return True
