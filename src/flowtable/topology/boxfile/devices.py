"""``devices``: what ``ip address show`` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from itertools import count
from typing import Final

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.boxfile import text
from flowtable.topology.boxfile.document import Scalar
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, Section, UnreadableError
from flowtable.topology.device import (
    LOOPBACK_INDEX,
    Address,
    AddrGenMode,
    Device,
    DeviceKind,
    Scope,
    address_scope,
    check_address,
    check_name,
    link_local,
)
from flowtable.topology.error import TopologyError
from flowtable.topology.topology import LOOPBACK_ADDRESSES, LOOPBACK_MTU, Topology

_KEYS: Final = ("name", "kind", "ifindex", "mtu", "up", "group", "addresses")
_ADDRESS_KEYS: Final = ("address", "peer", "broadcast", "scope", "metric", "noprefixroute", "deprecated")
_SCOPES: Final = {"global": Scope.UNIVERSE, "site": Scope.SITE, "link": Scope.LINK, "host": Scope.HOST}
_INT_MAX: Final = 2**31 - 1
_U32: Final = 2**32 - 1


def stated_names(items: list[Field]) -> set[str]:
    """The names of all devices, valid or not, and ``lo``."""
    fields = (item.child("name") for item in items)
    return {"lo"} | {f.node.text for f in fields if f is not None and isinstance(f.node, Scalar)}


def read(items: list[Field], draft: Draft) -> None:
    """Add the devices; those without an ifindex get the free ones in order."""
    stated = set(draft.topology.indexes) | {index for item in items if (index := _stated_index(item))}
    free = (index for index in count(LOOPBACK_INDEX + 1) if index not in stated)
    seen: set[str] = set()
    for item in items:
        try:
            kind = _kind(item)
            name = item.child("name")
            if name is not None:
                if (word := name.text()) in seen:
                    raise name.fail(f"there is already a device {word!r}")
                seen.add(word)
            _KINDS[kind](item, draft, free)
        except UnreadableError:
            continue


def _stated_index(item: Field) -> int:
    field = item.child("ifindex")
    node = None if field is None else field.node
    return int(node.text) if isinstance(node, Scalar) and _few_digits(node.text) else 0


def _few_digits(word: str) -> bool:
    return len(word) < 11 and word.isascii() and word.isdigit()


def _kind(item: Field) -> DeviceKind:
    kind = item.child("kind")
    name = item.child("name")
    loopback = name is not None and name.text() == "lo"
    implied = DeviceKind.LOOPBACK if loopback else DeviceKind.ETHERNET
    if kind is not None and kind.choice({k.value: k for k in _KINDS}) is not implied:
        raise kind.fail("lo is the loopback device, and the only one")
    return implied


def _loopback(item: Field, draft: Draft, _free: Iterator[int]) -> None:
    section = item.section(_KEYS)
    lo = draft.topology.lo
    section.get("ifindex", lambda f: f.integer(LOOPBACK_INDEX, LOOPBACK_INDEX), LOOPBACK_INDEX)
    lo.group = section.get("group", _group, 0)
    draft.topology.set_link(
        lo,
        up=section.get("up", Field.boolean, True),
        mtu=section.get("mtu", lambda f: f.integer(68, LOOPBACK_MTU), LOOPBACK_MTU),
    )
    for field, address in _addresses(section):
        if address in LOOPBACK_ADDRESSES and address in lo.addresses:
            continue
        try:
            draft.topology.add_address(lo, address)
        except TopologyError as error:
            field.note(str(error))


def _ethernet(item: Field, draft: Draft, free: Iterator[int]) -> None:
    section = item.section((*_KEYS, "mac", "addrgenmode"))
    device = Device(
        section.need("name", _name) or "",
        section.get("ifindex", lambda f: f.integer(1, _INT_MAX), 0) or next(free),
        DeviceKind.ETHERNET,
        mac=section.need("mac", lambda f: _own_mac(f, draft.topology)) or bytes(6),
        mtu=section.get("mtu", lambda f: f.integer(68, 65535), 1500),
        up=section.get("up", Field.boolean, True),
        group=section.get("group", _group, 0),
        addrgenmode=section.get("addrgenmode", lambda f: f.member(AddrGenMode), AddrGenMode.EUI64),
    )
    for field, address in _addresses(section):
        _assign(field, device, address, draft.topology)
    if section.sound:
        _join(section, device, draft.topology)


_KINDS: Final[dict[DeviceKind, Callable[[Field, Draft, Iterator[int]], None]]] = {
    DeviceKind.LOOPBACK: _loopback,
    DeviceKind.ETHERNET: _ethernet,
}


def _join(section: Section, device: Device, topology: Topology) -> None:
    try:
        topology.add_device(device)
    except TopologyError as error:
        section.at(error.about).note(str(error))


def _name(field: Field) -> str:
    name = field.text()
    try:
        check_name(name)
    except TopologyError as error:
        raise field.fail(str(error)) from None
    return name


def _group(field: Field) -> int:
    return field.integer(0, _INT_MAX)


def _own_mac(field: Field, topology: Topology) -> bytes:
    mac = field.mac()
    for other in topology.devices.values():
        if other.mac == mac:
            raise field.fail(f"{other.name} has this MAC address already")
    return mac


def _assign(field: Field, device: Device, address: Address, topology: Topology) -> None:
    try:
        check_address(device, address)
    except TopologyError as error:
        field.note(str(error))
        return
    # The same address on two devices makes sense on unnumbered links only.
    if not link_local(address.address) and address.peer is None:
        for other in topology.devices.values():
            if any(own.address == address.address and own.peer is None for own in other.addresses):
                field.note(f"{other.name} has this address already")
                return
    device.addresses.append(address)


def _addresses(section: Section) -> Iterator[tuple[Field, Address]]:
    for item in section.items("addresses"):
        try:
            yield item, read_address(item)
        except UnreadableError:
            continue


def read_address(field: Field) -> Address:
    """One address, not assigned yet.

    Raises:
        UnreadableError: it is not valid, which is noted.
    """
    if isinstance(field.node, Scalar):
        packed, prefixlen = field.prefix()
        family = IPV4 if len(packed) == 4 else IPV6
        return Address(family, packed, prefixlen, scope=address_scope(family, packed))
    section = field.section(_ADDRESS_KEYS)
    given = section.need("address", Field.prefix)
    if given is None:
        raise UnreadableError
    packed, prefixlen = given
    family = IPV4 if len(packed) == 4 else IPV6
    peer = section.get("peer", Field.prefix, None)
    if peer is not None:
        if len(peer[0]) != len(packed):
            raise section.at("peer").fail("of another family than the address")
        if prefixlen != len(packed) * 8:
            raise section.at("address").fail("the prefix length stands with the peer")
        prefixlen = peer[1]
    scope = section.get("scope", lambda f: f.choice(_SCOPES), address_scope(family, packed))
    if family == IPV6:
        if "broadcast" in section:
            raise section.at("broadcast").fail("IPv6 has no broadcast addresses")
        if scope is not address_scope(family, packed):
            raise section.at("scope").fail("the scope of an IPv6 address follows from the address")
    address = Address(
        family,
        packed,
        prefixlen,
        broadcast=section.get("broadcast", lambda f: f.address(4), None),
        scope=scope,
        peer=None if peer is None else peer[0],
        metric=section.get("metric", lambda f: f.integer(0, _U32), 0),
        noprefixroute=section.get("noprefixroute", Field.boolean, False),
        deprecated=section.get("deprecated", Field.boolean, False),
    )
    if not section.sound:
        raise UnreadableError
    return address


def write(topology: Topology) -> Iterator[str]:
    """The section's lines; ``lo`` only where it differs from every other ``lo``."""
    shown = [d for d in topology.devices.values() if d is not topology.lo or not _ordinary(d)]
    yield "devices:" if shown else "devices: []"
    for device in shown:
        yield f"  - name: {text.quoted(device.name)}"
        if device is not topology.lo:
            yield f"    ifindex: {device.index}"
            yield f"    mac: {text.mac(device.mac)}"
        yield f"    mtu: {device.mtu}"
        if not device.up:
            yield "    up: false"
        if device.group:
            yield f"    group: {device.group}"
        if device.addrgenmode is not AddrGenMode.EUI64:
            yield f"    addrgenmode: {device.addrgenmode.value}"
        if device.addresses:
            yield "    addresses:"
        for address in device.addresses:
            yield f"      - {_written(address)}"


def _ordinary(lo: Device) -> bool:
    return lo.up and lo.mtu == LOOPBACK_MTU and not lo.group and lo.addresses == list(LOOPBACK_ADDRESSES)


def _written(address: Address) -> str:
    plain = Address.parse(f"{ip_address(address.address)}/{address.prefixlen}")
    if address == plain:
        return text.prefix(address.address, address.prefixlen)
    scope = next(name for name, scope in _SCOPES.items() if scope is address.scope)
    peer = address.peer
    return text.inline(
        {
            "address": text.prefix(address.address, address.prefixlen)
            if peer is None
            else text.address(address.address),
            "peer": None if peer is None else text.prefix(peer, address.prefixlen),
            "broadcast": None if address.broadcast is None else text.address(address.broadcast),
            "scope": None if address.scope is plain.scope else scope,
            "metric": str(address.metric) if address.metric else None,
            "noprefixroute": "true" if address.noprefixroute else None,
            "deprecated": "true" if address.deprecated else None,
        }
    )
