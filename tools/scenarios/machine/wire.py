"""The far ends of a box's cables: packet sockets that send to the box, and hear what it sends."""

from __future__ import annotations

import select
import socket
import struct
import time
from contextlib import suppress
from typing import Final, NamedTuple

from flowtable.cli.chance import is_listener_report
from scenarios.machine.namespace import Namespace

_ETH_P_ALL: Final = 3
_OUTGOING: Final = 4
_SOL_PACKET: Final = 263
_PACKET_AUXDATA: Final = 8
_AUXDATA: Final = struct.Struct("=IIIHHHH")
_TCI_VALID: Final = 1 << 4
_TPID_VALID: Final = 1 << 6


class Heard(NamedTuple):
    """A frame that the box sent, and when, by the monotonic clock in seconds."""

    device: str
    frame: bytes
    time: float


class Wire:
    """All far ends of a box."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._senders: dict[str, socket.socket] = {}
        with namespace.inside():
            self._ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._ear.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self._ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._ear.setblocking(False)

    def close(self) -> None:
        """Let go of the sockets."""
        for sock in (self._ear, *self._senders.values()):
            sock.close()

    def send(self, device: str, frame: bytes) -> None:
        """Put a frame on the wire of one of the box's devices."""
        sock = self._senders.get(device)
        if sock is None:
            with self._namespace.inside():
                sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
                sock.bind((device, 0))
            self._senders[device] = sock
        # A device that is down hears nothing.
        with suppress(OSError):
            sock.send(frame)

    def listen(self, quiet: float, until: float) -> list[Heard]:
        """What the box sends until the time given, and from then on until it is quiet for that long.

        Args:
            quiet: seconds.
            until: by the monotonic clock, seconds.
        """
        heard: list[Heard] = []
        while True:
            left = max(quiet, until - time.monotonic())
            if not select.select([self._ear], [], [], left)[0]:
                return heard
            data, ancillary, _, address = self._ear.recvmsg(1 << 17, 64)
            if address[2] == _OUTGOING or address[0] == "lo":
                continue
            frame = _tagged(data, ancillary)
            if not is_listener_report(frame):
                heard.append(Heard(address[0], frame, time.monotonic()))


def _tagged(data: bytes, ancillary: list[tuple[int, int, bytes]]) -> bytes:
    """The frame with the outermost VLAN tag, which the kernel takes off before anybody sees it."""
    for level, kind, value in ancillary:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, _, _, _, _, tci, tpid = _AUXDATA.unpack_from(value)
            if status & _TCI_VALID:
                protocol = tpid if status & _TPID_VALID else 0x8100
                return data[:12] + struct.pack(">HH", protocol, tci) + data[12:]
    return data
