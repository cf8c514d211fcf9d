"""Next hops kept fresh by the kernel: it probes neighbours that are managed, whether used or not.

The fast path sends without the kernel's knowing, so to the kernel a next hop looks unused: it would
become stale, and its MAC address be checked by nobody.
Ref: net/core/neighbour.c:neigh_managed_work; ``ip neighbour ... managed``.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from flowtable.live.mirror.neighbour import DST, HEADER, ROUTER
from flowtable.live.mirror.rtnetlink import AF_INET, AF_INET6, Type
from flowtable.netlink.attribute import attribute, attributes, packed, u32
from flowtable.netlink.message import Flag, NetlinkError
from flowtable.netlink.socket import NetlinkSocket
from flowtable.packet.packet import IPV4
from flowtable.topology.neighbour import NeighbourState

if TYPE_CHECKING:
    from flowtable.topology.neighbour import Neighbour

_FLAGS_EXT: Final = 15
_MANAGED: Final = 0x1
_USE: Final = 0x1


class NeighbourKeeper:
    """Asks the kernel to keep neighbours fresh."""

    def __init__(self) -> None:
        self._socket = NetlinkSocket(socket.NETLINK_ROUTE)

    def close(self) -> None:
        """Close the socket; what is managed stays so."""
        self._socket.close()

    def manage(self, neighbour: Neighbour) -> bool:
        """Have a neighbour probed from now on.

        Returns:
            Whether the kernel does. One before Linux 5.16 probes it once, if it is stale, so ask
            it again every few seconds. One that is set by hand is never probed; nor is one that
            is gone.
        """
        return self._tell(neighbour, managed=True) and self.managed(neighbour)

    def release(self, neighbour: Neighbour) -> None:
        """Leave a neighbour to its use by the kernel again."""
        self._tell(neighbour, managed=False)

    def managed(self, neighbour: Neighbour) -> bool:
        """Whether the kernel keeps a neighbour fresh."""
        try:
            answers = self._socket.request(Type.GETNEIGH, 0, self._name(neighbour, 0))
        except NetlinkError:
            return False
        return any(
            u32(attributes(answer.body, HEADER.size).get(_FLAGS_EXT, b"")) & _MANAGED for answer in answers
        )

    def _tell(self, neighbour: Neighbour, *, managed: bool) -> bool:
        """Ref: net/core/neighbour.c:neigh_add, which with NTF_USE leaves the state as it is."""
        if neighbour.state is NeighbourState.PERMANENT:
            return False
        flags = _USE | (ROUTER if neighbour.router else 0)
        body = self._name(neighbour, flags)
        if managed:
            body += attribute(_FLAGS_EXT, packed(_MANAGED))
        try:
            self._socket.request(Type.NEWNEIGH, Flag.REPLACE, body)
        except NetlinkError:
            return False
        return True

    def _name(self, neighbour: Neighbour, flags: int) -> bytes:
        family = AF_INET if neighbour.family == IPV4 else AF_INET6
        return HEADER.pack(family, neighbour.device.index, 0, flags, 0) + attribute(DST, neighbour.address)
