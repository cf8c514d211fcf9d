"""A network interface whose frames this process takes: what the host has to leave to it."""

from __future__ import annotations

import socket
from contextlib import suppress
from errno import EADDRNOTAVAIL, ENODEV
from fcntl import ioctl
from pathlib import Path
from struct import Struct
from typing import Final

from flowtable.capture.port import PortError

_SIOCGIFFLAGS: Final = 0x8913
_SIOCSIFFLAGS: Final = 0x8914
_SIOCGIFADDR: Final = 0x8915
_SIOCGIFMTU: Final = 0x8921
_IFF_UP: Final = 0x1
_FLAGS: Final = Struct("=16sH22x")
_NUMBER: Final = Struct("=16si20x")


class Interface:
    """An interface of this network namespace, up, and without the host's own voice on it.

    Attributes:
        name: its name.
        index: its ifindex.
        mtu: bytes.
    """

    def __init__(self, name: str) -> None:
        """Take it.

        Raises:
            PortError: there is no such interface, the host has an address on it, so that both
                would answer, or it may not be brought up.
        """
        self.name = name
        self._disable = Path("/proc/sys/net/ipv6/conf", name, "disable_ipv6")
        self._was: str | None = None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            try:
                self.index = socket.if_nametoindex(name)
                self.mtu: int = _NUMBER.unpack(ioctl(asking, _SIOCGIFMTU, self._request(_NUMBER, 0)))[1]
            except OSError:
                raise PortError(ENODEV, f"{name}: there is no such interface") from None
            if self._has_address(asking):
                words = "the host has an IPv4 address here, and would answer as well: take it off"
                raise PortError(EADDRNOTAVAIL, f"{name}: {words} (ip address flush dev {name})")
            try:
                flags = _FLAGS.unpack(ioctl(asking, _SIOCGIFFLAGS, self._request(_FLAGS, 0)))[1]
                self._silence()
                if not flags & _IFF_UP:
                    ioctl(asking, _SIOCSIFFLAGS, self._request(_FLAGS, flags | _IFF_UP))
            except OSError as error:
                words = f"{name}: it may not be brought up and silenced ({error.strerror}); try `unshare -rn`"
                raise PortError(error.errno, words) from None

    def _request(self, layout: Struct, value: int) -> bytes:
        return layout.pack(self.name.encode(), value)

    def _has_address(self, asking: socket.socket) -> bool:
        try:
            ioctl(asking, _SIOCGIFADDR, self._request(_FLAGS, socket.AF_INET))
        except OSError:
            return False
        return True

    def _silence(self) -> None:
        """Without IPv6 the host neither answers to the link-local address of the MAC address nor asks."""
        with suppress(FileNotFoundError):
            was = self._disable.read_text()
            if was.strip() == "0":
                self._disable.write_text("1")
                self._was = was

    def close(self) -> None:
        """Leave it to the host again."""
        if self._was is not None:
            with suppress(OSError):
                self._disable.write_text(self._was)
