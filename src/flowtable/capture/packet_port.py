"""AF_PACKET: the frames of a network interface, as they come and as they are to leave.

Many with one system call: recvmmsg and sendmmsg. Ref: packet(7), net/packet/af_packet.c.
"""

from __future__ import annotations

import socket
import sys
from array import array
from ctypes import CDLL, addressof, c_char, c_int, c_uint, c_void_p
from struct import Struct
from typing import Final

from flowtable.capture.interface import Interface
from flowtable.capture.offload import VNET_HEADER, complete
from flowtable.capture.port import ROOM, PortError
from flowtable.packet.burst import Burst

_ETH_P_ALL: Final = 0x0003
_SOL_PACKET: Final = 263
_ADD_MEMBERSHIP: Final = 1
_AUXDATA: Final = 8
_VNET_HDR: Final = 15
_IGNORE_OUTGOING: Final = 23
_PROMISCUOUS: Final = Struct("=iHH8x")
_MR_PROMISC: Final = 1
_SO_RCVBUFFORCE: Final = 33
_BUFFER: Final = 1 << 23
_MSG_DONTWAIT: Final = 0x40

_SLOT: Final = 65536 + 64
"""Bytes for one frame, which may be as large as a sender without hardware makes it."""
_CONTROL: Final = 64
_WORDS: Final = 8
"""Of a struct mmsghdr: name, its size, vectors, their number, control data, its size, flags, length."""
_LENGTH_AT: Final = 14
"""In words of 32 bits."""
_AUX: Final = Struct("=IIIHHHH")
"""Ref: struct tpacket_auxdata."""
_AUX_AT: Final = 16
_STATUS_AT: Final = _AUX_AT if sys.byteorder == "little" else _AUX_AT + 3
_VLAN_VALID: Final = 0x10
_TPID_VALID: Final = 0x40
_TAGGED: Final = frozenset(value for value in range(256) if value & _VLAN_VALID)
_COMPLETE: Final = b"\x00\x02"
"""Flags of frames that lack nothing: 2 says that the checksum was found right."""

_libc: Final = CDLL(None, use_errno=True)
_recvmmsg: Final = _libc.recvmmsg
_recvmmsg.argtypes = [c_int, c_void_p, c_uint, c_int, c_void_p]
_sendmmsg: Final = _libc.sendmmsg
_sendmmsg.argtypes = [c_int, c_void_p, c_uint, c_int]


class PacketPort:
    """An interface of this network namespace."""

    def __init__(self, name: str, device: int) -> None:
        """Open it.

        Args:
            name: of the interface.
            device: index that received frames are to have.

        Raises:
            PortError: there is no such interface, it is the host's, or it takes more rights.
        """
        self.lost = 0
        self._device = device
        self.interface = Interface(name)
        try:
            self._in = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
            self._out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        except PermissionError as error:
            self.interface.close()
            words = f"{name}: it takes CAP_NET_RAW, as root has it, or whoever begins with `unshare -rn`"
            raise PortError(error.errno, words) from None
        self._open(name)
        self._prepare()

    def _open(self, name: str) -> None:
        for each in (self._in, self._out):
            each.setblocking(False)
        membership = _PROMISCUOUS.pack(self.interface.index, _MR_PROMISC, 0)
        self._in.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, membership)
        for option in (_AUXDATA, _VNET_HDR, _IGNORE_OUTGOING):
            self._in.setsockopt(_SOL_PACKET, option, 1)
        try:
            self._in.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        except PermissionError:
            self._in.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._out.bind((name, 0))
        self._in.bind((name, _ETH_P_ALL))

    def _prepare(self) -> None:
        """Lay out the memory that the system calls fill."""
        self._memory = bytearray(_SLOT * ROOM)
        self._control = bytearray(_CONTROL * ROOM)
        at = addressof(c_char.from_buffer(self._memory))
        control = addressof(c_char.from_buffer(self._control))
        self._vectors = array("Q")
        for slot in range(ROOM):
            self._vectors.extend((at + slot * _SLOT, _SLOT))
        vectors = self._vectors.buffer_info()[0]
        self._fresh = array("Q")
        for slot in range(ROOM):
            self._fresh.extend((0, 0, vectors + slot * 16, 1, control + slot * _CONTROL, _CONTROL, 0, 0))
        self._headers = array("Q", self._fresh)
        self._lengths = memoryview(self._headers).cast("B").cast("I")[_LENGTH_AT :: 2 * _WORDS]
        self._burst = Burst(self._memory, ROOM)
        self._burst.offsets[:] = array("I", [slot * _SLOT + VNET_HEADER.size for slot in range(ROOM)])
        self._burst.devices[:] = array("I", [self._device] * ROOM)
        self._nothing = Burst(b"", 0)
        self._leaving: Burst | None = None
        self._base = 0
        self._out_vectors = array("Q")
        self._out_headers = array("Q")

    def fileno(self) -> int:
        """The descriptor of the receiving socket."""
        return self._in.fileno()

    def receive(self, now: int) -> Burst:
        """Take what has come, and complete what lacks something."""
        headers = self._headers
        headers[:] = self._fresh
        count = _recvmmsg(self._in.fileno(), headers.buffer_info()[0], ROOM, _MSG_DONTWAIT, None)
        if count <= 0:
            return self._nothing
        memory, control = self._memory, self._control
        end = count * _SLOT
        plain = not memory[:end:_SLOT].strip(_COMPLETE) and not any(memory[1:end:_SLOT])
        if plain and _TAGGED.isdisjoint(control[_STATUS_AT : count * _CONTROL : _CONTROL]):
            burst = self._burst
            burst.count = count
            header = VNET_HEADER.size
            burst.lengths[:count] = array("I", [length - header for length in self._lengths[:count]])
            burst.times[:count] = array("Q", [now]) * count
            return burst
        device = self._device
        return Burst.of(
            (device, frame, now)
            for slot in range(count)
            for frame in complete(*self._taken(slot), self._tag(slot))
        )

    def _taken(self, slot: int) -> tuple[bytes, bytes]:
        begin = slot * _SLOT
        data = bytes(self._memory[begin : begin + self._lengths[slot]])
        return data[VNET_HEADER.size :], data[: VNET_HEADER.size]

    def _tag(self, slot: int) -> bytes:
        """The VLAN tag that Linux took off; empty for none. Ref: packet_recvmsg, tp_vlan_tci."""
        status: int
        tci: int
        tpid: int
        status, _, _, _, _, tci, tpid = _AUX.unpack_from(self._control, slot * _CONTROL + _AUX_AT)
        if not status & _VLAN_VALID:
            return b""
        return (tpid if status & _TPID_VALID else 0x8100).to_bytes(2) + tci.to_bytes(2)

    def send(self, frame: bytes) -> None:
        """Send a frame, or lose it."""
        try:
            self._out.send(frame)
        except OSError:
            self.lost += 1

    def send_many(self, burst: Burst, places: range | list[int]) -> None:
        """Send with as few system calls as there can be."""
        if burst is not self._leaving:
            self._leaving = burst
            self._base = addressof(c_char.from_buffer(burst.frames))
        count = len(places)
        self._make_room(count)
        base, vectors = self._base, self._out_vectors
        vectors[: 2 * count : 2] = array("Q", [base + burst.offsets[place] for place in places])
        vectors[1 : 2 * count : 2] = array("Q", [burst.lengths[place] for place in places])
        sent, headers = 0, self._out_headers.buffer_info()[0]
        while sent < count:
            more = _sendmmsg(self._out.fileno(), headers + sent * _WORDS * 8, count - sent, _MSG_DONTWAIT)
            if more <= 0:
                self.lost += count - sent
                return
            sent += more

    def _make_room(self, count: int) -> None:
        if 2 * count <= len(self._out_vectors):
            return
        self._out_vectors = array("Q", bytes(16 * count))
        at = self._out_vectors.buffer_info()[0]
        self._out_headers = array("Q")
        for number in range(count):
            self._out_headers.extend((0, 0, at + number * 16, 1, 0, 0, 0, 0))

    def close(self) -> None:
        """Close it, and leave the interface to the host."""
        self._in.close()
        self._out.close()
        self.interface.close()
