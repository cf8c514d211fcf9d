"""What every selector can do: name a part of a packet or of what is known about it."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import IntLoad, Load, Predicate
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.hook import Hook
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.types.base import DataType, Value


class Layer(IntEnum):
    """A layer of headers. Ref: include/uapi/linux/netfilter/nf_tables.h:nft_payload_bases."""

    LINK = 0
    NETWORK = 1
    TRANSPORT = 2
    MESSAGE = 3
    """Behind the type of an ICMP message."""


class Identity(NamedTuple):
    """That the header of a layer is of a protocol."""

    layer: Layer
    protocol: str


class Selector:
    """Something that rules can read.

    Attributes:
        span: where it stands in the source.
        datatype: the type of what it reads.
    """

    __slots__ = ("datatype", "span")

    def __init__(self, span: Span, datatype: DataType) -> None:
        self.span = span
        self.datatype = datatype

    def check(self, rule: RuleContext) -> Selector:
        """Imply the protocol tests that it needs; what the rule is to use in its place.

        Raises:
            RulesetError: it makes no sense where it stands.
        """
        del rule
        return self

    def text(self) -> str:
        """As nft prints it."""
        raise AssertionError

    def json(self) -> Json:
        """As libnftables writes it; its text where the schema has no form for it."""
        return self.text()

    def load(self, compiler: Compiler) -> Load:
        """Compile the reading."""
        raise AssertionError

    def load_number(self, compiler: Compiler) -> IntLoad:
        """Compile the reading of what is known to be a number."""
        return cast("IntLoad", self.load(compiler))

    def equal(self, value: Value, compiler: Compiler) -> Predicate:
        """Compile the comparison with one value."""
        load = self.load(compiler)
        return lambda packet: load(packet) == value

    def within(self, low: int, high: int, compiler: Compiler) -> Predicate:
        """Compile the comparison with an interval."""
        load = self.load_number(compiler)

        def test(packet: Packet) -> bool:
            value = load(packet)
            return value is not None and low <= value <= high

        return test

    def any_bit(self, mask: int, compiler: Compiler) -> Predicate:
        """Compile the test whether one of the bits is set."""
        load = self.load_number(compiler)
        return lambda packet: (load(packet) or 0) & mask != 0

    def identity(self, value: Value) -> Identity | None:
        """What it means for the headers if this is ``value``."""
        del value
        return None

    def presence(self) -> Selector:
        """What to read where it is compared with ``exists`` or ``missing``."""
        return self

    @property
    def header(self) -> Identity | None:
        """The header that it reads, None if it reads none."""
        return None

    @property
    def headers(self) -> tuple[Identity, ...]:
        """The headers that it reads."""
        header = self.header
        return () if header is None else (header,)

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """How its bytes lie in memory: those of a packet as they are sent, others as of the host."""
        return "little"

    @property
    def computed(self) -> bool:
        """Whether it is a computation on what another selector reads."""
        return False

    @property
    def guards(self) -> Identity | None:
        """The header that it makes sure of itself before it reads it, None if it does not."""
        return None

    @property
    def implies(self) -> tuple[Identity, ...]:
        """The protocol tests that a listing leaves out in front of it."""
        return self.headers

    @property
    def opaque(self) -> bool:
        """Whether only a kernel could read it: a rule that needs it cannot be evaluated."""
        return False

    @property
    def hooks(self) -> frozenset[Hook] | None:
        """The hooks that it can be read at, None for all."""
        return None
