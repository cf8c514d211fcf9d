"""Priorities and their names.

Ref: nftables src/rule.c:std_prio_lookup, std_prio_family_hook_compat.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowtable.ruleset.family import Family
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.style import NftVersion, style
from flowtable.ruleset.syntax import Word

if TYPE_CHECKING:
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span

_NAMES: Final = {
    "raw": -300,
    "mangle": -150,
    "dstnat": -100,
    "filter": 0,
    "security": 50,
    "srcnat": 100,
}
_BRIDGE_NAMES: Final = {"dstnat": -300, "filter": -200, "out": 100, "srcnat": 300}
_BRIDGE_HOOKS: Final = {
    "dstnat": (Hook.PREROUTING,),
    "out": (Hook.OUTPUT,),
    "srcnat": (Hook.POSTROUTING,),
}
_HOOKS: Final = {
    "dstnat": (Hook.PREROUTING, Hook.OUTPUT),
    "srcnat": (Hook.POSTROUTING, Hook.INPUT),
}
_WRITTEN: Final = re.compile(r"(?P<name>[a-z]*)\s*(?P<offset>[+-]?\s*[0-9]{1,10})?")
_REACH: Final = 10
"""How far from a named priority nft prints the name and the difference."""


@dataclass(slots=True, frozen=True)
class PrioritySyntax:
    """A priority as written.

    Attributes:
        name: its name, empty where there is only a number.
        offset: the number, or what is added to the name.
        span: from the word ``priority`` on.
    """

    name: str
    offset: int
    span: Span


def known(name: str, family: Family, hook: Hook) -> bool:
    """Whether a name means something there."""
    if name == "filter":
        return True
    if family is Family.BRIDGE:
        return name in _BRIDGE_NAMES and hook in _BRIDGE_HOOKS[name]
    if family not in (Family.IP, Family.IP6, Family.INET) or hook in (Hook.INGRESS, Hook.EGRESS):
        return False
    return name in _NAMES and hook in _HOOKS.get(name, tuple(Hook))


def _names(family: Family) -> dict[str, int]:
    return _BRIDGE_NAMES if family is Family.BRIDGE else _NAMES


def resolve(syntax: PrioritySyntax, family: Family, hook: Hook) -> int | None:
    """The number, None if the name means nothing there or the number is none of 32 bits."""
    value = syntax.offset
    if syntax.name:
        if not known(syntax.name, family, hook):
            return None
        value += _names(family)[syntax.name]
    return value if -(1 << 31) <= value < 1 << 31 else None


def _shown(name: str, family: Family, hook: Hook) -> bool:
    """Whether a listing shows a name there; nft 1.0.6 knows some names at one hook only."""
    if style().version is NftVersion.V1_0_6 and name in _HOOKS and hook is not _HOOKS[name][0]:
        return False
    return known(name, family, hook)


def text(value: int, family: Family, hook: Hook) -> str:
    """The priority as nft prints it: by the nearest name, if one is near."""
    if style().priorities:
        return str(value)
    for name, base in _names(family).items():
        if abs(value - base) <= _REACH and _shown(name, family, hook):
            if value == base:
                return name
            return f"{name} {'+' if value > base else '-'} {abs(value - base)}"
    return str(value)


def parse_priority(parser: Parser) -> PrioritySyntax:
    """Read ``priority`` and what follows."""
    start = parser.expect_word("priority").span
    if parser.at(Kind.DOLLAR):
        name, offset = _of_variable(parser)
    elif parser.at(Kind.DASH) or parser.at(Kind.NUMBER):
        name, offset = "", _sign(parser) * parser.number("number")
    else:
        if not parser.at(Kind.STRING):
            raise parser.unexpected()
        name, offset = parser.name().text, 0
        if parser.at(Kind.DASH) or parser.at(Kind.PLUS):
            offset = _sign(parser) * parser.number("number")
    return PrioritySyntax(name, offset, parser.since(start))


def _sign(parser: Parser) -> int:
    if parser.accept(Kind.DASH):
        return -1
    parser.accept(Kind.PLUS)
    return 1


def _of_variable(parser: Parser) -> tuple[str, int]:
    span = parser.token.span
    term = parser.variable()
    found = _WRITTEN.fullmatch(term.text) if isinstance(term, Word) else None
    if found is None:
        raise parser.error("invalid priority expression value", span)
    offset = int(found["offset"].replace(" ", "") or 0) if found["offset"] else 0
    return found["name"] or "", offset
