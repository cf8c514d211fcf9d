"""What attaching programs asks of netlink: the driver's own words, and what a device can do.

Ref: include/uapi/linux/netlink.h, genetlink.h, netdev.h, if_link.h.
"""

from __future__ import annotations

from enum import IntFlag
from struct import Struct
from typing import Final

from flowtable.netlink.attribute import attribute, attributes, nested, packed, u16
from flowtable.netlink.message import NetlinkError
from flowtable.netlink.socket import NetlinkSocket

_INTERFACE: Final = Struct("=BxHiII")  # struct ifinfomsg
_GENERIC: Final = Struct("=BBxx")  # struct genlmsghdr
_U64: Final = Struct("=Q")
_I32: Final = Struct("=i")

_NETLINK_ROUTE: Final = 0
_NETLINK_GENERIC: Final = 16

_RTM_SETLINK: Final = 19
_IFLA_XDP: Final = 43
_IFLA_XDP_FD: Final = 1
_IFLA_XDP_FLAGS: Final = 3
_XDP_UPDATE_IF_NOEXIST: Final = 1

_GENL_ID_CTRL: Final = 16
_CTRL_CMD_GETFAMILY: Final = 3
_CTRL_ATTR_FAMILY_ID: Final = 1
_CTRL_ATTR_FAMILY_NAME: Final = 2
_NETDEV_CMD_DEV_GET: Final = 1
_NETDEV_A_DEV_IFINDEX: Final = 1
_NETDEV_A_DEV_XDP_FEATURES: Final = 3


class XdpFeatures(IntFlag):
    """What a device can do with XDP. Ref: include/uapi/linux/netdev.h:netdev_xdp_act."""

    BASIC = 1
    """Native XDP."""
    REDIRECT = 2
    """Frames that arrive may leave through another device."""
    NDO_XMIT = 4
    """Frames of other devices may leave here."""


def xdp_features(ifindex: int) -> XdpFeatures | None:
    """What a device can do; None on kernels that do not tell (before Linux 6.3).

    Raises:
        NetlinkError: there is no such device.
    """
    with NetlinkSocket(_NETLINK_GENERIC) as netlink:
        wanted = _GENERIC.pack(_CTRL_CMD_GETFAMILY, 1) + attribute(_CTRL_ATTR_FAMILY_NAME, b"netdev\0")
        try:
            *_, family = netlink.request(_GENL_ID_CTRL, 0, wanted)
        except NetlinkError:
            return None
        number = u16(attributes(family.body, _GENERIC.size)[_CTRL_ATTR_FAMILY_ID])
        wanted = _GENERIC.pack(_NETDEV_CMD_DEV_GET, 1) + attribute(_NETDEV_A_DEV_IFINDEX, packed(ifindex))
        *_, device = netlink.request(number, 0, wanted)
    (features,) = _U64.unpack(attributes(device.body, _GENERIC.size)[_NETDEV_A_DEV_XDP_FEATURES])
    return XdpFeatures(features & (XdpFeatures.BASIC | XdpFeatures.REDIRECT | XdpFeatures.NDO_XMIT))


def set_xdp(ifindex: int, program: int, flags: int) -> None:
    """Put an XDP program on a device that has none, or take it off (``program`` -1).

    Unlike a link it stays when the process ends; but the kernel says why it does not take it.

    Raises:
        NetlinkError: it does not.
    """
    if program >= 0:
        flags |= _XDP_UPDATE_IF_NOEXIST
    xdp = nested(
        _IFLA_XDP, attribute(_IFLA_XDP_FD, _I32.pack(program)), attribute(_IFLA_XDP_FLAGS, packed(flags))
    )
    with NetlinkSocket(_NETLINK_ROUTE) as netlink:
        netlink.request(_RTM_SETLINK, 0, _INTERFACE.pack(0, 0, ifindex, 0, 0) + xdp)
