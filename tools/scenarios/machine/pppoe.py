"""A PPPoE session in the kernel, made by hand: what pppd does once discovery and negotiation are over.

Ref: drivers/net/ppp/pppoe.c, Documentation/networking/ppp_generic.rst.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from typing import Final

from scenarios.machine.namespace import Namespace

_AF_PPPOX: Final = 24
_PX_PROTO_OE: Final = 0
_ADDRESS: Final = struct.Struct("=HI2s6s16s")
_GET_CHANNEL: Final = 0x80047437
_ATTACH_CHANNEL: Final = 0x40047438
_NEW_UNIT: Final = 0xC004743E
_CONNECT: Final = 0x4004743A
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Session:
    """A session and its network device; both are there until it is closed."""

    def __init__(self, namespace: Namespace, parent: str, session: int, peer: bytes) -> None:
        """Begin a session with the access concentrator ``peer`` on the device ``parent``, which is up."""
        with namespace.inside():
            self._socket = socket.socket(_AF_PPPOX, socket.SOCK_STREAM, _PX_PROTO_OE)
            address = _ADDRESS.pack(
                _AF_PPPOX, _PX_PROTO_OE, session.to_bytes(2, "big"), peer, parent.encode()
            )
            if _LIBC.connect(self._socket.fileno(), address, len(address)):
                raise OSError(ctypes.get_errno(), f"PPPoE session on {parent}")
            channel = fcntl.ioctl(self._socket, _GET_CHANNEL, bytes(4))
            self._unit = os.open("/dev/ppp", os.O_RDWR)
            unit = fcntl.ioctl(self._unit, _NEW_UNIT, struct.pack("=i", -1))
            self._channel = os.open("/dev/ppp", os.O_RDWR)
            fcntl.ioctl(self._channel, _ATTACH_CHANNEL, channel)
            fcntl.ioctl(self._channel, _CONNECT, unit)
        self.device = f"ppp{struct.unpack('=i', unit)[0]}"

    def close(self) -> None:
        """End the session; its device goes away."""
        os.close(self._unit)
        os.close(self._channel)
        self._socket.close()
