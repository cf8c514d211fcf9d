"""What a flowtable asks of that which forwards packets for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from flowtable.flows.entry import FlowEntry
    from flowtable.flows.refusal import Refusal
    from flowtable.flows.teardown import Teardown
    from flowtable.packet.burst import Burst
    from flowtable.packet.miss import Miss
    from flowtable.topology.device import Device


@dataclass(slots=True, frozen=True)
class Handover:
    """A packet that the fast path changed but that needs the neighbour layer to leave.

    Attributes:
        device: the device it leaves through.
        next_hop: the neighbour to resolve or confirm, 4 or 16 bytes.
        packet: the packet, from its network header on.
    """

    device: Device
    next_hop: bytes
    packet: bytes


Outcome: TypeAlias = "tuple[Device, bytes] | Handover | Miss"
"""What became of a frame.

A tuple of the device and the complete frame to send there (never of a subclass: test
``type(outcome) is tuple``), a ``Handover``, or why the frame, of which no byte was changed,
takes the classic path.
"""

Veto: TypeAlias = "Callable[[FlowEntry], Refusal | None]"
"""What is asked with a flow that is not in yet why it cannot be forwarded; None if it can."""

OnEnd: TypeAlias = "Callable[[FlowEntry, Teardown, int], None]"
"""What a datapath calls when a packet ends a flow: the flow, why, and the time."""


class Datapath(Protocol):
    """Where the entries of one flowtable forward packets.

    A datapath keeps no time and takes no decision about an entry's life: it matches, forwards,
    counts, and reports the packets that end a flow to its ``OnEnd``.
    """

    def install(self, entry: FlowEntry) -> None:
        """Forward by an entry, or bring an installed one up to date after a change to it.

        An entry installed later hides an older one with the same key until it is removed.
        """
        ...

    def remove(self, entry: FlowEntry) -> None:
        """Forget an entry; its counts are final afterwards.

        Raises:
            KeyError: it is not installed.
        """
        ...

    def stats(self, entry: FlowEntry) -> None:
        """Bring the entry's ``refreshed``, ``flags`` and its directions' counts up to date.

        Raises:
            KeyError: it is not installed.
        """
        ...

    def active(self, entries: Collection[FlowEntry]) -> Iterable[FlowEntry]:
        """Those of its entries that may have forwarded packets since their last ``stats``, in their order."""
        ...

    def process(self, frame: bytes, iif: int, now: int) -> Outcome:
        """Forward one frame that arrived on the device with index ``iif``."""
        ...


@dataclass(slots=True, frozen=True)
class Door:
    """What frames may be forwarded in bursts on a device.

    Attributes:
        addresses: the MAC addresses, up to two, of frames that nothing but the flowtable sees before
            the classic path does; empty for none.
        wire: whether frames that leave there are on a wire then, and seen by nothing else.
    """

    addresses: tuple[bytes, ...] = ()
    wire: bool = False


@runtime_checkable
class BurstDatapath(Protocol):
    """A ``Datapath`` that also forwards many frames at once."""

    def set_doors(self, doors: Mapping[int, Door]) -> None:
        """Say which frames ``forward`` may take, by the indexes of the devices of the box."""
        ...

    def forward(self, burst: Burst, first: int, until: int, left: Burst) -> tuple[int, bool]:
        """Forward frames of a burst in their order, until one of them is not simply forwarded.

        Args:
            burst: frames that arrived.
            first: the first of them to forward.
            until: frames of this time and later are not touched, nanoseconds.
            left: where those go that leave; what it held is overwritten.

        Returns:
            The place of the first frame that is not among them, and whether it was looked at:
            ``outcome`` tells then what becomes of it.
        """
        ...

    def outcome(self, burst: Burst, place: int) -> Outcome:
        """What becomes of the frame at which ``forward`` has stopped, as ``process`` says it. Ask once."""
        ...
