"""Which frames of a capture the box sent itself."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.topology.bridge import Bridge

if TYPE_CHECKING:
    from flowtable.capture import Sieve
    from flowtable.router import Box
    from flowtable.topology.device import Device

_NO_MAC: Final = bytes(6)
_WAIT: Final = SECOND
"""How much later than the box sends a bridged frame the capture may show it."""


class Own:
    """Knows the frames that a box sent.

    They come from one of its MAC addresses; or a bridge of it sent them on, as they were, for
    somebody else: those are what has just left the box there, byte for byte.
    """

    def __init__(self, box: Box) -> None:
        self._box = box
        self._transmit = box.transmit
        self._macs: dict[str, frozenset[bytes]] = {}
        self._bridged: dict[tuple[str, bytes], deque[int]] = {}
        self._order: deque[tuple[int, tuple[str, bytes]]] = deque()
        self.follow()

    def follow(self) -> None:
        """The devices of the box may have changed.

        All frames on the loopback device are the box's own; they come from no address.
        """
        devices = self._box.topology.devices.values()
        own = _addresses(self._box)
        self._macs = {device.name: own | {_NO_MAC} if device.loopback else own for device in devices}
        bridges = any(isinstance(device, Bridge) for device in devices)
        self._box.transmit = self._sent if bridges else self._transmit

    def __call__(self, device: str, frame: bytes, now: int) -> bool:
        """Whether the box sent a frame that was captured on one of its devices."""
        if frame[6:12] in self._macs[device]:
            return True
        return self.bridged(device, frame, now)

    def tell(self, sieve: Sieve) -> None:
        """Have a sieve know the frames that come from the box's addresses."""
        devices = self._box.topology.devices
        sieve.know(
            {device.name: device.index for device in devices.values()},
            _addresses(self._box),
            (device.name for device in devices.values() if device.loopback),
        )

    def bridged(self, device: str, frame: bytes, now: int) -> bool:
        """Whether a bridge of the box sent a frame on that was captured on one of its devices.

        It is none that is addressed to the box there: bridges do not send those on.
        """
        return bool(self._bridged) and self._was_bridged((device, frame), now)

    def _sent(self, device: Device, frame: bytes, now: int) -> None:
        """A frame leaves the box: remember it if it is somebody else's."""
        self._transmit(device, frame, now)
        if frame[6:12] not in self._macs[device.name]:
            key = device.name, bytes(frame)
            self._bridged.setdefault(key, deque()).append(now)
            self._order.append((now, key))

    def _was_bridged(self, key: tuple[str, bytes], now: int) -> bool:
        while self._order and self._order[0][0] + _WAIT < now:
            time, old = self._order.popleft()
            if self._bridged.get(old, (None,))[0] == time:
                self._take(old)
        if key not in self._bridged:
            return False
        self._take(key)
        return True

    def _take(self, key: tuple[str, bytes]) -> None:
        times = self._bridged[key]
        times.popleft()
        if not times:
            del self._bridged[key]


def _addresses(box: Box) -> frozenset[bytes]:
    return frozenset(device.mac for device in box.topology.devices.values()) - {_NO_MAC}
