"""Live ports: where frames come in and go out as they happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from flowtable.packet.burst import Burst

ROOM: Final = 64
"""Frames that a port takes at once."""


class PortError(OSError):
    """A port that cannot be opened; the message says which and why."""


class Port(Protocol):
    """A way in and out of one device.

    Attributes:
        lost: frames that could not be sent, because the queue below was full or the link down.
    """

    lost: int

    def fileno(self) -> int:
        """The file descriptor that is readable when frames have come."""

    def receive(self, now: int) -> Burst:
        """Frames that have come, at most ``ROOM`` or what becomes of so many; it does not wait.

        Args:
            now: their time, nanoseconds.

        Returns:
            They are overwritten by the next call.
        """

    def send(self, frame: bytes) -> None:
        """Send a frame, or lose it."""

    def send_many(self, burst: Burst, places: range | list[int]) -> None:
        """Send some of the frames of a burst, or lose them."""

    def close(self) -> None:
        """Close it."""
