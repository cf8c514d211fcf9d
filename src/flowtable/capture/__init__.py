"""Frames in and out: pcapng and pcap, streamed.

``open_capture`` tells the format by its first bytes and gives the frames of a file one by one;
``merge`` brings several files into one order of time; ``PcapngWriter`` and ``PcapWriter``
write. With the library in C that comes with the package, ``Capture.stretches`` and ``Sieve`` do the
same for hundreds of frames at once. Memory does not grow with a file, and the same frames are always
written as the same bytes.
"""

from flowtable.capture.capture import Capture, open_capture
from flowtable.capture.error import CaptureError
from flowtable.capture.merge import merge
from flowtable.capture.record import Direction, Record
from flowtable.capture.skip import Skip
from flowtable.capture.stretch import ROOM, Sieve, Stretch
from flowtable.capture.writer import PcapngWriter, PcapWriter

__all__ = [
    "ROOM",
    "Capture",
    "CaptureError",
    "Direction",
    "PcapWriter",
    "PcapngWriter",
    "Record",
    "Sieve",
    "Skip",
    "Stretch",
    "merge",
    "open_capture",
]
