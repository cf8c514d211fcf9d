"""What a device does by itself, through ioctl. Ref: include/uapi/linux/ethtool.h."""

from __future__ import annotations

import socket
from ctypes import addressof, create_string_buffer
from fcntl import ioctl
from struct import Struct
from typing import Final

_SIOCETHTOOL: Final = 0x8946
_IFREQ: Final = Struct("=16sQ16x")
_VALUE: Final = Struct("=II")
_DRIVER_INFO: Final = 196
_GDRVINFO: Final = 0x03
_GTXCSUM: Final = 0x16
_GFLAGS: Final = 0x25
_GGRO: Final = 0x2B
_FLAG_RXVLAN: Final = 1 << 8
_FLAG_LRO: Final = 1 << 15


class Ethtool:
    """Asks devices of this network namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def driver(self, device: str) -> str:
        """The name of its driver; empty where it does not say."""
        answer = self._ask(device, _GDRVINFO.to_bytes(4, "little") + bytes(_DRIVER_INFO - 4))
        return "" if answer is None else answer[4:36].partition(b"\0")[0].decode("ascii", "replace")

    def gro(self, device: str) -> bool | None:
        """Whether it puts frames together; None where it does not say."""
        return self._flag(device, _GGRO, 0xFFFFFFFF)

    def lro(self, device: str) -> bool | None:
        """Whether its hardware does."""
        return self._flag(device, _GFLAGS, _FLAG_LRO)

    def takes_tags_off(self, device: str) -> bool | None:
        """Whether it takes VLAN tags off the frames that arrive."""
        return self._flag(device, _GFLAGS, _FLAG_RXVLAN)

    def checksums(self, device: str) -> bool | None:
        """Whether it works out the checksums of what it sends."""
        return self._flag(device, _GTXCSUM, 0xFFFFFFFF)

    def _flag(self, device: str, command: int, mask: int) -> bool | None:
        answer = self._ask(device, _VALUE.pack(command, 0))
        return None if answer is None else bool(_VALUE.unpack(answer)[1] & mask)

    def _ask(self, device: str, question: bytes) -> bytes | None:
        buffer = create_string_buffer(question, len(question))
        try:
            ioctl(self._socket, _SIOCETHTOOL, _IFREQ.pack(device.encode(), addressof(buffer)))
        except OSError:
            return None
        return buffer.raw
