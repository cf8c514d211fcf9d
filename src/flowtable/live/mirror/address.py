"""Addresses of devices. Ref: net/ipv4/devinet.c:inet_fill_ifaddr, net/ipv6/addrconf.c:inet6_fill_ifaddr."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.live.mirror.rtnetlink import AF_INET, FAMILIES
from flowtable.live.mirror.table import Table
from flowtable.netlink.attribute import attributes, u32
from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.device import Address, Scope

if TYPE_CHECKING:
    from flowtable.topology.device import Device
    from flowtable.topology.mirrored import MirroredTopology

_HEADER: Final = Struct("=BBBBi")
_ADDRESS: Final = 1
_LOCAL: Final = 2
_BROADCAST: Final = 4
_FLAGS: Final = 8
_RT_PRIORITY: Final = 9
_SECONDARY: Final = 0x01
_DADFAILED: Final = 0x08
_DEPRECATED: Final = 0x20
_TENTATIVE: Final = 0x40
_NOPREFIXROUTE: Final = 0x200
_SCOPES: Final = {scope.value: scope for scope in Scope}


@dataclass(frozen=True, slots=True)
class AddressRecord:
    """An address of a device.

    Attributes:
        index: of the device.
        address: the address.
        secondary: an earlier IPv4 address has the same subnet.
    """

    index: int
    address: Address
    secondary: bool


def parse(body: bytes) -> AddressRecord | None:
    """The address in a message; None if it is of another family, or not in use.

    An address of IPv6 is not, while it may be a duplicate, nor if it is one; the kernel tells when
    it knows that it is none.
    """
    if len(body) < _HEADER.size:
        return None
    family, prefixlen, flags, scope, index = _HEADER.unpack_from(body)
    values = attributes(body, _HEADER.size)
    if _FLAGS in values:
        flags = u32(values[_FLAGS])
    on_link = values.get(_ADDRESS, b"")
    own = values.get(_LOCAL, on_link)
    if len(own) != FAMILIES.get(family) or flags & (_DADFAILED | _TENTATIVE):
        return None
    four = family == AF_INET
    address = Address(
        family=IPV4 if four else IPV6,
        address=own,
        prefixlen=prefixlen,
        broadcast=values.get(_BROADCAST),
        scope=_SCOPES.get(scope, Scope.UNIVERSE),
        peer=on_link if on_link and on_link != own else None,
        metric=u32(values.get(_RT_PRIORITY, b"")),
        noprefixroute=bool(flags & _NOPREFIXROUTE),
        deprecated=bool(flags & _DEPRECATED) and not four,
    )
    return AddressRecord(index, address, four and bool(flags & _SECONDARY))


Key = tuple[int, bytes, int, bytes | None]


class AddressTable(Table[Key, AddressRecord]):
    """The addresses of both families."""

    def __init__(self, topology: MirroredTopology) -> None:
        super().__init__()
        self._topology = topology

    def key(self, record: AddressRecord) -> Key:
        """A device may have an IPv4 address once in each subnet, with each peer."""
        address = record.address
        return record.index, address.address, address.prefixlen, address.peer

    def devices(self, record: AddressRecord) -> tuple[int, ...]:
        """The one that has it."""
        return (record.index,)

    def replace(self, records: Iterable[AddressRecord]) -> None:
        """These are the addresses, in their order."""
        records = list(records)
        super().replace(records)
        places = {self.key(record): place for place, record in enumerate(records)}
        for index, device in self._topology.indexes.items():
            device.addresses.sort(key=lambda a: places[index, a.address, a.prefixlen, a.peer])

    def changed(self, old: AddressRecord | None, new: AddressRecord | None) -> None:
        """Let the device follow; an address that changed keeps its place."""
        record = new or old
        assert record is not None
        device = self._topology.indexes.get(record.index)
        if device is None:
            return
        place = None
        if old is not None and old.address in device.addresses:
            if new is not None and new.address == old.address:
                device.addresses.remove(new.address)
                device.addresses.insert(self._place(device, new), new.address)
                return
            place = device.addresses.index(old.address)
            self._topology.remove_address(device, old.address)
        if new is not None:
            place = self._place(device, new) if place is None else place
            self._topology.add_address(device, new.address, place)

    def _place(self, device: Device, record: AddressRecord) -> int:
        """Where among its addresses a device keeps a new one.

        IPv4 keeps primary addresses behind those of the same scope and narrower ones, and the
        secondary ones behind all; IPv6 keeps the scopes from wide to narrow, and of each the
        newest first.
        Ref: net/ipv4/devinet.c:__inet_insert_ifa, net/ipv6/addrconf.c:ipv6_link_dev_addr.
        """
        address, addresses = record.address, device.addresses
        if record.secondary:
            return len(addresses)
        if address.family == IPV6:
            rank = _RANKS[address.scope]
            later = (a.family == IPV6 and _RANKS[a.scope] >= rank for a in addresses)
            return next((place for place, is_later in enumerate(later) if is_later), len(addresses))
        place = 0
        for number, other in enumerate(addresses):
            known = self.records[device.index, other.address, other.prefixlen, other.peer]
            if other.family == IPV4 and not known.secondary and other.scope >= address.scope:
                place = number + 1
        return place


_RANKS: Final = {Scope.UNIVERSE: 0, Scope.SITE: 1, Scope.LINK: 2, Scope.HOST: 2}
"""From wide to narrow. Ref: net/ipv6/addrconf_core.c:ipv6_addr_src_scope."""
