"""What keeps a flow off the fast path although its connection may be offloaded and its ways are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from flowtable.datapath.attach import AttachMode
from flowtable.datapath.tables import expressible
from flowtable.flows.refusal import Refusal
from flowtable.live.declared import NOTHING
from flowtable.topology.bridge import Bridge
from flowtable.topology.vlan import Vlan

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.flows.entry import Direction, FlowEntry
    from flowtable.live.declared import Declared
    from flowtable.topology.device import Device


class Places(Protocol):
    """Where the fast path runs on devices."""

    def mode(self, device: Device) -> AttachMode | None:
        """Where packets of a device meet it, None where they do not."""
        ...

    def opens(self, device: Device) -> bool:
        """Whether XDP can send through a device."""
        ...

    def hides_tags(self, device: Device) -> bool:
        """Whether a device takes VLAN tags off before XDP sees its frames."""
        ...

    def whole(self, device: Device) -> bool:
        """Whether packets from a device have their checksums, as far as was seen."""
        ...

    def give_way(self, device: Device, reason: Refusal) -> bool:
        """Move from XDP to traffic control on a device, where that is as good to the operator.

        Returns:
            Whether it did.
        """
        ...


class Veto:
    """Says why the fast path in the kernel cannot take a flow.

    What XDP cannot do traffic control may: if the operator leaves the choice, the fast path moves
    there on the device that a flow comes in on, and the next try finds it there.

    Attributes:
        declared: the rules of now.
    """

    def __init__(
        self,
        places: Places,
        encrypted: Callable[[FlowEntry], bool],
        capacity: int,
        count: Callable[[], int],
    ) -> None:
        """Begin.

        Args:
            places: where the fast path runs.
            encrypted: whether packets of a flow are for IPsec.
            capacity: how many flows it has room for.
            count: how many there are.
        """
        self.declared: Declared = NOTHING
        self._places = places
        self._encrypted = encrypted
        self._capacity = capacity
        self._count = count

    def __call__(self, entry: FlowEntry) -> Refusal | None:
        """Why a flow cannot be added; None if it can."""
        if self._count() >= self._capacity:
            return Refusal.CAPACITY
        if not expressible(entry):
            return Refusal.TUNNEL_HEADER
        if self._encrypted(entry):
            return Refusal.IPSEC
        for direction in entry.directions:
            if direction.entrance.port.name in self.declared.ingress:
                return Refusal.INGRESS_CHAIN
            # What traffic control redirects passes them by as well.
            if direction.device.name in self.declared.egress:
                return Refusal.EGRESS_CHAIN
        for direction in entry.directions:
            refusal = self._beyond_xdp(direction)
            if refusal is not None and not self._places.give_way(direction.entrance.port, refusal):
                return refusal
        return None

    def _beyond_xdp(self, direction: Direction) -> Refusal | None:
        """What XDP on the device of arrival cannot do for a direction; None for nothing."""
        entrance, exit_ = direction.entrance.port, direction.device
        if self._places.mode(entrance) not in (AttachMode.NATIVE, AttachMode.GENERIC):
            return None
        if not self._places.opens(exit_):
            return Refusal.EXIT_DEVICE
        if carries_tags(entrance) and self._places.hides_tags(entrance):
            return Refusal.HIDDEN_TAG
        if not self._places.whole(entrance):
            return Refusal.CHECKSUM_OFFLOAD
        return None


def carries_tags(device: Device) -> bool:
    """Whether frames with VLAN tags belong on a device."""
    master = device.master
    filtering = isinstance(master, Bridge) and master.vlan_filtering
    return filtering or any(isinstance(upper, Vlan) for upper in device.uppers)
