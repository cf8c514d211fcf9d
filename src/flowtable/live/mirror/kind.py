"""Kinds of devices: what ``ip -d link show`` prints behind the kind, and the device that it makes.

Ref: include/uapi/linux/if_link.h:IFLA_INFO_DATA.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from flowtable.clock import SECOND
from flowtable.netlink.attribute import attributes, u8, u16, u32
from flowtable.packet.packet import ETHERTYPE_VLAN
from flowtable.topology.bond import Bond, BondMode, XmitHashPolicy
from flowtable.topology.bridge import Bridge
from flowtable.topology.device import Device, DeviceKind
from flowtable.topology.dsa import DsaPort, TagProtocol
from flowtable.topology.macvlan import Macvlan, MacvlanMode
from flowtable.topology.pppoe import Pppoe
from flowtable.topology.tunnel import Tunnel
from flowtable.topology.vlan import Vlan
from flowtable.topology.vrf import Vrf

ARPHRD_ETHER: Final = 1
_CENTISECONDS: Final = SECOND // 100

_VLAN_ID: Final = 1
_VLAN_PROTOCOL: Final = 5
_MACVLAN_MODE: Final = 1
_VRF_TABLE: Final = 1
_BR_AGEING_TIME: Final = 4
_BR_VLAN_FILTERING: Final = 7
_BR_VLAN_PROTOCOL: Final = 8
_BR_VLAN_DEFAULT_PVID: Final = 39
_BOND_MODE: Final = 1
_BOND_ACTIVE: Final = 2
_BOND_POLICY: Final = 14
_IPTUN_LOCAL: Final = 2
_IPTUN_REMOTE: Final = 3
_IPTUN_TTL: Final = 4
_IPTUN_ENCAP_LIMIT: Final = 6
_IPTUN_FLAGS: Final = 8
_IPTUN_PROTO: Final = 9
_NO_ENCAP_LIMIT: Final = 0x1
"""Ref: IP6_TNL_F_IGN_ENCAP_LIMIT."""
_ANY: Final = (bytes(4), bytes(16))


@dataclass(frozen=True, slots=True)
class PlainRecord:
    """A device of which nothing is known below: a card, a veth, a TAP, ...

    Attributes:
        kind: ETHERNET, LOOPBACK or OTHER.
    """

    kind: DeviceKind


@dataclass(frozen=True, slots=True)
class VlanRecord:
    """Ref: IFLA_VLAN_*."""

    vid: int
    protocol: int


@dataclass(frozen=True, slots=True)
class MacvlanRecord:
    """Ref: IFLA_MACVLAN_*."""

    mode: MacvlanMode


@dataclass(frozen=True, slots=True)
class BridgeRecord:
    """Ref: IFLA_BR_*; the ageing time is in nanoseconds."""

    ageing_time: int
    vlan_filtering: bool
    vlan_protocol: int
    vlan_default_pvid: int


@dataclass(frozen=True, slots=True)
class BondRecord:
    """Ref: IFLA_BOND_*; the active slave is an index, 0 for none."""

    mode: BondMode
    policy: XmitHashPolicy
    active: int


@dataclass(frozen=True, slots=True)
class VrfRecord:
    """Ref: IFLA_VRF_*."""

    table: int


@dataclass(frozen=True, slots=True)
class TunnelRecord:
    """Ref: IFLA_IPTUN_*."""

    kind: DeviceKind
    local: bytes
    remote: bytes
    ttl: int
    encaplimit: int | None


@dataclass(frozen=True, slots=True)
class DsaRecord:
    """A port of a switch chip; what stands below it is its conduit.

    Attributes:
        port: its number.
    """

    port: int


@dataclass(frozen=True, slots=True)
class PppRecord:
    """A PPP device. What it runs over /proc/net/pppoe says; a session of 0: that is not known.

    Attributes:
        session: of PPPoE.
        peer: MAC address of the access concentrator.
    """

    session: int = 0
    peer: bytes = bytes(6)


Kind: TypeAlias = (
    PlainRecord
    | VlanRecord
    | MacvlanRecord
    | BridgeRecord
    | BondRecord
    | VrfRecord
    | TunnelRecord
    | DsaRecord
    | PppRecord
)

_MACVLAN_MODES: Final = {
    1: MacvlanMode.PRIVATE,
    2: MacvlanMode.VEPA,
    4: MacvlanMode.BRIDGE,
    8: MacvlanMode.PASSTHRU,
}
_BOND_MODES: Final = {1: BondMode.ACTIVE_BACKUP, 2: BondMode.BALANCE_XOR, 4: BondMode.LACP}
_POLICIES: Final = {0: XmitHashPolicy.LAYER2, 1: XmitHashPolicy.LAYER34, 2: XmitHashPolicy.LAYER23}
_TUNNELS: Final = {"ipip": DeviceKind.IPIP, "ip6tnl": DeviceKind.IP6IP6, "sit": DeviceKind.SIT}
_INNER_IPV6: Final = 41
_INNER_IPV4: Final = 4
_INNER: Final = {DeviceKind.IPIP: _INNER_IPV4, DeviceKind.IP6IP6: _INNER_IPV6, DeviceKind.SIT: _INNER_IPV6}


def parse(name: str, hardware: int, kind: str, data: bytes, port: str = "") -> tuple[Kind, str]:
    """What a device is.

    Args:
        name: its name.
        hardware: its ARPHRD number.
        kind: IFLA_INFO_KIND, empty for hardware.
        data: IFLA_INFO_DATA.
        port: IFLA_PHYS_PORT_NAME, ``p`` and a number for ports of switch chips.

    Returns:
        The kind, and in words what of it is not kept.
    """
    values = attributes(data)
    match kind:
        case "vlan" if _VLAN_ID in values:
            return VlanRecord(u16(values[_VLAN_ID]), _ethertype(values.get(_VLAN_PROTOCOL))), ""
        case "macvlan" if (mode := u32(values.get(_MACVLAN_MODE, b""))) in _MACVLAN_MODES:
            return MacvlanRecord(_MACVLAN_MODES[mode]), ""
        case "bridge":
            return _bridge(values), ""
        case "bond":
            return _bond(name, values)
        case "vrf" if _VRF_TABLE in values:
            return VrfRecord(u32(values[_VRF_TABLE])), ""
        case "ipip" | "ip6tnl" | "sit":
            return _tunnel(name, _TUNNELS[kind], values)
        case "dsa" if port[:1] == "p" and port[1:].isdecimal():
            return DsaRecord(int(port[1:])), ""
        case "ppp":
            return PppRecord(), ""
        case _ if hardware == ARPHRD_ETHER:
            return PlainRecord(DeviceKind.ETHERNET), ""
        case _:
            what = kind or f"hardware of type {hardware}"
            return PlainRecord(DeviceKind.OTHER), f"{name}: flows do not use this device ({what})"


def _bond(name: str, values: dict[int, bytes]) -> tuple[Kind, str]:
    mode = _BOND_MODES.get(u8(values.get(_BOND_MODE, b"")))
    policy = _POLICIES.get(u8(values.get(_BOND_POLICY, b"")))
    if mode is None or policy is None:
        return PlainRecord(DeviceKind.ETHERNET), f"{name}: a bond whose mode or hash policy is not known"
    return BondRecord(mode, policy, u32(values.get(_BOND_ACTIVE, b""))), ""


def _bridge(values: dict[int, bytes]) -> BridgeRecord:
    return BridgeRecord(
        ageing_time=u32(values.get(_BR_AGEING_TIME, b"")) * _CENTISECONDS,
        vlan_filtering=bool(u8(values.get(_BR_VLAN_FILTERING, b""))),
        vlan_protocol=_ethertype(values.get(_BR_VLAN_PROTOCOL)),
        vlan_default_pvid=u16(values.get(_BR_VLAN_DEFAULT_PVID, b"")),
    )


def _tunnel(name: str, kind: DeviceKind, values: dict[int, bytes]) -> tuple[Kind, str]:
    """Only tunnels with two ends, and one protocol inside; the others have no one far end to send to."""
    size = 16 if kind is DeviceKind.IP6IP6 else 4
    local, remote = values.get(_IPTUN_LOCAL, b""), values.get(_IPTUN_REMOTE, b"")
    ends = len(local) == len(remote) == size and local not in _ANY and remote not in _ANY
    if not ends or u8(values.get(_IPTUN_PROTO, bytes((_INNER[kind],)))) != _INNER[kind]:
        return PlainRecord(DeviceKind.OTHER), f"{name}: flows do not use tunnels without two fixed ends"
    limit = None
    if kind is DeviceKind.IP6IP6 and not u32(values.get(_IPTUN_FLAGS, b"")) & _NO_ENCAP_LIMIT:
        limit = u8(values.get(_IPTUN_ENCAP_LIMIT, b""))
    return TunnelRecord(kind, local, remote, u8(values.get(_IPTUN_TTL, b"")), limit), ""


def _ethertype(value: bytes | None) -> int:
    """A VLAN protocol, which is in network byte order."""
    return ETHERTYPE_VLAN if value is None else int.from_bytes(value[:2])


def make(record: Kind, name: str, index: int, lower: Device | None) -> Device:
    """The device of a kind. One that has to stand on another and does not is of no known kind."""
    match record:
        case VlanRecord() if lower is not None:
            return Vlan(name, index, lower=lower, vid=record.vid, protocol=record.protocol)
        case MacvlanRecord() if lower is not None:
            return Macvlan(name, index, lower=lower, mode=record.mode)
        case DsaRecord() if lower is not None and (tag := tagging(lower.name)) is not None:
            return DsaPort(name, index, lower=lower, port=record.port, tag=tag)
        case VlanRecord() | MacvlanRecord() | DsaRecord():
            return Device(name, index)
        case PppRecord():
            return Pppoe(name, index, lower=lower, session=record.session, peer=record.peer)
        case BridgeRecord():
            bridge = Bridge(name, index)
            adapt(bridge, record)
            return bridge
        case BondRecord():
            return Bond(name, index, mode=record.mode, policy=record.policy)
        case VrfRecord():
            return Vrf(name, index, table=record.table)
        case TunnelRecord():
            return Tunnel(
                name,
                index,
                kind=record.kind,
                lower=lower,
                local=record.local,
                remote=record.remote,
                ttl=record.ttl,
                encaplimit=record.encaplimit,
            )
        case PlainRecord():
            return Device(name, index, record.kind)


def tagging(conduit: str) -> TagProtocol | None:
    """How frames on a conduit name their port; None if it is in a way that is not known.

    Ref: Documentation/ABI/testing/sysfs-class-net-dsa.
    """
    try:
        return TagProtocol(Path("/sys/class/net", conduit, "dsa/tagging").read_text().strip())
    except (OSError, ValueError):
        return None


def adapt(device: Device, record: Kind) -> bool:
    """Change what a device is to another record of its kind.

    Returns:
        False: it has to be made anew for that.
    """
    match device, record:
        case Bridge(), BridgeRecord():
            device.ageing_time = record.ageing_time
            device.vlan_filtering = record.vlan_filtering
            device.vlan_protocol = record.vlan_protocol
            device.vlan_default_pvid = record.vlan_default_pvid
        case Macvlan(), MacvlanRecord():
            device.mode = record.mode
        case Bond(), BondRecord():
            device.mode, device.policy = record.mode, record.policy
        case Tunnel(), TunnelRecord() if device.kind is record.kind:
            device.local, device.remote = record.local, record.remote
            device.ttl, device.encaplimit = record.ttl, record.encaplimit
        case _:
            return False
    return True
