"""What keeps a flow off the fast path although its connection may be offloaded and its ways are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.datapath.tables import expressible
from flowtable.flows.refusal import Refusal
from flowtable.live.declared import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.datapath.xdp_datapath import XdpDatapath
    from flowtable.flows.entry import FlowEntry
    from flowtable.live.declared import Declared
    from flowtable.topology.device import Device


class Veto:
    """Says why the fast path in the kernel cannot take a flow.

    Attributes:
        declared: the rules of now.
    """

    def __init__(
        self, datapath: XdpDatapath, capacity: int, count: Callable[[], int], whole: Callable[[Device], bool]
    ) -> None:
        """Begin.

        Args:
            datapath: the fast path.
            capacity: how many flows it has room for.
            count: how many there are.
            whole: whether packets from a device have their checksums.
        """
        self.declared: Declared = NOTHING
        self._datapath = datapath
        self._capacity = capacity
        self._count = count
        self._whole = whole

    def __call__(self, entry: FlowEntry) -> Refusal | None:
        """Why a flow cannot be added; None if it can."""
        if self._count() >= self._capacity:
            return Refusal.CAPACITY
        if not expressible(entry):
            return Refusal.TUNNEL_HEADER
        for direction in entry.directions:
            if direction.entrance.port.name in self.declared.ingress:
                return Refusal.INGRESS_CHAIN
            if direction.device.name in self.declared.egress:
                return Refusal.EGRESS_CHAIN
            if not self._datapath.opens(direction.device):
                return Refusal.EXIT_DEVICE
            if not self._whole(direction.entrance.port):
                return Refusal.CHECKSUM_OFFLOAD
        return None
