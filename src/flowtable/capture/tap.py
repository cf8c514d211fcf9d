"""TAP devices: a device of Linux whose cable ends in this process. Ref: drivers/net/tun.c."""

from __future__ import annotations

import os
from fcntl import ioctl
from struct import Struct
from typing import Final

from flowtable.capture.port import ROOM, PortError
from flowtable.packet.burst import Burst

_TUNSETIFF: Final = 0x400454CA
_IFF_TAP: Final = 0x0002
_IFF_NO_PI: Final = 0x1000
_IFREQ: Final = Struct("=16sH22x")
_FRAME: Final = 65536 + 18


class TapPort:
    """The near end of a TAP device. Linux gives it frames that are complete."""

    def __init__(self, name: str, device: int) -> None:
        """Make the TAP device, or take one that is there and free; it goes with the process.

        Args:
            name: of the TAP device.
            device: index that received frames are to have.

        Raises:
            PortError: it cannot be made.
        """
        self.lost = 0
        self._device = device
        try:
            self._fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise PortError(error.errno, f"/dev/net/tun: {error.strerror}") from None
        try:
            ioctl(self._fd, _TUNSETIFF, _IFREQ.pack(name.encode(), _IFF_TAP | _IFF_NO_PI))
        except OSError as error:
            os.close(self._fd)
            raise PortError(error.errno, f"{name}: no TAP device: {error.strerror}") from None

    def fileno(self) -> int:
        """Its file descriptor."""
        return self._fd

    def receive(self, now: int) -> Burst:
        """Read what has come."""
        frames = []
        for _ in range(ROOM):
            try:
                frames.append((self._device, os.read(self._fd, _FRAME), now))
            except OSError:
                # Nothing more, or the device is down.
                break
        return Burst.of(frames)

    def send(self, frame: bytes) -> None:
        """Write a frame. Linux refuses it while the device is down, or its queue full."""
        try:
            os.write(self._fd, frame)
        except OSError:
            self.lost += 1

    def send_many(self, burst: Burst, places: range | list[int]) -> None:
        """Write frames one by one."""
        for place in places:
            self.send(burst.frame(place))

    def close(self) -> None:
        """Close it; the device is gone."""
        os.close(self._fd)
