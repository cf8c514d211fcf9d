"""Several selectors side by side: ``ip saddr . tcp dport``.

Ref: nftables src/evaluate.c:expr_evaluate_concat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flowtable.ruleset.selector import Identity, Selector
from flowtable.ruleset.types.concatenation import concatenation_of

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.hook import Hook
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.types.base import Scalar, Value


class Concat(Selector):
    """Selectors whose values are looked up together.

    Attributes:
        parts: the selectors.
    """

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[Selector, ...], span: Span) -> None:
        super().__init__(span, concatenation_of(*(part.datatype for part in parts)))
        self.parts = parts

    def text(self) -> str:
        """Joined by dots."""
        return " . ".join(part.text() for part in self.parts)

    def json(self) -> Json:
        """A list."""
        return {"concat": [part.json() for part in self.parts]}

    def load(self, compiler: Compiler) -> Load:
        """Read all; None if one of them cannot be read."""
        loads = tuple(part.load(compiler) for part in self.parts)
        if len(loads) == 2:
            return _pair(*loads)

        def load(packet: Packet) -> Value | None:
            values = []
            for read in loads:
                value = read(packet)
                if value is None:
                    return None
                values.append(value)
            return cast("tuple[Scalar, ...]", tuple(values))

        return load

    @property
    def headers(self) -> tuple[Identity, ...]:
        """The headers of all."""
        return tuple(header for part in self.parts for header in part.headers)

    @property
    def opaque(self) -> bool:
        """Whether one of them is."""
        return any(part.opaque for part in self.parts)

    @property
    def hooks(self) -> frozenset[Hook] | None:
        """The hooks that all can be read at."""
        bound = [part.hooks for part in self.parts if part.hooks is not None]
        return frozenset.intersection(*bound) if bound else None


def _pair(first: Load, second: Load) -> Load:
    def load(packet: Packet) -> Value | None:
        one = first(packet)
        if one is None:
            return None
        other = second(packet)
        return None if other is None else cast("tuple[Scalar, ...]", (one, other))

    return load
