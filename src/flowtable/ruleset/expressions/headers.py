"""The headers whose fields rules can read, as data.

Ref: nftables src/proto.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowtable.ruleset.selector import Identity, Layer
from flowtable.ruleset.types import (
    DSCP,
    ECN,
    ICMP_CODE,
    ICMP_TYPE,
    ICMPV6_CODE,
    ICMPV6_TYPE,
    INET_PROTO,
    INET_SERVICE,
    INTEGER,
    IPV4_ADDR,
    IPV6_ADDR,
    TCP_FLAG,
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
        number: its number in the layer below: the family, or the Internet protocol; -1 for ``th``.
        fields: its fields by keyword.
        network: the only network protocol that carries it, empty if any does.
    """

    name: str
    layer: Layer
    number: int
    fields: dict[str, Field]
    network: str = ""

    @property
    def identity(self) -> Identity:
        """Its layer and name."""
        return Identity(self.layer, self.name)


_PORTS: Final = {"sport": Field(0, INET_SERVICE), "dport": Field(16, INET_SERVICE)}

HEADERS: Final[dict[str, Header]] = {
    header.name: header
    for header in (
        Header(
            "ip",
            Layer.NETWORK,
            2,
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
        ),
        Header(
            "ip6",
            Layer.NETWORK,
            10,
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
        ),
        Header(
            "udp",
            Layer.TRANSPORT,
            17,
            {**_PORTS, "length": Field(32, INTEGER[16]), "checksum": Field(48, INTEGER[16])},
        ),
        Header(
            "udplite",
            Layer.TRANSPORT,
            136,
            {**_PORTS, "csumcov": Field(32, INTEGER[16]), "checksum": Field(48, INTEGER[16])},
        ),
        Header(
            "sctp",
            Layer.TRANSPORT,
            132,
            {**_PORTS, "vtag": Field(32, INTEGER[32]), "checksum": Field(64, INTEGER[32])},
        ),
        Header("dccp", Layer.TRANSPORT, 33, dict(_PORTS)),
        Header("th", Layer.TRANSPORT, -1, dict(_PORTS)),
        Header(
            "esp",
            Layer.TRANSPORT,
            50,
            {"spi": Field(0, INTEGER[32]), "sequence": Field(32, INTEGER[32])},
        ),
        Header(
            "ah",
            Layer.TRANSPORT,
            51,
            {
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
        ),
    )
}
"""The headers by keyword."""

WITH_PORTS: Final = frozenset(("tcp", "udp", "udplite", "sctp", "dccp"))
