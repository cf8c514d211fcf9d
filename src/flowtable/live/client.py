"""The control socket, from the side of who asks."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final, Self

from flowtable.live.codec import CodecError, Lines
from flowtable.live.control import ANSWER_LIMIT, Done, Failed, line, read_answer
from flowtable.live.place import socket_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flowtable.live.control import Answer, Request

_READ: Final = 1 << 18
_NOBODY: Final = "no flowtable service runs in this network namespace (start one: flowtable up -f RULESET)"


class ServiceError(Exception):
    """The service is not there, or cannot do what it was asked; the message says why."""


class Client:
    """A connection to a service."""

    def __init__(self, path: Path | None = None) -> None:
        """Connect.

        Args:
            path: the control socket; None for that of this network namespace.

        Raises:
            ServiceError: there is no service, or it is not ours to talk to.
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        path = socket_path() if path is None else path
        try:
            self._socket.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            self._socket.close()
            raise ServiceError(_NOBODY) from None
        except PermissionError:
            self._socket.close()
            raise ServiceError(f"{path}: only root may talk to the service") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def ask(self, request: Request) -> Iterator[Answer]:
        """The answers to a request, as they come.

        Raises:
            ServiceError: the service says why it does not answer, or went away.
        """
        lines = Lines(ANSWER_LIMIT)
        try:
            self._socket.sendall(line(request))
            while data := self._socket.recv(_READ):
                for each in lines.feed(data):
                    answer = read_answer(each)
                    match answer:
                        case Done():
                            return
                        case Failed(message):
                            raise ServiceError(message)
                        case _:
                            yield answer
        except (OSError, CodecError) as error:
            raise ServiceError(f"the service went away: {error}") from None
        raise ServiceError("the service went away")
