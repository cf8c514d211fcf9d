"""The control socket, from the service's side: who asks, and what they are sent.

Nothing here blocks, and nothing grows without bound: requests are short, answers are made as fast
as they are read, and a monitor that does not read loses events and is told how many.
"""

from __future__ import annotations

import os
import socket
from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.live.codec import CodecError, Lines
from flowtable.live.control import REQUEST_LIMIT, Done, Event, Failed, line, read_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flowtable.live.control import Answer, Request

CLIENTS: Final = 32
"""How many may be connected at once."""
_READ: Final = 65536
_BUFFERED: Final = 1 << 18
"""Bytes made ready at once."""
_BACKLOG: Final = 1 << 20
"""Bytes of events that wait for a monitor before it loses some."""
_CREDENTIALS: Final = Struct("iII")
"""Ref: struct ucred."""


class Endpoint:
    """The listening socket."""

    def __init__(self, path: Path) -> None:
        """Listen.

        Raises:
            OSError: the directory cannot be written.
        """
        self._path = path
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        mask = os.umask(0o177)
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(mask)
        self._socket.listen(CLIENTS)

    def fileno(self) -> int:
        """Readable when someone connects."""
        return self._socket.fileno()

    def accept(self) -> Peer | None:
        """Who connected; None if it was nobody who may."""
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return None
        size = _CREDENTIALS.size
        _, user, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        if user != os.geteuid():
            connection.close()
            return None
        connection.setblocking(False)
        return Peer(connection)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
        self._path.unlink(missing_ok=True)


class Peer:
    """Someone who is connected.

    Attributes:
        monitors: whether events go there.
        closed: whether there is nothing more to do for it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.monitors = False
        self.closed = False
        self._socket = connection
        self._lines = Lines(REQUEST_LIMIT)
        self._out = bytearray()
        self._answers: Iterator[Answer] | None = None
        self._lost = 0

    def fileno(self) -> int:
        """Its socket."""
        return self._socket.fileno()

    def read(self) -> Request | None:
        """The request that came, if one did; the first of several, for a client waits for its answer."""
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self.close()
            return None
        try:
            lines = self._lines.feed(data)
            if not lines:
                return None
            if self.busy:
                raise CodecError("a request is being answered already")
            return read_request(lines[0])
        except CodecError as error:
            self.fail(str(error))
            return None

    def answer(self, answers: Iterator[Answer]) -> None:
        """Send answers as they are made, and ``Done`` behind them."""
        self._answers = answers
        self.write()

    def fail(self, message: str) -> None:
        """Say why there is no answer."""
        self._answers = None
        self._out += line(Failed(message))
        self.write()

    def tell(self, event: Event) -> None:
        """Send an event to a monitor, if it keeps up."""
        if len(self._out) > _BACKLOG:
            self._lost += 1
            return
        if self._lost:
            self._out += line(
                Event(event.time, "lost", text=f"{self._lost} events came faster than they were read")
            )
            self._lost = 0
        self._out += line(event)
        self.write()

    @property
    def busy(self) -> bool:
        """Whether there is something to send."""
        return bool(self._out) or self._answers is not None

    def write(self) -> None:
        """Send what there is to send, as much as fits."""
        while self._fill():
            try:
                sent = self._socket.send(self._out)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            del self._out[:sent]

    def _fill(self) -> bool:
        while self._answers is not None and len(self._out) < _BUFFERED:
            answer = next(self._answers, None)
            self._out += line(Done() if answer is None else answer)
            if answer is None:
                self._answers = None
        return bool(self._out) and not self.closed

    def close(self) -> None:
        """Hang up."""
        self.closed = True
        self._answers = None
        self._out.clear()
        self._socket.close()
