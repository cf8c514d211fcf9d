"""What a flowtable with ``flags offload`` asks of hardware, and what it knows of a flow there.

Each direction of a flow is a rule of its own in the hardware, so each is somewhere of its own.

Ref: net/netfilter/nf_flow_table_offload.c, include/net/flow_offload.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from flowtable.packet.reason import Reason

if TYPE_CHECKING:
    from flowtable.flows.entry import FlowEntry
    from flowtable.ruleset import model


class OffloadFailure(Reason):
    """Why hardware does not forward a direction of a flow, or did not do what it was told.

    The packets take the fast path in software meanwhile.
    """

    TUNNEL = (
        "flow through an IP tunnel",
        "never in hardware",
        "net/netfilter/nf_flow_table_offload.c:nf_flow_rule_match",
    )
    ENCAPSULATION = (
        "more than two tags and sessions around the packets",
        "never in hardware on these devices",
        "include/net/netfilter/nf_flow_table.h:NF_FLOW_TABLE_ENCAP_MAX",
    )
    PROTOCOL = (
        "protocol that no rule can have",
        "never in hardware",
        "net/netfilter/nf_flow_table_offload.c:nf_flow_rule_match",
    )
    NO_NEIGHBOUR = (
        "next hop whose MAC address is not known",
        "tried again while packets of the flow pass in software",
        "net/netfilter/nf_flow_table_offload.c:flow_offload_eth_dst",
    )
    NO_DEVICE = (
        "device on the way that has no Ethernet header to write",
        "never in hardware on these devices",
        "net/netfilter/nf_flow_table_offload.c:flow_offload_eth_src",
    )
    ACTIONS = (
        "more actions than a rule can have",
        "never in hardware on these devices",
        "net/netfilter/nf_flow_table_offload.c:NF_FLOW_RULE_ACTION_MAX",
    )
    OTHER_DIRECTION = (
        "opposite direction of which no rule can be made",
        "tried again while packets of the flow pass in software",
        "net/netfilter/nf_flow_table_offload.c:nf_flow_offload_alloc",
    )
    NO_DRIVER = (
        "device without a driver that takes flows",
        "the ruleset does not load, or the device is left to software",
        "net/netfilter/nf_flow_table_offload.c:nf_flow_table_offload_cmd",
    )
    DRIVER_GONE = (
        "driver that went away",
        "the flows of its devices end; new ones stay in software",
        "net/netfilter/nf_flow_table_offload.c:nf_flow_table_indr_cleanup",
    )
    INGRESS_PORT = (
        "arrival at a device that is no port of the hardware",
        "the direction stays in software",
        "drivers/net/ethernet/mediatek/mtk_ppe_offload.c:mtk_flow_offload_replace",
    )
    EGRESS_PORT = (
        "departure through a device that is no port of the hardware",
        "the direction stays in software",
        "drivers/net/ethernet/mediatek/mtk_ppe_offload.c:mtk_flow_set_output_device",
    )
    UNSUPPORTED = (
        "match or action that the hardware cannot do",
        "the direction stays in software",
        "include/net/flow_offload.h:flow_action_has_entries",
    )
    UNBOUND = (
        "fewer packets than the hardware takes a flow over for",
        "packets pass in software until enough of them come within a second",
        "drivers/net/ethernet/mediatek/mtk_ppe.c:MTK_PPE_BIND_RATE",
    )
    CAPACITY = (
        "table of the hardware that is full",
        "tried again once a second while packets of the flow pass in software",
        "drivers/net/ethernet/mediatek/mtk_ppe.c:mtk_foe_entry_commit",
    )
    COLLISION = (
        "places of the table that rules with the same hash have taken",
        "tried again once a second while packets of the flow pass in software",
        "drivers/net/ethernet/mediatek/mtk_ppe.c:mtk_ppe_hash_entry",
    )
    EVICTED = (
        "rule that made room for another",
        "tried again once a second while packets of the flow pass in software",
        "drivers/net/ethernet/mediatek/mtk_ppe.c:__mtk_ppe_check_skb",
    )
    AGED = (
        "rule that the hardware forgot since nothing matched it",
        "tried again once packets of the flow pass in software",
        "drivers/net/ethernet/mediatek/mtk_ppe.c:mtk_flow_entry_update_l2",
    )
    NOT_FOUND = (
        "rule that the hardware does not have",
        "nothing is left to be deleted",
        "drivers/net/ethernet/mediatek/mtk_ppe_offload.c:mtk_flow_offload_destroy",
    )
    NO_COUNTERS = (
        "hardware that does not count packets of single flows",
        "the flow ends when it is idle in software, and begins anew with its next packet",
        "net/netfilter/nf_flow_table_offload.c:flow_offload_work_stats",
    )
    DRIVER = (
        "error of the driver",
        "the direction stays in software",
        "net/netfilter/nf_flow_table_offload.c:flow_offload_tuple_add",
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that hardware did not do.

    Attributes:
        reason: why.
        driver: who said so, empty where nobody was asked.
        detail: what exactly, where the reason leaves it open.
    """

    reason: OffloadFailure
    driver: str = ""
    detail: str = ""

    def __str__(self) -> str:
        text = f"{self.driver}: {self.reason.text}" if self.driver else self.reason.text
        return f"{text} ({self.detail})" if self.detail else text


class Placed(NamedTuple):
    """A rule that hardware took.

    Attributes:
        driver: the hardware.
        ready: when it is in effect, nanoseconds.
    """

    driver: str
    ready: int


class Reading(NamedTuple):
    """Counters of a rule since they were read last.

    Attributes:
        packets: forwarded packets.
        bytes: their lengths from the IP header on.
        used: when the latest came, nanoseconds; 0 for never.
        lost: why the rule is no longer there, None while it is.
        held: why it is there and forwards nothing yet, None if it does.
    """

    packets: int
    bytes: int
    used: int
    lost: Failure | None = None
    held: Failure | None = None


Placing: TypeAlias = Placed | Failure
"""What became of one direction."""


class Hardware(Protocol):
    """The hardware behind one flowtable: all drivers that are bound to its devices."""

    @property
    def queue_latency(self) -> int:
        """From the request of a flow to the worker that carries it out, nanoseconds."""
        ...

    def rebind(self, declaration: model.Flowtable) -> None:
        """The flowtable is on other devices now."""
        ...

    def drop(self, driver: str) -> frozenset[int]:
        """A driver went away with its rules; the indexes of the devices that it had."""
        ...

    def replace(self, entry: FlowEntry, now: int) -> tuple[Placing, Placing]:
        """Have the hardware forward both directions of an entry as they are now, original first."""
        ...

    def destroy(self, entry: FlowEntry, now: int) -> tuple[Placing, Placing]:
        """Have the hardware forget both directions: forgotten at ``ready``, or why it did not."""
        ...

    def stats(self, entry: FlowEntry, now: int) -> tuple[Reading | Failure, Reading | Failure]:
        """Read the counters of both directions."""
        ...


class Command(IntEnum):
    """What the workers do for a flow; of several that wait for one flow, the greatest counts.

    Ref: include/net/flow_offload.h:flow_cls_command.
    """

    STATS = 0
    REPLACE = 1
    DESTROY = 2


class HardwareSide:
    """One direction of a flow as hardware has it.

    Attributes:
        driver: what forwards it, empty while software does.
        since: when that came to be so, nanoseconds.
        failure: the last thing that hardware did not do, None if there was none since it took it.
        packets: packets that hardware forwarded.
        bytes: their lengths from the IP header on.
        used: when the latest of them came, nanoseconds; 0 for never.
    """

    __slots__ = ("bytes", "driver", "failure", "packets", "since", "used")

    def __init__(self, now: int) -> None:
        self.driver = ""
        self.since = now
        self.failure: Failure | None = None
        self.packets = 0
        self.bytes = 0
        self.used = 0

    def place(self, placing: Placing, now: int) -> None:
        """Take over what became of the direction."""
        match placing:
            case Placed(driver):
                self.failure = None
            case Failure() as failure:
                driver = ""
                self.failure = failure
        if driver != self.driver:
            self.driver = driver
            self.since = now

    def count(self, reading: Reading) -> None:
        """Add what was counted since the last reading."""
        self.packets += reading.packets
        self.bytes += reading.bytes
        self.used = max(self.used, reading.used)


class HardwareState:
    """What is known of a flow in a flowtable with ``flags offload``.

    Attributes:
        cookie: what hardware calls the flow; each has its own.
        sides: original and reply direction.
        passed: packets that software had forwarded when the garbage collection last came by.
        wanted: what was asked for while something else was pending, None for nothing.
    """

    __slots__ = ("cookie", "passed", "sides", "wanted")

    def __init__(self, cookie: int, now: int) -> None:
        self.cookie = cookie
        self.sides = (HardwareSide(now), HardwareSide(now))
        self.passed = 0
        self.wanted: Command | None = None

    @property
    def used(self) -> int:
        """When hardware forwarded the latest packet of either direction, nanoseconds; 0 for never."""
        original, reply = self.sides
        return max(original.used, reply.used)

    @property
    def placed(self) -> bool:
        """Whether hardware forwards at least one direction."""
        original, reply = self.sides
        return bool(original.driver or reply.driver)
