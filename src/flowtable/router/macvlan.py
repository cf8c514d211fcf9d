"""Macvlans: devices of their own on one lower device, told apart by their MAC addresses.

Ref: drivers/net/macvlan.c:macvlan_handle_frame, macvlan_queue_xmit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.packet import PacketType
from flowtable.topology.macvlan import Macvlan, MacvlanMode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowtable.router.box import Box
    from flowtable.topology.device import Device

_HOST: Final = int(PacketType.HOST)
_BROADCAST: Final = int(PacketType.BROADCAST)
_MULTICAST: Final = int(PacketType.MULTICAST)
_BROADCAST_MAC: Final = b"\xff" * 6
_GOLDEN_RATIO: Final = 0x61C8864680B583EB
_U64: Final = (1 << 64) - 1

_PRIVATE, _VEPA, _BRIDGE, _PASSTHRU = MacvlanMode
_SWITCHED: Final = frozenset({_VEPA, _BRIDGE})
"""Modes whose devices may hear of each other."""


def receive(box: Box, device: Device, frame: bytes, pkttype: int) -> bool:
    """Take a frame from a device that macvlans stand on; False where it is for that device itself."""
    macvlans = on(device)
    if frame[0] & 1:
        source = _at(macvlans, frame[6:12])
        if source is not None and source.mode not in _SWITCHED:
            _deliver(box, source, frame, _group(frame))
            return True
        if source is None:
            hearers = macvlans
        elif source.mode is _VEPA:
            # The switch sends it back to all but the source.
            hearers = [other for other in macvlans if other is not source and other.mode in _SWITCHED]
        else:
            hearers = [other for other in macvlans if other is not source and other.mode is _VEPA]
        box.statistics.copied += len(hearers)
        box.take(device, frame, pkttype)
        for macvlan in hearers:
            _deliver(box, macvlan, frame, _group(frame))
        return True
    if macvlans[0].mode is _PASSTHRU:
        _deliver(box, macvlans[0], frame, _HOST)
        return True
    target = _at(macvlans, frame[:6])
    if target is None:
        return False
    _deliver(box, target, frame, _HOST)
    return True


def transmit(box: Box, macvlan: Macvlan, frame: bytes) -> None:
    """Send a frame to another macvlan in bridge mode, else by the device below."""
    lower = macvlan.lower
    assert lower is not None
    statistics = macvlan.statistics
    statistics.tx_packets += 1
    statistics.tx_bytes += len(frame)
    if macvlan.mode is _BRIDGE:
        if frame[0] & 1:
            hearers = [other for other in on(lower) if other is not macvlan and other.mode is _BRIDGE]
            box.statistics.copied += len(hearers)
            for other in hearers:
                _deliver(box, other, frame, _group(frame))
        else:
            neighbour = _at(on(lower), frame[:6])
            if neighbour is not None and neighbour.mode is _BRIDGE:
                _deliver(box, neighbour, frame, _HOST)
                return
    box.descend(lower, frame)


def on(device: Device) -> list[Macvlan]:
    """The macvlans on a device, in the order of its hash table. Ref: macvlan_broadcast."""
    macvlans = [upper for upper in reversed(device.uppers) if isinstance(upper, Macvlan)]
    return sorted(macvlans, key=_hash)


def _hash(macvlan: Macvlan) -> int:
    """Ref: macvlan_eth_hash, on a machine that stores the lowest byte first; include/linux/hash.h."""
    value = int.from_bytes(macvlan.mac, "little") << 16
    return (value * _GOLDEN_RATIO & _U64) >> 56


def _at(macvlans: Iterable[Macvlan], mac: bytes) -> Macvlan | None:
    """Ref: macvlan_hash_lookup; only devices that are up are in the hash."""
    return next((macvlan for macvlan in macvlans if macvlan.mac == mac and macvlan.up), None)


def _deliver(box: Box, macvlan: Macvlan, frame: bytes, pkttype: int) -> None:
    box.climb(macvlan, frame, pkttype)


def _group(frame: bytes) -> int:
    return _BROADCAST if frame[:6] == _BROADCAST_MAC else _MULTICAST
