"""The pcapng reader. Ref: draft-ietf-opsawg-pcapng."""

from __future__ import annotations

import struct
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowtable.capture import library
from flowtable.capture.error import CaptureError
from flowtable.capture.library import Interface
from flowtable.capture.linktype import ETHERNET, describe
from flowtable.capture.record import LAST_TIME, Direction, Record
from flowtable.capture.skip import Skip
from flowtable.capture.stretch import Stretch

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator
    from ctypes import Array

    from flowtable.capture.window import Window

SECTION: Final = b"\x0a\x0d\x0d\x0a"
"""Type of the section header block: the same bytes in either byte order."""

_INTERFACE: Final = 1
_OBSOLETE: Final = 2
_SIMPLE: Final = 3
_ENHANCED: Final = 6

_LONGEST_BLOCK: Final = 1 << 24
"""As Wireshark's MAX_BLOCK_SIZE: what is longer is damage, not a block."""

_END_OF_OPTIONS: Final = 0
_IF_NAME: Final = 2
_IF_TSRESOL: Final = 9
_IF_TSOFFSET: Final = 14
_PACKET_FLAGS: Final = 2

_CACHED: Final = 4096
"""Entries of a cache, after which it begins anew."""

_WIDTHS: Final = {_IF_TSRESOL: 1, _IF_TSOFFSET: 8}
"""Of the interface options without which times would be read wrong, in bytes."""

_DIRECTIONS: Final = (Direction.UNKNOWN, Direction.IN, Direction.OUT, Direction.UNKNOWN)


_Shape = tuple["Callable[[bytes, int], tuple[bytes, int, bytes, bytes, int]]", int, int]
"""How to take apart an enhanced packet block, its length, and that of its frame on the wire:
packets of equal sizes have these in common. Plain tuples, since Python unpacks them fastest."""

_Epoch = tuple[str, int, int]
"""An interface's name, and what makes a time of the lower half of its stamps: base and unit."""


class _Layout:
    """The structures of a section in its byte order."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.half = Struct(order + "H").unpack_from
        self.word = Struct(order + "I").unpack_from
        self.words = Struct(order + "II").unpack
        self.seconds = Struct(order + "q").unpack
        self.option = Struct(order + "HH").unpack_from
        self.flags = Struct(order + "HHI").unpack_from
        self.interface = Struct(order + "HHI").unpack_from
        self.shape = Struct(order + "II12xII").unpack_from
        self.enhanced = Struct(order + "5I").unpack_from
        self.obsolete = Struct(order + "HHIIII").unpack_from


_LITTLE: Final = _Layout("<")
_BYTE_ORDERS: Final = {b"\x4d\x3c\x2b\x1a": _LITTLE, b"\x1a\x2b\x3c\x4d": _Layout(">")}


class _Interface(NamedTuple):
    """What an interface description says; a time is stamp * multiplier // divisor + offset ns."""

    name: str
    linktype: int
    snaplen: int
    multiplier: int
    divisor: int
    offset: int


class PcapngReader:
    """Reads the records of a pcapng stream.

    Args:
        window: the stream, before its first block.
        name: what messages call it.
        interface: name for the interface of every record, instead of those in the file.
        names: where the names of interfaces are kept as they are described.
        skipped: where packets that are passed over are counted.
    """

    def __init__(
        self, window: Window, name: str, interface: str | None, names: list[str], skipped: Counter[Skip]
    ) -> None:
        self._window = window
        self._name = name
        self._rename = interface
        self._names = names
        self._skipped = skipped
        self._layout = _LITTLE
        self._interfaces: list[_Interface] = []
        self._foreign: dict[str, int] = {}
        self._number = 0
        self._time = 0
        self._shapes: dict[tuple[int, int, int, int], _Shape] = {}
        self._epochs: dict[bytes, _Epoch] = {}
        self._directions: dict[bytes, Direction] = {}
        self._idents: list[str] = []
        self._clocks = (Interface * 0)()

    def records(self) -> Iterator[Record]:
        """The Ethernet frames of the file, in its order.

        Simple packet blocks carry no time; they get that of the packet before them.

        Raises:
            CaptureError: the rest of the file cannot be told apart into blocks, or none of its
                packets is an Ethernet frame; every good packet before has been given.
        """
        window = self._window
        shapes, epochs, directions = self._shapes, self._epochs, self._directions
        new = tuple.__new__
        at = 0
        while window.advance(at, 12):
            data, at = window.data, 0
            while len(data) - at >= 12:
                peek = self._layout.shape
                number, time = self._number, self._time
                # Ordinary packets, in as few steps as they can be had; others are left to _block().
                while True:
                    try:
                        shape = peek(data, at)
                        unpack, length, original = shapes[shape]
                        epoch, low, frame, options, copy = unpack(data, at)
                    except KeyError:
                        if self._learn_shape(shape):
                            continue
                        break
                    except struct.error:  # it ends behind what is in memory
                        break
                    if copy != length:
                        break
                    try:
                        name, base, unit = epochs[epoch]
                    except KeyError:
                        if self._learn_epoch(epoch):
                            continue
                        break
                    try:
                        direction = directions[options]
                    except KeyError:
                        _bound(directions)
                        direction = directions[options] = self._direction(options)
                    number += 1
                    time = base + low * unit
                    at += length
                    yield new(Record, (number, name, time, frame, original, direction))
                self._number, self._time = number, time
                if len(data) - at < 12:
                    break
                data, at, record = self._one(data, at)
                if record is not None:
                    yield record
        self._end()

    def stretches(self) -> Iterator[Stretch]:
        """The same as ``records``, many at once.

        Raises:
            CaptureError: as with ``records``.
            OSError: the library is not there.
        """
        window, stretch, single = self._window, Stretch(), Stretch(1)
        scan = library.load().ft_scan_pcapng
        stretch.names = self._idents
        at = 0
        while window.advance(at, 12):
            data, at = window.data, 0
            while len(data) - at >= 12:
                clocks = self._interface_clocks()
                at = stretch.fill(scan, data, at, self._layout.order == ">", clocks, len(clocks))
                if count := stretch.burst.count:
                    stretch.number = self._number + 1
                    self._number += count
                    self._time = stretch.burst.times[count - 1]
                    yield stretch
                if count == stretch.burst.room:
                    continue
                if len(data) - at < 12:
                    break
                data, at, record = self._one(data, at)
                if record is not None:
                    single.put([record])
                    single.number = record.number
                    yield single
        self._end()

    def _one(self, data: bytes, at: int) -> tuple[bytes, int, Record | None]:
        """Take the block at ``at``, whatever it is.

        Returns:
            What is in memory then, where the next block begins in it, and the record of the block if
            it is a packet that can be used.
        """
        length = self._block_length(data, at)
        if at + length > len(data):
            whole = self._window.advance(at, length)
            data, at = self._window.data, 0
            if not whole:
                raise self._error(0, f"cut short: {len(data)} bytes of a block of {length} bytes")
        outcome = self._block(data, at, length)
        if outcome is not None:
            self._number += 1
        if isinstance(outcome, Skip):
            self._skipped[outcome] += 1
            outcome = None
        return data, at + length, outcome

    def _end(self) -> None:
        """Nothing whole is left."""
        if self._window.data:
            raise self._error(0, f"cut short: {len(self._window.data)} bytes of a block's header")
        if self._skipped[Skip.LINK_TYPE] and self._skipped.total() == self._number:
            reason = f"no Ethernet frames, but {', '.join(self._foreign)}"
            raise CaptureError(self._name, min(self._foreign.values()), reason)

    def _interface_clocks(self) -> Array[Interface]:
        """The interfaces of the section as C sees them."""
        if len(self._clocks) != len(self._interfaces):
            self._idents[:] = [each.name for each in self._interfaces]
            self._clocks = (Interface * len(self._interfaces))()
            for clock, each in zip(self._clocks, self._interfaces, strict=True):
                if each.linktype == ETHERNET and each.divisor == 1 and abs(each.offset) < 1 << 63:
                    clock.multiplier, clock.offset = each.multiplier, each.offset
        return self._clocks

    def _learn_shape(self, shape: tuple[int, int, int, int]) -> bool:
        """Prepare for blocks that begin like this one; false if they are no ordinary packets."""
        kind, length, captured, original = shape
        padding = -captured & 3
        options = length - 32 - captured - padding
        ordinary = kind == _ENHANCED and not length & 3 and options >= 0 and 0 < captured >= original
        if ordinary and length <= _LONGEST_BLOCK:
            _bound(self._shapes)
            form = f"{self._layout.order}8x8sI8x{captured}s{padding}x{options}sI"
            self._shapes[shape] = (Struct(form).unpack_from, length, original)
            return True
        return False

    def _learn_epoch(self, epoch: bytes) -> bool:
        """Prepare for stamps that begin like this one; false if they need more than that."""
        ident, high = self._layout.words(epoch)
        if ident >= len(self._interfaces):
            return False
        interface = self._interfaces[ident]
        if interface.linktype != ETHERNET or interface.divisor != 1:
            return False
        _bound(self._epochs)
        base = (high << 32) * interface.multiplier + interface.offset
        if base < 0 or base + 0xFFFFFFFF * interface.multiplier > LAST_TIME:
            return False
        self._epochs[epoch] = (interface.name, base, interface.multiplier)
        return True

    def _error(self, at: int, reason: str) -> CaptureError:
        return CaptureError(self._name, self._window.start + at, reason, packet=self._number + 1)

    def _block_length(self, data: bytes, at: int) -> int:
        """Length of the block at ``at``, which may begin a section of the other byte order."""
        if data.startswith(SECTION, at):
            magic = data[at + 8 : at + 12]
            if magic not in _BYTE_ORDERS:
                raise self._error(at, f"byte-order magic {magic.hex()} in a section header")
            self._layout = _BYTE_ORDERS[magic]
        length: int = self._layout.word(data, at + 4)[0]
        if length < 12 or length & 3 or length > _LONGEST_BLOCK:
            limits = f"a multiple of 4 in 12..{_LONGEST_BLOCK}"
            raise self._error(at, f"block length {length}, expected {limits}")
        return length

    def _block(self, data: bytes, at: int, length: int) -> Record | Skip | None:
        """Take one whole block of any type; of a packet its record, or why it has none."""
        kind: int = self._layout.word(data, at)[0]
        copy: int = self._layout.word(data, at + length - 4)[0]
        if copy != length:
            raise self._error(at, f"block length {length}, but {copy} at the block's end")
        if data.startswith(SECTION, at):
            self._section(data, at, length)
        elif kind == _INTERFACE:
            self._describe(data, at, length)
        elif kind == _ENHANCED:
            return self._enhanced(data, at, length)
        elif kind == _SIMPLE:
            return self._simple(data, at, length)
        elif kind == _OBSOLETE:
            return self._obsolete(data, at, length)
        return None

    def _section(self, data: bytes, at: int, length: int) -> None:
        """Section header block: interfaces are numbered anew. Ref: section 4.1."""
        if length < 28:
            raise self._error(at, f"section header of {length} bytes, expected at least 28")
        major: int = self._layout.half(data, at + 12)[0]
        if major != 1:
            raise self._error(at, f"pcapng version {major}, expected 1")
        self._interfaces.clear()
        self._idents.clear()
        self._clocks = (Interface * 0)()
        for cache in (self._shapes, self._epochs, self._directions):
            cache.clear()

    def _describe(self, data: bytes, at: int, length: int) -> None:
        """Interface description block. Ref: section 4.2."""
        if length < 20:
            raise self._error(at, f"interface description of {length} bytes, expected at least 20")
        linktype, _, snaplen = self._layout.interface(data, at + 8)
        name = ""
        multiplier, divisor, seconds = 1000, 1, 0
        end = at + length - 4
        option = at + 16
        while option + 4 <= end:
            code, width = self._layout.option(data, option)
            if code == _END_OF_OPTIONS:
                break
            value = data[option + 4 : option + 4 + width]
            if option + 4 + width > end or _WIDTHS.get(code, width) != width:
                raise self._error(option, f"interface option {code} of {width} bytes")
            if code == _IF_NAME:
                name = value.rstrip(b"\0").decode(errors="replace")
            elif code == _IF_TSRESOL:
                multiplier, divisor = _resolution(value[0])
            elif code == _IF_TSOFFSET:
                seconds = self._layout.seconds(value)[0]
            option += 4 + (width + 3 & ~3)
        if name not in self._names:
            self._names.append(name)
        if self._rename is not None:
            name = self._rename
        if linktype != ETHERNET:
            self._foreign.setdefault(describe(linktype), self._window.start + at)
        self._interfaces.append(
            _Interface(name, linktype, snaplen, multiplier, divisor, seconds * 1_000_000_000)
        )

    def _enhanced(self, data: bytes, at: int, length: int) -> Record | Skip:
        """Enhanced packet block. Ref: section 4.3."""
        if length < 32:
            return Skip.MALFORMED
        ident, high, low, captured, original = self._layout.enhanced(data, at + 8)
        return self._packet(data, at + 28, at + length - 4, ident, high << 32 | low, captured, original)

    def _obsolete(self, data: bytes, at: int, length: int) -> Record | Skip:
        """Packet block, which early tools wrote. Ref: appendix A."""
        if length < 32:
            return Skip.MALFORMED
        ident, _, high, low, captured, original = self._layout.obsolete(data, at + 8)
        return self._packet(data, at + 28, at + length - 4, ident, high << 32 | low, captured, original)

    def _simple(self, data: bytes, at: int, length: int) -> Record | Skip:
        """Simple packet block: no interface but the first, no time, no options. Ref: section 4.4."""
        if length < 16:
            return Skip.MALFORMED
        original: int = self._layout.word(data, at + 8)[0]
        snaplen = self._interfaces[0].snaplen if self._interfaces else 0
        captured = min(original, snaplen) if snaplen else original
        return self._packet(data, at + 12, at + length - 4, 0, None, captured, original)

    def _packet(
        self, data: bytes, begin: int, end: int, ident: int, stamp: int | None, captured: int, original: int
    ) -> Record | Skip:
        """The record of a packet whose bytes and options lie in begin..end, or why it has none."""
        if ident >= len(self._interfaces):
            return Skip.INTERFACE
        interface = self._interfaces[ident]
        options = begin + (captured + 3 & ~3)
        if options > end:
            return Skip.MALFORMED
        if interface.linktype != ETHERNET:
            return Skip.LINK_TYPE
        if captured < original:
            return Skip.TRUNCATED
        if not captured:
            return Skip.EMPTY
        if stamp is not None:
            time = stamp * interface.multiplier // interface.divisor + interface.offset
            if not 0 <= time <= LAST_TIME:
                return Skip.TIME
            self._time = time
        frame = data[begin : begin + captured]
        direction = self._direction(data[options:end])
        return Record(self._number + 1, interface.name, self._time, frame, original, direction)

    def _direction(self, options: bytes) -> Direction:
        """The direction among a packet's options; damage among them costs only the direction."""
        at = 0
        while at + 8 <= len(options):
            code, width, value = self._layout.flags(options, at)
            if code == _END_OF_OPTIONS:
                break
            if code == _PACKET_FLAGS and width == 4:
                return _DIRECTIONS[value & 3]
            at += 4 + (width + 3 & ~3)
        return Direction.UNKNOWN


def _bound(cache: dict[Any, Any]) -> None:
    """Make room in a cache that has grown as large as it may."""
    if len(cache) >= _CACHED:
        cache.clear()


def _resolution(exponent: int) -> tuple[int, int]:
    """Multiplier and divisor from stamps of an if_tsresol to nanoseconds. Ref: section 4.2."""
    if exponent & 0x80:
        return 1_000_000_000, 1 << (exponent & 0x7F)
    if exponent <= 9:
        return 10 ** (9 - exponent), 1
    return 1, 10 ** (exponent - 9)
