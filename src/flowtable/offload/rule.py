"""A rule for hardware: what to match and what to do, for one direction of a flow.

Nothing else comes with it. Implied are: the TTL or hop limit is decremented, the checksums follow
that, a PPPoE header on arrival is taken off; and packets that no router may just forward (TTL 1,
fragments, IP options, larger than the way out carries) go to the box.

Ref: include/net/flow_offload.h:flow_rule, flow_action_entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from flowtable.topology.device import Device


class Header(Enum):
    """A header that a rule changes; the value is tc's name of it.

    Ref: include/net/flow_offload.h:flow_action_mangle_base.
    """

    ETHERNET = "eth"
    IPV4 = "ip"
    IPV6 = "ip6"
    TCP = "tcp"
    UDP = "udp"


class Tag(NamedTuple):
    """A VLAN tag to match.

    Attributes:
        vid: VLAN id; the mask is 0x0fff.
        protocol: ethertype of the tag.
    """

    vid: int
    protocol: int


@dataclass(frozen=True, slots=True)
class Match:
    """What a frame has to be.

    The keys of ``nf_flow_rule_match``; behind them those that only sound rules have.

    Attributes:
        ingress: the device it arrives at.
        ethertype: of the packet, behind tags and sessions: 0x0800 or 0x86dd.
        protocol: of the packet: TCP, UDP or GRE.
        source: 4 or 16 bytes.
        destination: as long as ``source``.
        ports: source and destination port, None for GRE.
        tcp_flags: TCP flags that have to be clear: FIN and RST go to the box.
        vlan: the outer tag, None for no tag.
        cvlan: the inner tag.
        session: PPPoE session; 0: there is no PPPoE header; None: whichever there is.
        station: MAC address that it is sent to, None: any.
        peer: MAC address that it comes from, None: any.
        no_priority: tags have priority 0.
    """

    ingress: Device
    ethertype: int
    protocol: int
    source: bytes
    destination: bytes
    ports: tuple[int, int] | None
    tcp_flags: int
    vlan: Tag | None = None
    cvlan: Tag | None = None
    session: int | None = None
    station: bytes | None = None
    peer: bytes | None = None
    no_priority: bool = False


@dataclass(frozen=True, slots=True)
class Mangle:
    """A 32-bit word of a header changes: ``old & mask | value``.

    Attributes:
        header: which header.
        offset: of the word in it, bytes.
        mask: the bits that stay.
        value: the others.
    """

    header: Header
    offset: int
    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class VlanPop:
    """The outermost tag goes."""


@dataclass(frozen=True, slots=True)
class VlanPush:
    """A tag goes around, with priority 0."""

    vid: int
    protocol: int


@dataclass(frozen=True, slots=True)
class PppoePush:
    """A PPPoE header goes around the packet, inside of all tags."""

    session: int


@dataclass(frozen=True, slots=True)
class Checksum:
    """Checksums follow what was mangled: that of the IPv4 header, and the transport protocol's.

    Attributes:
        ipv4: the IPv4 header.
        protocol: TCP or UDP, None for neither.
    """

    ipv4: bool
    protocol: int | None


@dataclass(frozen=True, slots=True)
class Accept:
    """An action without a meaning: Linux leaves one for a tag that it cannot push.

    Ref: net/netfilter/nf_flow_table_offload.c:nf_flow_rule_route_common, FLOW_ACTION_ACCEPT being 0.
    """


@dataclass(frozen=True, slots=True)
class Redirect:
    """The frame leaves by a device."""

    device: Device


Action: TypeAlias = Mangle | VlanPop | VlanPush | PppoePush | Checksum | Accept | Redirect

MAX_ACTIONS = 24
"""Ref: net/netfilter/nf_flow_table_offload.c:NF_FLOW_RULE_ACTION_MAX."""


class Cookie(NamedTuple):
    """What a driver knows a rule by, as long as the flow lives.

    Attributes:
        flow: a number that no other flow of the box has.
        direction: ``ORIGINAL`` or ``REPLY``.
    """

    flow: int
    direction: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for one direction of a flow.

    Attributes:
        cookie: what it is known by.
        priority: that of the flowtable.
        match: what a frame has to be.
        actions: what is done to it, in order.
        mtu: larger packets go to the box; None where only the ports limit them.
    """

    cookie: Cookie
    priority: int
    match: Match
    actions: tuple[Action, ...]
    mtu: int | None = None
