"""The pcapng reader. Ref: draft-ietf-opsawg-pcapng."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.capture.error import CaptureError
from flowtable.capture.linktype import ETHERNET, describe
from flowtable.capture.record import Direction, Record
from flowtable.capture.skip import Skip

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

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

_WIDTHS: Final = {_IF_TSRESOL: 1, _IF_TSOFFSET: 8}
"""Of the interface options without which times would be read wrong, in bytes."""

_DIRECTIONS: Final = (Direction.UNKNOWN, Direction.IN, Direction.OUT, Direction.UNKNOWN)


class _Layout:
    """The structures of a section in its byte order."""

    def __init__(self, order: str) -> None:
        self.half = Struct(order + "H").unpack_from
        self.word = Struct(order + "I").unpack_from
        self.seconds = Struct(order + "q").unpack
        self.option = Struct(order + "HH").unpack_from
        self.flags = Struct(order + "HHI").unpack_from
        self.interface = Struct(order + "HHI").unpack_from
        self.enhanced = Struct(order + "7I").unpack_from
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
        skipped: where packets that are passed over are counted.
    """

    def __init__(self, window: Window, name: str, interface: str | None, skipped: Counter[Skip]) -> None:
        self._window = window
        self._name = name
        self._rename = interface
        self._skipped = skipped
        self._layout = _LITTLE
        self._interfaces: list[_Interface] = []
        self._foreign: dict[str, int] = {}
        self._number = 0
        self._time = 0

    def records(self) -> Iterator[Record]:
        """The Ethernet frames of the file, in its order.

        Simple packet blocks carry no time; they get that of the packet before them.

        Raises:
            CaptureError: the rest of the file cannot be told apart into blocks, or none of its
                packets is an Ethernet frame; every good packet before has been given.
        """
        window, interfaces = self._window, self._interfaces
        new, directions, unknown = tuple.__new__, _DIRECTIONS, Direction.UNKNOWN
        at = 0
        while window.advance(at, 12):
            data, at = window.data, 0
            size = len(data)
            while size - at >= 12:
                enhanced, word, flags = self._layout.enhanced, self._layout.word, self._layout.flags
                number, time = self._number, self._time
                known, last = len(interfaces), size - 32
                # Whole and ordinary enhanced packet blocks; anything else is left to _block().
                while at <= last:
                    kind, length, ident, high, low, captured, original = enhanced(data, at)
                    begin = at + 28
                    options = begin + captured + (-captured & 3)
                    trailer = at + length - 4
                    if (
                        kind != _ENHANCED
                        or trailer > size - 4
                        or options > trailer
                        or ident >= known
                        or captured < original
                        or not captured
                        or word(data, trailer)[0] != length
                    ):
                        break
                    name, linktype, _, multiplier, divisor, offset = interfaces[ident]
                    if linktype != ETHERNET or length & 3:
                        break
                    time = (high << 32 | low) * multiplier
                    if divisor != 1:
                        time //= divisor
                    if offset:
                        time += offset
                    if options == trailer:
                        direction = unknown
                    else:
                        code, width, value = flags(data, options)
                        if code == _PACKET_FLAGS and width == 4 and trailer - options >= 8:
                            direction = directions[value & 3]
                        else:
                            direction = self._direction(data, options, trailer)
                    number += 1
                    at = trailer + 4
                    yield new(
                        Record, (number, name, time, data[begin : begin + captured], original, direction)
                    )
                self._number, self._time = number, time
                if size - at < 12:
                    break
                length = self._block_length(data, at)
                if at + length > size:
                    whole = window.advance(at, length)
                    data, at = window.data, 0
                    size = len(data)
                    if not whole:
                        raise self._error(0, f"cut short: {size} bytes of a block of {length} bytes")
                outcome = self._block(data, at, length)
                at += length
                if outcome is not None:
                    self._number += 1
                    if isinstance(outcome, Skip):
                        self._skipped[outcome] += 1
                    else:
                        yield outcome
        if window.data:
            raise self._error(0, f"cut short: {len(window.data)} bytes of a block's header")
        if self._skipped[Skip.LINK_TYPE] and self._skipped.total() == self._number:
            reason = f"no Ethernet frames, but {', '.join(self._foreign)}"
            raise CaptureError(self._name, min(self._foreign.values()), reason)

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
        _, _, ident, high, low, captured, original = self._layout.enhanced(data, at)
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
            self._time = stamp * interface.multiplier // interface.divisor + interface.offset
        frame = data[begin : begin + captured]
        direction = self._direction(data, options, end)
        return Record(self._number + 1, interface.name, self._time, frame, original, direction)

    def _direction(self, data: bytes, at: int, end: int) -> Direction:
        """The direction among a packet's options; damage among them costs only the direction."""
        while at + 8 <= end:
            code, width, value = self._layout.flags(data, at)
            if code == _END_OF_OPTIONS:
                break
            if code == _PACKET_FLAGS and width == 4:
                return _DIRECTIONS[value & 3]
            at += 4 + (width + 3 & ~3)
        return Direction.UNKNOWN


def _resolution(exponent: int) -> tuple[int, int]:
    """Multiplier and divisor from stamps of an if_tsresol to nanoseconds. Ref: section 4.2."""
    if exponent & 0x80:
        return 1_000_000_000, 1 << (exponent & 0x7F)
    if exponent <= 9:
        return 10 ** (9 - exponent), 1
    return 1, 10 ** (exponent - 9)
