"""The files that a ruleset includes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flowtable.cli.text import as_text

if TYPE_CHECKING:
    from collections.abc import Sequence


class Files:
    """A reader of included files.

    A name that starts with ``/``, ``./`` or ``../`` is looked for as it is, others in each of the
    folders in turn. Ref: nftables src/scanner.l:scanner_include_file.

    Attributes:
        read: the files that were read so far.
    """

    __slots__ = ("_folders", "read")

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self.read: list[str] = []

    def __call__(self, pattern: str) -> Sequence[tuple[str, str]] | None:
        """Read the files that the pattern names.

        Raises:
            InputError: one is no text.
            OSError: one cannot be read.
        """
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
                return [(str(path), self._text(path)) for path in files]
        return [] if wildcard else None

    def _text(self, path: Path) -> str:
        self.read.append(str(path))
        return as_text(path.read_bytes(), str(path))
