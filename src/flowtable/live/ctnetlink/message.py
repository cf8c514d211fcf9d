"""Netlink messages: what a socket gives, cut into reports and answers.

Ref: include/uapi/linux/netlink.h; include/uapi/linux/netfilter/nfnetlink.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final, TypeAlias

from flowtable.live.ctnetlink.attribute import MalformedError, attributes
from flowtable.live.ctnetlink.constants import STATISTICS, CtaNested, Message
from flowtable.live.ctnetlink.report import Event, Report
from flowtable.netlink.message import HEADER, NLMSG_DONE, NLMSG_ERROR, Flag, request

if TYPE_CHECKING:
    from collections.abc import Iterator

GENERAL: Final = Struct(">BBH")
"""Family, version and resource. Ref: nfgenmsg."""
_unpack: Final = HEADER.unpack_from
_errno = Struct("=i").unpack_from
_BODY: Final = HEADER.size
_FIELDS: Final = HEADER.size + GENERAL.size

# Plain numbers: the loop over a dump is the slower for members of an enum.
_REQUEST: Final = int(Flag.REQUEST)
_MULTI: Final = int(Flag.MULTI)
_CREATE: Final = int(Flag.CREATE)
_INTERRUPTED: Final = int(Flag.DUMP_INTR)
_DELETE: Final = int(Message.DELETE)
_CONNECTION: Final = (int(Message.NEW), _DELETE)
_END: Final = (NLMSG_ERROR, NLMSG_DONE)
_STATISTICS: Final = int(Message.STATISTICS)
_STATISTICS_CPU: Final = int(Message.STATISTICS_CPU)


@dataclass(slots=True, frozen=True)
class Answer:
    """What became of a request; of those that want no acknowledgement only failures are told.

    Attributes:
        sequence: the sequence number of the request.
        errno: 0 for success.
    """

    sequence: int
    errno: int


@dataclass(slots=True, frozen=True)
class Done:
    """The end of a dump.

    Attributes:
        sequence: the sequence number of the request.
        errno: 0 for success.
        interrupted: the table changed in size meanwhile: entries may be missing or come twice.
    """

    sequence: int
    errno: int
    interrupted: bool


@dataclass(slots=True, frozen=True)
class Statistics:
    """How full the table is.

    Attributes:
        entries: connections in it.
        maximum: how many there may be, None where the kernel does not say.
    """

    entries: int
    maximum: int | None


@dataclass(slots=True, frozen=True)
class CpuStatistics:
    """What was counted on a processor.

    Attributes:
        cpu: its number.
        counts: name and count of each thing.
    """

    cpu: int
    counts: tuple[tuple[str, int], ...]


Incoming: TypeAlias = Report | Answer | Done | Statistics | CpuStatistics


def decode(data: bytes, own: int = 0) -> Iterator[Incoming]:
    """What is in the bytes that one read of a socket gave, in their order.

    Messages of other kinds, expectations among them, are left out.

    Args:
        data: the bytes, whole messages.
        own: leave out reports that requests of the socket with this netlink port caused, 0 for none.

    Raises:
        MalformedError: a message does not fit in, or its attributes are broken. What came before it
            has been given already.
    """
    start = 0
    end = len(data)
    while start + _BODY <= end:
        size, kind, flags, sequence, port = _unpack(data, start)
        stop = start + size
        if size < _BODY or stop > end:
            raise MalformedError(f"message of {size} bytes where there are {end - start}")
        if kind in _CONNECTION:
            if not own or port != own:
                if size < _FIELDS:
                    raise MalformedError("message without a family")
                if kind == _DELETE:
                    event = Event.DESTROY
                elif flags & _MULTI:
                    event = Event.ENTRY
                else:
                    event = Event.NEW if flags & _CREATE else Event.UPDATE
                fields = attributes(data[start + _FIELDS : stop])
                yield Report(event, data[start + _BODY], port, fields)
        elif kind in _END:
            yield _end(data, start, size, kind, flags, sequence)
        elif kind == _STATISTICS:
            yield _statistics(attributes(data[start + _FIELDS : stop]))
        elif kind == _STATISTICS_CPU:
            if size < _FIELDS:
                raise MalformedError("statistics without a processor")
            cpu = GENERAL.unpack_from(data, start + _BODY)[2]
            yield _cpu_statistics(cpu, attributes(data[start + _FIELDS : stop]))
        start = stop + 3 & ~3


def _end(data: bytes, start: int, size: int, kind: int, flags: int, sequence: int) -> Answer | Done:
    errno = 0
    if size >= _BODY + 4:
        errno = -_errno(data, start + _BODY)[0]
    elif kind == NLMSG_ERROR:
        raise MalformedError("error message without a number")
    if kind == NLMSG_ERROR:
        return Answer(sequence, errno)
    return Done(sequence, errno, flags & _INTERRUPTED != 0)


def _statistics(fields: dict[int, bytes]) -> Statistics:
    entries = fields.get(CtaNested.STATISTICS_ENTRIES)
    maximum = fields.get(CtaNested.STATISTICS_MAXIMUM)
    if entries is None:
        raise MalformedError("statistics without a count")
    return Statistics(int.from_bytes(entries), None if maximum is None else int.from_bytes(maximum))


def _cpu_statistics(cpu: int, fields: dict[int, bytes]) -> CpuStatistics:
    counts = tuple(
        (STATISTICS[kind], int.from_bytes(fields[kind])) for kind in sorted(fields) if kind in STATISTICS
    )
    return CpuStatistics(cpu, counts)


def encode(kind: Message, flags: int, family: int, *fields: bytes, version: int = 0) -> Request:
    """A request; its sequence number comes with its sending."""
    return Request(int(kind), flags | _REQUEST, GENERAL.pack(family, version, 0) + b"".join(fields))


@dataclass(slots=True, frozen=True)
class Request:
    """A message to the kernel.

    Attributes:
        kind: its type.
        flags: bits of ``Flag``.
        body: what follows the netlink header.
    """

    kind: int
    flags: int
    body: bytes

    def message(self, sequence: int) -> bytes:
        """The bytes to send."""
        return request(self.kind, self.flags, sequence, self.body)
