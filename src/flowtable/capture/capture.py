"""Opening a capture, whichever its format."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, BinaryIO

from flowtable.capture.error import CaptureError
from flowtable.capture.pcap import MAGICS, PcapReader
from flowtable.capture.pcapng import SECTION, PcapngReader
from flowtable.capture.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.capture.record import Record
    from flowtable.capture.skip import Skip
    from flowtable.capture.stretch import Stretch


class Capture:
    """The frames of one capture file, once, in the order of the file.

    Attributes:
        name: what messages call it.
        interfaces: names that the file gave to its interfaces so far, one that has none as an
            empty string.
        skipped: packets passed over so far, by reason.
    """

    def __init__(self, window: Window, name: str, interface: str | None) -> None:
        self.name = name
        self.interfaces: list[str] = []
        self.skipped: Counter[Skip] = Counter()
        self._window = window
        reader = _reader(window, name)
        self._reader = reader(window, name, interface, self.interfaces, self.skipped)
        self._records = self._reader.records()

    def __iter__(self) -> Iterator[Record]:
        """The frames.

        Raises:
            CaptureError: the capture is damaged from here on; good frames before it were given.
        """
        return self._records

    def stretches(self) -> Iterator[Stretch]:
        """The same frames, many at once; take either these or those.

        A stretch holds packets of the interfaces described so far only, and is good until the next.

        Raises:
            CaptureError: as above.
            OSError: the library is not there.
        """
        return self._reader.stretches()

    @property
    def position(self) -> int:
        """Bytes of the file read so far."""
        return self._window.end


def open_capture(stream: BinaryIO, name: str, interface: str | None = None) -> Capture:
    """Begin to read a pcapng or pcap stream.

    Args:
        stream: the file, at its beginning; need not be seekable.
        name: what messages call it.
        interface: name for the interface of every record, instead of those in the file. A pcap
            file has no names; without this, neither have its records.

    Raises:
        CaptureError: it is neither pcapng nor pcap.
    """
    return Capture(Window(stream), name, interface)


def _reader(window: Window, name: str) -> type[PcapngReader | PcapReader]:
    if not window.advance(0, 4):
        raise CaptureError(name, 0, f"neither pcapng nor pcap: {len(window.data)} bytes in all")
    magic = window.data[:4]
    if magic == SECTION:
        return PcapngReader
    if magic in MAGICS:
        return PcapReader
    if magic.startswith(b"\x1f\x8b"):
        raise CaptureError(name, 0, "compressed by gzip: unpack it first")
    raise CaptureError(name, 0, f"neither pcapng nor pcap: it begins with {magic.hex(' ')}")
