"""The captures of a run, in one order of time."""

from __future__ import annotations

import os
import stat
import sys
from collections import Counter
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Self

from flowtable.capture import ROOM, Capture, CaptureError, Stretch, merge, open_capture
from flowtable.cli.error import InputError
from flowtable.cli.load import STANDARD
from flowtable.topology.stack import below

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from contextlib import ExitStack

    from flowtable.capture import Record, Skip
    from flowtable.topology.device import Device


class Input(NamedTuple):
    """A capture to read.

    Attributes:
        path: the file, ``-`` for standard input.
        device: the device on which it was captured, None where the file says so itself.
    """

    path: str
    device: str | None = None


class Inputs:
    """Open captures.

    Attributes:
        captures: in the order in which they were given.
        size: of all of them in bytes, None where one is no regular file.
        errors: how the reading of some of them ended before their end, known after the last record.
    """

    def __init__(
        self,
        captures: list[Capture],
        named: Sequence[str | None],
        devices: Mapping[str, Device],
        size: int | None,
    ) -> None:
        self.captures = captures
        self.size = size
        self.errors: list[str] = []
        self._named = named
        self._devices = devices

    @classmethod
    def open(cls, inputs: Sequence[Input], devices: Mapping[str, Device], stack: ExitStack) -> Self:
        """Open captures, which ``stack`` closes.

        Args:
            inputs: the captures.
            devices: the devices of the box by name; captures are of those that frames come in on.
            stack: what closes the captures.

        Raises:
            InputError: one cannot be opened, or is no capture.
        """
        captures: list[Capture] = []
        sizes: list[int | None] = []
        for path, device in inputs:
            try:
                stream = _open(path, stack)
                captures.append(open_capture(stream, path, device))
            except CaptureError as error:
                raise InputError(str(error)) from None
            except OSError as error:
                raise InputError(f"{path}: {error.strerror}") from None
            sizes.append(_size(stream))
        known = [size for size in sizes if size is not None]
        size = sum(known) if len(known) == len(sizes) else None
        return cls(captures, [device for _, device in inputs], devices, size)

    @property
    def position(self) -> int:
        """How many of their bytes were read so far."""
        return sum(capture.position for capture in self.captures)

    @property
    def skipped(self) -> Counter[Skip]:
        """Packets passed over so far, by reason."""
        return sum((capture.skipped for capture in self.captures), Counter())

    def records(self) -> Generator[Record, None, None]:
        """All records by time; all are on devices of the box that frames come in on.

        Damage, or an interface that is none of these, ends the capture it is in, and is found in
        ``errors``.
        """
        yield from merge(map(self._usable, self.captures, self._named))

    def stretches(self) -> Generator[Stretch, None, None]:
        """The same as ``records``, many at once.

        Raises:
            OSError: the library is not there.
        """
        if len(self.captures) == 1:
            yield from self._usable_stretches(self.captures[0], self._named[0])
            return
        records, stretch = self.records(), Stretch()
        while True:
            stretch.put(islice(records, ROOM))
            if not stretch.burst.count:
                return
            yield stretch

    def _usable(self, capture: Capture, device: str | None) -> Generator[Record, None, None]:
        devices = self._devices
        try:
            for record in capture:
                at = devices.get(record[1])
                if at is None or not at.on_wire:
                    self.errors.append(self._unknown(capture, record.number, record.interface))
                    return
                if device is not None and len(capture.interfaces) > 1:
                    self.errors.append(_several(capture, record.number, device))
                    return
                yield record
        except CaptureError as error:
            self.errors.append(str(error))
        except OSError as error:
            self.errors.append(f"{capture.name}: {error.strerror}")

    def _usable_stretches(self, capture: Capture, device: str | None) -> Generator[Stretch, None, None]:
        try:
            for stretch in capture.stretches():
                burst = stretch.burst
                first, name = self._first_unknown(stretch)
                if device is not None and len(capture.interfaces) > 1 and first:
                    self.errors.append(_several(capture, stretch.number, device))
                    return
                stretch.cut(first)
                if burst.count:
                    yield stretch
                if name is not None:
                    self.errors.append(self._unknown(capture, stretch.number + first, name))
                    return
        except CaptureError as error:
            self.errors.append(str(error))
        except OSError as error:
            self.errors.append(f"{capture.name}: {error.strerror}")

    def _first_unknown(self, stretch: Stretch) -> tuple[int, str | None]:
        """The first packet of a stretch on no device that frames come in on: its place, its interface."""
        count, name = stretch.burst.count, None
        for place, each in enumerate(stretch.names):
            device = self._devices.get(each)
            if device is None or not device.on_wire:
                with suppress(ValueError):
                    count = stretch.burst.devices.index(place, 0, count)
                    name = each
        return count, name

    def _unknown(self, capture: Capture, number: int, interface: str) -> str:
        device = self._devices.get(interface)
        if device is not None:
            return f"{capture.name}: packet {number}: {not_on_wire(device)}"
        name = f"interface {interface}" if interface else "an interface without a name"
        if len(capture.interfaces) == 1:
            hint = f"--in DEV={capture.name} says which it is"
        else:
            hint = "--in DEV=FILE says which it is, of a capture of one interface"
        return (
            f"{capture.name}: packet {number}: {name} is no device of the box,"
            f" which has {', '.join(wires(self._devices))}; {hint}"
        )


def wires(devices: Mapping[str, Device]) -> list[str]:
    """Names of the devices that frames come in on."""
    return [name for name, device in devices.items() if device.on_wire]


def not_on_wire(device: Device) -> str:
    """Why nothing can have come in on a device, and where it did."""
    wire = ", ".join(dict.fromkeys(each.name for each in _under(device) if each.on_wire))
    where = f"frames come in on what it stands on, {wire}" if wire else "no frames come in on it"
    return f"{device.name} is a {device.kind.value} device: {where}"


def _under(device: Device) -> Iterator[Device]:
    for lower in below(device):
        yield lower
        yield from _under(lower)


def _several(capture: Capture, number: int, device: str) -> str:
    names = ", ".join(name or "one without a name" for name in capture.interfaces)
    return (
        f"{capture.name}: packet {number}: captured on several interfaces ({names});"
        f" --in {device}=FILE takes a capture of one"
    )


def _open(path: str, stack: ExitStack) -> BinaryIO:
    if path == STANDARD:
        return sys.stdin.buffer
    return stack.enter_context(closing(Path(path).open("rb")))


def _size(stream: BinaryIO) -> int | None:
    try:
        status = os.fstat(stream.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
