"""A box on live wires: what comes in at its ports goes through it, and its clock is this machine's."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import ExitStack, closing
from selectors import EVENT_READ, DefaultSelector
from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowtable.capture.port import Port
    from flowtable.packet.burst import Burst
    from flowtable.router import Box
    from flowtable.topology.device import Device

_LONGEST: Final = SECOND
"""Nanoseconds between two looks at the clock, so that connections expire without packets."""
_MANY: Final = 16
"""Times that a port is asked for more before others get their turn."""


class Wires:
    """The ports of a box."""

    def __init__(self, box: Box, ports: Mapping[int, Port]) -> None:
        """Take the box's place on the wires.

        Args:
            box: the box; what it sends leaves here from now on.
            ports: by the indexes of its devices.
        """
        self._box = box
        self._ports = ports
        self._stopped = False
        # The time of day, which rules may ask for, that never goes back.
        self._epoch = time.time_ns() - time.monotonic_ns()
        self._selector = DefaultSelector()
        for port in ports.values():
            self._selector.register(port.fileno(), EVENT_READ, port)
        box.transmit = self._send
        box.transmit_many = self._send_many

    def now(self) -> int:
        """The box's time, nanoseconds."""
        return self._epoch + time.monotonic_ns()

    def run(self, ready: Callable[[], None]) -> None:
        """Forward until SIGINT or SIGTERM.

        Args:
            ready: called once frames are taken.
        """
        with ExitStack() as stack:
            self._selector.register(self._catch_signals(stack), EVENT_READ)
            self._box.advance(self.now())
            ready()
            while not self._stopped:
                self.turn(self._patience())

    def turn(self, seconds: float) -> bool:
        """Wait for frames, send on what has come, and do what is due.

        Args:
            seconds: how long to wait at most.

        Returns:
            Whether there were frames.
        """
        taken = [self._take(key.data) for key, _ in self._selector.select(seconds) if key.data is not None]
        self._box.advance(self.now())
        return any(taken)

    def close(self) -> None:
        """Wait for ports no more; they stay open."""
        self._selector.close()

    def _take(self, port: Port) -> bool:
        for turn in range(_MANY):
            burst = port.receive(self.now())
            if not burst.count:
                return turn > 0
            self._box.receive_many(burst)
        return True

    def _patience(self) -> float:
        """Seconds until something is due."""
        return max(min(self._box.due - self.now(), _LONGEST), 0) / SECOND

    def _send(self, device: Device, frame: bytes, now: int) -> None:
        port = self._ports.get(device.index)
        if port is not None:
            port.send(frame)

    def _send_many(self, burst: Burst) -> None:
        devices = burst.devices[: burst.count]
        for index in set(devices):
            port = self._ports.get(index)
            if port is None:
                continue
            if devices.count(index) == burst.count:
                port.send_many(burst, range(burst.count))
            else:
                port.send_many(burst, [place for place, device in enumerate(devices) if device == index])

    def _catch_signals(self, stack: ExitStack) -> socket.socket:
        """What is readable once a signal says that it is enough."""
        woken, waker = socket.socketpair()
        for each in (woken, waker):
            each.setblocking(False)
            stack.enter_context(closing(each))
        for number in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.signal(number, lambda *_: self._stop()))
        stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(waker.fileno()))
        return woken

    def _stop(self) -> None:
        self._stopped = True
