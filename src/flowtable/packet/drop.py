"""Why a packet ended in the box."""

from __future__ import annotations

from enum import Enum


class Drop(Enum):
    """A reason for which a station drops a packet; the value is its one-line text.

    Ref: include/net/dropreason-core.h.
    """

    ETHERNET_TRUNCATED = "frame shorter than its link-layer header"
    UNKNOWN_PROTOCOL = "no handler for this ethertype"
    OTHER_HOST = "frame addressed to another host"
    DEVICE_DOWN = "device is down"
    IP_HEADER = "malformed IP header"
    IP_CHECKSUM = "wrong IP header checksum"
    IP_TRUNCATED = "shorter than its IP header says"
    MARTIAN_SOURCE = "source address that cannot be"
    MARTIAN_DESTINATION = "destination address that cannot be"
    REVERSE_PATH = "reverse path filter"
    NO_ROUTE = "no route to the destination"
    BLACKHOLE = "blackhole route"
    UNREACHABLE = "unreachable route"
    PROHIBIT = "prohibit route"
    NOT_FORWARDING = "forwarding is off"
    NOT_FORWARDABLE = "multicast, broadcast or link-local destination is not forwarded"
    TTL_EXPIRED = "TTL or hop limit expired in transit"
    TOO_BIG = "larger than the path MTU and must not be fragmented"
    RULE = "a rule said drop"
    POLICY = "the chain's policy is drop"
    REJECT = "a rule said reject"
    INGRESS = "an ingress chain said drop"
    EGRESS = "an egress chain said drop"
    CONNTRACK_FULL = "connection table full"
    CONNTRACK_CLASH = "lost a race for its connection"
    NAT = "cannot be translated (no free port, or a redirect about a translated connection)"
    FRAGMENT_TIMEOUT = "reassembly timed out"
    FRAGMENT_INVALID = "overlapping, oversized or malformed fragment"
    FRAGMENT_DUPLICATE = "fragment that was there already"
    FRAGMENT_LIMIT = "reassembly memory exhausted"
    NEIGHBOUR_FAILED = "next hop does not answer"
    NEIGHBOUR_QUEUE = "too many packets wait for the next hop"
    NO_SOCKET = "no service listens there"
    LOCAL_DELIVERY = "malformed packet to the box itself"
    IP_OPTIONS = "IP option that is malformed or refused"
