"""Behaviour profiles: which flowtable a box has, decision by decision.

The flowtable changed from kernel to kernel, and some of what it does is a quirk that users run
into. Every place where that matters is one field of ``Profile``; code asks the field, never a
version.

Ref: net/netfilter/nft_flow_offload.c for adding, net/netfilter/nf_flow_table_ip.c for
forwarding, net/netfilter/nf_flow_table_core.c for timeouts, garbage collection and teardown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from flowtable.clock import SECOND


class TcpAdmission(Enum):
    """Which packet of a TCP connection may add a flow."""

    CONFIRMED = "any"
    """Any without FIN and RST once the connection is confirmed, so the SYN-ACK does (until 5.18)."""
    ESTABLISHED = "established"
    """Only of a connection that is ESTABLISHED and ASSURED: the client's ACK at the earliest."""


class TcpClosing(Enum):
    """What a FIN or RST that matches a flow does."""

    CLASSIC = "classic"
    """It tears the flow down and goes up the classic path, where conntrack sees it (until 6.13)."""
    BYPASS = "bypass"
    """It is forwarded and marks the flow CLOSING; a later SYN then tears the flow down (since 6.14)."""


class IdleTimeout(Enum):
    """After how long without packets a flow ends."""

    BUILT_IN = "built-in"
    """30 s, whatever the protocol (until 5.13)."""
    SYSCTL = "sysctl"
    """``nf_flowtable_tcp_timeout`` and ``nf_flowtable_udp_timeout``; 30 s for GRE."""


class Lifetime(Enum):
    """What the timeout of a connection is while the fast path has it."""

    HALF_DAY = "half-day"
    """A day, renewed by conntrack's own collector whenever less than half a day is left (until 6.13)."""
    FIVE_MINUTES = "five-minutes"
    """A day when the flow is added with less than half a day left, renewed by the flowtable's collector when
    less than five minutes are left: UDP and established TCP for a day, closing TCP for five minutes, GRE for
    an instant (6.12.y)."""
    ONE_DAY = "one-day"
    """A day when the flow is added and never again: the renewal since 6.14 compares an absolute time with
    a relative one and so does nothing."""
    ACTIVITY = "activity"
    """What it would be had conntrack seen the packets of the fast path."""


class FixUp(Enum):
    """What a teardown leaves in the connection."""

    PICKUP = "pickup"
    """TCP becomes ESTABLISHED with at most 120 s left, UDP keeps at most 30 s (until 5.13)."""
    LESS_IDLE = "less-idle"
    """At most the timeout of the last state conntrack saw, less the idle timeout of the flow, whether
    the flow was idle or not (5.19 to 6.13)."""
    LESS_IDLE_IF_EXPIRED = "less-idle-if-expired"
    """As before, but less the idle timeout only where the flow was idle; a CLOSING flow leaves CLOSE with
    its 10 s (since 6.14)."""
    REMAINING = "remaining"
    """Exactly what is left of the state's timeout since the last packet on either path."""


class AfterTeardown(Enum):
    """What becomes of a flow between its teardown and the next garbage collection."""

    REMOVED = "removed"
    """Nothing is left of it: teardown removes it at once."""
    LINGERS = "lingers"
    """It stays in the table, where it answers lookups with a miss, and holds its connection."""
    LINGERS_OFFLOADED = "lingers-offloaded"
    """It stays, and so does the OFFLOAD status of its connection (until 5.13)."""


class Duplicate(Enum):
    """What adding a flow does to an older one with the same key."""

    SHADOW = "shadow"
    """Hides it; the older one is found again when the newer one is gone."""
    REPLACE = "replace"
    """Tears it down."""


class ReturnRoute(Enum):
    """How ``flow add`` finds the way back to the sender of the packet that adds."""

    PINNED = "pinned"
    """Out of the device the packet came in on. IPv4 finds the sender on link there if no route says so;
    IPv6 prefers that device among routes of the same length and uses whichever wins."""
    ROUTED = "routed"
    """As the classic path routes the answers, possibly out of another device."""


class RouteChange(Enum):
    """When a flow notices that a route changed."""

    NEXT_PACKET = "next-packet"
    """At its next packet, which goes up the classic path. A new IPv4 route, or any change of a link, ends
    all IPv4 flows; a new IPv6 route those within whose route it lies; an IPv6 address that comes or goes
    all IPv6 flows; a route that goes those that took it, and of IPv4 then all others as well."""
    AT_ONCE = "at-once"
    """At once, and only where the change alters the route of the flow."""


class Length(Enum):
    """What tells how long a packet is."""

    FRAME = "frame"
    """The frame: Ethernet padding is forwarded, counted and held against the MTU as part of the packet,
    and a packet cut short is forwarded as it is."""
    HEADER = "header"
    """The IP header: padding is cut off; a frame that ends before its packet goes up the classic path."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Profile:
    """The decisions that make up a flowtable's behaviour.

    Attributes:
        name: what ``--profile`` calls it.
        tcp_admission: which packet of a TCP connection may add a flow.
        gre: whether GRE version 0 without NAT is offloaded at all.
        related_adds: whether an ICMP error about a connection may add its flow: the kernel looks at the
            protocol of the connection and not of the packet.
        require_devices: refuse a flow whose devices are not all in the flowtable, where the kernel adds it,
            which may be on devices that its packets do not take.
        require_path: refuse a flow whose way through VLANs, bridges, sessions or tunnels is not found, where
            the kernel adds it on the routed devices, which its packets may not take.
        sound_path: look also at what the kernel does not: whether the bridge itself is in the VLAN, whether
            the port forwards, whether untagged frames arrive in the VLAN that leaves untagged, and the MTU of
            the port. A neighbour has to be known only where the way depends on it, behind a bridge.
        path_depth: how many devices on top of each other path discovery follows.
        path_vlans: how many VLAN tags on top of each other path discovery follows.
        max_encap: how many VLAN tags and PPPoE headers the fast path reads and writes.
        tunnels: whether the fast path takes packets out of ipip and ip6ip6 tunnels and puts them in.
        push_encap: whether packets leave through the device at the bottom with all headers put on, or
            through the routed device (behind a bridge the topmost VLAN or PPPoE device), below which the
            devices put them on. Then the tag that a bridge puts on for its PVID is missing.
        follow_path: whether a flow follows what changes on its way (MAC addresses, ports, VLANs, sessions,
            tunnels) and keeps the forwarding database fresh, or keeps the ports and MAC addresses that it
            was added with behind a bridge.
        check_station: whether a frame at a bridge port, VLAN or session has to be addressed to the box,
            since others are bridged and not routed.
        count_skipped: whether the devices that packets skip, above the one where they arrive or leave, count
            them in their statistics.
        return_route: how the route of the opposite direction is found.
        idle_timeout: after how long without packets a flow ends.
        refresh_granularity: nanoseconds that have to pass before a packet moves the flow's timeout
            again.
        lifetime: timeout of a connection while it is offloaded.
        fix_up: what a teardown leaves in the connection.
        forget_max_ack: whether teardown clears conntrack's record of the highest acknowledgement, with
            which it would misjudge the next RST.
        fix_up_again: whether the garbage collector repeats the fix-up of a flow that is torn down
            already, if it has expired since.
        mirror_replies: whether replies on the fast path give the connection SEEN_REPLY and ASSURED, as
            conntrack would have.
        tcp_closing: what FIN and RST do.
        length: what tells how long a packet is.
        vlan_priority_in_key: whether the priority bits of a VLAN tag are compared, so that prioritised
            frames never match.
        keep_vlan_priority: whether the priority bits of the tags on arrival are those of the tags on
            departure, paired from the outside; a tag without a partner leaves with priority 0.
        inner_8021ad: whether an 802.1ad tag behind another tag is understood.
        queue_unresolved: whether a packet whose next hop is not resolved is changed and handed to the
            neighbour layer, or goes up the classic path unchanged.
        route_change: when a flow notices a changed route.
        route_mtu6: whether the MTU of an IPv6 route holds on the fast path, or that of its device.
        follow_mtu: whether a flow follows its device's MTU, or keeps the one it was added with.
        after_teardown: what becomes of a flow until the next garbage collection.
        duplicate: what adding does to an older flow with the same key.
        sound_offload: with ``flags offload``, have hardware do what the software path would: rules hold all
            that it looks at and direction by direction, requests that meet a pending one are kept, changes
            and ends reach hardware at once, and HW_OFFLOAD says where a flow is. Linux leaves tags of
            802.1ad and PPPoE sessions out of its rules, drops requests, and tells hardware of the end of a
            flow with the garbage collection and of changes not at all.
    """

    name: str
    tcp_admission: TcpAdmission
    gre: bool
    related_adds: bool
    require_devices: bool
    require_path: bool
    sound_path: bool
    path_depth: int
    path_vlans: int
    max_encap: int
    tunnels: bool
    push_encap: bool
    follow_path: bool
    check_station: bool
    count_skipped: bool
    return_route: ReturnRoute
    idle_timeout: IdleTimeout
    refresh_granularity: int
    lifetime: Lifetime
    fix_up: FixUp
    forget_max_ack: bool
    fix_up_again: bool
    mirror_replies: bool
    tcp_closing: TcpClosing
    length: Length
    vlan_priority_in_key: bool
    keep_vlan_priority: bool
    inner_8021ad: bool
    queue_unresolved: bool
    route_change: RouteChange
    route_mtu6: bool
    follow_mtu: bool
    after_teardown: AfterTeardown
    duplicate: Duplicate
    sound_offload: bool


DEFAULT: Final = Profile(
    name="default",
    tcp_admission=TcpAdmission.ESTABLISHED,
    gre=True,
    related_adds=False,
    require_devices=True,
    require_path=True,
    sound_path=True,
    path_depth=8,
    path_vlans=4,
    max_encap=4,
    tunnels=True,
    push_encap=True,
    follow_path=True,
    check_station=True,
    count_skipped=True,
    return_route=ReturnRoute.ROUTED,
    idle_timeout=IdleTimeout.SYSCTL,
    refresh_granularity=0,
    lifetime=Lifetime.ACTIVITY,
    fix_up=FixUp.REMAINING,
    forget_max_ack=True,
    fix_up_again=False,
    mirror_replies=True,
    tcp_closing=TcpClosing.CLASSIC,
    length=Length.HEADER,
    vlan_priority_in_key=False,
    keep_vlan_priority=True,
    inner_8021ad=True,
    queue_unresolved=False,
    route_change=RouteChange.AT_ONCE,
    route_mtu6=True,
    follow_mtu=True,
    after_teardown=AfterTeardown.REMOVED,
    duplicate=Duplicate.REPLACE,
    sound_offload=True,
)
"""What the documentation says, with the newest kernel's features and without its known limitations."""

LINUX_6_12: Final = Profile(
    name="linux-6.12",
    tcp_admission=TcpAdmission.ESTABLISHED,
    gre=True,
    related_adds=True,
    require_devices=False,
    require_path=False,
    sound_path=False,
    path_depth=5,
    path_vlans=2,
    max_encap=2,
    tunnels=False,
    push_encap=False,
    follow_path=False,
    check_station=False,
    count_skipped=False,
    return_route=ReturnRoute.PINNED,
    idle_timeout=IdleTimeout.SYSCTL,
    refresh_granularity=SECOND,
    lifetime=Lifetime.FIVE_MINUTES,
    fix_up=FixUp.LESS_IDLE,
    forget_max_ack=False,
    fix_up_again=True,
    mirror_replies=False,
    tcp_closing=TcpClosing.CLASSIC,
    length=Length.FRAME,
    vlan_priority_in_key=True,
    keep_vlan_priority=False,
    inner_8021ad=False,
    queue_unresolved=True,
    route_change=RouteChange.NEXT_PACKET,
    route_mtu6=False,
    follow_mtu=False,
    after_teardown=AfterTeardown.LINGERS,
    duplicate=Duplicate.SHADOW,
    sound_offload=False,
)
"""Linux 6.12, quirks included."""

LINUX_6_18: Final = replace(
    LINUX_6_12,
    name="linux-6.18",
    lifetime=Lifetime.ONE_DAY,
    fix_up=FixUp.LESS_IDLE_IF_EXPIRED,
    forget_max_ack=True,
    fix_up_again=False,
    tcp_closing=TcpClosing.BYPASS,
)
"""Linux 6.18: FIN and RST stay on the fast path, which closes the connection for conntrack."""

LINUX_5_13: Final = replace(
    LINUX_6_12,
    name="linux-5.13",
    tcp_admission=TcpAdmission.CONFIRMED,
    gre=False,
    idle_timeout=IdleTimeout.BUILT_IN,
    fix_up=FixUp.PICKUP,
    fix_up_again=False,
    lifetime=Lifetime.HALF_DAY,
    after_teardown=AfterTeardown.LINGERS_OFFLOADED,
)
"""The kernel documentation to the letter: the packet in reply direction adds the flow."""

PROFILES: Final[dict[str, Profile]] = {
    profile.name: profile for profile in (DEFAULT, LINUX_5_13, LINUX_6_12, LINUX_6_18)
}
"""Profiles by the name that ``--profile`` takes."""
