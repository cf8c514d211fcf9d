"""Words that are keywords wherever they stand.

Names of tables, chains, sets, flowtables and variables cannot be among them. Other keywords
(``state``, ``dport``, ``hook`` names ...) are known only where they are expected. Taken from
nft 1.0.6 by offering it each word as a name.
"""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final = """
    accept add ah all arp auto-merge bridge cgroup chain comment comp constant continue counter cpu
    create ct day dccp define delete describe device devices dnat drop dst dup dynamic ecn element
    elements esp ether exists expires export exthdr fib flags flow flowtable flush frag fwd
    gc-interval goto handle hbh hook hour ibriport ibrname icmp icmpv6 igmp iif iifgroup iifname
    iiftype import include index inet insert interval ip ip6 ipsec jhash jump limit list log map mark
    masquerade meta meter mh missing monitor netdev nftrace notrack numgen obriport obrname offload
    oif oifgroup oifname oiftype osf policy position priority queue quota random redefine redirect
    reject rename replace reset return rt rt0 rt2 rtclassid rule ruleset sctp secmark set size skgid
    skuid snat socket srh symhash synproxy table tcp th time timeout tproxy type typeof udp udplite
    undefine vlan vmap xt
"""

RESERVED: Final = frozenset(_WORDS.split())

PLAIN_VALUES: Final = frozenset(("arp", "dnat", "ecn", "ether", "ip", "ip6", "reset", "snat", "vlan"))
"""Keywords that are read as plain words on the right side of a match."""

PROTOCOL_VALUES: Final = {
    "icmp": 1,
    "igmp": 2,
    "tcp": 6,
    "udp": 17,
    "dccp": 33,
    "esp": 50,
    "ah": 51,
    "icmpv6": 58,
    "comp": 108,
    "sctp": 132,
    "udplite": 136,
}
"""Keywords that stand for an Internet protocol on the right side of a match."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9/\-_.]*")


def is_name(text: str) -> bool:
    """Whether a text can stand as a name, without quotes."""
    return _NAME.fullmatch(text) is not None and text not in RESERVED and text not in _OPERATORS


_OPERATORS: Final = frozenset(("eq", "ne", "lt", "gt", "le", "ge", "lshift", "rshift", "and", "or", "xor"))
