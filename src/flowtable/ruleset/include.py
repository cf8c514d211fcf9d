"""Where included files come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Reader = Callable[[str], Sequence[tuple[str, str]] | None]
"""From what stands behind ``include`` to names and texts of the files, in the order of their names.

None if there is no such file; an empty list if a pattern matches nothing. Raises ``OSError`` if
a file cannot be read.
"""


def nothing(pattern: str) -> Sequence[tuple[str, str]] | None:
    """A reader that finds no file."""
    del pattern
    return None
