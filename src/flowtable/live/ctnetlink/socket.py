"""The two sockets to the kernel: one that listens to what happens, one that asks and orders.

Ref: man 7 netlink; net/netlink/af_netlink.c.
"""

from __future__ import annotations

import os
import socket
from errno import ENOBUFS
from typing import TYPE_CHECKING, Final, Self

from flowtable.live.ctnetlink.attribute import MalformedError
from flowtable.live.ctnetlink.message import Answer, CpuStatistics, Done, Statistics, decode
from flowtable.live.ctnetlink.report import Report
from flowtable.netlink.socket import ADD_MEMBERSHIP, SOL_NETLINK, open_socket

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flowtable.live.ctnetlink.message import Incoming, Request

NETLINK_NETFILTER: Final = 12
_CAP_ACK: Final = 10
BEGUN: Final = 1
UPDATED: Final = 2
DESTROYED: Final = 3
GROUPS: Final = (BEGUN, UPDATED, DESTROYED)
"""Ref: include/uapi/linux/netfilter/nfnetlink.h:nfnetlink_groups."""

RECEIVE_BUFFER: Final = 16 << 20
"""Bytes that the kernel may keep for a listener: about 20,000 events, each of which costs it 768."""
_EVENT: Final = 4096
"""More than the longest event; each comes alone."""
_DUMP: Final = 1 << 16
"""The kernel fills up to 32 KiB at a time for who reads as much. Ref: netlink_dump."""
_ANSWERS: Final = 1 << 20
_LAST: Final = 0xFFFFFFFF
_BATCH: Final = 256
"""Requests in one system call; what fails among them is to fit the receive buffer."""


class _Socket:
    def __init__(self, receive_buffer: int) -> None:
        self._socket = open_socket(NETLINK_NETFILTER, receive_buffer)
        self._socket.setsockopt(SOL_NETLINK, _CAP_ACK, 1)
        self._socket.bind((0, 0))
        self.port: int = self._socket.getsockname()[0]

    def fileno(self) -> int:
        """The file descriptor to wait for."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Listener(_Socket):
    """Hears of each connection of this network namespace that begins, changes or ends.

    It does so only of connections that began after it was opened, unless the sysctl
    ``nf_conntrack_events`` is 1; with 0 of none.

    Ref: net/netfilter/nf_conntrack_ecache.c:nf_ct_ecache_ext_add.

    Attributes:
        port: its netlink port.
    """

    def __init__(self, receive_buffer: int = RECEIVE_BUFFER, groups: Iterable[int] = GROUPS) -> None:
        """Begin to listen.

        Args:
            receive_buffer: bytes the kernel may keep for it; without privileges it allows less.
            groups: which events to hear, of ``GROUPS``.

        Raises:
            PermissionError: this takes CAP_NET_ADMIN in the namespace.
            OSError: the kernel has no connection tracking that tells.
        """
        super().__init__(receive_buffer)
        self._overrun = False
        for group in groups:
            self._socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
        self._socket.setblocking(False)

    def read(self, limit: int = 4096, own: int = 0) -> list[Report]:
        """The events that wait, none if there are none; ask ``overrun`` whether others were lost.

        Args:
            limit: how many at most.
            own: leave out what requests of the socket with this port caused.
        """
        reports: list[Report] = []
        receive = self._socket.recv
        for _ in range(limit):
            try:
                reports.extend(each for each in decode(receive(_EVENT), own) if type(each) is Report)
            except BlockingIOError:
                break
            except MalformedError:
                # As good as lost.
                self._overrun = True
            except OSError as error:
                if error.errno != ENOBUFS:
                    raise
                self._overrun = True
        return reports

    def overrun(self) -> bool:
        """Whether events were lost since the last call: they came faster than they were read, or broken.

        What is known has to be dumped anew then.
        """
        lost, self._overrun = self._overrun, False
        return lost


class Requester(_Socket):
    """Asks the kernel for connections, and changes and deletes them.

    Attributes:
        port: its netlink port.
    """

    def __init__(self) -> None:
        """Open it.

        Raises:
            OSError: the kernel has no netfilter.
        """
        super().__init__(_ANSWERS)
        self._sequence = 0

    def dump(self, request: Request) -> Iterator[Report]:
        """The connections that a ``request.dump`` asks for, as they come in.

        Raises:
            OSError: the kernel does not give them.
        """
        for incoming in self._ask(request):
            if isinstance(incoming, Report):
                yield incoming

    def get(self, request: Request) -> Report | None:
        """The connection that a ``request.get`` asks for, None if there is none.

        Raises:
            OSError: the kernel does not give it.
        """
        try:
            for incoming in self._ask(request):
                if isinstance(incoming, Report):
                    return incoming
        except FileNotFoundError:
            pass
        return None

    def statistics(self, request: Request) -> Statistics | None:
        """How full the table is, None where the kernel does not say.

        Raises:
            OSError: the kernel refuses.
        """
        for incoming in self._ask(request):
            if isinstance(incoming, Statistics):
                return incoming
        return None

    def statistics_by_cpu(self, request: Request) -> Iterator[CpuStatistics]:
        """What was counted on each processor.

        Raises:
            OSError: the kernel refuses.
        """
        for incoming in self._ask(request):
            if isinstance(incoming, CpuStatistics):
                yield incoming

    def order(self, request: Request) -> None:
        """Have done what a request with an acknowledgement asks for.

        Raises:
            FileNotFoundError: there is no such connection.
            OSError: the kernel refuses.
        """
        for _ in self._ask(request):
            pass

    def look(self, requests: Sequence[Request]) -> list[Report | None]:
        """The connections that many ``request.get`` ask for, None for those that are not there.

        Raises:
            OSError: the kernel does not give them.
        """
        found: list[Report | None] = []
        for _, batch in self._send(requests):
            # Each has one answer: the connection or an error.
            answers = [each if isinstance(each, Report) else None for each in self._waiting()]
            if len(answers) != len(batch):
                raise OSError(ENOBUFS, "answers of the kernel were lost")
            found += answers
        return found

    def send(self, requests: Sequence[Request]) -> list[tuple[int, int]]:
        """Send many requests that want no acknowledgement, many with one system call.

        The kernel has carried them out when this returns. Ref: net/netfilter/nfnetlink.c:nfnetlink_rcv.

        Returns:
            For each that failed its place among them and the error number.
        """
        failed: list[tuple[int, int]] = []
        begin = 0
        for first, batch in self._send(requests):
            failed += [
                (begin + each.sequence - first, each.errno)
                for each in self._waiting()
                if isinstance(each, Answer) and each.errno
            ]
            begin += len(batch)
        return failed

    def _send(self, requests: Sequence[Request]) -> Iterator[tuple[int, Sequence[Request]]]:
        """Send them batch by batch: the first sequence number of each, and what is in it."""
        for begin in range(0, len(requests), _BATCH):
            batch = requests[begin : begin + _BATCH]
            first = self._next(len(batch))
            self._socket.send(b"".join(each.message(first + place) for place, each in enumerate(batch)))
            yield first, batch

    def _next(self, count: int) -> int:
        first = self._sequence + 1
        if first + count > _LAST:
            first = 1
        self._sequence = first + count - 1
        return first

    def _ask(self, request: Request) -> Iterator[Incoming]:
        sequence = self._next(1)
        self._socket.send(request.message(sequence))
        while True:
            for incoming in decode(self._socket.recv(_DUMP)):
                if isinstance(incoming, (Answer, Done)):
                    if incoming.sequence != sequence:
                        continue
                    if incoming.errno:
                        raise OSError(incoming.errno, os.strerror(incoming.errno))
                    return
                yield incoming

    def _waiting(self) -> Iterator[Incoming]:
        """What can be read without waiting."""
        try:
            while True:
                yield from decode(self._socket.recv(_DUMP, socket.MSG_DONTWAIT))
        except BlockingIOError:
            pass
