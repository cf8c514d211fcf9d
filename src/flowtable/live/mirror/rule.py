"""Policy routing rules. Ref: net/core/fib_rules.c:fib_nl_fill_rule."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.live.mirror.rtnetlink import AF_INET, FAMILIES
from flowtable.netlink.attribute import attributes, text, u32
from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.rule import Rule, RuleAction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowtable.topology.topology import Topology

_HEADER: Final = Struct("=BBBBBBBBI")
_DST: Final = 1
_SRC: Final = 2
_IIFNAME: Final = 3
_PRIORITY: Final = 6
_FWMARK: Final = 10
_TABLE: Final = 15
_SUPPRESS_PREFIXLEN: Final = 14
_FWMASK: Final = 16
_OIFNAME: Final = 17
_L3MDEV: Final = 19
_INVERT: Final = 0x2
_DETACHED: Final = 0x18
"""Ref: FIB_RULE_IIF_DETACHED, FIB_RULE_OIF_DETACHED: whether the device is there is no matter of the rule."""
_LOOKUP: Final = 1
_NOP: Final = 3
_ACTIONS: Final = {
    _LOOKUP: RuleAction.LOOKUP,
    6: RuleAction.BLACKHOLE,
    7: RuleAction.UNREACHABLE,
    8: RuleAction.PROHIBIT,
}
_KNOWN: Final = frozenset(
    {_DST, _SRC, _IIFNAME, _PRIORITY, _FWMARK, _TABLE, _SUPPRESS_PREFIXLEN, _FWMASK, _OIFNAME, _L3MDEV}
)
_HARMLESS: Final = frozenset({0, 11, 18, 21})
"""Realms, padding, and who made the rule."""
_WORDS: Final = {
    4: "goto",
    12: "tun_id",
    13: "suppress_ifgroup",
    20: "uidrange",
    22: "ipproto",
    23: "sport",
    24: "dport",
    25: "dscp",
    26: "flowlabel",
    27: "flowlabel",
    28: "sport",
    29: "dport",
    30: "dscp",
}
_NO_SUPPRESSION: Final = b"\xff\xff\xff\xff"
_EVERY: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class RuleRecord:
    """A rule.

    Attributes:
        family: ``IPV4`` or ``IPV6``.
        rule: the rule, None if it does nothing.
        facts: all that the message says, which is the same as long as the rule is.
        note: in words, what of it topologies do not know.
    """

    family: int
    rule: Rule | None
    facts: tuple[object, ...]
    note: str = ""


def parse(body: bytes) -> RuleRecord | None:
    """The rule in a message; None if it is of another family."""
    if len(body) < _HEADER.size:
        return None
    family, dst_len, src_len, tos, _, _, _, action, flags = _HEADER.unpack_from(body)
    if family not in FAMILIES:
        return None
    kept = IPV4 if family == AF_INET else IPV6
    values = attributes(body, _HEADER.size)
    facts = (dst_len, src_len, tos, action, flags & ~_DETACHED, frozenset(values.items()))
    priority = u32(values.get(_PRIORITY, b""))
    unknown = [
        _WORDS.get(kind, f"attribute {kind}")
        for kind, value in values.items()
        if kind not in _KNOWN and kind not in _HARMLESS and value != _NO_SUPPRESSION
    ]
    unknown += ["tos"] if tos else []
    unknown += [] if action in _ACTIONS or action == _NOP else [f"action {action}"]
    mark = u32(values.get(_FWMARK, b""))
    suppressed = u32(values.get(_SUPPRESS_PREFIXLEN, _NO_SUPPRESSION))
    l3mdev = values.get(_L3MDEV, b"\0") != b"\0"
    looks = action == _LOOKUP
    rule = Rule(
        priority,
        RuleAction.UNKNOWN if unknown else _ACTIONS.get(action, RuleAction.LOOKUP),
        # What it is for other rules than to look up says nothing.
        table=u32(values[_TABLE]) if looks and _TABLE in values and not l3mdev else 0,
        source=(values[_SRC], src_len) if _SRC in values else None,
        destination=(values[_DST], dst_len) if _DST in values else None,
        iif=text(values[_IIFNAME]) if _IIFNAME in values else None,
        oif=text(values[_OIFNAME]) if _OIFNAME in values else None,
        fwmark=mark,
        fwmask=u32(values[_FWMASK]) if _FWMASK in values else (0xFFFFFFFF if mark else 0),
        l3mdev=l3mdev,
        invert=bool(flags & _INVERT),
        suppress_prefixlength=suppressed if looks and suppressed != _EVERY else None,
    )
    if unknown and rule.invert:
        # It may be for any packet.
        rule = Rule(priority, RuleAction.UNKNOWN)
    note = ""
    if unknown:
        version = 4 if kept == IPV4 else 6
        asked = ", ".join(dict.fromkeys(unknown))
        note = f"ip -{version} rule {priority}: flows that it may be for are refused ({asked})"
    return RuleRecord(kept, None if action == _NOP else rule, facts, note)


class RuleTable:
    """The rules of both families. They have no names, so they are put in place together.

    Attributes:
        records: by family, in the kernel's order, which is that of their priorities.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self.records: dict[int, list[RuleRecord]] = {IPV4: [], IPV6: []}

    def put(self, record: RuleRecord) -> None:
        """A rule is there, behind those of its priority."""
        self._set(record.family, [*self.records[record.family], record])

    def drop(self, record: RuleRecord) -> None:
        """A rule is no longer there."""
        kept = list(self.records[record.family])
        if record in kept:
            kept.remove(record)
            self._set(record.family, kept)

    def replace(self, family: int, records: Iterable[RuleRecord]) -> None:
        """These are the rules of a family."""
        self._set(family, list(records))

    def _set(self, family: int, records: list[RuleRecord]) -> None:
        self.records[family] = records
        rules = sorted((r.rule for r in records if r.rule is not None), key=lambda rule: rule.priority)
        fib = self._topology.fib(family)
        if rules != list(fib.rules):
            fib.set_rules(rules)
