"""The TCP state machine of a box in the middle, as a table.

All packets go through the box but may be lost behind it, so a state says what the two ends may
believe, not what they do: ``SYN_RECV`` a SYN-ACK was seen, ``FIN_WAIT`` a FIN, ``CLOSE_WAIT`` a
FIN and an ACK behind it, ``LAST_ACK`` FINs of both sides, ``TIME_WAIT`` the ACK behind them,
``SYN_SENT2`` SYNs of both sides at once.

Ref: net/netfilter/nf_conntrack_proto_tcp.c:tcp_conntracks.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from flowtable.conntrack.connection import TcpState


class Segment(IntEnum):
    """What a segment says about the state: its class, by the flags in order of weight.

    Ref: net/netfilter/nf_conntrack_proto_tcp.c:get_conntrack_index.
    """

    SYN = 0
    SYN_ACK = 1
    FIN = 2
    ACK = 3
    RST = 4
    NONE = 5


IGNORED: Final = 10
"""No state: the packet passes, and the state stays, as the ends may know better."""
INVALID_SEGMENT: Final = 11
"""No state: the packet cannot be part of the connection."""

_NO, _SS, _SR, _ES, _FW, _CW, _LA, _TW, _CL, _S2 = (int(state) for state in TcpState)
_IG: Final = IGNORED
_IV: Final = INVALID_SEGMENT

TRANSITIONS: Final = (
    (  # original; from NO, SS, SR, ES, FW, CW, LA, TW, CL, S2
        (_SS, _SS, _IG, _IG, _IG, _IG, _IG, _SS, _SS, _S2),  # SYN
        (_IV, _IV, _SR, _IV, _IV, _IV, _IV, _IV, _IV, _SR),  # SYN_ACK
        (_IV, _IV, _FW, _FW, _LA, _LA, _LA, _TW, _CL, _IV),  # FIN
        (_ES, _IV, _ES, _ES, _CW, _CW, _TW, _TW, _CL, _IV),  # ACK
        (_IV, _CL, _CL, _CL, _CL, _CL, _CL, _CL, _CL, _CL),  # RST
        (_IV, _IV, _IV, _IV, _IV, _IV, _IV, _IV, _IV, _IV),  # NONE
    ),
    (  # reply
        (_IV, _S2, _IV, _IV, _IV, _IV, _IV, _SS, _IV, _S2),  # SYN
        (_IV, _SR, _IG, _IG, _IG, _IG, _IG, _IG, _IG, _SR),  # SYN_ACK
        (_IV, _IV, _FW, _FW, _LA, _LA, _LA, _TW, _CL, _IV),  # FIN
        (_IV, _IG, _SR, _ES, _CW, _CW, _TW, _TW, _CL, _IG),  # ACK
        (_IV, _CL, _CL, _CL, _CL, _CL, _CL, _CL, _CL, _CL),  # RST
        (_IV, _IV, _IV, _IV, _IV, _IV, _IV, _IV, _IV, _IV),  # NONE
    ),
)
"""The next state by direction, ``Segment`` and state."""

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
ACK: Final = 0x10
_URG: Final = 0x20

_VALID_FLAGS: Final = frozenset(
    {SYN, SYN | _URG, SYN | ACK, RST, RST | ACK, FIN | ACK, FIN | ACK | _URG, ACK, ACK | _URG}
)
"""Ref: net/netfilter/nf_conntrack_proto_tcp.c:tcp_valid_flags; PSH, ECE and CWR go with any."""


def _segment(flags: int) -> int:
    if flags & ~0xC8 not in _VALID_FLAGS:
        return -1
    if flags & RST:
        return Segment.RST
    if flags & SYN:
        return Segment.SYN_ACK if flags & ACK else Segment.SYN
    return Segment.FIN if flags & FIN else Segment.ACK


SEGMENTS: Final = tuple(int(_segment(flags)) for flags in range(256))
"""The ``Segment`` of the eight flags of a TCP header, -1 for combinations that must not be."""
