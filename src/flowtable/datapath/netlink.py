"""What attaching programs asks of netlink: the driver's own words, and what a device can do.

Ref: include/uapi/linux/netlink.h, genetlink.h, netdev.h, if_link.h.
"""

from __future__ import annotations

import socket
from enum import IntFlag
from errno import errorcode
from struct import Struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER: Final = Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE: Final = Struct("=HH")  # struct nlattr: length, type
_INTERFACE: Final = Struct("=BxHiII")  # struct ifinfomsg
_GENERIC: Final = Struct("=BBxx")  # struct genlmsghdr
_U32: Final = Struct("=I")
_U64: Final = Struct("=Q")
_I32: Final = Struct("=i")

_SOL_NETLINK: Final = 270
_NETLINK_EXT_ACK: Final = 11
_NLM_F_REQUEST: Final = 0x1
_NLM_F_ACK: Final = 0x4
_NLM_F_CAPPED: Final = 0x100
_NLMSG_ERROR: Final = 2
_NLMSGERR_ATTR_MSG: Final = 1
_NLA_F_NESTED: Final = 0x8000
_NLA_TYPE_MASK: Final = 0x3FFF
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


class NetlinkError(OSError):
    """The kernel refused a request; ``strerror`` is what it said, or the error's name."""


def xdp_features(ifindex: int) -> XdpFeatures | None:
    """What a device can do; None on kernels that do not tell (before Linux 6.3).

    Raises:
        NetlinkError: there is no such device.
    """
    try:
        family = _ask(
            _NETLINK_GENERIC,
            _GENL_ID_CTRL,
            _GENERIC.pack(_CTRL_CMD_GETFAMILY, 1) + _attribute(_CTRL_ATTR_FAMILY_NAME, b"netdev\0"),
        )
    except NetlinkError:
        return None
    number = int.from_bytes(_attributes(family[_GENERIC.size :])[_CTRL_ATTR_FAMILY_ID], "little")
    device = _ask(
        _NETLINK_GENERIC,
        number,
        _GENERIC.pack(_NETDEV_CMD_DEV_GET, 1) + _attribute(_NETDEV_A_DEV_IFINDEX, _U32.pack(ifindex)),
    )
    (features,) = _U64.unpack(_attributes(device[_GENERIC.size :])[_NETDEV_A_DEV_XDP_FEATURES])
    return XdpFeatures(features & (XdpFeatures.BASIC | XdpFeatures.REDIRECT | XdpFeatures.NDO_XMIT))


def set_xdp(ifindex: int, program: int, flags: int) -> None:
    """Put an XDP program on a device that has none, or take it off (``program`` -1).

    Unlike a link it stays when the process ends; but the kernel says why it does not take it.

    Raises:
        NetlinkError: it does not.
    """
    if program >= 0:
        flags |= _XDP_UPDATE_IF_NOEXIST
    nested = _attribute(_IFLA_XDP_FD, _I32.pack(program)) + _attribute(_IFLA_XDP_FLAGS, _U32.pack(flags))
    body = _INTERFACE.pack(0, 0, ifindex, 0, 0) + _attribute(_NLA_F_NESTED | _IFLA_XDP, nested)
    _ask(_NETLINK_ROUTE, _RTM_SETLINK, body)


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _NLA_TYPE_MASK] = data[_ATTRIBUTE.size : length]
        data = data[length + -length % 4 :]
    return found


def _ask(protocol: int, kind: int, body: bytes) -> bytes:
    """The body of the answer to a request, empty if that is only an acknowledgement."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as netlink:
        netlink.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        flags = _NLM_F_REQUEST | _NLM_F_ACK
        netlink.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body)
        answer = b""
        while True:
            for said, message_flags, content in _messages(netlink.recv(1 << 16)):
                if said != _NLMSG_ERROR:
                    answer = content
                elif number := -_I32.unpack_from(content)[0]:
                    raise NetlinkError(number, _words(content, message_flags) or errorcode.get(number, ""))
                else:
                    return answer


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and body of the messages in a datagram."""
    while len(data) >= _HEADER.size:
        length, kind, flags, *_ = _HEADER.unpack_from(data)
        yield kind, flags, data[_HEADER.size : length]
        data = data[length + -length % 4 :]


def _words(content: bytes, flags: int) -> str:
    """What the kernel says of an error, behind the request that it repeats."""
    at = _I32.size
    (length, *_) = _HEADER.unpack_from(content, at)
    at += _HEADER.size if flags & _NLM_F_CAPPED else length + -length % 4
    return _attributes(content[at:]).get(_NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode("ascii", "replace")
