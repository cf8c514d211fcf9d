"""Where results go: files, and standard output for ``-``."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from flowtable.capture import PcapngWriter, PcapWriter
from flowtable.cli.error import InputError
from flowtable.cli.load import STANDARD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import ExitStack

    from flowtable.topology.device import Device
    from flowtable.topology.topology import Topology

    Transmit = Callable[[Device, bytes, int], None]


def open_output(path: str, stack: ExitStack) -> BinaryIO:
    """Open a file to write, which ``stack`` closes, or standard output.

    Raises:
        InputError: it cannot be opened.
    """
    if path == STANDARD:
        return sys.stdout.buffer
    try:
        return stack.enter_context(closing(Path(path).open("wb")))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def write_lines(stream: BinaryIO, lines: Iterable[str]) -> None:
    """Write lines as UTF-8; what was not UTF-8 in a ruleset comes out as it went in."""
    for line in lines:
        stream.write(line.encode("utf-8", "surrogateescape") + b"\n")
    stream.flush()


def open_transmitter(path: str | None, topology: Topology, stack: ExitStack) -> Transmit:
    """Open a capture for the frames that leave the box, which ``stack`` closes.

    Args:
        path: pcap without device names if it ends so, else pcapng; None to forget the frames.
        topology: the box.
        stack: what closes the capture.

    Returns:
        What a box calls with device, frame and time.

    Raises:
        InputError: it cannot be opened.
    """
    if path is None:
        return _forget
    stream = open_output(path, stack)
    if path.endswith(".pcap"):
        plain = stack.enter_context(PcapWriter(stream)).write
        return lambda device, frame, now: plain(now, frame)
    named = stack.enter_context(PcapngWriter(stream, topology.devices)).write
    return lambda device, frame, now: named(device.name, now, frame)


def _forget(device: Device, frame: bytes, now: int) -> None:
    pass
