"""Ruleset files: what a program reads, and what those files include.

The one module here that opens files; nothing else in the core does, or needs it.
"""

from __future__ import annotations

from errno import EINVAL
from pathlib import Path
from typing import TYPE_CHECKING

from flowtable.ruleset.model import Ruleset
from flowtable.ruleset.transact import execute

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
            OSError: one cannot be read, or is no text.
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
        return read_text(path)


def read_text(path: Path) -> str:
    """The text of a ruleset file, line ends as they are; what is not UTF-8 is kept for the output.

    Raises:
        OSError: it cannot be read, or is no text.
    """
    return as_text(path.read_bytes(), str(path))


def as_text(data: bytes, name: str) -> str:
    """The bytes of a ruleset file as text; ``name`` is what the error calls it.

    Raises:
        OSError: they are no text.
    """
    at = data.find(b"\0")
    if at >= 0:
        raise OSError(EINVAL, f"{name}: byte {at}: not a text file")
    return data.decode("utf-8", "surrogateescape")


def load(path: str | Path, *, folders: Sequence[str | Path] = (), defines: Sequence[str] = ()) -> Ruleset:
    """Load a ruleset file, text or JSON, as ``nft -f`` does into an empty kernel.

    Args:
        path: the file.
        folders: where included files are looked for first; then beside the file, then in /etc.
        defines: variables of the file, each as ``name=value``.

    Raises:
        RulesetError: everything that is wrong with it; ``str()`` is what nft would print.
        OSError: it cannot be read, or is no text.
    """
    path = Path(path)
    include = Files([*map(Path, folders), path.parent, Path("/etc")])
    return execute(Ruleset(), read_text(path), str(path), read_include=include, defines=defines).ruleset
