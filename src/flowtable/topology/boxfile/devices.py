"""``devices``: what ``ip -d link show`` and ``ip address show`` print."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Final, NamedTuple

from flowtable.topology.bond import Bond
from flowtable.topology.boxfile import (
    addresses,
    bond,
    bridge,
    dsa,
    macvlan,
    masters,
    pppoe,
    text,
    tunnel,
    vlan,
    vrf,
)
from flowtable.topology.boxfile.common import INT_MAX, mtu
from flowtable.topology.boxfile.document import Scalar
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.order import in_order, word
from flowtable.topology.boxfile.reader import Field, Section, UnreadableError
from flowtable.topology.bridge import Bridge
from flowtable.topology.device import LOOPBACK_INDEX, Address, AddrGenMode, Device, DeviceKind, check_name
from flowtable.topology.dsa import DsaPort
from flowtable.topology.error import TopologyError
from flowtable.topology.macvlan import Macvlan
from flowtable.topology.pppoe import Pppoe
from flowtable.topology.topology import LOOPBACK_ADDRESSES, LOOPBACK_MTU, Topology
from flowtable.topology.tunnel import Tunnel
from flowtable.topology.vlan import Vlan
from flowtable.topology.vrf import Vrf

_KEYS: Final = ("name", "kind", "ifindex", "mtu", "up", "group", "addresses")
_MASTER_KEYS: Final = ("master", *(key for key in masters.PORT_KEYS if key != "vlans"), "vlans")


class _Kind(NamedTuple):
    """How one kind of device is read: its own keys, and what makes a device of them."""

    keys: tuple[str, ...]
    read: Callable[[Section, str, int, Draft], Device]


class _Made(NamedTuple):
    """A device that is there, what the file says of it, and the addresses that it states."""

    section: Section
    device: Device
    addresses: list[tuple[Field, Address]]


def _ethernet(section: Section, name: str, index: int, _draft: Draft) -> Device:
    return Device(name, index, mac=section.need("mac", Field.mac) or bytes(6), mtu=mtu(section, 1500))


_KINDS: Final = {
    DeviceKind.ETHERNET: _Kind(("mac", "addrgenmode"), _ethernet),
    DeviceKind.VLAN: _Kind(vlan.KEYS, vlan.read),
    DeviceKind.PPPOE: _Kind(pppoe.KEYS, pppoe.read),
    DeviceKind.BRIDGE: _Kind(bridge.KEYS, bridge.read),
    DeviceKind.DSA: _Kind(dsa.KEYS, dsa.read),
    DeviceKind.MACVLAN: _Kind(macvlan.KEYS, macvlan.read),
    DeviceKind.BOND: _Kind(bond.KEYS, bond.read),
    DeviceKind.VRF: _Kind(vrf.KEYS, vrf.read),
    DeviceKind.IPIP: _Kind(tunnel.KEYS, tunnel.read),
    DeviceKind.IP6IP6: _Kind(tunnel.IP6IP6_KEYS, tunnel.read_ip6ip6),
    DeviceKind.SIT: _Kind(tunnel.KEYS, tunnel.read_sit),
}


def stated_names(items: list[Field]) -> set[str]:
    """The names of all devices, valid or not, and ``lo``."""
    return {"lo"} | {name for item in items if (name := word(item, "name")) is not None}


def read(items: list[Field], draft: Draft) -> None:
    """Add the devices; those without an ifindex get the free ones in order."""
    stated = set(draft.topology.indexes) | {index for item in items if (index := _stated_index(item))}
    free = (index for index in count(LOOPBACK_INDEX + 1) if index not in stated)
    indexes = {item: next(free) for item in items if item.child("ifindex") is None and not _is_lo(item)}
    draft.members = {master: [] for item in items if (master := word(item, "master")) is not None}
    made: list[_Made] = []
    for item in in_order(_distinct(items)):
        try:
            if (kind := _kind(item)) is DeviceKind.LOOPBACK:
                _loopback(item, draft)
            else:
                made.append(_device(item, _KINDS[kind], indexes.get(item, 0), draft))
        except UnreadableError:
            continue
    for section, device, _ in made:
        masters.read(section, device, draft)
    for section, device, _ in made:
        if isinstance(device, Bridge):
            bridge.finish(section, device, draft)
        elif isinstance(device, Bond):
            bond.finish(section, device, draft)
    _check_macs(made)
    addresses.check_distinct([(device, given) for _, device, given in made], draft.topology)


def _stated_index(item: Field) -> int:
    index = word(item, "ifindex") or ""
    return int(index) if len(index) < 11 and index.isascii() and index.isdigit() else 0


def _is_lo(item: Field) -> bool:
    return word(item, "name") == "lo"


def _distinct(items: list[Field]) -> list[Field]:
    """The devices whose names are not those of earlier ones, which is noted."""
    seen: set[str] = set()
    kept = []
    for item in items:
        name = item.child("name")
        if name is not None and isinstance(name.node, Scalar):
            if name.node.text in seen:
                name.note(f"there is already a device {name.node.text!r}")
                continue
            seen.add(name.node.text)
        kept.append(item)
    return kept


def _check_macs(made: list[_Made]) -> None:
    """No two cards have one address. What stands on others, and slaves of a bond, may well have."""
    seen: dict[bytes, Device] = {}
    for section, device, _ in made:
        if device.kind is not DeviceKind.ETHERNET or isinstance(device.master, Bond):
            continue
        other = seen.setdefault(device.mac, device)
        if other is not device:
            section.at("mac").note(f"{other.name} has this MAC address already")


def _kind(item: Field) -> DeviceKind:
    kind = item.child("kind")
    implied = DeviceKind.LOOPBACK if _is_lo(item) else DeviceKind.ETHERNET
    if kind is None:
        return implied
    said = kind.choice({k.value: k for k in (DeviceKind.LOOPBACK, *_KINDS)})
    if (said is DeviceKind.LOOPBACK) != (implied is DeviceKind.LOOPBACK):
        raise kind.fail("lo is the loopback device, and the only one")
    return said


def _loopback(item: Field, draft: Draft) -> None:
    section = item.section(_KEYS)
    lo = draft.topology.lo
    section.get("ifindex", lambda f: f.integer(LOOPBACK_INDEX, LOOPBACK_INDEX), LOOPBACK_INDEX)
    lo.group = section.get("group", _group, 0)
    draft.topology.set_link(
        lo,
        up=section.get("up", Field.boolean, True),
        mtu=mtu(section, LOOPBACK_MTU, largest=LOOPBACK_MTU),
    )
    for field, address in addresses.read(section):
        if address in LOOPBACK_ADDRESSES and address in lo.addresses:
            continue
        try:
            draft.topology.add_address(lo, address)
        except TopologyError as error:
            field.note(str(error))


def _device(item: Field, kind: _Kind, index: int, draft: Draft) -> _Made:
    section = item.section(dict.fromkeys((*_KEYS, *kind.keys, *_MASTER_KEYS)))
    name = section.need("name", _name) or ""
    index = section.get("ifindex", lambda f: f.integer(1, INT_MAX), index)
    device = kind.read(section, name, index, draft)
    device.up = device.admin_up = section.get("up", Field.boolean, True)
    device.group = section.get("group", _group, 0)
    device.addrgenmode = section.get("addrgenmode", lambda f: f.member(AddrGenMode), AddrGenMode.EUI64)
    given = list(addresses.read(section))
    for field, address in given:
        addresses.assign(field, device, address)
    if not section.sound:
        raise UnreadableError
    try:
        draft.topology.add_device(device)
    except TopologyError as error:
        raise section.at(error.about).fail(str(error)) from None
    if (master := word(item, "master")) is not None:
        draft.members[master].append(device)
    return _Made(section, device, given)


def _name(field: Field) -> str:
    name = field.text()
    try:
        check_name(name)
    except TopologyError as error:
        raise field.fail(str(error)) from None
    return name


def _group(field: Field) -> int:
    return field.integer(0, INT_MAX)


def write(topology: Topology) -> Iterator[str]:
    """The section's lines; ``lo`` only where it differs from every other ``lo``."""
    shown = [d for d in topology.devices.values() if d is not topology.lo or not _ordinary(d)]
    yield "devices:" if shown else "devices: []"
    for device in shown:
        yield f"  - name: {text.quoted(device.name)}"
        for key, value in _written(device):
            yield f"    {key}: {value}"
        if device.addresses:
            yield "    addresses:"
        for address in device.addresses:
            yield f"      - {addresses.write(address)}"


def _ordinary(lo: Device) -> bool:
    return lo.up and lo.mtu == LOOPBACK_MTU and not lo.group and lo.addresses == list(LOOPBACK_ADDRESSES)


def _written(device: Device) -> Iterator[tuple[str, str]]:
    if device.kind not in (DeviceKind.LOOPBACK, DeviceKind.ETHERNET):
        yield "kind", device.kind.value
    if not device.loopback:
        yield "ifindex", str(device.index)
    if device.lower is not None:
        yield "parent", text.quoted(device.lower.name)
    yield from _own(device)
    if device.ethernet:
        master = device.master
        yield "mac", text.mac(master.permanent[device.index] if isinstance(master, Bond) else device.mac)
    yield "mtu", str(device.mtu)
    if not device.admin_up:
        yield "up", "false"
    if device.group:
        yield "group", str(device.group)
    if device.addrgenmode is not AddrGenMode.EUI64:
        yield "addrgenmode", device.addrgenmode.value
    yield from masters.write(device)


def _own(device: Device) -> Iterator[tuple[str, str]]:
    match device:
        case Vlan():
            return vlan.write(device)
        case Pppoe():
            return pppoe.write(device)
        case Bridge():
            return bridge.write(device)
        case DsaPort():
            return dsa.write(device)
        case Macvlan():
            return macvlan.write(device)
        case Bond():
            return bond.write(device)
        case Vrf():
            return vrf.write(device)
        case Tunnel():
            return tunnel.write(device)
        case _:
            return iter(())
