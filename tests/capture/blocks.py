"""pcapng blocks and pcap files put together by hand, in either byte order."""

from __future__ import annotations

import io
from struct import pack
from typing import BinaryIO

from flowtable.capture import Capture, Record, open_capture

FRAME = bytes.fromhex("020000000101020000000199") + b"\x08\x00" + bytes(range(46))
STAMP = 1_700_000_000_123_456


def option(order: str, code: int, value: bytes) -> bytes:
    return pack(order + "HH", code, len(value)) + value + bytes(-len(value) & 3)


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) & 3)
    length = 12 + len(body)
    return pack(order + "II", kind, length) + body + pack(order + "I", length)


def section(order: str = "<", *, major: int = 1) -> bytes:
    return block(order, 0x0A0D0D0A, pack(order + "IHHq", 0x1A2B3C4D, major, 0, -1))


def interface(
    order: str = "<", name: str | None = "eth0", *, linktype: int = 1, snaplen: int = 0, options: bytes = b""
) -> bytes:
    named = option(order, 2, name.encode()) if name is not None else b""
    ends = named + options + option(order, 0, b"") if named or options else b""
    return block(order, 1, pack(order + "HHI", linktype, 0, snaplen) + ends)


def enhanced(
    order: str = "<",
    data: bytes = FRAME,
    *,
    ident: int = 0,
    stamp: int = STAMP,
    captured: int | None = None,
    original: int | None = None,
    options: bytes = b"",
) -> bytes:
    size = len(data) if captured is None else captured
    wire = size if original is None else original
    head = pack(order + "5I", ident, stamp >> 32, stamp & 0xFFFFFFFF, size, wire)
    return block(order, 6, head + data + bytes(-len(data) & 3) + options)


def flags(order: str, value: int) -> bytes:
    return option(order, 2, pack(order + "I", value)) + option(order, 0, b"")


def simple(order: str = "<", data: bytes = FRAME, *, original: int | None = None) -> bytes:
    return block(order, 3, pack(order + "I", len(data) if original is None else original) + data)


def obsolete(order: str = "<", data: bytes = FRAME, *, ident: int = 0, options: bytes = b"") -> bytes:
    head = pack(order + "HHIIII", ident, 7, STAMP >> 32, STAMP & 0xFFFFFFFF, len(data), len(data))
    return block(order, 2, head + data + bytes(-len(data) & 3) + options)


def pcap(order: str, nano: bool, *packets: tuple[int, int, bytes], linktype: int = 1) -> bytes:
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    parts = [pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, linktype)]
    for seconds, fraction, data in packets:
        parts.append(pack(order + "IIII", seconds, fraction, len(data), len(data)) + data)
    return b"".join(parts)


class Dribble(io.BytesIO):
    """A stream that gives a few bytes at a time, as a pipe may."""

    def __init__(self, data: bytes, step: int = 1) -> None:
        super().__init__(data)
        self._step = step

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, self._step))


def opened(data: bytes | BinaryIO, interface: str | None = None) -> Capture:
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    return open_capture(stream, "test", interface)


def records(data: bytes, interface: str | None = None) -> list[Record]:
    return list(opened(data, interface))
