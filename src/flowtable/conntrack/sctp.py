"""Tracking of SCTP. Ref: net/netfilter/nf_conntrack_proto_sctp.c."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.conntrack.connection import SctpState, SctpTracking, Status
from flowtable.conntrack.sctp_states import INVALID_CHUNK, TRANSITIONS
from flowtable.conntrack.tracker import ACCEPT, INVALID
from flowtable.conntrack.tuple import ORIGINAL, REPLY
from flowtable.packet.sctp import HEADER_SIZE, Chunk, ChunkType, checksum_valid, chunks
from flowtable.ruleset.hook import Hook

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.core import Conntrack
    from flowtable.packet.packet import Packet

_tag = Struct(">I").unpack_from
_PREROUTING: Final = int(Hook.PREROUTING)
_TAG: Final = 4
_CHUNK_HEADER: Final = 4
_INIT_SIZE: Final = 16
"""What an INIT or INIT ACK begins with: its tag, a window, two numbers of streams, a TSN."""
_REFLECTED: Final = 1
"""The T bit: the tag is the one that the other direction uses (RFC 9260 section 8.5.1)."""

_ALONE: Final = frozenset({ChunkType.INIT, ChunkType.INIT_ACK, ChunkType.SHUTDOWN_COMPLETE})
_FIRST: Final = frozenset({ChunkType.COOKIE_ACK, ChunkType.COOKIE_ECHO})
_OUT_OF_THE_BLUE: Final = frozenset({ChunkType.ABORT, ChunkType.SHUTDOWN_COMPLETE, ChunkType.COOKIE_ACK})
"""Chunks that begin no connection (RFC 9260 section 8.4)."""
_SPECIAL: Final = frozenset(
    {
        ChunkType.INIT,
        ChunkType.SHUTDOWN_COMPLETE,
        ChunkType.COOKIE_ECHO,
        ChunkType.ABORT,
        ChunkType.SHUTDOWN_ACK,
        ChunkType.HEARTBEAT,
        ChunkType.HEARTBEAT_ACK,
    }
)
"""Chunks for whose packets the tag has rules of its own (RFC 9260 section 8.5.1)."""


def track(conntrack: Conntrack, connection: Connection, packet: Packet, direction: int, hook: int) -> int:
    """Ref: net/netfilter/nf_conntrack_proto_sctp.c:nf_conntrack_sctp_packet."""
    data, thoff = packet.data, packet.thoff
    if len(data) < thoff + HEADER_SIZE:
        return INVALID
    if hook == _PREROUTING and conntrack.settings.checksum and not checksum_valid(data, thoff):
        return INVALID
    found = list(chunks(data, thoff))
    if not _well_formed(found):
        return INVALID
    kinds = {chunk.kind for chunk in found}
    tag = _tag(data, thoff + _TAG)[0]
    sctp = connection.sctp
    if sctp is None:
        sctp = None if kinds & _OUT_OF_THE_BLUE else _begin(data, found, tag)
        if sctp is None:
            return INVALID
        connection.sctp = sctp
    if not kinds & _SPECIAL and tag != sctp.tags[direction]:
        return INVALID

    refreshed = True
    for chunk in found:
        if chunk.kind in (ChunkType.HEARTBEAT, ChunkType.HEARTBEAT_ACK):
            # Once a tag is in doubt, the rest of the packet must not be judged by it.
            strict = ChunkType.DATA in kinds or not refreshed
            if chunk.kind == ChunkType.HEARTBEAT and not _is_known(sctp, direction, tag):
                if strict:
                    return INVALID
                sctp.doubted = direction
                refreshed = False
                continue
            if not _path_valid(sctp, direction, tag, strict=strict):
                return INVALID
        elif not _tag_valid(sctp, chunk, direction, tag):
            return INVALID
        old = sctp.state
        transition = TRANSITIONS[direction].get(chunk.kind)
        new = old if transition is None else transition[old]
        if new == INVALID_CHUNK or not _note_init(sctp, chunk, direction, data):
            return INVALID
        if chunk.kind == ChunkType.INIT and old == new == SctpState.CLOSED and connection.confirmed:
            # Were a repeated INIT to renew the timeout, ports used again and again could keep a
            # connection, and its translation, alive for ever.
            refreshed = False
        sctp.state = new
        if new == SctpState.ESTABLISHED and old != new:
            connection.status |= Status.ASSURED
    if refreshed:
        settings = conntrack.settings
        conntrack.refresh(connection, packet, direction, settings.sctp[sctp.state])
    return ACCEPT


def _well_formed(found: Sequence[Chunk]) -> bool:
    """Whether chunks may be together in a packet (RFC 9260 section 6.10).

    Ref: net/netfilter/nf_conntrack_proto_sctp.c:do_basic_checks.
    """
    alone = False
    for number, chunk in enumerate(found):
        alone = alone or chunk.kind in _ALONE
        if not chunk.length or (number and (alone or chunk.kind in _FIRST)):
            return False
    return bool(found)


def _begin(data: bytes | bytearray, found: Collection[Chunk], tag: int) -> SctpTracking | None:
    """What the first packet says of a connection; None if it cannot be a first one.

    Ref: net/netfilter/nf_conntrack_proto_sctp.c:sctp_new.
    """
    sctp = SctpTracking()
    for chunk in found:
        if chunk.kind not in TRANSITIONS[ORIGINAL]:
            return None
        if chunk.kind == ChunkType.INIT:
            initiate = _initiate_tag(data, chunk)
            if tag or initiate is None:
                return None
            sctp.tags[REPLY] = initiate
        elif chunk.kind == ChunkType.HEARTBEAT:
            sctp.tags[ORIGINAL] = tag
        else:
            # Out of the blue: what answers carries the same tag (RFC 9260 section 8.4).
            sctp.tags[REPLY] = tag
    return sctp


def _initiate_tag(data: bytes | bytearray, chunk: Chunk) -> int | None:
    """The tag that an INIT or INIT ACK asks for; None if it is cut off."""
    value = chunk.at + _CHUNK_HEADER
    if len(data) < value + _INIT_SIZE:
        return None
    tag: int = _tag(data, value)[0]
    return tag


def _tag_valid(sctp: SctpTracking, chunk: Chunk, direction: int, tag: int) -> bool:
    """Whether the tag is right for a chunk that has a rule of its own (RFC 9260 section 8.5.1)."""
    match chunk.kind:
        case ChunkType.INIT:
            return tag == 0
        case ChunkType.ABORT | ChunkType.SHUTDOWN_COMPLETE:
            return tag == sctp.tags[1 - direction if chunk.flags & _REFLECTED else direction]
        case ChunkType.COOKIE_ECHO:
            return tag == sctp.tags[direction]
        case ChunkType.COOKIE_ACK:
            sctp.opened = [False, False]
            return True
        case _:
            return True


def _is_known(sctp: SctpTracking, direction: int, tag: int) -> bool:
    """Whether a tag is the direction's, or the first that is seen of it."""
    return sctp.tags[direction] in (0, tag)


def _path_valid(sctp: SctpTracking, direction: int, tag: int, *, strict: bool) -> bool:
    """Whether a HEARTBEAT with a known tag, or a HEARTBEAT ACK, fits; its tag is noted.

    An answer with an unknown tag to a HEARTBEAT with an unknown tag shows that the path is of
    another association by now.
    """
    if not sctp.tags[direction]:
        sctp.tags[direction] = tag
        return True
    if tag != sctp.tags[direction]:
        if strict or sctp.doubted is None or sctp.doubted == direction:
            return False
        sctp.tags[direction] = tag
        sctp.tags[1 - direction] = 0
    sctp.doubted = None
    return True


def _note_init(sctp: SctpTracking, chunk: Chunk, direction: int, data: bytes | bytearray) -> bool:
    """Note the tag that an INIT or INIT ACK gives to the other direction; False if it does not fit."""
    if chunk.kind not in (ChunkType.INIT, ChunkType.INIT_ACK):
        return True
    initiate = _initiate_tag(data, chunk)
    if initiate is None:
        return False
    other = 1 - direction
    if chunk.kind == ChunkType.INIT:
        if all(sctp.opened):
            sctp.opened[other] = False
        sctp.opened[direction] = True
    else:
        known = sctp.tags[other]
        collided = all(sctp.opened)
        if known != initiate and (collided or (known and not sctp.opened[other])):
            return False
    sctp.tags[other] = initiate
    return True
