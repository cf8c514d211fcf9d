"""The command line of nft.

Ref: nftables src/main.c, and nft(8).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_SHORT: Final = {
    "f": "--file",
    "D": "--define",
    "I": "--includepath",
    "d": "--debug",
    "c": "--check",
    "j": "--json",
    "e": "--echo",
    "a": "--handle",
    "s": "--stateless",
    "t": "--terse",
    "n": "--numeric",
    "N": "--reversedns",
    "S": "--service",
    "u": "--guid",
    "y": "--numeric-priority",
    "p": "--numeric-protocol",
    "T": "--numeric-time",
    "o": "--optimize",
    "i": "--interactive",
    "v": "--version",
    "V": "--version",
    "h": "--help",
}
_VALUED: Final = frozenset(("--file", "--define", "--includepath", "--debug"))
_STANDARD: Final = ("-", "/dev/stdin")
_WORDS: Final = re.compile(r"\bflow(?:tables?\b|\s+(?:add|offload)\b|[\"}\s:{]+op)|\"flow(?:table)?\"")
_LISTS: Final = re.compile(r"\b(?:list|reset|get)\b")
_INCLUDE: Final = re.compile(r'(?:^|[;{}])\s*include\s+"([^"\n]+)"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Arguments:
    """What nft is asked for.

    Attributes:
        options: all options but file, variables and folders, as they are written.
        names: the long names of these.
        file: the file to read, None where the commands are in the command line.
        defines: variables, each as ``name=value``.
        folders: where included files are.
        words: the commands.
    """

    options: tuple[str, ...]
    names: frozenset[str]
    file: str | None
    defines: tuple[str, ...]
    folders: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def standard(self) -> bool:
        """Whether the commands come from standard input."""
        return self.file in _STANDARD

    @property
    def json(self) -> bool:
        """Whether output is JSON."""
        return "--json" in self.names

    @property
    def plain(self) -> bool:
        """Whether there is nothing to do but for nft itself."""
        if self.names & {"--help", "--version", "--interactive"}:
            return True
        return self.file is None and not self.words


def read_arguments(arguments: list[str]) -> Arguments | None:
    """Read a command line.

    Returns:
        None if it is none of nft's, which nft itself says best.
    """
    options: list[str] = []
    names: set[str] = set()
    values: dict[str, list[str]] = {name: [] for name in _VALUED}
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        for name, value in _options(word):
            if name not in _SHORT.values() or (value is not None and name not in _VALUED):
                return None
            if name in _VALUED:
                if value is None and not rest:
                    return None
                values[name].append(rest.pop(0) if value is None else value)
            names.add(name)
            options += [name] if name not in _VALUED else []
    options += [f"--debug={value}" for value in values["--debug"]]
    file = values["--file"][-1] if values["--file"] else None
    return Arguments(
        tuple(options),
        frozenset(names),
        file,
        tuple(values["--define"]),
        tuple(values["--includepath"]),
        tuple(rest),
    )


def _options(word: str) -> list[tuple[str, str | None]]:
    """The options in one word, by their long names, with the value that is written in the same word."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        known = [each for each in dict.fromkeys(_SHORT.values()) if each.startswith(name)]
        full = name if name in known or len(known) != 1 else known[0]
        return [(full, value if equals else None)]
    found: list[tuple[str, str | None]] = []
    for place, letter in enumerate(word[1:], 2):
        name = _SHORT.get(letter, "")
        if name in _VALUED:
            return [*found, (name, word[place:] or None)]
        found.append((name, None))
    return found


def mentions_flows(text: str) -> bool:
    """Whether a text may be about flowtables."""
    return _WORDS.search(text) is not None


def lists(text: str) -> bool:
    """Whether a text may ask for a listing."""
    return _LISTS.search(text) is not None


def shows_flows(output: str) -> bool:
    """Whether there may be flowtables, or rules that add flows, in what nft printed."""
    return "flowtable-" in output or "@nh,0,8" in output or '"nh"' in output


def included(text: str) -> list[str]:
    """What a text may include: names and patterns of files."""
    return _INCLUDE.findall(text)
