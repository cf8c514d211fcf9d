"""What drivers do with XDP: generic netlink's family netdev, Linux 6.3 and up.

Ref: Documentation/netlink/specs/netdev.yaml; include/uapi/linux/genetlink.h.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from flowtable.live.doctor.facts import XdpFeature
from flowtable.live.netlink import NetlinkError, attribute, attributes, u16, u32
from flowtable.live.netlink_socket import NetlinkSocket

_HEADER: Final = Struct("=BBxx")
_NETLINK_GENERIC: Final = 16
_CONTROL: Final = 0x10
_GETFAMILY: Final = 3
_FAMILY_ID: Final = 1
_FAMILY_NAME: Final = 2
_DEV_GET: Final = 1
_IFINDEX: Final = 1
_XDP_FEATURES: Final = 3


def xdp_features() -> dict[int, frozenset[XdpFeature]]:
    """What the drivers of this network namespace do with XDP, by ifindex; empty where it is not told."""
    with NetlinkSocket(_NETLINK_GENERIC) as asking:
        try:
            name = attribute(_FAMILY_NAME, b"netdev\0")
            [family] = asking.request(_CONTROL, 0, _HEADER.pack(_GETFAMILY, 1) + name)
            number = u16(attributes(family.body, _HEADER.size)[_FAMILY_ID])
            answers = asking.dump(number, _HEADER.pack(_DEV_GET, 1))
        except NetlinkError:
            return {}
    found: dict[int, frozenset[XdpFeature]] = {}
    for answer in answers:
        values = attributes(answer.body, _HEADER.size)
        bits = u32(values.get(_XDP_FEATURES, b""))
        found[u32(values[_IFINDEX])] = frozenset(each for each in XdpFeature if bits & each.value)
    return found
