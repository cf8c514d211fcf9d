"""An offloaded flow: one connection, seen from the wire in its two directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.flows.flowtable import Flowtable
    from flowtable.flows.hardware import HardwareState
    from flowtable.flows.side import Side, Transmit
    from flowtable.flows.teardown import Teardown
    from flowtable.packet.flowkey import FlowKey
    from flowtable.topology.device import Device
    from flowtable.topology.neighbour import Neighbour
    from flowtable.topology.route import Route


class FlowFlag:
    """Bits of ``FlowEntry.flags``. Ref: include/net/netfilter/nf_flow_table.h:nf_flow_flags.

    Plain integers and not an ``IntFlag``: they are tested on the fast path.
    """

    SNAT: Final = 1 << 0
    """The connection's source is translated."""
    DNAT: Final = 1 << 1
    """The connection's destination is translated."""
    CLOSING: Final = 1 << 2
    """The fast path forwarded a FIN or RST."""
    TEARDOWN: Final = 1 << 3
    """Torn down: lookups miss, garbage collection frees it."""
    GONE: Final = 1 << 4
    """Its connection was deleted: lookups miss, garbage collection tears it down."""
    HW: Final = 1 << 5
    """Handed to hardware, which has to forget it before it can be freed."""
    HW_DYING: Final = 1 << 6
    """Its deletion from hardware was asked for."""
    HW_DEAD: Final = 1 << 7
    """Its deletion from hardware is done."""
    HW_PENDING: Final = 1 << 8
    """Something is in the work queues for it."""
    HW_BIDIRECTIONAL: Final = 1 << 9
    """Both directions go to hardware."""


class Direction:
    """One direction of a flow: what arrives, and how it leaves.

    Attributes:
        key: what packets of this direction carry when they arrive.
        rewritten: what they carry when they leave, laid out as ``key.wire``.
        route: the route they take.
        entrance: the side they come from.
        exit: the side they go to.
        mtu: the largest IP packet that may leave, bytes.
        mark: the mark that their route was looked up with.
        neighbour: what is known of the next hop, None for nothing.
        ages: whether the neighbour layer wants to see packets while ``neighbour`` is STALE, so
            that it confirms it.
        source: MAC address they leave with.
        destination: MAC address they leave for, empty while packets cannot be sent.
        stale: the route is no longer valid; the next packet ends the flow.
        packets: packets forwarded by the fast path.
        bytes: their lengths from the network header on, encapsulation excluded.
        used: when the last of them was received, nanoseconds; 0 for never.

    Ref: include/net/netfilter/nf_flow_table.h:flow_offload_tuple.
    """

    __slots__ = (
        "ages",
        "bytes",
        "destination",
        "entrance",
        "exit",
        "key",
        "mark",
        "mtu",
        "neighbour",
        "packets",
        "rewritten",
        "route",
        "source",
        "stale",
        "used",
    )

    def __init__(
        self,
        key: FlowKey,
        rewritten: bytes,
        route: Route,
        entrance: Side,
        exit_: Side,
        mtu: int,
        mark: int = 0,
    ) -> None:
        self.key = key
        self.rewritten = rewritten
        self.route = route
        self.entrance = entrance
        self.exit = exit_
        self.mtu = mtu
        self.mark = mark
        self.neighbour: Neighbour | None = None
        self.ages = False
        self.source = exit_.source
        self.destination = b""
        self.stale = False
        self.packets = 0
        self.bytes = 0
        self.used = 0

    @property
    def device(self) -> Device:
        """The device they leave through."""
        return self.exit.exit

    @property
    def next_hop(self) -> bytes:
        """The neighbour they are handed to, 4 or 16 bytes."""
        return self.exit.next_hop

    @property
    def transmit(self) -> Transmit:
        """How they leave."""
        return self.exit.transmit

    @property
    def target(self) -> bytes:
        """The address they go to when they leave, 4 or 16 bytes."""
        rewritten = self.rewritten
        return rewritten[(len(rewritten) - 4) // 2 : -4]

    def __repr__(self) -> str:
        key = self.key
        return (
            f"<Direction iif {key.iif} proto {key.l4proto} {key.wire.hex()} -> {self.rewritten.hex()}"
            f" dev {self.device.name}>"
        )


class FlowEntry:
    """A flow in a flowtable.

    Attributes:
        flowtable: the flowtable it is in.
        connection: the connection it forwards packets of.
        directions: original and reply.
        flags: bits of ``FlowFlag``.
        created: when it was added, nanoseconds.
        refreshed: when a packet last moved its timeout; datapaths stamp it, no oftener than the
            profile's refresh granularity.
        expires: when it has been idle for too long; as recent as the flowtable's last look at it.
        own: when its connection would time out by itself, where the flow gives it more time.
        ended: why it was torn down, None while it lives.
        reported: packets and bytes of each direction, in software and in hardware, at the
            flowtable's last look.
        hardware: what is known of it in hardware, None where the flowtable has none.

    Ref: include/net/netfilter/nf_flow_table.h:flow_offload.
    """

    __slots__ = (
        "connection",
        "created",
        "directions",
        "ended",
        "expires",
        "flags",
        "flowtable",
        "hardware",
        "own",
        "refreshed",
        "reported",
    )

    def __init__(
        self,
        flowtable: Flowtable,
        connection: Connection,
        original: Direction,
        reply: Direction,
        flags: int,
        now: int,
    ) -> None:
        self.flowtable = flowtable
        self.connection = connection
        self.directions = (original, reply)
        self.flags = flags
        self.created = now
        self.refreshed = now
        self.expires = now
        self.own: int | None = None
        self.ended: Teardown | None = None
        self.reported = [(0, 0), (0, 0)]
        self.hardware: HardwareState | None = None

    @property
    def torn_down(self) -> bool:
        """Whether it no longer forwards and waits to be freed."""
        return self.flags & FlowFlag.TEARDOWN != 0

    @property
    def forwarded(self) -> list[tuple[int, int]]:
        """Packets and bytes of each direction, in software and in hardware."""
        original, reply = self.directions
        if self.hardware is None:
            return [(original.packets, original.bytes), (reply.packets, reply.bytes)]
        return [
            (direction.packets + side.packets, direction.bytes + side.bytes)
            for direction, side in zip(self.directions, self.hardware.sides, strict=True)
        ]

    @property
    def used(self) -> tuple[int, int]:
        """When the latest packet of each direction came, nanoseconds; 0 for never."""
        original, reply = self.directions
        if self.hardware is None:
            return original.used, reply.used
        there, back = self.hardware.sides
        return max(original.used, there.used), max(reply.used, back.used)

    def __repr__(self) -> str:
        return f"<FlowEntry {self.directions[0]!r} flags {self.flags:#x}>"
