"""Numbers of the interface. Ref: include/uapi/linux/netfilter/nfnetlink_conntrack.h."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

SUBSYSTEM: Final = 1 << 8
"""Ref: include/uapi/linux/netfilter/nfnetlink.h:NFNL_SUBSYS_CTNETLINK."""


class Message(IntEnum):
    """Types of messages. Ref: cntl_msg_types."""

    NEW = SUBSYSTEM | 0
    GET = SUBSYSTEM | 1
    DELETE = SUBSYSTEM | 2
    GET_AND_ZERO = SUBSYSTEM | 3
    STATISTICS_CPU = SUBSYSTEM | 4
    STATISTICS = SUBSYSTEM | 5


class Cta:
    """Attributes of a connection. Ref: ctattr_type."""

    TUPLE_ORIG: Final = 1
    TUPLE_REPLY: Final = 2
    STATUS: Final = 3
    PROTOINFO: Final = 4
    HELP: Final = 5
    TIMEOUT: Final = 7
    MARK: Final = 8
    COUNTERS_ORIG: Final = 9
    COUNTERS_REPLY: Final = 10
    USE: Final = 11
    ID: Final = 12
    TUPLE_MASTER: Final = 14
    SEQ_ADJ_ORIG: Final = 15
    SEQ_ADJ_REPLY: Final = 16
    SECMARK: Final = 17
    ZONE: Final = 18
    SECCTX: Final = 19
    TIMESTAMP: Final = 20
    MARK_MASK: Final = 21
    LABELS: Final = 22
    LABELS_MASK: Final = 23
    SYNPROXY: Final = 24
    FILTER: Final = 25
    STATUS_MASK: Final = 26
    TIMESTAMP_EVENT: Final = 27


class CtaTuple:
    """Ref: ctattr_tuple, ctattr_ip, ctattr_l4proto."""

    IP: Final = 1
    PROTO: Final = 2
    ZONE: Final = 3

    V4_SRC: Final = 1
    V4_DST: Final = 2
    V6_SRC: Final = 3
    V6_DST: Final = 4

    NUM: Final = 1
    SRC_PORT: Final = 2
    DST_PORT: Final = 3
    ICMP_ID: Final = 4
    ICMP_TYPE: Final = 5
    ICMP_CODE: Final = 6
    ICMPV6_ID: Final = 7
    ICMPV6_TYPE: Final = 8
    ICMPV6_CODE: Final = 9


class CtaProtoinfo:
    """Ref: ctattr_protoinfo, ctattr_protoinfo_tcp, ctattr_protoinfo_dccp, ctattr_protoinfo_sctp."""

    TCP: Final = 1
    DCCP: Final = 2
    SCTP: Final = 3

    STATE: Final = 1
    """The same number in all three."""
    TCP_WSCALE_ORIGINAL: Final = 2
    TCP_WSCALE_REPLY: Final = 3
    TCP_FLAGS_ORIGINAL: Final = 4
    TCP_FLAGS_REPLY: Final = 5


class CtaCounters:
    """Ref: ctattr_counters."""

    PACKETS: Final = 1
    BYTES: Final = 2


class CtaTimestamp:
    """Ref: ctattr_tstamp."""

    START: Final = 1
    STOP: Final = 2


class CtaNested:
    """Ref: ctattr_help, ctattr_secctx, ctattr_stats_global."""

    HELP_NAME: Final = 1
    SECCTX_NAME: Final = 1
    STATISTICS_ENTRIES: Final = 1
    STATISTICS_MAXIMUM: Final = 2


STATISTICS: Final = {
    2: "found",
    4: "invalid",
    8: "insert",
    9: "insert_failed",
    10: "drop",
    11: "early_drop",
    12: "error",
    13: "search_restart",
    14: "clash_resolve",
    15: "chaintoolong",
}
"""What is counted on each processor, by attribute. Ref: ctattr_stats_cpu."""
