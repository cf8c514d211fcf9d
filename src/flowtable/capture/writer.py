"""Writing captures: the same frames give the same bytes, whenever they are written."""

from __future__ import annotations

import struct
from ctypes import byref
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from flowtable.capture import library
from flowtable.capture.library import address, packets
from flowtable.capture.linktype import ETHERNET
from flowtable.capture.record import Direction

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from flowtable.packet.burst import Burst

_OUT: Final = Direction.OUT
_SNAPLEN: Final = 0x40000

_ENHANCED: Final = 6

_GATHER: Final = 1024
"""Packets gathered before they go to the stream in one piece."""
_GATHER_BYTES: Final = 1 << 20
"""Bytes of packets that came many at once, likewise."""

_NO_TIME: Final = "pcap has no times after 2106"

_section: Final = Struct("<IIIHHq").pack
_description: Final = Struct("<IIHHI").pack
_option: Final = Struct("<HH").pack
_word: Final = Struct("<I").pack
_words: Final = Struct("<II").pack
_header: Final = Struct("<IHHiIII").pack
_packet: Final = Struct("<4I").pack


class _Writer:
    """Gathers packets and hands them to a stream in large pieces; the stream stays open."""

    def __init__(self, stream: BinaryIO, head: bytes) -> None:
        self._stream = stream
        self._pieces = [head]
        self._gathered = 0
        self._out = bytearray()
        self._burst: Burst | None = None
        self._packets = library.Packets()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()

    def flush(self) -> None:
        """Hand what was gathered to the stream, and have it written."""
        self._hand_over()
        self._stream.flush()

    def _write_many(self, write: Callable[..., int], burst: Burst, around: int, *arguments: object) -> None:
        """Have C write a burst, with up to ``around`` bytes around each of its frames."""
        if burst is not self._burst:
            self._burst, self._packets = burst, packets(burst)
        self._packets.count = burst.count
        room = len(burst.frames) + burst.count * around
        if len(self._out) < room:
            self._out = bytearray(room)
        frames = burst.frames if isinstance(burst.frames, bytes) else address(burst.frames)
        size = write(frames, byref(self._packets), *arguments, address(self._out))
        self._pieces.append(memoryview(self._out)[:size].tobytes())
        self._gathered += size
        if self._gathered >= _GATHER_BYTES:
            self._hand_over()

    def _hand_over(self) -> None:
        self._stream.write(b"".join(self._pieces))
        self._pieces.clear()
        self._gathered = 0


_Block = tuple[
    "Callable[[bytes, int, int, int, bytes, bytes | bytearray, bytes], bytes]", bytes, bytes, bytes
]
"""How to put together a packet block, and what stands in it before the time, between the time and
the frame, and behind the frame: frames of equal size and direction have these in common."""


class PcapngWriter(_Writer):
    """Writes a pcapng stream of one little-endian section, times in nanoseconds.

    Use it as a context manager, or call ``flush`` at the end.

    Args:
        stream: where to; stays open.
        interfaces: names of the interfaces, in the order of their description blocks.

    Ref: draft-ietf-opsawg-pcapng.
    """

    def __init__(self, stream: BinaryIO, interfaces: Iterable[str]) -> None:
        names = tuple(interfaces)
        self._idents = {name: ident for ident, name in enumerate(names)}
        self._blocks: dict[Direction, dict[int, _Block]] = {each: {} for each in Direction}
        self._sent = self._blocks[_OUT]
        super().__init__(stream, _section_header() + b"".join(map(_interface_description, names)))

    def write(self, interface: str, time: int, data: bytes | bytearray, direction: Direction = _OUT) -> None:
        """Write a frame.

        Args:
            interface: the name of one of the interfaces.
            time: nanoseconds since 1970, not negative.
            data: the frame from its Ethernet header on.
            direction: which way it passed the interface.

        Raises:
            OverflowError: the time does not fit the format.
        """
        size = len(data)
        # An Enum hashes slowly, hence no look-up of the direction that is usual.
        blocks = self._sent if direction is _OUT else self._blocks[direction]
        try:
            pack, head, sizes, tail = blocks[size]
        except KeyError:
            pack, head, sizes, tail = blocks[size] = _block(size, direction)
        pieces = self._pieces
        ident = self._idents[interface]
        try:
            pieces.append(pack(head, ident, time >> 32, time & 0xFFFFFFFF, sizes, data, tail))
        except struct.error:
            raise OverflowError("pcapng has no times after 2554 in nanoseconds") from None
        if len(pieces) >= _GATHER:
            self._hand_over()

    def write_many(self, burst: Burst, idents: array[int]) -> None:
        """Write frames that went out.

        Args:
            burst: the frames.
            idents: by device index, which of the interfaces each is; 32 bits each.

        Raises:
            OSError: they cannot be written, or the library is not there.
        """
        self._write_many(library.load().ft_write_pcapng, burst, 48, idents.buffer_info()[0])


class PcapWriter(_Writer):
    """Writes a pcap stream of Ethernet frames, times in nanoseconds.

    A pcap file names no interfaces and no directions. Use it as a context manager, or call
    ``flush`` at the end.

    Args:
        stream: where to; stays open.

    Ref: draft-ietf-opsawg-pcap.
    """

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream, _header(0xA1B23C4D, 2, 4, 0, 0, _SNAPLEN, ETHERNET))

    def write(self, time: int, data: bytes | bytearray) -> None:
        """Write a frame.

        Args:
            time: nanoseconds since 1970, not negative.
            data: the frame from its Ethernet header on.

        Raises:
            OverflowError: the time does not fit the format.
        """
        size = len(data)
        seconds, fraction = divmod(time, 1_000_000_000)
        pieces = self._pieces
        try:
            pieces.append(_packet(seconds, fraction, size, size) + data)
        except struct.error:
            raise OverflowError(_NO_TIME) from None
        if len(pieces) >= _GATHER:
            self._hand_over()

    def write_many(self, burst: Burst) -> None:
        """Write frames.

        Raises:
            OverflowError: a time does not fit the format.
            OSError: they cannot be written, or the library is not there.
        """
        if burst.count and burst.times[burst.count - 1] // 1_000_000_000 > 0xFFFFFFFF:
            raise OverflowError(_NO_TIME)
        self._write_many(library.load().ft_write_pcap, burst, 16)


def _options(*options: tuple[int, bytes]) -> bytes:
    parts = [_option(code, len(value)) + value + bytes(-len(value) & 3) for code, value in options]
    return b"".join(parts) + _option(0, 0)


def _section_header() -> bytes:
    """A section of unknown length, so that it can be written to a pipe. Ref: section 4.1."""
    options = _options((4, b"flowtable"))
    length = 28 + len(options)
    return _section(0x0A0D0D0A, length, 0x1A2B3C4D, 1, 0, -1) + options + _word(length)


def _interface_description(name: str) -> bytes:
    """Ref: section 4.2."""
    options = _options((2, name.encode()), (9, b"\x09"))
    length = 20 + len(options)
    return _description(1, length, ETHERNET, 0, _SNAPLEN) + options + _word(length)


def _block(size: int, direction: Direction) -> _Block:
    """How to write the packet block of a frame of ``size`` bytes. Ref: section 4.3."""
    options = _options((2, _word(direction.value))) if direction is not Direction.UNKNOWN else b""
    padding = bytes(-size & 3)
    length = 32 + size + len(padding) + len(options)
    tail = padding + options + _word(length)
    pack = Struct(f"<8sIII8s{size}s{len(tail)}s").pack
    return pack, _words(_ENHANCED, length), _words(size, size), tail
