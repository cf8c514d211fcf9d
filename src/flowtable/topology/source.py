"""Which of its addresses the box sends from.

Ref: net/ipv4/devinet.c:inet_select_addr, net/ipv6/addrconf.c:ipv6_dev_get_saddr (RFC 6724).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.device import Address, Device, Scope, link_local


def inet_select_addr(
    devices: Iterable[Device], device: Device | None, destination: bytes | None, scope: Scope
) -> bytes | None:
    """The IPv4 address to send from on a device.

    The first address of the device whose subnet holds the destination, else its first
    address; else the first address of the box that is neither of link nor of wider scope
    than asked. Secondary addresses are passed over.

    Args:
        devices: all devices of the box, ``lo`` first.
        device: where the packet leaves.
        destination: usually the gateway, None for any.
        scope: the narrowest scope that will do.
    """
    if device is not None:
        first = None
        for address in _primary(device):
            if address.scope > scope:
                continue
            if destination is None or address.covers(destination):
                return address.address
            if first is None:
                first = address.address
        if first is not None:
            return first
    for other in devices:
        for address in _primary(other):
            if address.scope is not Scope.LINK and address.scope <= scope:
                return address.address
    return None


def _primary(device: Device) -> list[Address]:
    return [a for a in device.addresses if a.family == IPV4 and not device.secondary(a)]


def ipv6_select_addr(devices: Iterable[Device], device: Device | None, destination: bytes) -> bytes | None:
    """The IPv6 address to send from to a destination. Ref: ipv6_get_saddr_eval; RFC 6724 section 5.

    Rules 1 (the destination itself), 2 (scope), 3 (deprecated), 5 (outgoing device), 6
    (label) and 8 (longest match); of equals the first. Multicast and link-local destinations
    are sent to from the outgoing device's addresses only.

    Args:
        devices: all devices of the box.
        device: where the packet leaves.
        destination: 16 bytes.
    """
    scope = _scope(destination)
    if device is not None and (destination[0] == 0xFF or scope <= _SCOPE_LINK):
        devices = (device,)
    best: bytes | None = None
    best_score: tuple[int, ...] = ()
    label = _label(destination)
    for other in devices:
        if not other.up:
            continue
        for address in other.addresses:
            if address.family != IPV6:
                continue
            own = _scope(address.address)
            score = (
                address.address == destination,
                # A scope that reaches is better the smaller it is, one that does not the larger.
                -own if own >= scope else own - 32,
                not address.deprecated,
                other is device,
                _label(address.address) == label,
                min(_common(address.address, destination), address.prefixlen),
            )
            if best is None or score > best_score:
                best, best_score = address.address, score
    return best


_SCOPE_LINK: Final = 0x02


def _scope(address: bytes) -> int:
    """The scope as a number of RFC 4291 section 2.7. Ref: net/ipv6/addrconf_core.c:__ipv6_addr_type."""
    if address[0] == 0xFF:
        return address[1] & 0x0F
    if link_local(address) or address == bytes(15) + b"\x01":
        return _SCOPE_LINK
    if address[0] == 0xFE and address[1] & 0xC0 == 0xC0:
        return 0x05
    return 0x0E


_LABELS: Final = (
    (bytes(15) + b"\x01", 128, 0),
    (bytes(10) + b"\xff\xff" + bytes(4), 96, 4),
    (bytes(16), 96, 3),
    (b"\x20\x01" + bytes(14), 32, 6),
    (b"\x20\x01\x00\x10" + bytes(12), 28, 7),
    (b"\x20\x02" + bytes(14), 16, 2),
    (b"\xfc" + bytes(15), 7, 5),
    (bytes(16), 0, 1),
)
"""Prefix, length, label. Ref: net/ipv6/addrlabel.c:ip6addrlbl_init_table."""


def _label(address: bytes) -> int:
    return next(label for prefix, length, label in _LABELS if _common(prefix, address) >= length)


def _common(a: bytes, b: bytes) -> int:
    """How many leading bits two IPv6 addresses share."""
    return 128 - (int.from_bytes(a) ^ int.from_bytes(b)).bit_length()
