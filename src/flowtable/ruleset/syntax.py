"""What the parser makes of the values of a rule, before their types are known.

A term says only how a value is written; ``values.py`` makes values of terms, once the other
side of the match has given the type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from flowtable.ruleset.lexer import Kind

if TYPE_CHECKING:
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.statement import Statement
    from flowtable.ruleset.types.base import DataType


class Word(NamedTuple):
    """A name, number, address or quoted text.

    Attributes:
        text: as written; a number in decimal, a quoted text without its quotes.
        span: where it stands.
        kind: ``STRING``, ``NUMBER``, ``QUOTED`` or ``WILDCARD``.
    """

    text: str
    span: Span
    kind: Kind = Kind.STRING


class Literal(NamedTuple):
    """A keyword that has a type of its own, such as ``tcp``."""

    datatype: DataType
    value: int
    span: Span


class PrefixTerm(NamedTuple):
    """``10.0.0.0/8``."""

    base: Term
    length: int
    span: Span


class RangeTerm(NamedTuple):
    """``1-5``."""

    low: Term
    high: Term
    span: Span


class ListTerm(NamedTuple):
    """``established,related``."""

    items: tuple[Term, ...]
    span: Span


class FlagsTerm(NamedTuple):
    """``syn / syn,ack``: flags and the mask that they are compared under."""

    flags: Term
    mask: Term
    span: Span


class BinaryTerm(NamedTuple):
    """Two terms joined by ``&``, ``|``, ``^``, ``<<`` or ``>>``."""

    operator: Kind
    left: Term
    right: Term
    span: Span


class ConcatTerm(NamedTuple):
    """``ip saddr . tcp dport``."""

    parts: tuple[Term, ...]
    span: Span


class VerdictTerm(NamedTuple):
    """A verdict as the value of a map element.

    Attributes:
        verdict: the keyword.
        span: the whole verdict.
        chain: target of ``jump`` and ``goto``.
        chain_span: where the target stands.
    """

    verdict: str
    span: Span
    chain: str | None = None
    chain_span: Span | None = None


class ElementTerm(NamedTuple):
    """One element of a set or map.

    Attributes:
        key: the key, None for the catch-all ``*``.
        data: what the key maps to, None in a set.
        span: the key.
        comment: its ``comment``, None without.
        timeout: its ``timeout`` in milliseconds, None without.
        expires: its ``expires`` in milliseconds, None without.
        statements: what is counted and limited for it.
    """

    key: Term | None
    data: Term | VerdictTerm | None
    span: Span
    comment: str | None = None
    timeout: int | None = None
    expires: int | None = None
    statements: tuple[Statement, ...] = ()


class SetTerm(NamedTuple):
    """``{ 22, 80 }`` or ``{ 22 : accept }``.

    Attributes:
        elements: its elements, some of which may be sets in turn.
        span: from brace to brace.
        size: how many elements it has, those of sets in it included.
    """

    elements: tuple[ElementTerm, ...]
    span: Span
    size: int


class ReferenceTerm(NamedTuple):
    """``@name``."""

    name: str
    span: Span


class MapTerm(NamedTuple):
    """``tcp dport map { 80 : 8080 }``."""

    key: Term
    mapping: SetTerm | ReferenceTerm
    span: Span


Term: TypeAlias = (
    "Word | Literal | PrefixTerm | RangeTerm | ListTerm | FlagsTerm | BinaryTerm | ConcatTerm | SetTerm"
    " | ReferenceTerm | MapTerm | Selector"
)
