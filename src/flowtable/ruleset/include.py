"""Where included files come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

Reader = Callable[[str], Sequence[tuple[str, str]] | None]
"""From what stands behind ``include`` to names and texts of the files, in the order of their names.

None if there is no such file; an empty list if a pattern matches nothing. Raises ``OSError`` if
a file cannot be read.
"""


def nothing(pattern: str) -> Sequence[tuple[str, str]] | None:
    """A reader that finds no file."""
    del pattern
    return None


class Files:
    """A reader of files.

    A name that starts with ``/`` or ``./`` is looked for as it is, others in each of the folders
    in turn. Ref: nftables src/scanner.l:scanner_include_file.
    """

    __slots__ = ("_folders",)

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    def __call__(self, pattern: str) -> Sequence[tuple[str, str]] | None:
        """Read the files that the pattern names."""
        if pattern.startswith(("/", "./", "../")):
            candidates = [Path(pattern)]
        else:
            candidates = [folder / pattern for folder in self._folders]
        wildcard = any(character in pattern for character in "*?[")
        for candidate in candidates:
            anchor = Path(candidate.anchor)
            if wildcard:
                paths = sorted(anchor.glob(str(candidate.relative_to(anchor))))
            else:
                paths = [candidate]
            files = [path for path in paths if path.is_file()]
            if files:
                return [(str(path), path.read_text(errors="replace")) for path in files]
        return [] if wildcard else None
