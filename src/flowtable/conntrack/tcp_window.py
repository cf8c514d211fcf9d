"""Whether a TCP segment can be part of its connection, by sequence number and acknowledgement.

After Guido van Rooij, "Real stateful TCP packet filtering in IP Filter" (2000). With *sack* the
highest right edge that a segment acknowledges, selectively or not, a segment has to fulfil

    I.    seq <= sender.maxend                  (not behind what the receiver can take)
    II.   seq + len >= sender.end - receiver.maxwin
    III.  sack <= receiver.end                  (nothing acknowledged that was not sent)
    IV.   sack >= receiver.end - MAXACKWINDOW

Sequence numbers live on a circle of 2**32: ``a`` is before ``b`` where bit 31 of ``a - b`` is set.

Ref: net/netfilter/nf_conntrack_proto_tcp.c:tcp_in_window.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.conntrack.connection import TcpFlag, TcpState
from flowtable.conntrack.tcp_states import ACK, RST, SYN, Segment
from flowtable.conntrack.tracker import ACCEPT, INVALID
from flowtable.conntrack.tuple import REPLY

if TYPE_CHECKING:
    from flowtable.conntrack.connection import TcpTracking, TcpWindow

IGNORE: Final = 2
"""NFCT_TCP_IGNORE: the packet passes, and nothing is learnt from it."""

_M: Final = 0xFFFFFFFF
_NEGATIVE: Final = 0x80000000
_MAX_ACK_WINDOW: Final = 66000
_MAX_SCALE: Final = 14
"""TCP_MAX_WSCALE (RFC 7323 section 2.3)."""

_ACK_SEGMENT: Final = int(Segment.ACK)
_SYN_SENT: Final = int(TcpState.SYN_SENT)
_SYN_RECV: Final = int(TcpState.SYN_RECV)
_SACK_PERM: Final = TcpFlag.SACK_PERM
_WINDOW_SCALE: Final = TcpFlag.WINDOW_SCALE
_BE_LIBERAL: Final = TcpFlag.BE_LIBERAL
_UNACKNOWLEDGED: Final = TcpFlag.DATA_UNACKNOWLEDGED
_MAXACK_SET: Final = TcpFlag.MAXACK_SET

_TIMESTAMP_ONLY: Final = b"\x01\x01\x08\x0a"
_right_edge = Struct(">4xI").unpack_from


def read_options(data: bytes | bytearray, offset: int, end: int, window: TcpWindow) -> None:
    """Take window scale and SACK permission of a SYN from its options.

    Args:
        data: the packet.
        offset: where the options begin.
        end: where the TCP header ends.
        window: of the side that sent the SYN.

    Ref: net/netfilter/nf_conntrack_proto_tcp.c:tcp_options.
    """
    if offset == end:
        return
    window.scale = 0
    window.flags &= _BE_LIBERAL
    while offset < end:
        kind = data[offset]
        if kind == 1:
            offset += 1
            continue
        if kind == 0 or end - offset < 2:
            return
        size = data[offset + 1]
        if size < 2 or size > end - offset:
            return
        if kind == 4 and size == 2:
            window.flags |= _SACK_PERM
        elif kind == 3 and size == 3:
            window.scale = min(data[offset + 2], _MAX_SCALE)
            window.flags |= _WINDOW_SCALE
        offset += size


def highest_sack(data: bytes | bytearray, offset: int, end: int, sack: int) -> int:
    """The highest right edge of the SACK blocks of a segment, ``sack`` if none is higher.

    Ref: net/netfilter/nf_conntrack_proto_tcp.c:tcp_sack.
    """
    while offset < end:
        kind = data[offset]
        if kind == 1:
            offset += 1
            continue
        if kind == 0 or end - offset < 2:
            return sack
        size = data[offset + 1]
        if size < 2 or size > end - offset:
            return sack
        if kind == 5 and size >= 10 and (size - 2) % 8 == 0:
            for block in range(offset + 2, offset + size, 8):
                edge = _right_edge(data, block)[0]
                if (sack - edge) & _NEGATIVE:
                    sack = edge
            return sack
        offset += size
    return sack


def _open(
    sender: TcpWindow,
    receiver: TcpWindow,
    data: bytes | bytearray,
    options: int,
    options_end: int,
    end: int,
    win: int,
    direction: int,
) -> None:
    """Ref: net/netfilter/nf_conntrack_proto_tcp.c:tcp_init_sender."""
    sender.end = sender.maxend = end
    sender.maxwin = win or 1
    read_options(data, options, options_end, sender)
    # RFC 7323 section 2.2: windows are scaled only where both sides said so.
    if direction == REPLY and not sender.flags & receiver.flags & _WINDOW_SCALE:
        sender.scale = receiver.scale = 0


def check(
    tcp: TcpTracking,
    direction: int,
    segment: int,
    flags: int,
    data: bytes | bytearray,
    options: int,
    options_end: int,
    seq: int,
    ack: int,
    end: int,
    win: int,
    liberal: bool,
) -> int:
    """Check a segment and learn from it.

    Args:
        tcp: the connection.
        direction: of the segment.
        segment: its ``Segment``.
        flags: its TCP flags.
        data: the packet.
        options: where its TCP options begin.
        options_end: where its TCP header ends.
        seq: its sequence number.
        ack: its acknowledgement number.
        end: ``seq`` plus its length, SYN and FIN counted.
        win: its window, not scaled.
        liberal: what is outside of the window is accepted, on every connection.

    Returns:
        ``ACCEPT``, ``INVALID`` or ``IGNORE``.
    """
    seen = tcp.seen
    sender = seen[direction]
    receiver = seen[1 - direction]

    sack = ack
    if (
        receiver.flags & _SACK_PERM
        and options != options_end
        and (options_end - options != 12 or data[options : options + 4] != _TIMESTAMP_ONLY)
    ):
        sack = highest_sack(data, options, options_end, ack)

    syn = flags & SYN
    if sender.maxwin == 0:
        if syn:
            _open(sender, receiver, data, options, options_end, end, win, direction)
            if not flags & ACK:
                return ACCEPT
        else:
            # The history of this side is not known: begin with what the segment says.
            sender.end = end
            sender.maxwin = win << sender.scale or 1
            sender.maxend = (end + sender.maxwin) & _M
            if receiver.maxwin == 0:
                # Nothing of the other side either; let III and IV hold until there is.
                receiver.end = receiver.maxend = sack
            elif sack == (receiver.end + 1) & _M:
                # Likely the answer to a keepalive.
                receiver.end = sack
    elif syn and (sender.end - end) & _NEGATIVE and tcp.state in (_SYN_SENT, _SYN_RECV):
        # RFC 9293 section 3.4.3: a TCP that starts anew need only use higher numbers.
        _open(sender, receiver, data, options, options_end, end, win, direction)
        if direction == REPLY and not flags & ACK:
            return ACCEPT

    if not flags & ACK or (ack == 0 and flags & RST):
        # Without an acknowledgement, or with the 0 of stacks that set ACK in every reset.
        ack = sack = receiver.end

    if flags & RST and seq == 0 and tcp.state == _SYN_SENT:
        # The answer to a SYN.
        seq = end = sender.end

    receiver_end = receiver.end
    receiver_maxwin = receiver.maxwin
    sender_end = sender.end
    floor = sender.maxwin if sender.maxwin > _MAX_ACK_WINDOW else _MAX_ACK_WINDOW

    if not (seq - sender.maxend - 1) & _NEGATIVE:
        overshot = (end - sender.maxend + 1) & _M
        if (
            receiver_maxwin
            and (sender_end - receiver_maxwin - 1 - end) & _NEGATIVE
            and (receiver_end - floor - 1 - sack) & _NEGATIVE
            and overshot <= receiver_maxwin
            and (sack - receiver_end - 1) & _NEGATIVE
        ):
            # Some send a little more than the window allows. If the peer acknowledges it,
            # everything behind would break rule III: so remember what was sent.
            sender.end = end
            sender.flags |= _UNACKNOWLEDGED
            return ACCEPT if liberal or sender.flags & _BE_LIBERAL else IGNORE
        return ACCEPT if liberal or sender.flags & _BE_LIBERAL else INVALID
    if not (sack - receiver_end - 1) & _NEGATIVE:
        return ACCEPT if liberal or sender.flags & _BE_LIBERAL else INVALID
    if receiver_maxwin and not (sender_end - receiver_maxwin - 1 - end) & _NEGATIVE:
        return ACCEPT if liberal or sender.flags & _BE_LIBERAL else IGNORE
    if not (receiver_end - floor - 1 - sack) & _NEGATIVE:
        return ACCEPT if liberal or sender.flags & _BE_LIBERAL else IGNORE

    scaled = win if syn else win << sender.scale
    swin = scaled + ((sack - ack) & _M)
    if sender.maxwin < swin:
        sender.maxwin = swin & _M
    sender_flags = sender.flags
    if (sender_end - end) & _NEGATIVE:
        sender.end = end
        sender.flags = sender_flags = sender_flags | _UNACKNOWLEDGED
    if flags & ACK:
        if not sender_flags & _MAXACK_SET:
            sender.maxack = ack
            sender.flags = sender_flags | _MAXACK_SET
        elif (sender.maxack - ack) & _NEGATIVE:
            sender.maxack = ack

    if receiver_maxwin and (sender.maxend - end) & _NEGATIVE:
        receiver.maxwin = (receiver_maxwin + end - sender.maxend) & _M
    if (receiver.maxend - 1 - sack - scaled) & _NEGATIVE:
        receiver.maxend = (sack + (scaled or 1)) & _M
    if ack == receiver_end:
        receiver.flags &= ~_UNACKNOWLEDGED

    if segment == _ACK_SEGMENT:
        if (
            tcp.last_seq == seq
            and tcp.last_ack == ack
            and tcp.last_end == end
            and tcp.last_dir == direction
            and tcp.last_win == win
        ):
            tcp.retrans += 1
        else:
            tcp.last_dir = direction
            tcp.last_seq = seq
            tcp.last_ack = ack
            tcp.last_end = end
            tcp.last_win = win
            tcp.retrans = 0
    return ACCEPT
