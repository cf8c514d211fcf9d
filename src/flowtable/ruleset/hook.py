"""The hooks of the figure, and the priorities that order what is registered on them."""

from __future__ import annotations

from enum import IntEnum


class Hook(IntEnum):
    """Where a base chain is attached. Ref: include/uapi/linux/netfilter.h:nf_inet_hooks."""

    PREROUTING = 0
    INPUT = 1
    FORWARD = 2
    OUTPUT = 3
    POSTROUTING = 4
    INGRESS = 5
    EGRESS = 6


class Priority(IntEnum):
    """Priorities of what the kernel itself registers. Ref: include/uapi/linux/netfilter_ipv4.h."""

    CONNTRACK_DEFRAG = -400
    RAW = -300
    CONNTRACK = -200
    MANGLE = -150
    NAT_DST = -100
    FILTER = 0
    SECURITY = 50
    NAT_SRC = 100
    CONNTRACK_HELPER = 300
    CONNTRACK_CONFIRM = 2**31 - 1
