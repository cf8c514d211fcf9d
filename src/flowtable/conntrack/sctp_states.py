"""The SCTP state machine of a box in the middle, as a table.

A state says what chunks were seen, not what the two ends do: ``CLOSED`` an INIT, ``COOKIE_WAIT``
an INIT ACK behind it, ``COOKIE_ECHOED`` a COOKIE ECHO, ``ESTABLISHED`` a COOKIE ACK,
``SHUTDOWN_SENT`` and ``SHUTDOWN_RECD`` a SHUTDOWN of the original or of the reply direction,
``SHUTDOWN_ACK_SENT`` its acknowledgement, ``HEARTBEAT_SENT`` a HEARTBEAT that nothing came before:
another path of an association.

Ref: net/netfilter/nf_conntrack_proto_sctp.c:sctp_conntracks.
"""

from __future__ import annotations

from typing import Final

from flowtable.conntrack.connection import SctpState
from flowtable.packet.sctp import ChunkType

INVALID_CHUNK: Final = 9
"""No state: the packet cannot be part of the association."""

_NO, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _HS = (int(state) for state in SctpState)
_IV: Final = INVALID_CHUNK

TRANSITIONS: Final[tuple[dict[int, tuple[int, ...]], ...]] = (
    {  # original; from NO, CL, CW, CE, ES, SS, SR, SA, HS
        ChunkType.INIT: (_CL, _CL, _CW, _CE, _ES, _CL, _CL, _SA, _CW),
        ChunkType.INIT_ACK: (_CL, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _CL),
        ChunkType.ABORT: (_CL, _CL, _CL, _CL, _CL, _CL, _CL, _CL, _CL),
        ChunkType.SHUTDOWN: (_CL, _CL, _CW, _CE, _SS, _SS, _SR, _SA, _CL),
        ChunkType.SHUTDOWN_ACK: (_SA, _CL, _CW, _CE, _ES, _SA, _SA, _SA, _SA),
        ChunkType.ERROR: (_CL, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _CL),
        ChunkType.COOKIE_ECHO: (_CL, _CL, _CE, _CE, _ES, _SS, _SR, _SA, _CL),
        ChunkType.COOKIE_ACK: (_CL, _CL, _CW, _ES, _ES, _SS, _SR, _SA, _CL),
        ChunkType.SHUTDOWN_COMPLETE: (_CL, _CL, _CW, _CE, _ES, _SS, _SR, _CL, _CL),
        ChunkType.HEARTBEAT: (_HS, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _HS),
        ChunkType.HEARTBEAT_ACK: (_CL, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _HS),
    },
    {  # reply
        ChunkType.INIT: (_IV, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _IV),
        ChunkType.INIT_ACK: (_IV, _CW, _CW, _CE, _ES, _SS, _SR, _SA, _IV),
        ChunkType.ABORT: (_IV, _CL, _CL, _CL, _CL, _CL, _CL, _CL, _IV),
        ChunkType.SHUTDOWN: (_IV, _CL, _CW, _CE, _SR, _SS, _SR, _SA, _IV),
        ChunkType.SHUTDOWN_ACK: (_IV, _CL, _CW, _CE, _ES, _SA, _SA, _SA, _IV),
        ChunkType.ERROR: (_IV, _CL, _CW, _CL, _ES, _SS, _SR, _SA, _IV),
        ChunkType.COOKIE_ECHO: (_IV, _CL, _CE, _CE, _ES, _SS, _SR, _SA, _IV),
        ChunkType.COOKIE_ACK: (_IV, _CL, _CW, _ES, _ES, _SS, _SR, _SA, _IV),
        ChunkType.SHUTDOWN_COMPLETE: (_IV, _CL, _CW, _CE, _ES, _SS, _SR, _CL, _IV),
        ChunkType.HEARTBEAT: (_IV, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _HS),
        ChunkType.HEARTBEAT_ACK: (_IV, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _ES),
    },
)
"""The next state by direction, ``ChunkType`` and state. Other chunks change none."""
