"""``addresses`` of a device: what ``ip address show`` prints below the device."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.boxfile import text
from flowtable.topology.boxfile.document import Scalar
from flowtable.topology.boxfile.reader import Field, Section, UnreadableError
from flowtable.topology.device import (
    Address,
    Device,
    Scope,
    address_scope,
    check_address,
    link_local,
)
from flowtable.topology.error import TopologyError
from flowtable.topology.topology import Topology
from flowtable.topology.vrf import domain

_KEYS: Final = ("address", "peer", "broadcast", "scope", "metric", "noprefixroute", "deprecated")
_SCOPES: Final = {"global": Scope.UNIVERSE, "site": Scope.SITE, "link": Scope.LINK, "host": Scope.HOST}
_U32: Final = 2**32 - 1


def read(section: Section) -> Iterator[tuple[Field, Address]]:
    """The addresses that a device's mapping gives, not assigned yet."""
    for item in section.items("addresses"):
        try:
            yield item, read_address(item)
        except UnreadableError:
            continue


def assign(field: Field, device: Device, address: Address) -> None:
    """Give a device an address before it joins the topology."""
    try:
        check_address(device, address)
    except TopologyError as error:
        field.note(str(error))
    else:
        device.addresses.append(address)


def check_distinct(stated: list[tuple[Device, list[tuple[Field, Address]]]], topology: Topology) -> None:
    """Note the addresses that another device of the same routing domain has.

    The same one on two devices makes sense on unnumbered links only, and for link-local ones.
    """
    new = {device for device, _ in stated}
    owners = {
        (domain(device), own.address): device
        for device in topology.devices.values()
        if device not in new
        for own in device.addresses
        if _of_one(own)
    }
    for device, given in stated:
        for field, address in given:
            if not _of_one(address):
                continue
            owner = owners.setdefault((domain(device), address.address), device)
            if owner is not device:
                field.note(f"{owner.name} has this address already")


def _of_one(address: Address) -> bool:
    return address.peer is None and not link_local(address.address)


def read_address(field: Field) -> Address:
    """One address, not assigned yet.

    Raises:
        UnreadableError: it is not valid, which is noted.
    """
    if isinstance(field.node, Scalar):
        packed, prefixlen = field.prefix()
        family = IPV4 if len(packed) == 4 else IPV6
        return Address(family, packed, prefixlen, scope=address_scope(family, packed))
    section = field.section(_KEYS)
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


def write(address: Address) -> str:
    """An address as it stands in the list."""
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
