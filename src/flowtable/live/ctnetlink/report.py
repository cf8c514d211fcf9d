"""What the kernel says of one connection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from struct import Struct, error
from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.live.ctnetlink import tuples
from flowtable.live.ctnetlink.attribute import MalformedError, attributes
from flowtable.live.ctnetlink.constants import Cta, CtaCounters, CtaNested, CtaProtoinfo, CtaTimestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.conntrack.tuple import Tuple

    _Unpack = Callable[[bytes], tuple[int, ...]]

_u16: Final = Struct(">H").unpack
_u32: Final = Struct(">I").unpack
_u64: Final = Struct(">Q").unpack
_words: Final = Struct("=QQ").unpack


class Event(Enum):
    """What a report is about; the value is what ``conntrack -E`` prints in front."""

    ENTRY = ""
    """An entry of the table that was asked for."""
    NEW = "NEW"
    UPDATE = "UPDATE"
    DESTROY = "DESTROY"


class Identity(NamedTuple):
    """What tells connections of a namespace apart, in the kernel's own bytes.

    Attributes:
        tuple: the original tuple, as the value of an attribute.
        zone: the zone that holds for both directions, 0 for none.
    """

    tuple: bytes
    zone: int


@dataclass(slots=True, frozen=True)
class TcpInfo:
    """State of a TCP connection. Ref: net/netfilter/nf_conntrack_proto_tcp.c:tcp_to_nlattr.

    Attributes:
        state: its ``TcpState``, as a plain integer.
        flags: ``TcpFlag`` bits of the original and of the reply direction; None in the last report
            of a connection, which has the state only.
        scales: window scale shifts of the two, None in the same way.
    """

    state: int
    flags: tuple[int, int] | None
    scales: tuple[int, int] | None


@dataclass(slots=True, frozen=True)
class Counters:
    """Packets, and their bytes from the network header on."""

    packets: int
    bytes: int


class Report:
    """An event, or an entry of a dump. What is not asked for is not decoded.

    What the kernel left out of a report is None: an UPDATE has little more than what changed.

    Attributes:
        event: what it is about.
        family: ``IPV4`` or ``IPV6``.
        port: netlink port of the socket whose request caused it, 0 where packets did.
        fields: values of its attributes by type, as they came.
    """

    __slots__ = ("event", "family", "fields", "port")

    def __init__(self, event: Event, family: int, port: int, fields: dict[int, bytes]) -> None:
        self.event = event
        self.family = family
        self.port = port
        self.fields = fields

    @property
    def identity(self) -> Identity:
        """Which connection it is.

        Raises:
            MalformedError: it does not say.
        """
        fields = self.fields
        try:
            original = fields[Cta.TUPLE_ORIG]
        except KeyError:
            raise MalformedError("report without an original tuple") from None
        return Identity(original, 0 if Cta.ZONE not in fields else self.zone or 0)

    @property
    def original(self) -> Tuple:
        """Tuple of the direction that created it."""
        return self._tuple(Cta.TUPLE_ORIG)

    @property
    def reply(self) -> Tuple:
        """Tuple of the answers."""
        return self._tuple(Cta.TUPLE_REPLY)

    def _tuple(self, kind: int) -> Tuple:
        value = self.fields.get(kind)
        if value is None:
            raise MalformedError("report without its tuples")
        return tuples.decode(value)

    @property
    def zone(self) -> int | None:
        """The zone that holds for both directions."""
        return self._number(Cta.ZONE, _u16)

    @property
    def zone_original(self) -> int | None:
        """The zone that holds for the original direction only."""
        return tuples.zone_of(self.fields.get(Cta.TUPLE_ORIG, b""))

    @property
    def zone_reply(self) -> int | None:
        """The zone that holds for the reply direction only."""
        return tuples.zone_of(self.fields.get(Cta.TUPLE_REPLY, b""))

    @property
    def status(self) -> int | None:
        """Bits of ``Status``."""
        return self._number(Cta.STATUS, _u32)

    @property
    def timeout(self) -> int | None:
        """Seconds until it times out; None also for a connection that the kernel has offloaded."""
        return self._number(Cta.TIMEOUT, _u32)

    @property
    def mark(self) -> int | None:
        """The connection mark; an event without one that did not change says nothing of it."""
        return self._number(Cta.MARK, _u32)

    @property
    def ident(self) -> int | None:
        """The number that ``ct id`` and ``conntrack -L -o id`` show."""
        return self._number(Cta.ID, _u32)

    @property
    def use(self) -> int | None:
        """How many hold it."""
        return self._number(Cta.USE, _u32)

    @property
    def labels(self) -> int | None:
        """Its labels, label *n* at bit *n*; in an event only if they changed."""
        value = self.fields.get(Cta.LABELS)
        if value is None:
            return None
        try:
            low, high = _words(value)
        except error as reason:
            raise MalformedError(f"labels: {reason}") from None
        return int(low | high << 64)

    @property
    def helper(self) -> str | None:
        """Name of its helper."""
        return self._text(Cta.HELP, CtaNested.HELP_NAME)

    @property
    def security_mark(self) -> int | None:
        """The number of its security context; kernels since 2.6.37 say the context instead."""
        return self._number(Cta.SECMARK, _u32)

    @property
    def security_context(self) -> str | None:
        """What the security module calls it."""
        return self._text(Cta.SECCTX, CtaNested.SECCTX_NAME)

    @property
    def tcp(self) -> TcpInfo | None:
        """State of a TCP connection; in an event only if it changed."""
        info = self._nested(Cta.PROTOINFO, CtaProtoinfo.TCP)
        if info is None:
            return None
        try:
            (state,) = info[CtaProtoinfo.STATE]
            if CtaProtoinfo.TCP_FLAGS_ORIGINAL not in info:
                return TcpInfo(state, None, None)
            # Flags and the mask of those that are valid. Ref: nf_ct_tcp_flags.
            flags = info[CtaProtoinfo.TCP_FLAGS_ORIGINAL][0], info[CtaProtoinfo.TCP_FLAGS_REPLY][0]
            scales = info[CtaProtoinfo.TCP_WSCALE_ORIGINAL][0], info[CtaProtoinfo.TCP_WSCALE_REPLY][0]
        except (KeyError, ValueError, IndexError) as reason:
            raise MalformedError(f"TCP state: {reason}") from None
        return TcpInfo(state, flags, scales)

    @property
    def sctp_state(self) -> int | None:
        """State of an SCTP association. Ref: sctp_conntrack."""
        return self._state(CtaProtoinfo.SCTP)

    @property
    def dccp_state(self) -> int | None:
        """State of a DCCP connection. Ref: ct_dccp_states."""
        return self._state(CtaProtoinfo.DCCP)

    @property
    def counters(self) -> tuple[Counters, Counters] | None:
        """Of the original and of the reply direction; never in NEW and UPDATE."""
        original = self._nested(Cta.COUNTERS_ORIG)
        reply = self._nested(Cta.COUNTERS_REPLY)
        return None if original is None or reply is None else (_counters(original), _counters(reply))

    @property
    def start(self) -> int | None:
        """When its first packet was received, nanoseconds since 1970."""
        return self._time(CtaTimestamp.START)

    @property
    def stop(self) -> int | None:
        """When it was removed, nanoseconds since 1970."""
        return self._time(CtaTimestamp.STOP)

    @property
    def sequence_adjusted(self) -> bool:
        """Whether it says that sequence numbers are adjusted."""
        return Cta.SEQ_ADJ_ORIG in self.fields or Cta.SEQ_ADJ_REPLY in self.fields

    def __repr__(self) -> str:
        return f"<Report {self.event.name} {self.original} {self.reply}>"

    def _number(self, kind: int, unpack: _Unpack) -> int | None:
        value = self.fields.get(kind)
        if value is None:
            return None
        try:
            return int(unpack(value)[0])
        except error as reason:
            raise MalformedError(f"attribute {kind}: {reason}") from None

    def _nested(self, kind: int, inner: int | None = None) -> dict[int, bytes] | None:
        value = self.fields.get(kind)
        if value is None:
            return None
        found = attributes(value)
        if inner is None:
            return found
        return attributes(found[inner]) if inner in found else None

    def _text(self, kind: int, inner: int) -> str | None:
        found = self._nested(kind)
        if found is None or inner not in found:
            return None
        return found[inner].split(b"\0", 1)[0].decode(errors="replace")

    def _state(self, protocol: int) -> int | None:
        info = self._nested(Cta.PROTOINFO, protocol)
        if info is None:
            return None
        value = info.get(CtaProtoinfo.STATE)
        if value is None or len(value) != 1:
            raise MalformedError("state of another size")
        return value[0]

    def _time(self, kind: int) -> int | None:
        found = self._nested(Cta.TIMESTAMP)
        return None if found is None or kind not in found else _count(found, kind)


def _counters(found: dict[int, bytes]) -> Counters:
    return Counters(_count(found, CtaCounters.PACKETS), _count(found, CtaCounters.BYTES))


def _count(found: dict[int, bytes], kind: int) -> int:
    try:
        return int(_u64(found[kind])[0])
    except (KeyError, error) as reason:
        raise MalformedError(f"number of 64 bits: {reason}") from None
