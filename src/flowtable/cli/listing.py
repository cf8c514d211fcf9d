"""What a box holds, as text: connections as ``conntrack -L`` shows them, and flow entries.

Flow entries are listed in the manner of ``conntrack -L``; the kernel has no listing of them.
A line holds, in this order:

* ``l4name l4num``, and for entries that forward: seconds until they have been idle for too long;
* for TCP, the state of the connection as connection tracking knows it;
* for the original and for the reply direction: the device, what is around the packets there,
  and the tuple that packets arrive with; the device they leave through, what the fast path puts
  around them, and the packets and bytes that it forwarded. Around a packet are, from the outside,
  ``vlan=`` (802.1Q), ``svlan=`` (802.1ad), ``pppoe=`` (session), ``ipip=`` and ``ip6ip6=`` (far end);
* ``[SNAT]``, ``[DNAT]``: what is translated, which the tuples tell: packets leave with the
  addresses of the other direction's tuple, turned round;
* ``[CLOSING]`` after a FIN or RST on the fast path, ``[GONE]`` once the connection was deleted,
  ``[ENDED]`` once torn down;
* of a flow in a flowtable with hardware, for each direction where it runs: ``software``, or the name
  of the hardware with ``hw_packets`` and ``hw_bytes``, which hardware forwarded; ``since``: for how many
  seconds; the last thing that hardware did not do, as ``failure=`` and its name;
* ``[HW_OFFLOAD]`` if hardware has both directions, ``[HW_OFFLOAD: ONE DIRECTION]`` if it has one,
  ``[OFFLOAD]`` if it has none;
* the flowtable; ``age``, ``idle``: seconds since it was added, and since its last packet;
  ``reason``: why it ended.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from flowtable.clock import MILLISECOND, SECOND
from flowtable.conntrack.connection import TcpState
from flowtable.conntrack.listing import conntrack_line, live
from flowtable.conntrack.tuple import ORIGINAL, REPLY
from flowtable.flows.entry import FlowFlag
from flowtable.packet.packet import ETHERTYPE_PPPOE_SESSION, ETHERTYPE_QINQ, ETHERTYPE_VLAN, GRE, TCP, UDP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.flows.entry import Direction, FlowEntry
    from flowtable.flows.hardware import HardwareSide
    from flowtable.flows.side import Side
    from flowtable.flows.teardown import Teardown
    from flowtable.packet.flowkey import Encap
    from flowtable.router import Box

L4_NAMES: Final = {TCP: "tcp", UDP: "udp", GRE: "gre"}
WITH_PORTS: Final = (TCP, UDP)
_AROUND: Final = {ETHERTYPE_VLAN: "vlan", ETHERTYPE_QINQ: "svlan", ETHERTYPE_PPPOE_SESSION: "pppoe"}


def connection_lines(box: Box) -> Iterator[str]:
    """The connections of a box, as ``conntrack -L`` shows them."""
    box.flowtables.synchronise_all()
    return (conntrack_line(connection, box.now) for connection in live(box.conntrack, box.now))


def flow_lines(box: Box) -> Iterator[str]:
    """The flow entries of a box that were not torn down."""
    box.flowtables.synchronise_all()
    return (_line(each, box.now) for each in box.flowtables.entries() if not each.torn_down)


def ended_line(entry: FlowEntry, reason: Teardown, now: int) -> str:
    """A flow entry that is torn down just now, nanoseconds."""
    return f"{_line(entry, now)} reason={reason.name}"


def _line(entry: FlowEntry, now: int) -> str:
    connection = entry.connection
    original, reply = entry.directions
    used = max(*entry.used, entry.created)
    fields = [
        f"{L4_NAMES[connection.l4proto]:<8} {connection.l4proto}",
        "" if entry.torn_down else str(max(entry.expires - now, 0) // SECOND),
        TcpState(connection.tcp.state).name if connection.tcp is not None else "",
        _direction(original, _side(entry, ORIGINAL), now),
        _direction(reply, _side(entry, REPLY), now),
        "[SNAT]" if entry.flags & FlowFlag.SNAT else "",
        "[DNAT]" if entry.flags & FlowFlag.DNAT else "",
        _status(entry),
        _placed(entry),
        f"flowtable={entry.flowtable.declaration.name}",
        f"age={_seconds(now - entry.created)}",
        f"idle={_seconds(now - used)}",
    ]
    return " ".join(field for field in fields if field)


def _side(entry: FlowEntry, d: int) -> HardwareSide | None:
    return None if entry.hardware is None else entry.hardware.sides[d]


def _placed(entry: FlowEntry) -> str:
    """Whether hardware has the flow."""
    if entry.hardware is None or entry.torn_down:
        return ""
    match sum(bool(side.driver) for side in entry.hardware.sides):
        case 0:
            return "[OFFLOAD]"
        case 1:
            return "[HW_OFFLOAD: ONE DIRECTION]"
        case _:
            return "[HW_OFFLOAD]"


def _direction(direction: Direction, side: HardwareSide | None, now: int) -> str:
    key = direction.key
    entrance, exit_ = direction.entrance, direction.exit
    fields = [
        f"iif={entrance.port.name}",
        *_around(entrance.encap, entrance),
        f"src={ip_address(key.source)}",
        f"dst={ip_address(key.destination)}",
    ]
    if key.l4proto in WITH_PORTS:
        fields += [f"sport={key.sport}", f"dport={key.dport}"]
    fields += [
        f"oif={direction.device.name}",
        *_around(exit_.push, exit_),
        f"packets={direction.packets}",
        f"bytes={direction.bytes}",
    ]
    if side is not None:
        fields += [f"in={side.driver or 'software'}", f"since={_seconds(now - side.since)}"]
        if side.packets or side.driver:
            fields += [f"hw_packets={side.packets}", f"hw_bytes={side.bytes}"]
        if side.failure is not None:
            fields.append(f"failure={side.failure.reason.name}")
    return " ".join(fields)


def _around(encap: Encap, side: Side) -> Iterator[str]:
    """What is around packets to or from one side, from the outside."""
    for identifier, protocol in encap:
        if protocol in _AROUND:
            yield f"{_AROUND[protocol]}={identifier}"
        elif side.tunnel is not None:
            tunnel = side.tunnel.device
            yield f"{tunnel.kind.value}={ip_address(tunnel.remote)}"


def _status(entry: FlowEntry) -> str:
    if entry.torn_down:
        return "[ENDED]"
    if entry.flags & FlowFlag.GONE:
        return "[GONE]"
    return "[CLOSING]" if entry.flags & FlowFlag.CLOSING else ""


def _seconds(time: int) -> str:
    return f"{time // SECOND}.{time % SECOND // MILLISECOND:03}"
