"""Notices devices whose packets arrive without their checksums.

A veth pair hands packets on as the sender's stack made them, and leaves it to the last device to
work out the checksum of TCP or UDP. The fast path sees bytes only: it could not tell such a packet
from a whole one, and what it forwarded would be dropped as damaged. Packet sockets can tell. They
see what takes the classic path, and every flow begins there.

Ref: include/linux/skbuff.h:CHECKSUM_PARTIAL; net/packet/af_packet.c:packet_rcv_vnet.
"""

from __future__ import annotations

import socket
from ctypes import addressof, create_string_buffer
from struct import pack
from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.live.doctor.ethtool import Ethtool
    from flowtable.topology.device import Device

_DRIVERS: Final = frozenset({"veth", "tun"})
"""Of devices that may pass such packets on while a program in XDP is there."""
REMEMBERED: Final = 10 * SECOND
"""After the last such packet, a device is taken to be whole with the next one that is."""

_SOL_PACKET: Final = 263
_PACKET_VNET_HDR: Final = 15
_SO_ATTACH_FILTER: Final = 26
_ALL: Final = 3
"""ETH_P_ALL."""
_HEADER: Final = 10
"""Of struct virtio_net_hdr: flags, GSO type, ..."""
_NEEDS_CHECKSUM: Final = 1
_BUFFER: Final = 1 << 16

# TCP and UDP that comes in, one byte of each packet. Offsets count from the IP header: SKF_NET_OFF.
_FILTER: Final = (
    (0x20, 0, 0, 0xFFFFF004),  # ld type: SKF_AD_OFF + SKF_AD_PKTTYPE
    (0x15, 10, 0, 4),  # PACKET_OUTGOING: drop
    (0x30, 0, 0, 0xFFF00000),  # ldb version
    (0x74, 0, 0, 4),
    (0x15, 0, 2, 4),
    (0x30, 0, 0, 0xFFF00009),  # ldb protocol
    (0x05, 0, 0, 2),
    (0x15, 0, 4, 6),
    (0x30, 0, 0, 0xFFF00006),  # ldb next header
    (0x15, 1, 0, 6),
    (0x15, 0, 1, 17),
    (0x06, 0, 0, 1),
    (0x06, 0, 0, 0),
)


class Checksums:
    """Whether packets that arrive on devices have their checksums."""

    def __init__(self, ethtool: Ethtool, clock: Callable[[], int]) -> None:
        """Begin without devices.

        Args:
            ethtool: asks devices for their drivers.
            clock: tells the time, nanoseconds.
        """
        self._ethtool = ethtool
        self._clock = clock
        self._watched: dict[int, _Watch | None] = {}
        self._unseen: set[int] = set()

    def watch(self, device: Device) -> None:
        """Begin to look at what a device receives, if it is of a kind that passes such packets on.

        Without CAP_NET_RAW it is not to be seen, and counts as not whole.
        """
        if device.index in self._watched:
            return
        self._watched[device.index] = None
        if self._ethtool.driver(device.name) in _DRIVERS:
            try:
                self._watched[device.index] = _Watch(device)
            except PermissionError:
                self._unseen.add(device.index)

    def forget(self, index: int) -> None:
        """Stop looking at a device."""
        self._unseen.discard(index)
        watch = self._watched.pop(index, None)
        if watch is not None:
            watch.close()

    def whole(self, device: Device) -> bool:
        """Whether packets from a device have their checksums, as far as was seen."""
        watch = self._watched.get(device.index)
        if watch is None:
            return device.index not in self._unseen
        return watch.whole(self._clock())

    def close(self) -> None:
        """Stop looking."""
        for index in list(self._watched):
            self.forget(index)


class _Watch:
    """What one device receives."""

    def __init__(self, device: Device) -> None:
        self._socket = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0
        )
        code = b"".join(pack("=HBBI", *each) for each in _FILTER)
        buffer = create_string_buffer(code, len(code))
        self._socket.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, pack("HP", len(_FILTER), addressof(buffer))
        )
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        self._socket.bind((device.name, _ALL))
        self._whole = False
        self._partial_at = -REMEMBERED

    def whole(self, now: int) -> bool:
        """Whether what was received lately had its checksums; False as long as there was nothing."""
        whole = partial = False
        while True:
            try:
                header = self._socket.recv(_HEADER)
            except BlockingIOError:
                break
            except OSError:
                # The device went down: what it received before still holds.
                continue
            flags, segmentation = header[0], header[1]
            if segmentation:
                # GRO made it of several, and leaves it to others to work out the checksum of the whole.
                continue
            if flags & _NEEDS_CHECKSUM:
                partial = True
            else:
                whole = True
        if partial:
            self._partial_at = now
            self._whole = False
        elif whole and now - self._partial_at > REMEMBERED:
            self._whole = True
        return self._whole

    def close(self) -> None:
        self._socket.close()
