"""What the fast path in C and Python share: structures, limits, reasons.

The only declaration of them. ``tools/generate-layout`` writes it down as ``c/layout.h``, with the
offsets for the C compiler to check. Structures are in host byte order; addresses, ports and the
link-layer header are bytes as they stand on the wire.
"""

from __future__ import annotations

from ctypes import Structure, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p
from typing import Final

from flowtable.flows.teardown import Teardown
from flowtable.packet.miss import Miss
from flowtable.packet.packet import IPV4, IPV6

ENCAP_MAX: Final = 4
"""The most tags and PPPoE headers around a packet."""
HEAD_MAX: Final = 14 + 8 * ENCAP_MAX
"""The longest link-layer header that a packet can leave with."""
SNAP: Final = 256
"""How much of a sampled frame is kept."""
VID: Final = 0x0FFF
"""The VLAN id in a tag."""
TAGGED: Final = 0x8000_0000
"""Links with encapsulation have numbers from here on; others have their device's index."""

FLOW_REPLY: Final = 1 << 0
"""It is the reply direction of its entry."""
FLOW_STALE: Final = 1 << 1
"""The route is no longer valid: the next packet ends the flow."""
FLOW_HANDED_OVER: Final = 1 << 2
"""The neighbour layer wants to see the packets: not forwarded here."""
FLOW_STATION: Final = 1 << 3
"""The device takes frames for others too: these have to be addressed as the link says."""

ENDED_TEARDOWN: Final = 1
ENDED_GONE: Final = 2

PORT_CLOSED: Final = 0
"""Frames from here are not for this flowtable alone."""
PORT_STATION: Final = 1
"""Frames to its MAC address come in."""
PORT_PROMISCUOUS: Final = 2
"""All frames come in."""

DOOR_IN: Final = 1 << 0
"""Frames from here that are addressed as the door says are for this flowtable alone to judge."""
DOOR_OUT: Final = 1 << 1
"""Frames leave here by a wire, and nothing else sees them."""

STOP_END: Final = 0
"""All frames were forwarded."""
STOP_MISS: Final = 1
"""The next frame takes the classic path; ``Batch.miss`` says why."""
STOP_DOOR: Final = 2
"""The next frame is not for the flowtable to judge."""
STOP_TIME: Final = 3
"""Something else is due before the next frame."""
STOP_HANDOVER: Final = 4
"""The next frame is for the neighbour layer to see."""
STOP_SPACE: Final = 5
"""There is no room for the next frame."""
STOP_EXIT: Final = 6
"""The last frame that was forwarded does not leave by a wire."""


class Config(Structure):
    """How a flowtable behaves; what a ``Profile`` and the family of its table say."""

    _fields_ = (
        ("granularity", c_uint64),  # nanoseconds
        ("tci_mask", c_uint16),
        ("max_encap", c_uint8),
        ("ipv4", c_uint8),
        ("ipv6", c_uint8),
        ("gre", c_uint8),
        ("inner_8021ad", c_uint8),
        ("bypass_closing", c_uint8),
        ("whole_frames", c_uint8),
        ("reserved", c_uint8 * 3),
        ("sample", c_uint32),  # of so many forwarded packets one is copied, of 0 none; in the kernel only
    )


class Encap(Structure):
    """A tag or PPPoE header."""

    _fields_ = (("id", c_uint16), ("protocol", c_uint16))


class LinkKey(Structure):
    """A link: the device and what is around packets there, outermost first."""

    _fields_ = (
        ("iif", c_uint32),
        ("depth", c_uint8),
        ("reserved", c_uint8 * 3),
        ("encap", Encap * ENCAP_MAX),
    )


class Link(Structure):
    """What is known of a link: how frames are addressed whose flow asks for it."""

    _fields_ = (
        ("number", c_uint32),
        ("own", c_uint8 * 6),  # the box's MAC address
        ("other", c_uint8 * 6),  # another one of the box
        ("peer", c_uint8 * 6),  # the far end of a session
        ("session", c_uint8),  # whether there is one
        ("reserved", c_uint8),
    )


class Key(Structure):
    """A direction of a flow, as its packets arrive. IPv4 uses the first 8 bytes of ``addresses``."""

    _fields_ = (
        ("link", c_uint32),
        ("sport", c_uint8 * 2),
        ("dport", c_uint8 * 2),
        ("protocol", c_uint8),
        ("reserved", c_uint8 * 3),
        ("addresses", c_uint8 * 32),
    )


class Flow(Structure):
    """A direction of a flow, as its packets leave. IPv4 uses the first 8 bytes of ``addresses``."""

    _fields_ = (
        ("next_hop", c_uint32),
        ("entry", c_uint32),
        ("mtu", c_uint16),
        ("flags", c_uint16),
        ("ip_delta", c_uint16),
        ("l4_delta", c_uint16),
        ("sport", c_uint8 * 2),
        ("dport", c_uint8 * 2),
        ("addresses", c_uint8 * 32),
    )


class Counter(Structure):
    """What a direction of a flow forwarded."""

    _fields_ = (
        ("packets", c_uint64),
        ("bytes", c_uint64),
        ("used", c_uint64),  # nanoseconds
    )


class Entry(Structure):
    """What both directions of a flow share: one line of the processor's cache.

    The fast path writes all but ``ended``, which is why lookups miss; in the kernel it writes that too,
    with the packet that ends the flow.
    """

    _fields_ = (
        ("refreshed", c_uint64),  # nanoseconds
        ("closing", c_uint8),
        ("ended", c_uint8),
        ("reserved", c_uint8 * 6),
        ("counters", Counter * 2),
    )


class NextHop(Structure):
    """Where packets go: the device and the link-layer header, shared by all flows to there.

    Without a header to leave with, ``length`` is 0.
    """

    _fields_ = (
        ("device", c_uint32),
        ("length", c_uint8),
        ("tags", c_uint8),  # how many of its tags get a priority, outermost first
        ("pppoe", c_uint8),  # whether it ends with a PPPoE header
        ("reserved", c_uint8),
        ("head", c_uint8 * HEAD_MAX),
        ("padding", c_uint8 * 2),
    )


class Ending(Structure):
    """A packet ended a flow. In the kernel only, whose coarse clock the time is."""

    _fields_ = (("time", c_uint64), ("entry", c_uint32), ("end", c_uint32))


class Sample(Structure):
    """A packet that was forwarded, as it left. In the kernel only."""

    _fields_ = (
        ("time", c_uint64),  # nanoseconds
        ("arrived", c_uint32),  # device
        ("left", c_uint32),  # device
        ("length", c_uint32),  # of the frame
        ("kept", c_uint32),  # bytes of it that are here
        ("frame", c_uint8 * SNAP),
    )


class Cpu(Structure):
    """What each processor keeps. In the kernel only.

    ``counts`` are frames by their miss; at 0, those that were forwarded.
    """

    _fields_ = (
        ("counts", c_uint64 * (len(Miss) + 1)),
        ("jiffies", c_uint64),  # when ``now`` was read
        ("now", c_uint64),  # nanoseconds
    )


class Port(Structure):
    """A device as frames meet it on arrival, by its index."""

    _fields_ = (("mac", c_uint8 * 6), ("state", c_uint8), ("reserved", c_uint8))


class Door(Structure):
    """What frames may be forwarded in bursts on a device, by its index. In-process only."""

    _fields_ = (
        ("mac", c_uint8 * 6),
        ("other", c_uint8 * 6),  # another address of the box there, or the same
        ("flags", c_uint8),
        ("reserved", c_uint8 * 3),
    )


class Burst(Structure):
    """Frames in one piece of memory: a ``flowtable.packet.burst.Burst``. In-process only."""

    _fields_ = (
        ("frames", c_void_p),
        ("offsets", c_void_p),  # 32 bits each, in bytes
        ("lengths", c_void_p),  # 32 bits each
        ("devices", c_void_p),  # 32 bits each, by their indexes
        ("times", c_void_p),  # 64 bits each, nanoseconds
        ("count", c_uint32),
        ("size", c_uint32),  # of `frames`; bytes
    )


class Batch(Structure):
    """Frames to forward, and what became of them. In-process only."""

    _fields_ = (
        ("arrived", Burst),
        ("left", Burst),  # `count` of them so far
        ("until", c_uint64),  # the time of frames not to be touched
        ("next", c_uint32),  # the first to forward; then the one at which it stopped
        ("room", c_uint32),  # how many frames may leave
        ("used", c_uint32),  # bytes of those that leave
        ("stop", c_uint32),
        ("miss", c_uint32),  # for STOP_MISS
        ("end", c_uint32),  # for STOP_MISS: why it ends the flow of `entry`
        ("entry", c_uint32),
        ("reply", c_uint32),  # for STOP_HANDOVER: the direction of `entry`
    )


STRUCTURES: Final[dict[str, type[Structure]]] = {
    "ft_config": Config,
    "ft_encap": Encap,
    "ft_link_key": LinkKey,
    "ft_link": Link,
    "ft_key": Key,
    "ft_flow": Flow,
    "ft_counter": Counter,
    "ft_entry": Entry,
    "ft_next_hop": NextHop,
    "ft_ending": Ending,
    "ft_sample": Sample,
    "ft_cpu": Cpu,
    "ft_port": Port,
    "ft_door": Door,
    "ft_burst": Burst,
    "ft_batch": Batch,
}
"""By their names in C."""

CONSTANTS: Final[dict[str, int]] = {
    "FT_IPV4": IPV4,
    "FT_IPV6": IPV6,
    "FT_ENCAP_MAX": ENCAP_MAX,
    "FT_HEAD_MAX": HEAD_MAX,
    "FT_SNAP": SNAP,
    "FT_VID": VID,
    "FT_TAGGED": TAGGED,
    "FT_FLOW_REPLY": FLOW_REPLY,
    "FT_FLOW_STALE": FLOW_STALE,
    "FT_FLOW_HANDED_OVER": FLOW_HANDED_OVER,
    "FT_FLOW_STATION": FLOW_STATION,
    "FT_ENDED_TEARDOWN": ENDED_TEARDOWN,
    "FT_ENDED_GONE": ENDED_GONE,
    "FT_PORT_CLOSED": PORT_CLOSED,
    "FT_PORT_STATION": PORT_STATION,
    "FT_PORT_PROMISCUOUS": PORT_PROMISCUOUS,
    "FT_DOOR_IN": DOOR_IN,
    "FT_DOOR_OUT": DOOR_OUT,
    "FT_STOP_END": STOP_END,
    "FT_STOP_MISS": STOP_MISS,
    "FT_STOP_DOOR": STOP_DOOR,
    "FT_STOP_TIME": STOP_TIME,
    "FT_STOP_HANDOVER": STOP_HANDOVER,
    "FT_STOP_SPACE": STOP_SPACE,
    "FT_STOP_EXIT": STOP_EXIT,
}

MISSES: Final[tuple[Miss, ...]] = tuple(Miss)
"""By their numbers in C, less one: 0 is none."""

ENDS: Final = (Teardown.FIN, Teardown.RST, Teardown.REOPEN, Teardown.ROUTE)
"""Why a packet may end a flow, by their numbers in C, less one: 0 is that it does not."""
