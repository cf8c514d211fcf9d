"""What a run sent against what the router sent while it was captured."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.cli.chance import Chance, is_listener_report
from flowtable.cli.dissect import difference, summary
from flowtable.cli.figure import count
from flowtable.clock import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowtable.topology.device import Device
    from flowtable.topology.topology import Topology

    Transmit = Callable[[Device, bytes, int], None]

SHOWN: Final = 10
"""How many differences are told in full."""
_PEERS: Final = {b"\x08\x00": slice(26, 34), b"\x86\xdd": slice(22, 54)}
"""Where the addresses of a packet are, by the ethertype of its frame."""


class _Frame(NamedTuple):
    """A frame without what is drawn at random; when it was sent, nanoseconds; its number in the capture."""

    device: str
    data: bytes
    time: int
    number: int = 0

    @property
    def conversation(self) -> tuple[str, bytes]:
        """What tells frames apart that cannot be the same one."""
        kind = self.data[12:14]
        return self.device, kind + self.data[_PEERS[kind] if kind in _PEERS else slice(0, 12)]


class Difference(NamedTuple):
    """A frame that the router sent and the run did not, or the other way round, or what became of it.

    Attributes:
        device: where it left.
        number: its number in the capture, 0 if it is not there.
        time: when it left, nanoseconds.
        text: what is different.
    """

    device: str
    number: int
    time: int
    text: str


class Comparison:
    """Holds the frames that a box sends against those that the capture says it sent.

    Frames are compared device by device; of two that come at once either may be the first.
    What Linux draws at random counts as the same (``Chance``), and multicast listener reports of
    the router are left out: it joins groups, the box only listens.

    Attributes:
        expected: how many frames the router sent.
        identical: how many of them the box sent as well, byte for byte.
    """

    def __init__(self, topology: Topology) -> None:
        self.expected = 0
        self.identical = 0
        self._own = frozenset(
            address.address for device in topology.devices.values() for address in device.addresses
        )
        self._chance = Chance()
        self._missing: dict[tuple[str, bytes], deque[_Frame]] = {}
        self._spurious: dict[tuple[str, bytes], deque[_Frame]] = {}
        self._differences: list[Difference] | None = None

    def received(self, frame: bytes) -> None:
        """A frame came in."""
        self._chance.saw(frame)

    def captured(self, device: str, frame: bytes, time: int, number: int) -> None:
        """The capture has a frame that the router sent."""
        if is_listener_report(frame):
            return
        self.expected += 1
        self._match(_Frame(device, self._chance.without(frame), time, number), self._spurious, self._missing)

    def watch(self, transmit: Transmit) -> Transmit:
        """Take notice of all that goes to ``transmit``."""

        def watched(device: Device, frame: bytes, time: int) -> None:
            transmit(device, frame, time)
            sent = _Frame(device.name, self._chance.without(frame), time)
            self._match(sent, self._missing, self._spurious)

        return watched

    def _match(
        self,
        frame: _Frame,
        others: dict[tuple[str, bytes], deque[_Frame]],
        waiting: dict[tuple[str, bytes], deque[_Frame]],
    ) -> None:
        key = frame.device, frame.data
        partners = others.get(key)
        if partners is None:
            waiting.setdefault(key, deque()).append(frame)
            return
        partners.popleft()
        if not partners:
            del others[key]
        self.identical += 1

    def differences(self) -> list[Difference]:
        """All that is different, in order of time; known when the run is over."""
        if self._differences is None:
            self._differences = sorted(self._paired(), key=lambda each: each.time)
        return self._differences

    def _paired(self) -> Iterator[Difference]:
        """Pair what is left, conversation by conversation."""
        spurious: dict[tuple[str, bytes], deque[_Frame]] = {}
        for frame in _in_order(self._spurious):
            spurious.setdefault(frame.conversation, deque()).append(frame)
        for frame in _in_order(self._missing):
            partners = spurious.get(frame.conversation)
            if not partners:
                yield Difference(
                    frame.device, frame.number, frame.time, f"was not sent: {summary(frame.data)}"
                )
                continue
            sent = partners.popleft()
            if self._drawn(frame.data) == self._drawn(sent.data):
                self.identical += 1
                continue
            yield Difference(frame.device, frame.number, frame.time, difference(frame.data, sent.data))
        for frame in (each for partners in spurious.values() for each in partners):
            yield Difference(frame.device, 0, frame.time, f"not in the capture: {summary(frame.data)}")

    def _drawn(self, frame: bytes) -> bytes:
        """The frame without an identification that may by chance be one that came in."""
        if frame[12:14] != b"\x08\x00" or frame[26:30] not in self._own:
            return frame
        return frame[:18] + b"\0\0" + frame[20:24] + b"\0\0" + frame[26:]

    def summary(self) -> str:
        """The result in words, the first differences in full."""
        found = self.differences()
        lines = [
            f"compared with the capture: {count(self.identical)} of {count(self.expected)} frames"
            f" that the router sent are identical, {count(len(found))} differences"
        ]
        for device, number, time, text in found[:SHOWN]:
            where = f"packet {number}" if number else f"{time // SECOND}.{time % SECOND:09}"
            lines.append(f"  {device}: {where}: {text}")
        if len(found) > SHOWN:
            lines.append(f"  and {count(len(found) - SHOWN)} more")
        return "\n".join(lines)


def _in_order(frames: dict[tuple[str, bytes], deque[_Frame]]) -> list[_Frame]:
    return sorted((frame for each in frames.values() for frame in each), key=lambda frame: frame.time)
