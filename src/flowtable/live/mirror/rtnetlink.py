"""Numbers of rtnetlink. Ref: include/uapi/linux/rtnetlink.h."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

AF_UNSPEC: Final = 0
AF_INET: Final = 2
AF_BRIDGE: Final = 7
AF_INET6: Final = 10
FAMILIES: Final = {AF_INET: 4, AF_INET6: 16}
"""Those with routes, and the bytes of their addresses."""


class Type(IntEnum):
    """Types of messages. Ref: RTM_*."""

    NEWLINK = 16
    DELLINK = 17
    GETLINK = 18
    NEWADDR = 20
    DELADDR = 21
    GETADDR = 22
    NEWROUTE = 24
    DELROUTE = 25
    GETROUTE = 26
    NEWNEIGH = 28
    DELNEIGH = 29
    GETNEIGH = 30
    NEWRULE = 32
    DELRULE = 33
    GETRULE = 34
    NEWNETCONF = 80
    DELNETCONF = 81
    GETNETCONF = 82
    NEWNEXTHOP = 104
    DELNEXTHOP = 105
    NEWVLAN = 112
    DELVLAN = 113


class Group(IntEnum):
    """Multicast groups of notifications. Ref: RTNLGRP_*."""

    LINK = 1
    NEIGH = 3
    IPV4_IFADDR = 5
    IPV4_ROUTE = 7
    IPV4_RULE = 8
    IPV6_IFADDR = 9
    IPV6_ROUTE = 11
    IPV6_RULE = 19
    IPV4_NETCONF = 24
    IPV6_NETCONF = 25
    NEXTHOP = 32
    BRVLAN = 33
