"""Protocols: of the network layer, of the transport layer, and Ethernet types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.style import style
from flowtable.ruleset.types.base import DataType, Value, as_number
from flowtable.ruleset.types.symbol import Symbolic

if TYPE_CHECKING:
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.syntax import Word

_ASSIGNED: Final = """
    ip=0 hopopt=0 icmp=1 igmp=2 ggp=3 ipencap=4 st=5 tcp=6 egp=8 igp=9 pup=12 udp=17 hmp=20
    xns-idp=22 rdp=27 iso-tp4=29 dccp=33 xtp=36 ddp=37 idpr-cmtp=38 ipv6=41 ipv6-route=43
    ipv6-frag=44 idrp=45 rsvp=46 gre=47 esp=50 ah=51 skip=57 ipv6-icmp=58 ipv6-nonxt=59
    ipv6-opts=60 rspf=73 vmtp=81 eigrp=88 ospf=89 ax.25=93 ipip=94 etherip=97 encap=98 pim=103
    ipcomp=108 vrrp=112 l2tp=115 isis=124 sctp=132 fc=133 mobility-header=135 udplite=136
    mpls-in-ip=137 manet=138 hip=139 shim6=140 wesp=141 rohc=142 ethernet=143
"""
"""Assigned Internet protocol numbers under the names that /etc/protocols gives them."""


class InternetProtocol(DataType):
    """A protocol number; names as in /etc/protocols, in lower or upper case.

    Attributes:
        printed: number to name.
    """

    per_line = 5
    printed: dict[int, str]
    _names: dict[str, int]

    def __init__(self, name: str, description: str, bits: int) -> None:
        super().__init__(name, description, bits)
        pairs = (pair.split("=") for pair in _ASSIGNED.split())
        self._names = {symbol: int(number) for symbol, number in pairs}
        self.printed = {}
        for symbol, value in self._names.items():
            self.printed.setdefault(value, symbol)

    def parse(self, word: Word) -> Value:
        """A name or a number."""
        number = as_number(word)
        if number is not None:
            if number > self.maximum:
                raise ValueError("Protocol out of range")
            return number
        value = self._names.get(word.text.lower())
        if value is None:
            raise ValueError("Could not resolve protocol name")
        return value

    def format(self, value: Value) -> str:
        """The name, or the number where there is none."""
        assert isinstance(value, int)
        return str(value) if style().protocols else self.printed.get(value, str(value))

    def bound(self, value: int) -> str:
        """The number."""
        return str(value)

    def json_bound(self, value: int) -> Json:
        """The number."""
        return value


INET_PROTO: Final = InternetProtocol("inet_proto", "Internet protocol", 8)
NF_PROTO: Final = Symbolic("nf_proto", "netfilter protocol", 8, {"ipv4": 2, "ipv6": 10}, per_line=5)
ETHER_TYPE: Final = Symbolic(
    "ether_type",
    "Ethernet protocol",
    16,
    {"ip": 0x0800, "arp": 0x0806, "ip6": 0x86DD, "8021q": 0x8100, "8021ad": 0x88A8, "vlan": 0x8100},
    hexadecimal=True,
)
