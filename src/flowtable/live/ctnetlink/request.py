"""What can be asked of the kernel's connection table.

Ref: net/netfilter/nf_conntrack_netlink.c:ctnl_cb.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.live.ctnetlink import tuples
from flowtable.live.ctnetlink.constants import Cta, CtaNested, CtaProtoinfo, Message
from flowtable.live.ctnetlink.message import Request, encode
from flowtable.live.ctnetlink.report import Identity
from flowtable.netlink.attribute import attribute, nested
from flowtable.netlink.message import Flag

if TYPE_CHECKING:
    from flowtable.conntrack.tuple import Tuple

ANY: Final = 0
"""Either family. Ref: AF_UNSPEC."""

_u16 = Struct(">H").pack
_u32 = Struct(">I").pack
_words = Struct("=QQ").pack
_flags = Struct("=BB").pack
_ALL: Final = 0xFFFFFFFF
_WORD: Final = (1 << 64) - 1


@dataclass(slots=True, frozen=True)
class Masked:
    """A value of which only the bits of a mask count."""

    value: int
    mask: int


def dump(
    family: int = ANY,
    *,
    mark: Masked | None = None,
    status: Masked | None = None,
    zone: int | None = None,
    zero: bool = False,
) -> Request:
    """Every connection, or those that the kernel is to choose.

    Args:
        family: ``IPV4``, ``IPV6`` or ``ANY``.
        mark: only those with this mark.
        status: only those with these bits of ``Status``. Kernels before 5.15 ignore it.
        zone: only those of this zone. Kernels before 6.8 ignore it.
        zero: set the counters to 0 on the way.

    Ref: net/netfilter/nf_conntrack_netlink.c:ctnetlink_alloc_filter.
    """
    fields = []
    if mark is not None:
        fields += [attribute(Cta.MARK, _u32(mark.value)), attribute(Cta.MARK_MASK, _u32(mark.mask))]
    if status is not None:
        fields += [attribute(Cta.STATUS, _u32(status.value)), attribute(Cta.STATUS_MASK, _u32(status.mask))]
    if zone is not None:
        fields.append(attribute(Cta.ZONE, _u16(zone)))
    return encode(Message.GET_AND_ZERO if zero else Message.GET, Flag.DUMP, family, *fields)


def identity(tuple_: Tuple, zone: int = 0) -> Identity:
    """What the kernel knows a connection by.

    Args:
        tuple_: its original tuple.
        zone: the zone that holds for both directions.
    """
    return Identity(tuples.encode(tuple_), zone)


def get(of: Identity) -> Request:
    """One connection. The answer is a ``Report``, or ENOENT."""
    return encode(Message.GET, 0, family_of(of), *_named(of))


def delete(of: Identity, ident: int | None = None) -> Request:
    """Delete a connection, with ``ident`` only if it is still that one."""
    fields = _named(of)
    if ident is not None:
        fields.append(attribute(Cta.ID, _u32(ident)))
    return encode(Message.DELETE, Flag.ACK, family_of(of), *fields)


def flush(family: int = ANY) -> Request:
    """Delete every connection of a family."""
    # Of requests of version 0 the kernel ignores the family. Ref: ctnetlink_del_conntrack.
    return encode(Message.DELETE, Flag.ACK, family, version=1)


def statistics() -> Request:
    """How full the table is. The answer is ``Statistics``."""
    return encode(Message.STATISTICS, 0, ANY)


def statistics_by_cpu() -> Request:
    """What was counted on each processor. The answers are ``CpuStatistics``."""
    return encode(Message.STATISTICS_CPU, Flag.DUMP, ANY)


@dataclass(slots=True)
class Change:
    """What is to be different about a connection; None leaves it as it is.

    Attributes:
        timeout: seconds until it times out.
        mark: bits of its mark.
        labels: of its 128 labels those in the mask.
        status: bits of ``Status`` to set.
        tcp: ``TcpFlag`` bits of both directions.
        helper: name of its helper; empty takes it away.
    """

    timeout: int | None = None
    mark: Masked | None = None
    labels: Masked | None = None
    status: int | None = None
    tcp: tuple[Masked, Masked] | None = None
    helper: str | None = None

    def request(self, of: Identity, *, acknowledge: bool = False) -> Request:
        """The request to change a connection. Ref: ctnetlink_change_conntrack."""
        fields = _named(of)
        if self.timeout is not None:
            fields.append(attribute(Cta.TIMEOUT, _u32(min(max(self.timeout, 0), _ALL))))
        if self.status is not None:
            fields.append(attribute(Cta.STATUS, _u32(self.status)))
        if self.mark is not None:
            fields.append(attribute(Cta.MARK, _u32(self.mark.value)))
            fields.append(attribute(Cta.MARK_MASK, _u32(self.mark.mask)))
        if self.labels is not None:
            fields.append(attribute(Cta.LABELS, _labels(self.labels.value)))
            fields.append(attribute(Cta.LABELS_MASK, _labels(self.labels.mask)))
        if self.helper is not None:
            name = attribute(CtaNested.HELP_NAME, self.helper.encode() + b"\0")
            fields.append(nested(Cta.HELP, name))
        if self.tcp is not None:
            fields.append(_tcp(*self.tcp))
        return encode(Message.NEW, Flag.ACK if acknowledge else 0, family_of(of), *fields)


@cache
def _tcp(original: Masked, reply: Masked) -> bytes:
    """There are few of these, and many orders with each."""
    info = nested(
        CtaProtoinfo.TCP,
        attribute(CtaProtoinfo.TCP_FLAGS_ORIGINAL, _flags(original.value, original.mask)),
        attribute(CtaProtoinfo.TCP_FLAGS_REPLY, _flags(reply.value, reply.mask)),
    )
    return nested(Cta.PROTOINFO, info)


def family_of(of: Identity) -> int:
    """``IPV4`` or ``IPV6``."""
    return tuples.family_of(of.tuple)


def _named(of: Identity) -> list[bytes]:
    fields = [nested(Cta.TUPLE_ORIG, of.tuple)]
    if of.zone:
        fields.append(attribute(Cta.ZONE, _u16(of.zone)))
    return fields


def _labels(labels: int) -> bytes:
    return _words(labels & _WORD, labels >> 64 & _WORD)
