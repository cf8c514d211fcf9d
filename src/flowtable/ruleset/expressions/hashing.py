"""Hashes of what is read, or of the flow that a packet belongs to.

Ref: net/netfilter/nft_hash.c:nft_jhash_eval, nft_symhash_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.jhash import jhash, scale
from flowtable.ruleset.expressions.bitwise import check_expression
from flowtable.ruleset.expressions.numgen import check_numbers, format_offset, parse_offset
from flowtable.ruleset.selector import Identity, Selector
from flowtable.ruleset.syntax import ConcatTerm
from flowtable.ruleset.types.interface import NAME_SIZE, SURROGATES
from flowtable.ruleset.types.number import Numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.hook import Hook
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.syntax import Term

    Read = Callable[[Packet], bytes | None]

_REGISTER: Final = 4
"""Fields of a concatenation begin at multiples of it."""


class Jhash(Selector):
    """``jhash ip saddr mod 2 seed 0x1``.

    Attributes:
        term: what is hashed, as written.
        parts: what is hashed, once checked.
        modulus: how many numbers there are.
        seed: what the hash starts from; None leaves that to the kernel.
        offset: the first of the numbers.
    """

    __slots__ = ("modulus", "offset", "parts", "seed", "term")

    def __init__(self, span: Span, term: Term, modulus: int, seed: int | None, offset: int) -> None:
        super().__init__(span, Numbers(32, offset + modulus - 1))
        self.term = term
        self.parts: tuple[Selector, ...] = ()
        self.modulus = modulus
        self.seed = seed
        self.offset = offset

    def check(self, rule: RuleContext) -> Selector:
        """Check what is hashed."""
        terms = self.term.parts if isinstance(self.term, ConcatTerm) else (self.term,)
        checked = Jhash(self.span, self.term, self.modulus, self.seed, self.offset)
        checked.parts = tuple(check_expression(term, rule) for term in terms)
        check_numbers(self.modulus, self.offset, rule, self.span)
        return checked

    def text(self) -> str:
        """The seed in hexadecimal."""
        seed = "" if self.seed is None else f" seed 0x{self.seed:x}"
        parts = " . ".join(part.text() for part in self.parts)
        return f"jhash {parts} mod {self.modulus}{seed}{format_offset(self.offset)}"

    def json(self) -> Json:
        """Everything but defaults."""
        parts = [part.json() for part in self.parts]
        shown: dict[str, Json] = {
            "mod": self.modulus,
            "expr": parts[0] if len(parts) == 1 else {"concat": parts},
        }
        if self.seed is not None:
            shown["seed"] = self.seed
        if self.offset:
            shown["offset"] = self.offset
        return {"jhash": shown}

    @property
    def headers(self) -> tuple[Identity, ...]:
        """The headers that are read."""
        return tuple(header for part in self.parts for header in part.headers)

    @property
    def opaque(self) -> bool:
        """Whether a part is."""
        return any(part.opaque for part in self.parts)

    @property
    def hooks(self) -> frozenset[Hook] | None:
        """The hooks that every part can be read at."""
        bound = [part.hooks for part in self.parts if part.hooks is not None]
        return frozenset.intersection(*bound) if bound else None

    def load(self, compiler: Compiler) -> Load:
        """Hash the bytes in the order that they have in memory."""
        reads = [_bytes(part, compiler) for part in self.parts]
        seed = compiler.environment.random() if self.seed is None else self.seed
        modulus, offset = self.modulus, self.offset
        padded = len(reads) > 1

        def load(packet: Packet) -> int | None:
            data = b""
            for read in reads:
                value = read(packet)
                if value is None:
                    return None
                data += value + bytes(-len(value) % _REGISTER) if padded else value
            return scale(jhash(data, seed), modulus) + offset

        return load


def _bytes(selector: Selector, compiler: Compiler) -> Read:
    """A function that reads the bytes of a value as they are in memory."""
    datatype = selector.datatype
    load = selector.load(compiler)
    size = (datatype.bits + 7) // 8
    order = selector.byte_order

    def read(packet: Packet) -> bytes | None:
        value = load(packet)
        match value:
            case int():
                return value.to_bytes(size, order)
            case str():
                return value.encode(errors=SURROGATES).ljust(NAME_SIZE, b"\0")
            case _:
                return None

    return read


class Symhash(Selector):
    """``symhash mod 2``: both directions of a flow have the same number.

    Which one is chance, in the kernel at every boot and here by the seed of the run.

    Attributes:
        modulus: how many numbers there are.
        offset: the first of them.
    """

    __slots__ = ("modulus", "offset")

    def __init__(self, span: Span, modulus: int, offset: int) -> None:
        super().__init__(span, Numbers(32, offset + modulus - 1))
        self.modulus = modulus
        self.offset = offset

    def check(self, rule: RuleContext) -> Selector:
        """There have to be numbers."""
        check_numbers(self.modulus, self.offset, rule, self.span)
        return self

    def text(self) -> str:
        """An offset of 0 is left out."""
        return f"symhash mod {self.modulus}{format_offset(self.offset)}"

    def json(self) -> Json:
        """Modulus and offset."""
        shown: dict[str, Json] = {"mod": self.modulus}
        if self.offset:
            shown["offset"] = self.offset
        return {"symhash": shown}

    def load(self, compiler: Compiler) -> Load:
        """Hash addresses, protocol and ports, the smaller ones first."""
        seed = compiler.environment.random()
        modulus, offset = self.modulus, self.offset
        return lambda packet: scale(jhash(_flow(packet), seed), modulus) + offset


def _flow(packet: Packet) -> bytes:
    """Ref: net/core/flow_dissector.c:__skb_get_hash_symmetric."""
    data = packet.data
    first, size = (12, 4) if packet.family == 2 else (8, 16)
    addresses = sorted((bytes(data[first : first + size]), bytes(data[first + size : first + 2 * size])))
    ports: list[bytes] = []
    if packet.l4proto in _WITH_PORTS and packet.thoff and not packet.fragoff:
        thoff = packet.thoff
        ports = sorted((bytes(data[thoff : thoff + 2]), bytes(data[thoff + 2 : thoff + 4])))
    return b"".join([*addresses, *ports, bytes((packet.l4proto,))])


_WITH_PORTS: Final = frozenset((6, 17, 33, 132, 136))


def parse_jhash(parser: Parser) -> Jhash:
    """Read ``jhash EXPR mod N [seed S] [offset M]``."""
    start = parser.advance().span
    term = parser.expression()
    parser.expect_word("mod")
    modulus = parser.number("number")
    seed = parser.number("number") if parser.accept_word("seed") else None
    offset = parse_offset(parser)
    return Jhash(parser.since(start), term, modulus, seed, offset)


def parse_symhash(parser: Parser) -> Symhash:
    """Read ``symhash mod N [offset M]``."""
    start = parser.advance().span
    parser.expect_word("mod")
    modulus = parser.number("number")
    offset = parse_offset(parser)
    return Symhash(parser.since(start), modulus, offset)
