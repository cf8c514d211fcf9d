"""Texts that are compared as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.types.base import DataType, Value

if TYPE_CHECKING:
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.syntax import Word

_SIZE: Final = 16


class Text(DataType):
    """The name of a conntrack helper."""

    ranges = False

    def parse(self, word: Word) -> Value:
        """Any text of at most 15 bytes."""
        if not word.text:
            raise ValueError("Empty string is not allowed")
        if len(word.text.encode(errors="surrogatepass")) >= _SIZE:
            raise ValueError(f"String exceeds maximum length of {_SIZE}")
        return word.text

    def format(self, value: Value) -> str:
        """Quoted."""
        return f'"{value}"'

    def json(self, value: Value) -> Json:
        """The text, which may look like a number."""
        return value


STRING: Final = Text("string", "string", 8 * _SIZE)
