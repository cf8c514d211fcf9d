"""Links: devices, what they stand on and belong to. Ref: net/core/rtnetlink.c:rtnl_fill_ifinfo."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from flowtable.live.mirror import kind
from flowtable.netlink.attribute import attributes, text, u8, u32
from flowtable.topology.bridge import PortState
from flowtable.topology.device import LOOPBACK_INDEX, AddrGenMode, DeviceKind

HEADER: Final = Struct("=BxHiII")
IFF_UP: Final = 0x1
_ADDRESS: Final = 1
_IFNAME: Final = 3
_MTU: Final = 4
_LINK: Final = 5
_MASTER: Final = 10
_LINKINFO: Final = 18
_AF_SPEC: Final = 26
_GROUP: Final = 27
_LINK_NETNSID: Final = 37
_PHYS_PORT_NAME: Final = 38
_PERM_ADDRESS: Final = 54
_INFO_KIND: Final = 1
_INFO_DATA: Final = 2
_INFO_SLAVE_KIND: Final = 4
_INFO_SLAVE_DATA: Final = 5
_PROTINFO: Final = 12
_BRPORT_STATE: Final = 1
_BRPORT_MODE: Final = 4
_BRPORT_LEARNING: Final = 8
_BRPORT_UNICAST_FLOOD: Final = 9
_BRPORT_MCAST_FLOOD: Final = 27
_BRPORT_BCAST_FLOOD: Final = 30
_BRPORT_ISOLATED: Final = 33
_INET6: Final = 10
_ADDR_GEN_MODE: Final = 8


_STACKED: Final = (kind.VlanRecord, kind.MacvlanRecord, kind.DsaRecord, kind.TunnelRecord)
"""Kinds whose IFLA_LINK is what they stand on; of a veth it is the other end."""


@dataclass(frozen=True, slots=True)
class PortRecord:
    """A device as a port of a bridge. Ref: IFLA_BRPORT_*."""

    state: PortState
    learning: bool
    flood: bool
    mcast_flood: bool
    bcast_flood: bool
    hairpin: bool
    isolated: bool


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """A device.

    Attributes:
        index: its ifindex.
        name: its name.
        kind: what it is.
        mac: 6 bytes, zero where it has none.
        permanent: the MAC address that it was made with, which a slave of a bond gets back.
        mtu: bytes.
        up: administratively up. A lost carrier takes no route away (net.ipv4.conf.*.
            ignore_routes_with_linkdown), and a flow ends with the device, not with the carrier.
        group: its group.
        lower: index of the device that it stands on, 0 for none in this network namespace.
        master: index of the device that it is enslaved to, 0 for none.
        addrgenmode: how its IPv6 link-local address comes about.
        port: what it is as a port of a bridge, None where it is none.
        note: in words, what of it is not kept.
    """

    index: int
    name: str
    kind: kind.Kind
    mac: bytes
    permanent: bytes
    mtu: int
    up: bool
    group: int
    lower: int
    master: int
    addrgenmode: AddrGenMode
    port: PortRecord | None
    note: str = ""


_STATES: Final = {
    0: PortState.DISABLED,
    1: PortState.LISTENING,
    2: PortState.LEARNING,
    3: PortState.FORWARDING,
    4: PortState.BLOCKING,
}


def parse(body: bytes) -> LinkRecord | None:
    """The device in a message of family AF_UNSPEC; None if it does not say what a device is.

    So it is where a wireless device tells what it has heard.
    """
    if len(body) < HEADER.size:
        return None
    _, hardware, index, flags, _ = HEADER.unpack_from(body)
    values = attributes(body, HEADER.size)
    if _IFNAME not in values or _MTU not in values:
        return None
    name = text(values[_IFNAME])
    info = attributes(values.get(_LINKINFO, b""))
    port = text(values.get(_PHYS_PORT_NAME, b""))
    what, note = kind.parse(name, hardware, text(info.get(_INFO_KIND, b"")), info.get(_INFO_DATA, b""), port)
    if index == LOOPBACK_INDEX:
        what, note = kind.PlainRecord(DeviceKind.LOOPBACK), ""
    master = u32(values.get(_MASTER, b""))
    mac = _mac(values.get(_ADDRESS, b""))
    # The device below has the same index as one of this namespace only by chance, if it is in another.
    lower = 0 if _LINK_NETNSID in values else u32(values.get(_LINK, b""))
    bridged = bool(master) and text(info.get(_INFO_SLAVE_KIND, b"")) == "bridge"
    stacked = isinstance(what, _STACKED)
    return LinkRecord(
        index=index,
        name=name,
        kind=what,
        mac=mac,
        permanent=_mac(values.get(_PERM_ADDRESS, b"")) if _PERM_ADDRESS in values else mac,
        mtu=u32(values.get(_MTU, b"")),
        up=bool(flags & IFF_UP),
        group=u32(values.get(_GROUP, b"")),
        lower=lower if stacked and lower != index else 0,
        master=master,
        addrgenmode=_addrgenmode(values.get(_AF_SPEC, b"")),
        port=_port(attributes(info.get(_INFO_SLAVE_DATA, b""))) if bridged else None,
        note=note,
    )


def _mac(address: bytes) -> bytes:
    return address if len(address) == 6 else bytes(6)


def _addrgenmode(families: bytes) -> AddrGenMode:
    mode = attributes(attributes(families).get(_INET6, b"")).get(_ADDR_GEN_MODE, b"")
    return AddrGenMode.NONE if u8(mode) else AddrGenMode.EUI64


def _port(values: dict[int, bytes]) -> PortRecord:
    def flag(kind: int, *, usual: bool = True) -> bool:
        return bool(u8(values[kind])) if kind in values else usual

    return PortRecord(
        state=_STATES.get(u8(values.get(_BRPORT_STATE, b"")), PortState.FORWARDING),
        learning=flag(_BRPORT_LEARNING),
        flood=flag(_BRPORT_UNICAST_FLOOD),
        mcast_flood=flag(_BRPORT_MCAST_FLOOD),
        bcast_flood=flag(_BRPORT_BCAST_FLOOD),
        hairpin=flag(_BRPORT_MODE, usual=False),
        isolated=flag(_BRPORT_ISOLATED, usual=False),
    )


def parse_port(body: bytes) -> tuple[int, PortRecord] | None:
    """Index and flags of a port in a message of family AF_BRIDGE; None if it is about a bridge.

    Ref: net/bridge/br_netlink.c:br_fill_ifinfo.
    """
    if len(body) < HEADER.size:
        return None
    index: int = HEADER.unpack_from(body)[2]
    information = attributes(body, HEADER.size).get(_PROTINFO)
    return None if information is None else (index, _port(attributes(information)))
