"""Numbers with names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.style import style
from flowtable.ruleset.types.base import DataType, Value, as_number

if TYPE_CHECKING:
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.syntax import Word


class Symbolic(DataType):
    """A number of which some values have names; the first name of a value is printed.

    Attributes:
        names: name to value.
    """

    names: dict[str, int]
    hexadecimal: bool
    _printed: dict[int, str]
    _digits: int

    def __init__(
        self,
        name: str,
        description: str,
        bits: int,
        names: dict[str, int],
        *,
        per_line: int = 1,
        hexadecimal: bool = False,
    ) -> None:
        super().__init__(name, description, bits)
        self.names = names
        self.hexadecimal = hexadecimal
        self.per_line = per_line
        self._printed = {}
        for symbol, value in names.items():
            self._printed.setdefault(value, symbol)
        self._digits = (bits + 7) // 8 * 2 if hexadecimal else 0

    def parse(self, word: Word) -> Value:
        """A name or a number."""
        value = self.names.get(word.text)
        if value is not None:
            return value
        number = as_number(word)
        if number is None:
            raise ValueError(f"Could not parse {self.description}")
        return number

    def format(self, value: Value) -> str:
        """The name, or the number where there is none."""
        assert isinstance(value, int)
        return self.bound(value) if style().symbols else self._printed.get(value) or self.bound(value)

    def bound(self, value: int) -> str:
        """The number."""
        return f"0x{value:0{self._digits}x}" if self._digits else str(value)

    def json(self, value: Value) -> Json:
        """The name, or the number where there is none."""
        assert isinstance(value, int)
        return self._printed.get(value, value)


class Boolean(Symbolic):
    """Whether there is something."""

    def json(self, value: Value) -> Json:
        """True or false."""
        return bool(value)


BOOLEAN: Final = Boolean("boolean", "boolean type", 8, {"exists": 1, "missing": 0})
CT_DIR: Final = Symbolic("ct_dir", "conntrack direction", 8, {"original": 0, "reply": 1}, per_line=5)
PKT_TYPE: Final = Symbolic(
    "pkt_type",
    "packet type",
    8,
    {"host": 0, "unicast": 0, "broadcast": 1, "multicast": 2, "other": 3},
    per_line=5,
)
ECN: Final = Symbolic(
    "ecn",
    "Explicit Congestion Notification",
    2,
    {"not-ect": 0, "ect1": 1, "ect0": 2, "ce": 3},
    hexadecimal=True,
)
DSCP: Final = Symbolic(
    "dscp",
    "Differentiated Services Code Point",
    6,
    {
        "cs0": 0x00,
        "cs1": 0x08,
        "cs2": 0x10,
        "cs3": 0x18,
        "cs4": 0x20,
        "cs5": 0x28,
        "cs6": 0x30,
        "cs7": 0x38,
        "df": 0x00,
        "be": 0x00,
        "lephb": 0x01,
        "af11": 0x0A,
        "af12": 0x0C,
        "af13": 0x0E,
        "af21": 0x12,
        "af22": 0x14,
        "af23": 0x16,
        "af31": 0x1A,
        "af32": 0x1C,
        "af33": 0x1E,
        "af41": 0x22,
        "af42": 0x24,
        "af43": 0x26,
        "va": 0x2C,
        "ef": 0x2E,
    },
    hexadecimal=True,
)
ICMP_TYPE: Final = Symbolic(
    "icmp_type",
    "ICMP type",
    8,
    {
        "echo-reply": 0,
        "destination-unreachable": 3,
        "source-quench": 4,
        "redirect": 5,
        "echo-request": 8,
        "router-advertisement": 9,
        "router-solicitation": 10,
        "time-exceeded": 11,
        "parameter-problem": 12,
        "timestamp-request": 13,
        "timestamp-reply": 14,
        "info-request": 15,
        "info-reply": 16,
        "address-mask-request": 17,
        "address-mask-reply": 18,
    },
)
ICMP_CODE: Final = Symbolic(
    "icmp_code",
    "icmp code",
    8,
    {
        "net-unreachable": 0,
        "host-unreachable": 1,
        "prot-unreachable": 2,
        "port-unreachable": 3,
        "net-prohibited": 9,
        "host-prohibited": 10,
        "admin-prohibited": 13,
        "frag-needed": 4,
    },
)
ICMPV6_TYPE: Final = Symbolic(
    "icmpv6_type",
    "ICMPv6 type",
    8,
    {
        "destination-unreachable": 1,
        "packet-too-big": 2,
        "time-exceeded": 3,
        "parameter-problem": 4,
        "echo-request": 128,
        "echo-reply": 129,
        "mld-listener-query": 130,
        "mld-listener-report": 131,
        "mld-listener-done": 132,
        "mld-listener-reduction": 132,
        "nd-router-solicit": 133,
        "nd-router-advert": 134,
        "nd-neighbor-solicit": 135,
        "nd-neighbor-advert": 136,
        "nd-redirect": 137,
        "router-renumbering": 138,
        "ind-neighbor-solicit": 141,
        "ind-neighbor-advert": 142,
        "mld2-listener-report": 143,
    },
    per_line=5,
)
ICMPV6_CODE: Final = Symbolic(
    "icmpv6_code",
    "icmpv6 code",
    8,
    {
        "no-route": 0,
        "admin-prohibited": 1,
        "addr-unreachable": 3,
        "port-unreachable": 4,
        "policy-fail": 5,
        "reject-route": 6,
    },
)
ICMPX_CODE: Final = Symbolic(
    "icmpx_code",
    "icmpx code",
    8,
    {"port-unreachable": 1, "admin-prohibited": 3, "no-route": 0, "host-unreachable": 2},
)
"""Ref: include/uapi/linux/netfilter/nf_tables.h:nft_reject_inet_code."""
ARPHRD: Final = Symbolic(
    "iface_type",
    "network interface type",
    16,
    {
        "ether": 1,
        "ppp": 512,
        "ipip": 768,
        "ipip6": 769,
        "loopback": 772,
        "sit": 776,
        "ipgre": 778,
    },
)
"""Ref: include/uapi/linux/if_arp.h."""
ARP_OPERATION: Final = Symbolic(
    "arp_op",
    "ARP operation",
    16,
    {"request": 1, "reply": 2, "rrequest": 3, "rreply": 4, "inrequest": 8, "inreply": 9, "nak": 10},
)
FIB_TYPE: Final = Symbolic(
    "fib_addrtype",
    "fib address type",
    32,
    {
        "unspec": 0,
        "unicast": 1,
        "local": 2,
        "broadcast": 3,
        "anycast": 4,
        "multicast": 5,
        "blackhole": 6,
        "unreachable": 7,
        "prohibit": 8,
    },
)
"""Ref: include/uapi/linux/rtnetlink.h."""
IGMP_TYPE: Final = Symbolic(
    "igmp_type",
    "IGMP type",
    8,
    {
        "membership-query": 0x11,
        "membership-report-v1": 0x12,
        "membership-report-v2": 0x16,
        "membership-report-v3": 0x22,
        "leave-group": 0x17,
    },
)
MH_TYPE: Final = Symbolic(
    "mh_type",
    "Mobility Header Type",
    8,
    {
        "binding-refresh-request": 0,
        "home-test-init": 1,
        "careof-test-init": 2,
        "home-test": 3,
        "careof-test": 4,
        "binding-update": 5,
        "binding-acknowledgement": 6,
        "binding-error": 7,
        "fast-binding-update": 8,
        "fast-binding-acknowledgement": 9,
        "fast-binding-advertisement": 10,
        "experimental-mobility-header": 11,
        "home-agent-switch-message": 12,
    },
)
DCCP_TYPE: Final = Symbolic(
    "dccppkt_type",
    "DCCP packet type",
    4,
    {
        "request": 0,
        "response": 1,
        "data": 2,
        "ack": 3,
        "dataack": 4,
        "closereq": 5,
        "close": 6,
        "reset": 7,
        "sync": 8,
        "syncack": 9,
    },
)
