"""Leaving packets out of connection tracking.

Ref: net/netfilter/nft_ct.c:nft_notrack_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.packet import CtInfo
from flowtable.ruleset.code import GO_ON, Do
from flowtable.ruleset.statement import Statement

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser

_UNTRACKED: Final = int(CtInfo.UNTRACKED)


class Notrack(Statement):
    """``notrack``."""

    __slots__ = ()

    def text(self, *, stateless: bool = False) -> str:
        """``notrack``."""
        del stateless
        return "notrack"

    def json(self) -> Json:
        """No options."""
        return {"notrack": None}

    def compile(self, compiler: Compiler) -> Step:
        """Mark a packet that has no connection yet."""
        del compiler
        return Do(_notrack)


def _notrack(packet: Packet) -> int:
    if packet.ct is None:
        packet.ctinfo = _UNTRACKED
    return GO_ON


def parse(parser: Parser) -> Notrack:
    """Read ``notrack``."""
    return Notrack(parser.advance().span)
