"""Variables: file, table block, chain block."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtable.ruleset.syntax import Term


class Scope:
    """The variables of nested blocks; an inner block sees those of the outer ones."""

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        self._blocks: list[dict[str, Term]] = [{}]

    def open(self) -> None:
        """Enter a block."""
        self._blocks.append({})

    def close(self) -> None:
        """Leave a block and forget its variables."""
        self._blocks.pop()

    def define(self, name: str, value: Term, *, again: bool = False) -> bool:
        """Define a variable in this block; False if it is there and ``again`` is not set."""
        block = self._blocks[-1]
        if name in block and not again:
            return False
        block[name] = value
        return True

    def undefine(self, name: str) -> None:
        """Forget the innermost variable of that name, if there is one."""
        for block in reversed(self._blocks):
            if block.pop(name, None) is not None:
                return

    def find(self, name: str) -> Term | None:
        """The value of the innermost variable of that name."""
        for block in reversed(self._blocks):
            if name in block:
                return block[name]
        return None

    def names(self) -> list[str]:
        """All names that can be seen."""
        return [name for block in self._blocks for name in block]
