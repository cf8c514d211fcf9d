"""The headers whose fields rules can read, as data.

Ref: nftables src/proto.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowtable.packet.packet import ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN
from flowtable.ruleset.selector import Identity, Layer
from flowtable.ruleset.types import (
    ARP_OPERATION,
    DCCP_TYPE,
    DSCP,
    ECN,
    ETHER_ADDR,
    ETHER_TYPE,
    ICMP_CODE,
    ICMP_TYPE,
    ICMPV6_CODE,
    ICMPV6_TYPE,
    IGMP_TYPE,
    INET_PROTO,
    INET_SERVICE,
    INTEGER,
    IPV4_ADDR,
    IPV6_ADDR,
    TCP_FLAG,
    hexadecimal,
)

if TYPE_CHECKING:
    from flowtable.ruleset.types.base import DataType


@dataclass(slots=True, frozen=True)
class Field:
    """A field of a header.

    Attributes:
        offset: in bits from the start of the header, most significant bit first.
        datatype: its type, which gives its width.
        messages: the ICMP types that have it, empty where all have.
    """

    offset: int
    datatype: DataType
    messages: tuple[int, ...] = ()

    @property
    def first(self) -> int:
        """The byte that it starts in."""
        return self.offset // 8

    @property
    def end(self) -> int:
        """The byte behind the one that it ends in."""
        return (self.offset + self.datatype.bits + 7) // 8

    @property
    def shift(self) -> int:
        """Bits behind it in its last byte."""
        return -(self.offset + self.datatype.bits) % 8


@dataclass(slots=True, frozen=True)
class Header:
    """A header.

    Attributes:
        name: its keyword.
        layer: its layer.
        number: its number in the layer below: the Ethernet or Internet protocol; -1 for ``th``, and 0
            for what is not told by a number.
        fields: its fields by keyword.
        network: the only network protocol that carries it, empty if any does.
        expecting: what nft offers in place of an unknown field, where it does.
        checksum: where its own checksum is, in bytes; None where a change needs none.
    """

    name: str
    layer: Layer
    number: int
    fields: dict[str, Field]
    network: str = ""
    expecting: tuple[str, ...] = ()
    checksum: int | None = None

    @property
    def identity(self) -> Identity:
        """Its layer and name."""
        return Identity(self.layer, self.name)


_PORTS: Final = {"sport": Field(0, INET_SERVICE), "dport": Field(16, INET_SERVICE)}

HEADERS: Final[dict[str, Header]] = {
    header.name: header
    for header in (
        Header(
            "ether",
            Layer.LINK,
            0,
            {
                "daddr": Field(0, ETHER_ADDR),
                "saddr": Field(48, ETHER_ADDR),
                "type": Field(96, ETHER_TYPE),
            },
            expecting=("saddr", "daddr", "type"),
        ),
        Header(
            "vlan",
            Layer.LINK,
            ETHERTYPE_VLAN,
            {
                "pcp": Field(112, INTEGER[3]),
                "dei": Field(115, INTEGER[1]),
                "id": Field(116, INTEGER[12]),
                "type": Field(128, ETHER_TYPE),
            },
        ),
        Header(
            "arp",
            Layer.NETWORK,
            ETHERTYPE_ARP,
            {
                "htype": Field(0, INTEGER[16]),
                "ptype": Field(16, ETHER_TYPE),
                "hlen": Field(32, INTEGER[8]),
                "plen": Field(40, INTEGER[8]),
                "operation": Field(48, ARP_OPERATION),
                "saddr ether": Field(64, ETHER_ADDR),
                "saddr ip": Field(112, IPV4_ADDR),
                "daddr ether": Field(144, ETHER_ADDR),
                "daddr ip": Field(192, IPV4_ADDR),
            },
        ),
        Header(
            "ip",
            Layer.NETWORK,
            ETHERTYPE_IPV4,
            {
                "version": Field(0, INTEGER[4]),
                "hdrlength": Field(4, INTEGER[4]),
                "dscp": Field(8, DSCP),
                "ecn": Field(14, ECN),
                "length": Field(16, INTEGER[16]),
                "id": Field(32, INTEGER[16]),
                "frag-off": Field(48, INTEGER[16]),
                "ttl": Field(64, INTEGER[8]),
                "protocol": Field(72, INET_PROTO),
                "checksum": Field(80, INTEGER[16]),
                "saddr": Field(96, IPV4_ADDR),
                "daddr": Field(128, IPV4_ADDR),
            },
            checksum=10,
        ),
        Header(
            "ip6",
            Layer.NETWORK,
            ETHERTYPE_IPV6,
            {
                "version": Field(0, INTEGER[4]),
                "dscp": Field(4, DSCP),
                "ecn": Field(10, ECN),
                "flowlabel": Field(12, INTEGER[20]),
                "length": Field(32, INTEGER[16]),
                "nexthdr": Field(48, INET_PROTO),
                "hoplimit": Field(56, INTEGER[8]),
                "saddr": Field(64, IPV6_ADDR),
                "daddr": Field(192, IPV6_ADDR),
            },
        ),
        Header(
            "tcp",
            Layer.TRANSPORT,
            6,
            {
                **_PORTS,
                "sequence": Field(32, INTEGER[32]),
                "ackseq": Field(64, INTEGER[32]),
                "doff": Field(96, INTEGER[4]),
                "reserved": Field(100, INTEGER[4]),
                "flags": Field(104, TCP_FLAG),
                "window": Field(112, INTEGER[16]),
                "checksum": Field(128, INTEGER[16]),
                "urgptr": Field(144, INTEGER[16]),
            },
            checksum=16,
        ),
        Header(
            "udp",
            Layer.TRANSPORT,
            17,
            {**_PORTS, "length": Field(32, INTEGER[16]), "checksum": Field(48, INTEGER[16])},
            expecting=("length", "checksum", "sport", "dport"),
            checksum=6,
        ),
        Header(
            "udplite",
            Layer.TRANSPORT,
            136,
            {**_PORTS, "csumcov": Field(32, INTEGER[16]), "checksum": Field(48, INTEGER[16])},
            expecting=("checksum", "sport", "dport", "csumcov"),
        ),
        Header(
            "sctp",
            Layer.TRANSPORT,
            132,
            {**_PORTS, "vtag": Field(32, INTEGER[32]), "checksum": Field(64, INTEGER[32])},
        ),
        Header(
            "dccp",
            Layer.TRANSPORT,
            33,
            {**_PORTS, "type": Field(67, DCCP_TYPE)},
            expecting=("type", "sport", "dport"),
        ),
        Header("th", Layer.TRANSPORT, -1, dict(_PORTS), expecting=("sport", "dport")),
        Header(
            "esp",
            Layer.TRANSPORT,
            50,
            {"spi": Field(0, INTEGER[32]), "sequence": Field(32, INTEGER[32])},
            expecting=("seq", "spi"),
        ),
        Header(
            "comp",
            Layer.TRANSPORT,
            108,
            {
                "nexthdr": Field(0, INET_PROTO),
                "flags": Field(8, hexadecimal(8)),
                "cpi": Field(16, INTEGER[16]),
            },
            expecting=("nexthdr", "flags", "cpi"),
        ),
        Header(
            "ah",
            Layer.TRANSPORT,
            51,
            {
                "nexthdr": Field(0, INET_PROTO),
                "hdrlength": Field(8, INTEGER[8]),
                "reserved": Field(16, INTEGER[16]),
                "spi": Field(32, INTEGER[32]),
                "sequence": Field(64, INTEGER[32]),
            },
        ),
        Header(
            "icmp",
            Layer.TRANSPORT,
            1,
            {
                "type": Field(0, ICMP_TYPE),
                "code": Field(8, ICMP_CODE),
                "checksum": Field(16, INTEGER[16]),
                "id": Field(32, INTEGER[16], messages=(8, 0)),
                "sequence": Field(48, INTEGER[16], messages=(8, 0)),
                "gateway": Field(32, INTEGER[32], messages=(5,)),
                "mtu": Field(48, INTEGER[16], messages=(3,)),
            },
            network="ip",
            checksum=2,
        ),
        Header(
            "igmp",
            Layer.TRANSPORT,
            2,
            {
                "type": Field(0, IGMP_TYPE),
                "mrt": Field(8, INTEGER[8]),
                "checksum": Field(16, INTEGER[16]),
                "group": Field(32, INTEGER[32]),
            },
            network="ip",
            expecting=("type", "checksum", "mrt", "group"),
            checksum=2,
        ),
        Header(
            "icmpv6",
            Layer.TRANSPORT,
            58,
            {
                "type": Field(0, ICMPV6_TYPE),
                "code": Field(8, ICMPV6_CODE),
                "checksum": Field(16, INTEGER[16]),
                "mtu": Field(32, INTEGER[32], messages=(2,)),
                "id": Field(32, INTEGER[16], messages=(128, 129)),
                "sequence": Field(48, INTEGER[16], messages=(128, 129)),
                "max-delay": Field(32, INTEGER[16], messages=(130,)),
            },
            network="ip6",
            checksum=2,
        ),
    )
}
"""The headers by keyword."""

WITH_PORTS: Final = frozenset(("tcp", "udp", "udplite", "sctp", "dccp"))
