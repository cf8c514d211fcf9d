"""What is said over the control socket of a service: a dataclass for each request and answer.

A client sends one request, and reads answers until ``Done`` or ``Failed``. Of ``Monitor`` there is
no end. All are lines of JSON whose member ``kind`` names the dataclass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from flowtable.live.codec import decode, encode

REQUEST_LIMIT: Final = 1 << 20
"""Bytes of a request; it may hold a ruleset."""
ANSWER_LIMIT: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class AskStatus:
    """How is the service? One ``Status``."""


@dataclass(frozen=True, slots=True)
class AskFlows:
    """Which flows are there? A ``FlowRow`` each."""


@dataclass(frozen=True, slots=True)
class AskConnections:
    """What does the fast path have of connections? A ``ConnectionRow`` for each that it had once."""


@dataclass(frozen=True, slots=True)
class AskRefused:
    """Which connections do the rules want offloaded that are not? A ``RefusedRow`` each."""


@dataclass(frozen=True, slots=True)
class Monitor:
    """What happens from now on: an ``Event`` each."""


@dataclass(frozen=True, slots=True)
class Flush:
    """End all flows; their packets may bring them back. An ``EndedRow`` each."""


@dataclass(frozen=True, slots=True)
class Reload:
    """Load the ruleset again; an ``EndedRow`` for each flow that it does not keep.

    Attributes:
        path: another ruleset file; None for the one that is loaded.
    """

    path: str | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """End the service.

    Attributes:
        keep_rules: leave the rules loaded: packets take the classic path through them.
    """

    keep_rules: bool = False


Request: TypeAlias = AskStatus | AskFlows | AskConnections | AskRefused | Monitor | Flush | Reload | Stop


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device of a flowtable.

    Attributes:
        name: of the device.
        where: where its packets meet the fast path, None where they do not.
        trouble: why not, or what keeps it from being better.
    """

    name: str
    where: str | None
    trouble: str | None


@dataclass(frozen=True, slots=True)
class CountRow:
    """A count.

    Attributes:
        name: of what.
        count: how many.
        text: what it means.
    """

    name: str
    count: int
    text: str


@dataclass(frozen=True, slots=True)
class FlowtableRow:
    """A flowtable: family, table and name, what it declares, and how many flows it has."""

    family: str
    table: str
    name: str
    devices: tuple[str, ...]
    counter: bool
    offload: bool
    flows: int


@dataclass(frozen=True, slots=True)
class Status:
    """How a service is.

    Attributes:
        version: of the program.
        pid: its process.
        uptime: seconds.
        mode: where the flows come from: ``own`` or ``follow``.
        ruleset: the file of its rules, None without.
        flowtables: its flowtables.
        devices: their devices.
        flows: how many connections are on the fast path.
        capacity: for how many there is room.
        refused: how many connections are refused at the moment.
        refusals: those by reason.
        added: how many flows were added so far.
        ended: how many ended, by reason.
        packets: how many took the fast path, and by reason, the classic path.
        overruns: how often the kernel had more to say than was read, and everything was read anew.
        troubles: what the operator should know.
    """

    version: str
    pid: int
    uptime: float
    mode: str
    ruleset: str | None
    flowtables: tuple[FlowtableRow, ...]
    devices: tuple[DeviceRow, ...]
    flows: int
    capacity: int
    refused: int
    refusals: tuple[CountRow, ...]
    added: int
    ended: tuple[CountRow, ...]
    packets: tuple[CountRow, ...]
    overruns: int
    troubles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TupleRow:
    """Addresses as text and ports of packets; ports are 0 for protocols without."""

    src: str
    dst: str
    sport: int
    dport: int


@dataclass(frozen=True, slots=True)
class WayRow:
    """One direction of a flow.

    Attributes:
        arrives: what its packets carry when they arrive.
        leaves: what they carry when they leave.
        iif: device they arrive on.
        encapsulation: what is around them there, from the outside, as ``vlan=10``.
        oif: device they leave through.
        push: what the fast path puts around them.
        next_hop: the neighbour they go to.
        mtu: the largest IP packet that may leave, bytes.
        packets: how many took the fast path.
        bytes: their lengths from the IP header on.
        packet_rate: packets a second lately, None where it is not known yet.
        bit_rate: bits a second lately, None where it is not known yet.
    """

    arrives: TupleRow
    leaves: TupleRow
    iif: str
    encapsulation: tuple[str, ...]
    oif: str
    push: tuple[str, ...]
    next_hop: str
    mtu: int
    packets: int
    bytes: int
    packet_rate: float | None
    bit_rate: float | None


@dataclass(frozen=True, slots=True)
class FlowRow:
    """A flow on the fast path; times are seconds.

    Attributes:
        family: of the flowtable's table.
        table: the flowtable's table.
        flowtable: its name.
        protocol: number of the transport protocol.
        zone: conntrack zone.
        mark: the mark of the connection.
        state: of a TCP connection as connection tracking last saw it.
        snat: whether sources are translated.
        dnat: whether destinations are translated.
        original: one direction.
        reply: the other.
        age: since it was added.
        idle: since its last packet.
        left: until it will have been idle for too long.
        where: where its packets meet the fast path, as ``xdp native``.
    """

    family: str
    table: str
    flowtable: str
    protocol: int
    zone: int
    mark: int
    state: str | None
    snat: bool
    dnat: bool
    original: WayRow
    reply: WayRow
    age: float
    idle: float
    left: float
    where: str


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """A connection that is or was on the fast path.

    Attributes:
        protocol: number of the transport protocol.
        zone: conntrack zone.
        original: what packets of the original direction carry when they arrive.
        offloaded: whether it is on the fast path.
        packets: that connection tracking did not see and a flowtable counts for it, of the original
            and of the reply direction.
        bytes: their lengths from the IP header on.
    """

    protocol: int
    zone: int
    original: TupleRow
    offloaded: bool
    packets: tuple[int, ...]
    bytes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A connection that the rules want offloaded and that is not.

    Attributes:
        flowtable: family, table and name of the flowtable.
        rules: the rules that want it there: place and text of each.
        protocol: number of the transport protocol.
        original: what packets of its original direction carry.
        reply: what packets of its reply direction carry.
        reason: name of the refusal.
        text: the refusal in words.
        since: for how long it has been refused, seconds.
        tries: how often it was tried.
    """

    flowtable: str
    rules: tuple[str, ...]
    protocol: int
    original: TupleRow
    reply: TupleRow
    reason: str
    text: str
    since: float
    tries: int


@dataclass(frozen=True, slots=True)
class EndedRow:
    """A flow that ended: its flowtable, what it was, and why."""

    flowtable: str
    protocol: int
    original: TupleRow
    reply: TupleRow
    reason: str
    text: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        time: seconds since 1970.
        what: ``watching`` at first; then ``added``, ``refused``, ``ended``, ``trouble`` or ``lost``.
        flowtable: family, table and name; empty for what concerns none.
        protocol: number of the transport protocol, 0 for what concerns no connection.
        original: what packets of the original direction carry.
        reply: what packets of the reply direction carry.
        reason: name of the refusal or of the end.
        text: in words.
    """

    time: float
    what: str
    flowtable: str = ""
    protocol: int = 0
    original: TupleRow | None = None
    reply: TupleRow | None = None
    reason: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The request is answered."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The request cannot be answered: why."""

    message: str


Answer: TypeAlias = Status | FlowRow | ConnectionRow | RefusedRow | EndedRow | Event | Done | Failed

_REQUESTS: Final[dict[str, type[Request]]] = {
    "status": AskStatus,
    "flows": AskFlows,
    "connections": AskConnections,
    "refused": AskRefused,
    "monitor": Monitor,
    "flush": Flush,
    "reload": Reload,
    "stop": Stop,
}
_ANSWERS: Final[dict[str, type[Answer]]] = {
    "status": Status,
    "flow": FlowRow,
    "connection": ConnectionRow,
    "refused": RefusedRow,
    "ended": EndedRow,
    "event": Event,
    "done": Done,
    "failed": Failed,
}
_KINDS: Final[dict[type, str]] = {cls: kind for kinds in (_REQUESTS, _ANSWERS) for kind, cls in kinds.items()}


def line(message: Request | Answer) -> bytes:
    """A message as it is sent, its newline included."""
    return encode(message, _KINDS[type(message)])


def read_request(data: bytes) -> Request:
    """The request that a line is.

    Raises:
        CodecError: it is none.
    """
    return decode(data, _REQUESTS)


def read_answer(data: bytes) -> Answer:
    """The answer that a line is.

    Raises:
        CodecError: it is none.
    """
    return decode(data, _ANSWERS)
