"""Tracking of TCP. Ref: net/netfilter/nf_conntrack_proto_tcp.c."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Status, TcpFlag, TcpState, TcpTracking, TcpWindow
from flowtable.conntrack.removal import Removal
from flowtable.conntrack.tcp_states import IGNORED, INVALID_SEGMENT, SEGMENTS, TRANSITIONS, Segment
from flowtable.conntrack.tcp_window import IGNORE, check, read_options
from flowtable.conntrack.tracker import ACCEPT, DROP, INVALID, REPEAT
from flowtable.conntrack.tuple import ORIGINAL, REPLY
from flowtable.packet.checksum import segment_valid
from flowtable.packet.packet import TCP
from flowtable.ruleset.hook import Hook

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.core import Conntrack
    from flowtable.packet.packet import Packet

# Sequence number, acknowledgement, data offset and flags, window.
_header = Struct(">4xIIHH").unpack_from

_PREROUTING: Final = int(Hook.PREROUTING)

_M: Final = 0xFFFFFFFF
_NEGATIVE: Final = 0x80000000

_SYN: Final = int(Segment.SYN)
_SYN_ACK: Final = int(Segment.SYN_ACK)
_FIN: Final = int(Segment.FIN)
_ACK: Final = int(Segment.ACK)
_RST: Final = int(Segment.RST)

_SYN_SENT: Final = int(TcpState.SYN_SENT)
_SYN_RECV: Final = int(TcpState.SYN_RECV)
_ESTABLISHED: Final = int(TcpState.ESTABLISHED)
_FIN_WAIT: Final = int(TcpState.FIN_WAIT)
_LAST_ACK: Final = int(TcpState.LAST_ACK)
_TIME_WAIT: Final = int(TcpState.TIME_WAIT)
_CLOSE: Final = int(TcpState.CLOSE)
_SYN_SENT2: Final = int(TcpState.SYN_SENT2)

_SEEN_REPLY: Final = Status.SEEN_REPLY
_ASSURED: Final = Status.ASSURED
_FIXED_TIMEOUT: Final = Status.FIXED_TIMEOUT

_UNACKNOWLEDGED: Final = TcpFlag.DATA_UNACKNOWLEDGED

_LONG: Final = 120 * SECOND
"""An out-of-sync connection with less than this left is let be."""


def track(conntrack: Conntrack, connection: Connection, packet: Packet, direction: int, hook: int) -> int:
    """Ref: net/netfilter/nf_conntrack_proto_tcp.c:nf_conntrack_tcp_packet."""
    data = packet.data
    thoff = packet.thoff
    size = len(data) - thoff
    if size < 20:
        return INVALID
    seq, ack, offset_flags, win = _header(data, thoff)
    header = offset_flags >> 10 & 0x3C
    segment = SEGMENTS[offset_flags & 0xFF]
    if header < 20 or size < header or segment < 0:
        return INVALID
    settings = conntrack.settings if connection.timeouts is None else conntrack.settings_of(connection)
    if hook == _PREROUTING and settings.checksum and not segment_valid(packet, TCP):
        return INVALID
    # SYN and FIN take a sequence number each.
    end = (seq + size - header + (offset_flags & 1) + (offset_flags >> 1 & 1)) & _M

    tcp = connection.tcp
    if tcp is None:
        tcp = _begin(segment, data, thoff, header, end, win, loose=settings.loose)
        if tcp is None:
            return INVALID
        connection.tcp = tcp

    old = tcp.state
    new = TRANSITIONS[direction][segment][old]
    in_window = False
    if not _ESTABLISHED <= new <= _LAST_ACK:
        outcome = _consider(
            conntrack, connection, tcp, packet, direction, segment, old, new, seq, ack, end, win, header
        )
        if isinstance(outcome, int):
            return outcome
        old, new, in_window = outcome

    if not in_window:
        outcome = check(
            tcp,
            direction,
            segment,
            offset_flags,
            data,
            thoff + 20,
            thoff + header,
            seq,
            ack,
            end,
            win,
            settings.liberal,
        )
        if outcome != ACCEPT:
            if outcome == IGNORE:
                return ACCEPT
            _out_of_window(conntrack, connection, tcp, packet.time, direction, segment)
            return INVALID

    tcp.last_index = segment
    tcp.last_dir = direction
    tcp.state = new
    seen = tcp.seen
    if new == _FIN_WAIT and old != new:
        seen[direction].flags |= TcpFlag.CLOSE_INIT

    timeout = settings.tcp[new]
    if tcp.retrans >= settings.retransmissions and timeout > settings.tcp_max_retrans:
        timeout = settings.tcp_max_retrans
    elif segment == _RST:
        timeout = settings.tcp[_CLOSE]
    elif (seen[0].flags | seen[1].flags) & _UNACKNOWLEDGED and timeout > settings.tcp_unacknowledged:
        timeout = settings.tcp_unacknowledged
    elif tcp.last_win == 0 and timeout > settings.tcp_max_retrans:
        timeout = settings.tcp_max_retrans

    status = connection.status
    if not status & _SEEN_REPLY:
        if segment == _RST:
            # A reset as the only answer: there is no connection.
            conntrack.count(connection, packet, direction)
            conntrack.delete(connection, packet.time, Removal.RESET)
            return ACCEPT
        if segment == _SYN and old == _SYN_SENT:
            # Were a repeated SYN to renew the timeout, ports used again and again could keep
            # a connection, and its translation, alive for ever.
            return ACCEPT
        if new == _ESTABLISHED and timeout > settings.tcp_unacknowledged:
            # Picked up, and only one direction seen.
            timeout = settings.tcp_unacknowledged
    elif not status & _ASSURED and new == _ESTABLISHED and _SYN_RECV <= old <= _ESTABLISHED:
        connection.status = status | _ASSURED
    conntrack.refresh(connection, packet, direction, timeout)
    return ACCEPT


def _begin(
    segment: int, data: bytearray, thoff: int, header: int, end: int, win: int, *, loose: bool
) -> TcpTracking | None:
    """What the first segment says of a connection; None if it cannot be a first one.

    Ref: net/netfilter/nf_conntrack_proto_tcp.c:tcp_new.
    """
    new = TRANSITIONS[ORIGINAL][segment][TcpState.NONE]
    if new == INVALID_SEGMENT or (new != _SYN_SENT and not loose):
        return None
    tcp = TcpTracking()
    tcp.last_index = int(Segment.NONE)
    window = tcp.seen[ORIGINAL]
    window.end = window.maxend = end
    window.maxwin = win or 1
    if new == _SYN_SENT:
        read_options(data, thoff + 20, thoff + header, window)
    else:
        # The handshake, and with it the window scale, was missed: be liberal.
        window.maxend = (end + window.maxwin) & _M
        window.flags = tcp.seen[REPLY].flags = TcpFlag.SACK_PERM | TcpFlag.BE_LIBERAL
    return tcp


def _consider(
    conntrack: Conntrack,
    connection: Connection,
    tcp: TcpTracking,
    packet: Packet,
    direction: int,
    segment: int,
    old: int,
    new: int,
    seq: int,
    ack: int,
    end: int,
    win: int,
    header: int,
) -> int | tuple[int, int, bool]:
    """What the state table alone cannot decide.

    Returns:
        A verdict; or the old state, the new state and whether the window needs no check.

    Ref: net/netfilter/nf_conntrack_proto_tcp.c:nf_conntrack_tcp_packet, its switch.
    """
    if new == INVALID_SEGMENT:
        return INVALID
    if new == _SYN_SENT:
        if old < _TIME_WAIT:
            return old, new, False
        flags = tcp.seen[0].flags | tcp.seen[1].flags
        if flags & TcpFlag.CLOSE_INIT or (tcp.last_dir == direction and tcp.last_index == _RST):
            # Closed or aborted, and opened anew (RFC 1122 section 4.2.2.13).
            return REPEAT if conntrack.delete(connection, packet.time, Removal.REOPENED) else DROP
        new = IGNORED
    if new == IGNORED:
        return _ignore(tcp, packet, direction, segment, old, seq, ack, end, win, header)
    if new == _TIME_WAIT:
        if (
            old == _LAST_ACK
            and segment == _ACK
            and tcp.last_dir != direction
            and tcp.last_index == _SYN
            and tcp.last_flags & TcpFlag.CHALLENGE_ACK
        ):
            # A challenge ACK to a SYN that was let pass (RFC 5961 section 4), not the last ACK.
            tcp.last_flags &= ~TcpFlag.CHALLENGE_ACK
            return ACCEPT
    elif new == _SYN_SENT2:
        tcp.last_flags |= TcpFlag.SIMULTANEOUS_OPEN
    elif new == _SYN_RECV:
        if direction == REPLY and segment == _ACK and tcp.last_flags & TcpFlag.SIMULTANEOUS_OPEN:
            new = _ESTABLISHED
    elif new == _CLOSE and segment == _RST:
        return _reset(conntrack, connection, tcp, direction, old, seq, ack)
    return old, new, False


def _ignore(
    tcp: TcpTracking,
    packet: Packet,
    direction: int,
    segment: int,
    old: int,
    seq: int,
    ack: int,
    end: int,
    win: int,
    header: int,
) -> int | tuple[int, int, bool]:
    """A segment that shows that the ends and the box may be out of step.

    It passes. If it was a SYN, and the other side answers it with a SYN-ACK, the box falls in
    step by what it noted of the SYN.

    Ref: net/netfilter/nf_conntrack_proto_tcp.c:nf_conntrack_tcp_packet, TCP_CONNTRACK_IGNORE.
    """
    if segment == _SYN_ACK and tcp.last_index == _SYN and tcp.last_dir != direction and ack == tcp.last_end:
        window = tcp.seen[tcp.last_dir]
        window.end = window.maxend = tcp.last_end
        window.maxwin = tcp.last_win or 1
        window.scale = tcp.last_wscale
        tcp.last_flags &= ~TcpFlag.CHALLENGE_ACK
        window.flags = tcp.last_flags
        tcp.seen[direction].reset()
        return _SYN_SENT, _SYN_RECV, False
    tcp.last_index = segment
    tcp.last_dir = direction
    tcp.last_seq = seq
    tcp.last_end = end
    tcp.last_win = win
    if segment == _SYN and direction == ORIGINAL:
        noted = TcpWindow()
        read_options(packet.data, packet.thoff + 20, packet.thoff + header, noted)
        tcp.last_flags = noted.flags
        tcp.last_wscale = noted.scale
        if old == _LAST_ACK:
            tcp.last_flags |= TcpFlag.CHALLENGE_ACK
    if old == _SYN_SENT and segment == _ACK and direction == REPLY:
        tcp.last_ack = ack
    return ACCEPT


def _reset(
    conntrack: Conntrack,
    connection: Connection,
    tcp: TcpTracking,
    direction: int,
    old: int,
    seq: int,
    ack: int,
) -> int | tuple[int, int, bool]:
    """A reset: whether it is believed, and whether it closes the connection at once.

    Ref: net/netfilter/nf_conntrack_proto_tcp.c:nf_conntrack_tcp_packet, TCP_CONNTRACK_CLOSE.
    """
    if tcp.closing:
        # The ports may be in use again, so what is known of the windows says nothing.
        return old, _CLOSE, True
    new = _CLOSE
    other = tcp.seen[1 - direction]
    if other.flags & TcpFlag.MAXACK_SET and tcp.last_index != _SYN:
        established = tcp.state == _ESTABLISHED and connection.status & _ASSURED
        if seq == 0 and not established:
            return old, new, False
        if (seq - other.maxack) & _NEGATIVE and not conntrack.settings.ignore_invalid_rst:
            return INVALID
        if not established or seq == other.maxack:
            return old, new, False
        if tcp.last_index == _ACK and tcp.last_dir == direction and seq == tcp.last_end:
            # The end of a train of segments.
            return old, new, False
        # Not exactly the next number: the receiver may answer with a challenge ACK.
        new = old
    status = connection.status
    answered = status & _SEEN_REPLY and tcp.last_index == _SYN and tcp.last_dir != direction
    if (answered or (not status & _ASSURED and tcp.last_index == _ACK)) and ack == tcp.last_end:
        # The answer to a SYN or an ACK that was let pass.
        return old, new, True
    if old == _SYN_SENT and tcp.last_index == _ACK and tcp.last_dir == REPLY and seq == tcp.last_ack:
        # The answer to a challenge ACK that was let pass.
        return old, new, True
    return old, new, False


def _out_of_window(
    conntrack: Conntrack, connection: Connection, tcp: TcpTracking, now: int, direction: int, segment: int
) -> None:
    """Ends of a connection that both fall outside of the window make it time out sooner.

    Ref: net/netfilter/nf_conntrack_proto_tcp.c:nf_tcp_handle_invalid.
    """
    status = connection.status
    if not status & _ASSURED or status & _FIXED_TIMEOUT or segment not in (_RST, _FIN):
        return
    if tcp.last_dir != direction and tcp.last_index in (_FIN, _RST):
        left = connection.expires - now
        timeout = conntrack.settings.tcp_unacknowledged
        if left >= _LONG and left > timeout:
            conntrack.set_timeout(connection, now + timeout)
    else:
        tcp.last_index = segment
        tcp.last_dir = direction
