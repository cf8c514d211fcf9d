"""What rules can ask of the devices of a packet, beside their names and indexes.

Ref: net/netfilter/nft_meta.c:nft_meta_store_iftype, nft_meta_store_ifkind;
net/bridge/netfilter/nft_meta_bridge.c:nft_meta_get_bridge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.topology.device import DeviceKind

if TYPE_CHECKING:
    from flowtable.topology.device import Device

_ETHER: Final = 1
_TYPES: Final = {
    DeviceKind.LOOPBACK: 772,
    DeviceKind.PPPOE: 512,
    DeviceKind.IPIP: 768,
    DeviceKind.IP6IP6: 769,
    DeviceKind.SIT: 776,
    DeviceKind.OTHER: 0xFFFE,
}
"""ARPHRD numbers of what is not Ethernet. Ref: include/uapi/linux/if_arp.h."""

_KINDS: Final = {
    DeviceKind.VLAN: "vlan",
    DeviceKind.PPPOE: "ppp",
    DeviceKind.BRIDGE: "bridge",
    DeviceKind.DSA: "dsa",
    DeviceKind.MACVLAN: "macvlan",
    DeviceKind.BOND: "bond",
    DeviceKind.VRF: "vrf",
    DeviceKind.IPIP: "ipip",
    DeviceKind.IP6IP6: "ip6tnl",
    DeviceKind.SIT: "sit",
}
"""``rtnl_link_ops.kind``; hardware and the loopback device have none."""


def link_type(device: Device | None) -> int | None:
    """Its ARPHRD number; None without a device."""
    return None if device is None else _TYPES.get(device.kind, _ETHER)


def kind(device: Device | None) -> str | None:
    """What ``ip link`` calls its kind; None where it has none."""
    return None if device is None else _KINDS.get(device.kind)


def group(device: Device | None) -> int | None:
    """Its group."""
    return None if device is None else device.group


def bridge(device: Device | None) -> str | None:
    """The name of the bridge that it is a port of; None where it is none."""
    master = None if device is None else device.master
    return master.name if master is not None and master.kind is DeviceKind.BRIDGE else None
