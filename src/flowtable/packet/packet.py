"""A packet in flight, and the notes that the stations it passes leave on it.

The kernel's ``struct sk_buff``. The buffer starts at the network header: stations of the
classic path agree on offsets from there, whatever encapsulation the frame came in. As
``skbuff.h`` does with ``struct nf_conn``, this module names the types of the notes for the
type checker only and never looks inside them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.packet.drop import Drop
    from flowtable.topology.device import Device
    from flowtable.topology.route import Route

IPV4: Final = 2
"""NFPROTO_IPV4, also AF_INET."""
IPV6: Final = 10
"""NFPROTO_IPV6, also AF_INET6."""

ETHERTYPE_IPV4: Final = 0x0800
ETHERTYPE_ARP: Final = 0x0806
ETHERTYPE_VLAN: Final = 0x8100
ETHERTYPE_IPV6: Final = 0x86DD
ETHERTYPE_PPPOE_SESSION: Final = 0x8864
ETHERTYPE_QINQ: Final = 0x88A8

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
GRE: Final = 47
ICMPV6: Final = 58
SCTP: Final = 132
UDPLITE: Final = 136


class PacketType(IntEnum):
    """To whom the frame was addressed at layer 2. Ref: include/uapi/linux/if_packet.h."""

    HOST = 0
    BROADCAST = 1
    MULTICAST = 2
    OTHERHOST = 3


class CtInfo(IntEnum):
    """What conntrack says of a packet. Ref: include/uapi/linux/netfilter/nf_conntrack_common.h."""

    ESTABLISHED = 0
    RELATED = 1
    NEW = 2
    ESTABLISHED_REPLY = 3
    RELATED_REPLY = 4
    UNTRACKED = 7


# Looking an enum member up takes a third of the time it takes to make a packet.
_ESTABLISHED: Final = int(CtInfo.ESTABLISHED)


class Packet:
    """One packet on its way through the box.

    Attributes:
        data: the packet from its network header on, trimmed to the length the header gives.
        link: the link-layer header(s) in front of it as received, empty for local packets.
        family: ``IPV4`` or ``IPV6``.
        thoff: offset of the transport header in ``data`` (behind IPv6 extension headers).
        l4proto: protocol number of the transport header.
        fragoff: fragment offset in bytes; no transport header to read where it is not 0.
        pkttype: to whom the frame was addressed.
        iif: device it came in on, None for local packets.
        oif: device it is going out of, None until routed.
        dst: the routing decision, None until routed.
        ct: its connection, None when untracked, invalid or not tracked yet.
        ctinfo: its relation to ``ct``; ``CtInfo.UNTRACKED`` after ``notrack``.
        mark: the packet mark, unsigned 32 bit.
        priority: the packet priority (``meta priority``), unsigned 32 bit.
        time: when it was received, nanoseconds.
        frag_max_size: size of the largest fragment it was reassembled from, 0 if it was whole.
        frag_df: a fragment of that size carried the don't-fragment bit (IPSKB_FRAG_PMTU).
        frag_sizes: payload bytes of the fragments in their order (the ``frag_list``), for it to
            leave as it came; empty if it was whole.
        header: bytes of the link-layer header that count as its length: those of the Ethernet
            header on egress, elsewhere 0 (the difference of ``skb->len``).
        hook: the hook it is at (``ruleset.Hook``), set before the chains of that hook run.
        drop: why it was dropped, set by the station that returns the drop verdict.
    """

    __slots__ = (
        "ct",
        "ctinfo",
        "data",
        "drop",
        "dst",
        "family",
        "frag_df",
        "frag_max_size",
        "frag_sizes",
        "fragoff",
        "header",
        "hook",
        "iif",
        "l4proto",
        "link",
        "mark",
        "oif",
        "pkttype",
        "priority",
        "thoff",
        "time",
    )

    def __init__(
        self,
        data: bytearray,
        family: int,
        link: bytes = b"",
        iif: Device | None = None,
        time: int = 0,
        pkttype: int = 0,
        thoff: int = 0,
        l4proto: int = 0,
        fragoff: int = 0,
    ) -> None:
        self.data = data
        self.family = family
        self.link = link
        self.iif = iif
        self.time = time
        self.pkttype = pkttype
        self.thoff = thoff
        self.l4proto = l4proto
        self.fragoff = fragoff
        self.oif: Device | None = None
        self.dst: Route | None = None
        self.ct: Connection | None = None
        self.ctinfo: int = _ESTABLISHED
        self.mark = 0
        self.priority = 0
        self.frag_max_size = 0
        self.frag_df = False
        self.frag_sizes: tuple[int, ...] = ()
        self.header = 0
        self.hook = 0
        self.drop: Drop | None = None

    @property
    def reply(self) -> bool:
        """Whether it travels in its connection's reply direction (CTINFO2DIR)."""
        return 3 <= self.ctinfo <= 4
