"""The types of values: how each is written, and how nft prints it.

A value is an unsigned integer whatever its type: addresses, ports and flags by their bits,
interface names by their sixteen bytes. Only the index of a device stays a name until the rules
are compiled, because only then the devices are known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.types.address import ETHER_ADDR, IPV4_ADDR, IPV6_ADDR
from flowtable.ruleset.types.clock import DATE, DAY, HOUR
from flowtable.ruleset.types.flags import CT_EVENT, CT_STATE, CT_STATUS, TCP_FLAG
from flowtable.ruleset.types.interface import IFACE_INDEX, IFNAME
from flowtable.ruleset.types.number import CLASSID, INTEGER, MARK, TIME, hexadecimal, integer
from flowtable.ruleset.types.protocol import ETHER_TYPE, INET_PROTO, NF_PROTO
from flowtable.ruleset.types.service import INET_SERVICE
from flowtable.ruleset.types.symbol import (
    ARP_OPERATION,
    ARPHRD,
    BOOLEAN,
    CT_DIR,
    DCCP_TYPE,
    DSCP,
    ECN,
    FIB_TYPE,
    ICMP_CODE,
    ICMP_TYPE,
    ICMPV6_CODE,
    ICMPV6_TYPE,
    ICMPX_CODE,
    IGMP_TYPE,
    MH_TYPE,
    PKT_TYPE,
)
from flowtable.ruleset.types.system import CT_LABEL, DEVGROUP, GID, REALM, UID
from flowtable.ruleset.types.text import STRING

if TYPE_CHECKING:
    from flowtable.ruleset.types.base import DataType

BY_NAME: Final[dict[str, DataType]] = {
    datatype.name: datatype
    for datatype in (
        ARPHRD,
        ARP_OPERATION,
        BOOLEAN,
        CLASSID,
        CT_DIR,
        CT_EVENT,
        CT_LABEL,
        CT_STATE,
        CT_STATUS,
        DATE,
        DAY,
        DCCP_TYPE,
        DEVGROUP,
        DSCP,
        ECN,
        ETHER_ADDR,
        ETHER_TYPE,
        FIB_TYPE,
        GID,
        HOUR,
        ICMPV6_CODE,
        ICMPV6_TYPE,
        ICMPX_CODE,
        ICMP_CODE,
        ICMP_TYPE,
        IFACE_INDEX,
        IFNAME,
        IGMP_TYPE,
        INET_PROTO,
        INET_SERVICE,
        IPV4_ADDR,
        IPV6_ADDR,
        MARK,
        MH_TYPE,
        NF_PROTO,
        PKT_TYPE,
        REALM,
        TCP_FLAG,
        TIME,
        UID,
    )
}
"""What ``type`` of a set can name."""

__all__ = [
    "ARPHRD",
    "ARP_OPERATION",
    "BOOLEAN",
    "BY_NAME",
    "CLASSID",
    "CT_DIR",
    "CT_EVENT",
    "CT_LABEL",
    "CT_STATE",
    "CT_STATUS",
    "DATE",
    "DAY",
    "DCCP_TYPE",
    "DEVGROUP",
    "DSCP",
    "ECN",
    "ETHER_ADDR",
    "ETHER_TYPE",
    "FIB_TYPE",
    "GID",
    "HOUR",
    "ICMPV6_CODE",
    "ICMPV6_TYPE",
    "ICMPX_CODE",
    "ICMP_CODE",
    "ICMP_TYPE",
    "IFACE_INDEX",
    "IFNAME",
    "IGMP_TYPE",
    "INET_PROTO",
    "INET_SERVICE",
    "INTEGER",
    "IPV4_ADDR",
    "IPV6_ADDR",
    "MARK",
    "MH_TYPE",
    "NF_PROTO",
    "PKT_TYPE",
    "REALM",
    "STRING",
    "TCP_FLAG",
    "TIME",
    "UID",
    "hexadecimal",
    "integer",
]
