"""A netlink socket: requests and their answers, or notifications."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, Self

from flowtable.netlink.message import NLMSG_DONE, NLMSG_ERROR, Flag, Message, error, messages, request

if TYPE_CHECKING:
    from types import TracebackType

SOL_NETLINK: Final = 270
ADD_MEMBERSHIP: Final = 1
_EXT_ACK: Final = 11
_SO_RCVBUFFORCE: Final = 33
_RECEIVE_BUFFER: Final = 1 << 23
_DATAGRAM: Final = 1 << 18
"""The kernel makes no datagram of a dump that is larger than this."""
_ATTEMPTS: Final = 20
"""Dumps of one thing that changes meanwhile, before the last one has to do."""


def open_socket(protocol: int, receive_buffer: int) -> socket.socket:
    """A socket without a port yet, in the network namespace of the process.

    Args:
        protocol: ``socket.NETLINK_ROUTE`` or another.
        receive_buffer: bytes that the kernel may keep for it; without privileges it allows less.

    Raises:
        OSError: the kernel does not have the protocol.
    """
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_buffer)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    return opened


class OverrunError(Exception):
    """The kernel had more notifications than the socket took: some are lost."""


class NetlinkSocket:
    """A socket of one netlink protocol, in the network namespace of the process."""

    def __init__(self, protocol: int, groups: Iterable[int] = ()) -> None:
        """Open it.

        Args:
            protocol: ``socket.NETLINK_ROUTE`` or another.
            groups: the multicast groups of notifications to join; those that this kernel does
                not have are left out. A socket with groups does not block.

        Raises:
            OSError: the kernel does not have the protocol.
        """
        self._socket = open_socket(protocol, _RECEIVE_BUFFER)
        self._sequence = 0
        self._socket.setsockopt(SOL_NETLINK, _EXT_ACK, 1)
        self._socket.bind((0, 0))
        for group in groups:
            self._socket.setblocking(False)
            try:
                self._socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
            except OSError as refused:
                if refused.errno != errno.EINVAL:
                    raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def fileno(self) -> int:
        """The file descriptor, for a selector."""
        return self._socket.fileno()

    def dump(self, kind: int, body: bytes) -> list[Message]:
        """All objects of a kind, asked for again while they change during the dump.

        Raises:
            NetlinkError: the kernel refuses.
        """
        for _ in range(_ATTEMPTS):
            answers = list(self._ask(kind, Flag.DUMP, body))
            if not any(answer.flags & Flag.DUMP_INTR for answer in answers):
                break
        return answers

    def request(self, kind: int, flags: int, body: bytes) -> list[Message]:
        """Ask for a change, or for one object.

        Returns:
            The answers besides the acknowledgement.

        Raises:
            NetlinkError: the kernel refuses.
        """
        return list(self._ask(kind, flags | Flag.ACK, body))

    def _ask(self, kind: int, flags: int, body: bytes) -> Iterator[Message]:
        self._sequence += 1
        self._socket.send(request(kind, flags, self._sequence, body))
        while True:
            for answer in messages(self._socket.recv(_DATAGRAM)):
                if answer.sequence != self._sequence:
                    continue
                if answer.type not in (NLMSG_ERROR, NLMSG_DONE):
                    yield answer
                    continue
                refused = error(answer)
                if refused is not None:
                    raise refused
                return

    def forget(self) -> None:
        """Let go of what has come so far.

        What came before something that was lost may be undone by it, so after a loss the only
        truth is a dump that was asked for later than this.
        """
        while True:
            try:
                self._socket.recv(_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as failed:
                if failed.errno != errno.ENOBUFS:
                    raise

    def notifications(self, most: int) -> Iterator[Message]:
        """What has come since the last call, ``most`` datagrams at once; it never waits.

        Raises:
            OverrunError: something is lost; what is yielded next may be older or newer.
        """
        for _ in range(most):
            try:
                data = self._socket.recv(_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as failed:
                if failed.errno == errno.ENOBUFS:
                    raise OverrunError from None
                raise
            yield from messages(data)
