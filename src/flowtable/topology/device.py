"""Network devices and the addresses on them.

Ref: include/linux/netdevice.h:struct net_device, include/linux/inetdevice.h:struct in_ifaddr.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from ipaddress import ip_address
from typing import Final, Self

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.error import TopologyError
from flowtable.topology.statistics import LinkStatistics

LOOPBACK_INDEX: Final = 1
"""LOOPBACK_IFINDEX: ``lo`` is the first device of every network namespace."""
IPV6_MIN_MTU: Final = 1280
"""RFC 8200 section 5. Linux runs no IPv6 on a device with a smaller MTU."""


class DeviceKind(Enum):
    """What kind of device it is; the value is its name in a box file."""

    LOOPBACK = "loopback"
    ETHERNET = "ethernet"
    VLAN = "vlan"
    PPPOE = "pppoe"
    BRIDGE = "bridge"
    DSA = "dsa"
    MACVLAN = "macvlan"
    BOND = "bond"
    VRF = "vrf"
    IPIP = "ipip"
    IP6IP6 = "ip6ip6"
    SIT = "sit"
    OTHER = "other"
    """A device of a running kernel that no frame with MAC addresses passes, and that is none of these."""


class AddrGenMode(Enum):
    """How an IPv6 link-local address comes about. Ref: IFLA_INET6_ADDR_GEN_MODE."""

    EUI64 = "eui64"
    NONE = "none"


class Scope(IntEnum):
    """How far an address or route reaches. Ref: include/uapi/linux/rtnetlink.h:rt_scope_t."""

    UNIVERSE = 0
    SITE = 200
    LINK = 253
    HOST = 254


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a device.

    Attributes:
        family: ``IPV4`` or ``IPV6``.
        address: 4 or 16 bytes.
        prefixlen: of the subnet that is on the link; with ``peer``, the peer's.
        broadcast: a broadcast address besides the subnet's last one, IPv4 only.
        scope: where the address is valid.
        peer: the other end of a point-to-point link.
        metric: of the connected route, 0 for the family's default.
        noprefixroute: no connected route comes with the address.
        deprecated: not chosen as a source while there is another (preferred lifetime over).
    """

    family: int
    address: bytes
    prefixlen: int
    broadcast: bytes | None = None
    scope: Scope = Scope.UNIVERSE
    peer: bytes | None = None
    metric: int = 0
    noprefixroute: bool = False
    deprecated: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address that ``ip address add TEXT`` adds: ``192.0.2.1/24``, ``2001:db8::1/64``.

        Without a prefix length it is a host address.

        Raises:
            ValueError: the text is no address with a prefix length.
        """
        host, slash, length = text.partition("/")
        value = ip_address(host)
        bits = value.max_prefixlen
        if slash and not (length.isascii() and length.isdigit() and int(length) <= bits):
            raise ValueError(f"prefix length {length!r} is not one of 0..{bits}")
        family = IPV4 if value.version == 4 else IPV6
        return cls(
            family, value.packed, int(length) if slash else bits, scope=address_scope(family, value.packed)
        )

    @property
    def on_link(self) -> bytes:
        """The address whose subnet is on the link: the peer's if there is one (IFA_ADDRESS)."""
        return self.address if self.peer is None else self.peer

    def covers(self, address: bytes) -> bool:
        """Whether the address is in the subnet on the link. Ref: inet_ifa_match."""
        shift = len(self.address) * 8 - self.prefixlen
        return int.from_bytes(address) >> shift == int.from_bytes(self.on_link) >> shift


@dataclass(slots=True, eq=False)
class Device:
    """A network device. Two devices are the same only if they are the same object.

    Whoever changes one after it joined a topology does so through the ``Topology``, so that
    routes follow and listeners hear of it.

    Attributes:
        name: at most 15 bytes.
        index: the ifindex, 1 and up.
        kind: what kind of device it is.
        mac: 6 bytes, all zero on loopback.
        mtu: largest network-layer packet, bytes.
        up: administratively up, with a carrier and, where it follows the device below, that is up.
        addresses: in the order in which they are considered as source addresses.
        group: device group (``meta iifgroup``).
        addrgenmode: whether an IPv6 link-local address comes by itself.
        lower: the device it stands on (``parent`` in a box file), None at the bottom of a stack.
        master: the bridge, bond or VRF it is enslaved to.
        uppers: the devices that stand on it, in the order in which they came.
        statistics: what it has carried.
        admin_up: what ``up`` is as soon as the device below is up.
    """

    name: str
    index: int
    kind: DeviceKind = DeviceKind.ETHERNET
    mac: bytes = bytes(6)
    mtu: int = 1500
    up: bool = True
    addresses: list[Address] = field(default_factory=list)
    group: int = 0
    addrgenmode: AddrGenMode = AddrGenMode.EUI64
    lower: Device | None = None
    master: Device | None = None
    uppers: list[Device] = field(default_factory=list)
    statistics: LinkStatistics = field(default_factory=LinkStatistics)
    admin_up: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        self.admin_up = self.up

    @property
    def ethernet(self) -> bool:
        """Whether frames with MAC addresses come and go here, so that neighbours are resolved.

        Ref: net/ethernet/eth.c:ether_setup; point-to-point devices and VRFs have no neighbours.
        """
        return self.kind not in _NOT_ETHERNET

    @property
    def on_wire(self) -> bool:
        """Whether frames come in and leave here: not those of other devices, except a switch's conduit."""
        kind = self.kind
        return kind is DeviceKind.ETHERNET or kind is DeviceKind.DSA or kind is DeviceKind.LOOPBACK

    @property
    def loopback(self) -> bool:
        """Whether packets sent here come back (IFF_LOOPBACK)."""
        return self.kind is DeviceKind.LOOPBACK

    def has(self, address: bytes) -> bool:
        """Whether the address is one of this device's own. Ref: net/ipv6/addrconf.c:ipv6_chk_addr."""
        return any(own.address == address for own in self.addresses)

    def secondary(self, address: Address) -> bool:
        """Whether an earlier IPv4 address has the same subnet. Ref: IFA_F_SECONDARY."""
        if address.family != IPV4:
            return False
        for own in self.addresses:
            if own == address:
                return False
            if own.family == IPV4 and own.prefixlen == address.prefixlen and own.covers(address.on_link):
                return True
        return False

    def __repr__(self) -> str:
        return f"<Device {self.index}: {self.name}>"


_NOT_ETHERNET: Final = frozenset(
    {
        DeviceKind.LOOPBACK,
        DeviceKind.PPPOE,
        DeviceKind.VRF,
        DeviceKind.IPIP,
        DeviceKind.IP6IP6,
        DeviceKind.SIT,
        DeviceKind.OTHER,
    }
)


def address_scope(family: int, address: bytes) -> Scope:
    """The scope that an address has by itself. Ref: ipv6_addr_scope; iproute2 ipaddress.c:default_scope."""
    if family == IPV4:
        return Scope.HOST if address[0] == 127 else Scope.UNIVERSE
    if address == bytes(15) + b"\x01":
        return Scope.HOST
    if link_local(address):
        return Scope.LINK
    return Scope.SITE if address[0] == 0xFE and address[1] & 0xC0 == 0xC0 else Scope.UNIVERSE


def link_local(address: bytes) -> bool:
    """Whether it is an IPv6 unicast address in fe80::/10."""
    return len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80


def eui64_link_local(mac: bytes) -> bytes:
    """The IPv6 link-local address of a MAC address. Ref: RFC 4291 appendix A."""
    return b"\xfe\x80" + bytes(6) + bytes((mac[0] ^ 2,)) + mac[1:3] + b"\xff\xfe" + mac[3:]


def check_name(name: str) -> None:
    """Check a device name. Ref: net/core/dev.c:dev_valid_name.

    Raises:
        TopologyError: the kernel takes no such name.
    """
    if not 0 < len(name.encode("utf-8", "backslashreplace")) < 16:
        raise TopologyError(f"a device name has 1..15 bytes, got {name[:40]!r}", "name")
    if name in (".", "..") or any(c in "/:" or c.isspace() or not c.isprintable() for c in name):
        raise TopologyError(f"not a device name: {name!r}", "name")


def check_address(device: Device, address: Address) -> None:
    """Check that a device can have an address. Ref: inet_rtm_newaddr, addrconf.c:inet6_addr_add.

    Raises:
        TopologyError: it is no address for a host, the device has it already, or the device
            runs no IPv6.
    """
    if not unicast(address.address):
        raise TopologyError("not an address that a device can have")
    if address.family == IPV6:
        if device.mtu < IPV6_MIN_MTU:
            raise TopologyError(
                f"IPv6 needs an MTU of at least {IPV6_MIN_MTU}, {device.name} has {device.mtu}"
            )
        if address.scope is Scope.HOST and not device.loopback:
            raise TopologyError("Cannot assign loopback address on this device")
    if device.has(address.address):
        raise TopologyError(f"{device.name} has this address already")


def unicast(address: bytes) -> bool:
    """Whether the address can be that of one host."""
    if len(address) == 4:
        return 0 < address[0] < 224
    return address[0] != 0xFF and any(address)
