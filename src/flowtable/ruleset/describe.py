"""What ``describe`` says of a selector or of a type of values.

Ref: nftables src/expression.c:expr_describe, src/datatype.c:datatype_print.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.expressions.extension import Extension
from flowtable.ruleset.expressions.hashing import Jhash, Symhash
from flowtable.ruleset.expressions.ip_option import IpOption
from flowtable.ruleset.expressions.kernel_only import KernelOnly
from flowtable.ruleset.expressions.raw import Raw
from flowtable.ruleset.expressions.sctp_chunk import SctpChunk
from flowtable.ruleset.expressions.tcp_option import TcpOption
from flowtable.ruleset.selector import Selector
from flowtable.ruleset.types import ARP_OPERATION, ARPHRD, BOOLEAN, ETHER_ADDR, IFNAME
from flowtable.ruleset.types.flags import Flags
from flowtable.ruleset.types.number import Integer
from flowtable.ruleset.types.protocol import InternetProtocol
from flowtable.ruleset.types.symbol import Symbolic
from flowtable.ruleset.types.text import Text

if TYPE_CHECKING:
    from flowtable.ruleset.types.base import DataType

_KINDS: Final[dict[type[Selector], str]] = {
    Extension: "exthdr",
    IpOption: "exthdr",
    Jhash: "hash",
    Raw: "payload",
    SctpChunk: "exthdr",
    Symhash: "hash",
    TcpOption: "exthdr",
}
"""Selectors that nft calls otherwise than they are called here."""
_HEXADECIMAL: Final = (ARPHRD, ARP_OPERATION)
"""Numbers that nft shows as such here, and nowhere else."""
_BASES: Final = {ETHER_ADDR: "link layer address, integer", IFNAME: "string"}
_FUNDAMENTAL: Final = (Integer, Text)
"""Types that no other is behind."""


def describe(subject: Selector | DataType) -> str:
    """What a selector reads, or what a type of values is."""
    if not isinstance(subject, Selector):
        return _type(subject, f"{1 if subject is BOOLEAN else subject.bits} bits")
    kind = subject.written.split()[0] if isinstance(subject, KernelOnly) else type(subject).__name__.lower()
    datatype = subject.datatype
    size = f"{datatype.bits // 8} characters" if datatype is IFNAME else f"{datatype.bits} bits"
    return f"{_KINDS.get(type(subject), kind)} expression, {_type(datatype, size)}"


def _type(datatype: DataType, size: str) -> str:
    base = "bitmask, integer" if datatype.bitmask else _BASES.get(datatype, "integer")
    behind = "" if isinstance(datatype, _FUNDAMENTAL) else f" (basetype {base})"
    lines = [f"datatype {datatype.name} ({datatype.description}){behind}, {size}", *_names(datatype)]
    return "\n".join(lines) + "\n"


def _names(datatype: DataType) -> list[str]:
    """The values that have names."""
    if isinstance(datatype, InternetProtocol):
        return [f"\t{name:<30}\t{value}" for value, name in datatype.printed.items()]
    if not isinstance(datatype, Flags | Symbolic) or not datatype.names:
        return []
    if isinstance(datatype, Symbolic) and not datatype.hexadecimal and datatype not in _HEXADECIMAL:
        values = {name: f"{value:>20}" for name, value in datatype.names.items()}
    else:
        digits = (datatype.bits + 7) // 8 * 2
        values = {name: f"0x{value:0{digits}x}" for name, value in datatype.names.items()}
    number = "hexadecimal" if "0x" in next(iter(values.values())) else "decimal"
    head = ["", f"pre-defined symbolic constants (in {number}):"]
    return head + [f"\t{name:<30}\t{value}" for name, value in values.items()]
