"""The families of tables."""

from __future__ import annotations

from enum import Enum


class Family(Enum):
    """The family of a table; the value is its keyword."""

    IP = "ip"
    IP6 = "ip6"
    INET = "inet"
    ARP = "arp"
    BRIDGE = "bridge"
    NETDEV = "netdev"
