"""Named stateful objects: counters, quotas, limits, and what connections are set to.

Ref: nftables src/rule.c:obj_print_data, net/netfilter/nf_tables_api.c:nf_tables_newobj.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.source import Span


class ObjectKind(Enum):
    """The kinds of objects; the value is the keyword."""

    COUNTER = "counter"
    QUOTA = "quota"
    CT_HELPER = "ct helper"
    LIMIT = "limit"
    CT_TIMEOUT = "ct timeout"
    SECMARK = "secmark"
    SYNPROXY = "synproxy"
    CT_EXPECTATION = "ct expectation"


class Body(Protocol):
    """What an object is, beside its name."""

    def lines(self, *, stateless: bool) -> list[str]:
        """The lines of its block as nft prints them; without state if ``stateless``."""
        ...

    def compile(self, compiler: Compiler) -> Step:
        """What a rule does that refers to it."""
        ...


@dataclass(slots=True, eq=False)
class NamedObject:
    """A named object of a table.

    Attributes:
        kind: what it is.
        name: unique among the objects of its kind in its table.
        span: the name in its source.
        body: the counter, quota ... itself.
        comment: its ``comment``, None without.
        handle: number unique in its table.
    """

    kind: ObjectKind
    name: str
    span: Span
    body: Body
    comment: str | None = None
    handle: int = 0
