"""The state table, cell by cell, and what comes of it in a connection."""

from __future__ import annotations

import pytest

from flowtable.conntrack.connection import Status, TcpState
from flowtable.conntrack.tcp_states import IGNORED, INVALID_SEGMENT, SEGMENTS, TRANSITIONS, Segment
from tests.conntrack.wire import CLIENT, SERVER, Lab, tcp

# From, then by original SYN, SYN-ACK, FIN, ACK, RST and the same of the reply direction.
TABLE = """
    NO SS inv inv ES inv inv inv inv inv inv
    SS SS inv inv inv CL S2 SR inv ign CL
    SR ign SR FW ES CL inv ign FW SR CL
    ES ign inv FW ES CL inv ign FW ES CL
    FW ign inv LA CW CL inv ign LA CW CL
    CW ign inv LA CW CL inv ign LA CW CL
    LA ign inv LA TW CL inv ign LA TW CL
    TW SS inv TW TW CL SS ign TW TW CL
    CL SS inv CL CL CL inv ign CL CL CL
    S2 S2 SR inv inv CL S2 SR inv ign CL
"""
STATES = dict(zip(["NO", "SS", "SR", "ES", "FW", "CW", "LA", "TW", "CL", "S2"], TcpState, strict=True))
OUTCOMES = {**STATES, "inv": INVALID_SEGMENT, "ign": IGNORED}
COLUMNS = [
    (d, s) for d in (0, 1) for s in (Segment.SYN, Segment.SYN_ACK, Segment.FIN, Segment.ACK, Segment.RST)
]
CELLS = [
    (STATES[row[0]], direction, segment, OUTCOMES[cell])
    for row in (line.split() for line in TABLE.split("\n") if line.strip())
    for (direction, segment), cell in zip(COLUMNS, row[1:], strict=True)
]


@pytest.mark.parametrize(("state", "direction", "segment", "outcome"), CELLS)
def test_every_cell(state, direction, segment, outcome):
    assert TRANSITIONS[direction][segment][state] == outcome


def test_there_is_a_cell_for_everything():
    assert len(CELLS) == 10 * 10
    for direction in TRANSITIONS:
        assert len(direction) == len(Segment)
        assert all(len(row) == len(TcpState) for row in direction)
        assert set(direction[Segment.NONE]) == {INVALID_SEGMENT}


FLAG_BITS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128}
VALID = {
    "S": Segment.SYN,
    "SU": Segment.SYN,
    "SA": Segment.SYN_ACK,
    "R": Segment.RST,
    "RA": Segment.RST,
    "FA": Segment.FIN,
    "FAU": Segment.FIN,
    "A": Segment.ACK,
    "AU": Segment.ACK,
}


def test_valid_flag_combinations():
    weighty = FLAG_BITS["F"] | FLAG_BITS["S"] | FLAG_BITS["R"] | FLAG_BITS["A"] | FLAG_BITS["U"]
    by_bits = {sum(FLAG_BITS[f] for f in flags): segment for flags, segment in VALID.items()}
    assert list(SEGMENTS) == [by_bits.get(flags & weighty, -1) for flags in range(256)]


# A way into every state, and what fits as the next segment of either side there.
WAYS = {
    TcpState.SYN_SENT: ["a S"],
    TcpState.SYN_SENT2: ["a S", "b S"],
    TcpState.SYN_RECV: ["a S", "b SA"],
    TcpState.ESTABLISHED: ["a S", "b SA", "a A"],
    TcpState.FIN_WAIT: ["a S", "b SA", "a A", "a FA"],
    TcpState.CLOSE_WAIT: ["a S", "b SA", "a A", "a FA", "b A"],
    TcpState.LAST_ACK: ["a S", "b SA", "a A", "a FA", "b A", "b FA"],
    TcpState.TIME_WAIT: ["a S", "b SA", "a A", "a FA", "b A", "b FA", "a A"],
    TcpState.CLOSE: ["a S", "b SA", "a A", "b RA"],
}


class Ends:
    """Two ends that number their segments rightly, whatever flags they send."""

    def __init__(self) -> None:
        self.lab = Lab(translating=False)
        self.seq = {"a": 1000, "b": 5000}

    def send(self, step: str):
        side, flags = step.split()
        other = "b" if side == "a" else "a"
        ack = self.seq[other] if "A" in flags else 0
        ends = (CLIENT, SERVER, 40000, 443) if side == "a" else (SERVER, CLIENT, 443, 40000)
        p = self.lab.forward(tcp(*ends, flags, self.seq[side], ack), back=side == "b")
        if "S" in flags or "F" in flags:
            self.seq[side] += 1
        return p


FLAGS = {Segment.SYN: "S", Segment.SYN_ACK: "SA", Segment.FIN: "FA", Segment.ACK: "A", Segment.RST: "R"}

# Where the table alone does not decide, because of what happened before.
ELSEWHERE = {
    # Closed by a FIN, and opened anew: the old connection is gone, and the new in its place.
    (TcpState.TIME_WAIT, 0, Segment.SYN): TcpState.SYN_SENT,
    # Opened anew by the other end: a connection of its own, in that direction.
    (TcpState.TIME_WAIT, 1, Segment.SYN): TcpState.SYN_SENT,
    # Reset by the server: a SYN of the client says nothing until it is answered.
    (TcpState.CLOSE, 0, Segment.SYN): TcpState.CLOSE,
    # The ACK of a simultaneous open.
    (TcpState.SYN_SENT2, 0, Segment.SYN_ACK): TcpState.SYN_RECV,
}


@pytest.mark.parametrize("state", WAYS, ids=lambda s: s.name)
@pytest.mark.parametrize("direction", [0, 1], ids=["original", "reply"])
@pytest.mark.parametrize("segment", FLAGS, ids=lambda s: s.name)
def test_every_step_of_a_connection(state, direction, segment):
    ends = Ends()
    for step in WAYS[state]:
        ends.send(step)
    before = ends.lab.only()
    tracking = ends.lab.tcp()
    assert tracking.state == state
    outcome = TRANSITIONS[direction][segment][state]

    p = ends.send(f"{'ab'[direction]} {FLAGS[segment]}")

    if outcome == INVALID_SEGMENT:
        assert p.ct is None
        assert tracking.state == state
        return
    assert p.ct is not None
    if segment == Segment.RST and state == TcpState.SYN_SENT:
        # A reset as the first answer, or by the client before one: nothing remains.
        assert p.ct.dying and len(ends.lab.conntrack) == 0
        return
    after = ends.lab.only()
    reopened = state == TcpState.TIME_WAIT and segment == Segment.SYN
    assert (after is before) != reopened
    if outcome == IGNORED:
        assert ends.lab.tcp().state == state
    else:
        assert ends.lab.tcp().state == ELSEWHERE.get((state, direction, segment), outcome)
    if reopened and direction == 1:
        assert not after.status & Status.SEEN_REPLY
        assert after.original.src == before.reply.src
