"""A connection that Linux tracks and we know of: what is known here, what there, what to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Connection, Status, TcpFlag, TcpTracking, TcpWindow
from flowtable.conntrack.udp import STREAM_AFTER
from flowtable.live.ctnetlink.request import Change, Masked
from flowtable.packet.packet import TCP, UDP

if TYPE_CHECKING:
    from flowtable.live.ctnetlink.message import Request
    from flowtable.live.ctnetlink.report import Identity, Report

OURS: Final = Status.OFFLOAD | Status.HW_OFFLOAD
"""Bits of the status that Linux does not know of."""
SEEN: Final = Status.SEEN_REPLY | Status.ASSURED
"""Bits of the status that packets of the fast path set, and that may be written."""
_NOT_KNOWN: Final = TcpWindow(), TcpWindow()
"""Stand for the windows of every connection, which Linux does not tell."""
_LIBERAL: Final = Masked(TcpFlag.BE_LIBERAL, TcpFlag.BE_LIBERAL)
_NO_MAXACK: Final = Masked(0, TcpFlag.MAXACK_SET)


class Tracked:
    """A connection here and there.

    Attributes:
        connection: as the flowtables see it; times in monotonic nanoseconds.
        identity: what Linux knows it by.
        ident: the number that tells it from an earlier one with the same tuples.
        status: its status there, as far as known.
        expires: when it times out there, as far as known.
        due: when to look next whether that has to be written; 0 while nothing is planned.
        change: what is to be written, None for nothing.
        settle: write exactly when it times out, since the classic path has it again.
        wrote: that was written, and nothing was heard of it since.
    """

    __slots__ = ("change", "connection", "due", "expires", "ident", "identity", "settle", "status", "wrote")

    def __init__(self, report: Report, identity: Identity, now: int, *, accounting: bool) -> None:
        """Begin to know a connection.

        Args:
            report: what was said of it; of TCP with its state.
            identity: the report's.
            now: the time.
            accounting: whether Linux counts its packets, where the report does not say.
        """
        self.identity = identity
        self.ident = report.ident
        self.status = 0
        self.expires = 0
        self.due = 0
        self.change: Change | None = None
        self.settle = False
        self.wrote = False
        original = report.original
        counted = accounting or report.counters is not None
        # The table is that of Linux, which knows it by its identity.
        self.connection = connection = Connection(
            original, report.reply, start=now, accounting=counted, keys=((), ())
        )
        connection.zone = identity.zone
        connection.ident = self.ident or 0
        if original.l4proto == TCP:
            connection.tcp = TcpTracking(_NOT_KNOWN)
        self.learn(report, now)
        if original.l4proto == UDP and connection.status & Status.ASSURED:
            # It has been a stream for a while; Linux does not say since when.
            connection.start = now - STREAM_AFTER - 1

    def learn(self, report: Report, now: int) -> None:
        """Take over what a report says."""
        connection = self.connection
        status = report.status
        if status is not None:
            self.status = status
            connection.status = status | connection.status & (OURS | SEEN)
        timeout = report.timeout
        if timeout is not None:
            self.expires = now + timeout * SECOND
            if not connection.status & Status.OFFLOAD or connection.expires < self.expires:
                connection.expires = self.expires
        tcp = report.tcp
        if tcp is not None and connection.tcp is not None:
            connection.tcp.state = tcp.state
        labels = report.labels
        if labels is not None:
            connection.labels = labels
        mark = report.mark
        if mark is not None:
            connection.mark = mark
        helper = report.helper
        if helper is not None:
            connection.helper = helper

    def changing(self) -> Change:
        """What is to be written, to be added to."""
        if self.change is None:
            self.change = Change()
        return self.change

    def offload(self) -> None:
        """The fast path has it."""
        connection = self.connection
        connection.status |= Status.OFFLOAD
        self.settle = False
        if connection.tcp is not None:
            connection.tcp.make_liberal()
            self.changing().tcp = (_LIBERAL, _LIBERAL)

    def take_back(self) -> None:
        """The classic path has it again.

        Its windows are those of the time when it was offloaded and cannot be written, so Linux has
        to stay liberal with it, as it does after flows of its own. The highest acknowledgement can
        be forgotten, so that the next RST is believed.

        Ref: net/netfilter/nf_conntrack_proto_tcp.c:nlattr_to_tcp, nf_conntrack_tcp_packet.
        """
        connection = self.connection
        connection.status &= ~OURS
        self.settle = True
        if connection.tcp is not None:
            forget = Masked(_LIBERAL.value, _LIBERAL.mask | _NO_MAXACK.mask)
            self.changing().tcp = (forget, forget)

    def unmark(self, labels: int, mark: int) -> None:
        """Take marks away: bits of its labels, and of its mark."""
        connection, change = self.connection, self.changing()
        connection.labels &= ~labels
        connection.mark &= ~mark
        if labels:
            change.labels = Masked(0, labels | (change.labels.mask if change.labels else 0))
        if mark:
            change.mark = Masked(0, mark | (change.mark.mask if change.mark else 0))

    def retime(self, now: int) -> None:
        """Write when it times out."""
        connection = self.connection
        self.expires = connection.expires
        # Rounded up: Linux tells and takes whole seconds.
        self.changing().timeout = -(min(now - connection.expires, 0) // SECOND)

    def settled(self, report: Report, now: int) -> None:
        """The classic path has it again: write how long it has left, unless that is known better there.

        Packets on the classic path may have moved its timeout, and its state, in the meantime.
        """
        self.settle = False
        tcp, told, timeout = self.connection.tcp, report.tcp, report.timeout
        moved = tcp is not None and told is not None and told.state != tcp.state
        if timeout is None or moved:
            self.connection.expires = 0
            self.learn(report, now)
            return
        there = now + timeout * SECOND
        lengthened = abs(there - self.expires) <= 2 * SECOND and self.connection.expires < there
        if lengthened or self.connection.expires > there + SECOND:
            self.retime(now)
            self.wrote = True
        elif there > self.connection.expires:
            self.connection.expires = there
            self.expires = there

    def request(self) -> Request | None:
        """The request that writes what is to be written, None for nothing."""
        change, self.change = self.change, None
        if change is None:
            return None
        if more := self.connection.status & SEEN & ~self.status:
            # Bits that may not change have to be as they are. Ref: nf_ct_change_status_common.
            self.status |= more
            change.status = self.status
        return change.request(self.identity)
