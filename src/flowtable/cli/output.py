"""Where results go: files, and standard output for ``-``."""

from __future__ import annotations

import os
import sys
from array import array
from contextlib import closing, contextmanager
from errno import EPIPE
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, ParamSpec

from flowtable.capture import PcapngWriter, PcapWriter
from flowtable.cli.error import InputError
from flowtable.cli.load import STANDARD

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from contextlib import ExitStack

    from flowtable.packet.burst import Burst
    from flowtable.topology.device import Device
    from flowtable.topology.topology import Topology

    Transmit = Callable[[Device, bytes, int], None]
    TransmitMany = Callable[[Burst], None]


@contextmanager
def written(path: str) -> Generator[None, None, None]:
    """Where a result is opened, written or closed: what fails is told with the name of its file.

    A reader of standard output that went away is not told of, as usual; click ends the program.

    Raises:
        InputError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        if path != STANDARD:
            raise InputError(f"{path}: {error.strerror}") from None
        if error.errno == EPIPE:
            raise
        # Python would try again to write what is left, when it ends, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise InputError(f"standard output: {error.strerror}") from None


def open_output(path: str, stack: ExitStack) -> BinaryIO:
    """Open a file to write, which ``stack`` closes, or standard output.

    Raises:
        InputError: it cannot be opened, or what is left cannot be written when it is closed.
    """
    stack.enter_context(written(path))
    if path == STANDARD:
        return sys.stdout.buffer
    with written(path):
        return stack.enter_context(closing(Path(path).open("wb")))


def write_lines(path: str, stream: BinaryIO, lines: Iterable[str]) -> None:
    """Write lines as UTF-8; what was not UTF-8 in a ruleset comes out as it went in.

    Args:
        path: what the stream was opened as.
        stream: the output.
        lines: without line ends.

    Raises:
        InputError: it cannot be written.
    """
    with written(path):
        for line in lines:
            stream.write(line.encode("utf-8", "surrogateescape") + b"\n")
        stream.flush()


class Outlet(NamedTuple):
    """Where frames go that leave the box: what it calls with one, and with many at once."""

    transmit: Transmit
    transmit_many: TransmitMany


def open_outlet(path: str | None, topology: Topology, stack: ExitStack) -> Outlet:
    """Open a capture for the frames that leave the box, which ``stack`` closes.

    Args:
        path: pcap without device names if it ends so, else pcapng; None to forget the frames.
        topology: the box.
        stack: what closes the capture.

    Returns:
        What a box calls. It raises InputError if that cannot be written.

    Raises:
        InputError: it cannot be opened.
    """
    if path is None:
        return Outlet(forget, _forget_many)
    stream = open_output(path, stack)
    if path.endswith(".pcap"):
        plain = stack.enter_context(PcapWriter(stream))
        return Outlet(
            _told(path, lambda device, frame, now: plain.write(now, frame)), _told(path, plain.write_many)
        )
    named = stack.enter_context(PcapngWriter(stream, topology.devices))
    # The devices of a box stay, with their indexes, for as long as it does.
    idents = array("I", bytes(4 + 4 * max((each.index for each in topology.devices.values()), default=0)))
    for ident, each in enumerate(topology.devices.values()):
        idents[each.index] = ident
    return Outlet(
        _told(path, lambda device, frame, now: named.write(device.name, now, frame)),
        _told(path, lambda burst: named.write_many(burst, idents)),
    )


P = ParamSpec("P")


def _told(path: str, write: Callable[P, None]) -> Callable[P, None]:
    def told(*arguments: P.args, **named: P.kwargs) -> None:
        try:
            write(*arguments, **named)
        except OverflowError as error:
            raise InputError(f"{path}: {error}") from None
        except OSError as error:
            with written(path):
                raise error

    return told


def forget(device: Device, frame: bytes, now: int) -> None:
    """What a box calls where nobody wants the frames."""


def _forget_many(burst: Burst) -> None:
    pass
